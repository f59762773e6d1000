"""Work folders go in one go, and a stubborn one keeps no other."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from flowrunner.engine.sweeper import Sweeper
from flowrunner.model.ids import ExecutionId
from tests.fakes.files import FakeFiles

WORK = Path("/state/work")
IDS = [ExecutionId(name) for name in ("one", "two", "three")]


@pytest.fixture
def files() -> FakeFiles:
    made = FakeFiles()
    for name in IDS:
        made.make_folder(WORK / name / "files")
    return made


def sweep(files: FakeFiles) -> None:
    async def main() -> None:
        sweeper = Sweeper(files, WORK)
        await asyncio.gather(*map(sweeper.remove, IDS))

    asyncio.run(main())


def test_folders_that_come_meanwhile_are_removed_too(files: FakeFiles) -> None:
    """Whoever comes first carries out the removals of all, and returns after them."""
    sweep(files)
    assert files.names(WORK) == []


def test_folder_that_stays_is_logged_and_keeps_no_other(
    files: FakeFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be removed is named, once."""
    files.fail("remove_tree", "two", PermissionError(13, "Permission denied"))
    with caplog.at_level(logging.WARNING):
        sweep(files)
    assert files.names(WORK) == ["two"]
    assert [record.getMessage() for record in caplog.records] == [
        "execution.work_left id=two: [Errno 13] Permission denied"
    ]
