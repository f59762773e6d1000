"""Definitions by content: written once, durable, checked."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.digest import digest_of
from flowrunner.storage.local.definitions import LocalDefinitions
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline
from tests.fakes.records import DEFINITION

STATE = Path("/var/lib/flowrunner")
DIGEST = digest_of(DEFINITION)
FILE = STATE / "definitions" / f"{DIGEST.removeprefix('sha256:')}.json"


@pytest.fixture
def files() -> FakeFiles:
    return FakeFiles()


def test_definition_is_durable_when_put_returns(files: FakeFiles) -> None:
    """After a crash the definition is there for the execution that names it."""
    asyncio.run(LocalDefinitions(STATE, files).put(DIGEST, DEFINITION))
    files.crash()
    assert asyncio.run(LocalDefinitions(STATE, files).get(DIGEST)) == DEFINITION


def test_file_is_named_by_its_own_checksum(files: FakeFiles) -> None:
    """`sha256sum` over a definition's file gives its name."""
    asyncio.run(LocalDefinitions(STATE, files).put(DIGEST, DEFINITION))
    assert hashlib.sha256(files.read(FILE, limit=10_000)).hexdigest() == FILE.stem


def test_same_digest_again_costs_nothing(files: FakeFiles) -> None:
    """A definition is written once, however many executions name it."""
    definitions = LocalDefinitions(STATE, files)
    for _ in range(3):
        asyncio.run(definitions.put(DIGEST, DEFINITION))
    assert files.calls == [("replace_durably", FILE)]


def test_puts_at_the_same_time_share_one_write(files: FakeFiles) -> None:
    """A thousand executions of one flow that start together write its definition once."""

    async def main() -> None:
        definitions = LocalDefinitions(STATE, files)
        await asyncio.gather(*(definitions.put(DIGEST, DEFINITION) for _ in range(5)))

    asyncio.run(main())
    assert files.calls == [("replace_durably", FILE)]


def test_removal_during_a_write_is_not_forgotten(files: FakeFiles) -> None:
    """A definition removed while it is written counts as gone: the next put writes it again."""

    async def main() -> None:
        definitions = LocalDefinitions(STATE, files)
        await asyncio.gather(definitions.put(DIGEST, DEFINITION), definitions.delete(DIGEST))
        assert await definitions.get(DIGEST) is None
        await definitions.put(DIGEST, DEFINITION)
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())


def test_put_during_a_removal_writes_anew(files: FakeFiles) -> None:
    """What is put while its file is being removed is there when `put` returns, and stays."""

    async def main() -> None:
        definitions = LocalDefinitions(STATE, files)
        await definitions.put(DIGEST, DEFINITION)
        removing = asyncio.create_task(definitions.delete(DIGEST))
        await asyncio.sleep(0)
        putting = asyncio.create_task(definitions.put(DIGEST, DEFINITION))
        await asyncio.gather(removing, putting)
        assert await definitions.get(DIGEST) == DEFINITION

    run_inline(main())
    assert [operation for operation, _ in files.calls if operation != "read"] == [
        "replace_durably",
        "remove",
        "replace_durably",
    ]


def test_removal_that_fails_is_told_and_leaves_the_definition(files: FakeFiles) -> None:
    """The file is of use as before, and the next put makes sure of it."""

    async def main() -> None:
        definitions = LocalDefinitions(STATE, files)
        await definitions.put(DIGEST, DEFINITION)
        files.fail("remove", ".json", PermissionError(13, "Permission denied"))
        with pytest.raises(StorageError):
            await definitions.delete(DIGEST)
        await definitions.put(DIGEST, DEFINITION)
        assert await definitions.get(DIGEST) == DEFINITION

    run_inline(main())


def test_damaged_definition_is_none_and_healed_by_the_next_start(files: FakeFiles) -> None:
    """A changed file is never run; a store that opens anew writes it again."""
    files.write(FILE, b'{"version":2}')
    definitions = LocalDefinitions(STATE, files)
    assert asyncio.run(definitions.get(DIGEST)) is None
    asyncio.run(definitions.put(DIGEST, DEFINITION))
    assert asyncio.run(definitions.get(DIGEST)) == DEFINITION


def test_definition_with_another_digest_is_refused(files: FakeFiles) -> None:
    """Nothing is kept under a name that does not fit."""
    with pytest.raises(StorageError):
        asyncio.run(LocalDefinitions(STATE, files).put(DIGEST, {"version": 2}))
    assert files.calls == []


def test_failed_write_is_tried_again_by_the_next_put(files: FakeFiles) -> None:
    """A definition counts as kept only when it is."""
    definitions = LocalDefinitions(STATE, files)
    files.fail("replace_durably", ".json", PermissionError(13, "Permission denied"))
    with pytest.raises(StorageError) as caught:
        asyncio.run(definitions.put(DIGEST, DEFINITION))
    assert caught.value.code == "storage.read_only"
    files.mend()
    asyncio.run(definitions.put(DIGEST, DEFINITION))
    assert asyncio.run(definitions.get(DIGEST)) == DEFINITION
