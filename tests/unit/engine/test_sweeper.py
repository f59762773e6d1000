"""Work folders go in one go, and a stubborn one keeps no other."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from flowrunner.engine.sweeper import LONGEST_S, Sweeper
from flowrunner.model.ids import ExecutionId
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Act, World, flow, simulate
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline

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
        sweeper = Sweeper(files, WORK, FakeClock())
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


def test_removal_waits_until_nobody_waits_to_start(files: FakeFiles) -> None:
    """Folders stay while executions wait for a place, and go when they have theirs."""

    async def main() -> None:
        crowd = {"somebody"}
        sweeper = Sweeper(files, WORK, FakeClock(), lambda: bool(crowd))
        removing = [asyncio.create_task(sweeper.remove(name)) for name in IDS]
        await asyncio.sleep(LONGEST_S / 2)
        assert files.names(WORK) == sorted(IDS)
        crowd.clear()
        await asyncio.gather(*removing)
        assert files.names(WORK) == []

    run_inline(main())


def test_no_crowd_keeps_a_folder_for_long(files: FakeFiles) -> None:
    """A host whose line never ends has no more than some seconds of folders to remove."""

    async def main() -> None:
        sweeper = Sweeper(files, WORK, FakeClock(), lambda: True)
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*map(sweeper.remove, IDS))
        assert files.names(WORK) == []
        assert asyncio.get_running_loop().time() - before < 2 * LONGEST_S

    run_inline(main())


def test_folder_of_an_ended_execution_waits_for_those_who_wait_to_start() -> None:
    """The engine removes it once nobody waits for a place of the host any more."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: only, run: work}", top="concurrency: {limit: 9}"))
        first, _, third = [(await world.submit(spec)).id for _ in range(3)]
        await world.end_of(first)
        work = world.services.folders.work
        assert first in world.files.names(work)
        await world.end_of(third)
        await world.idle()
        assert world.files.names(work) == []

    simulate(story, {"only": Act(lasts_s=1)}, node_slots=1)
