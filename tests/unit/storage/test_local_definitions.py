"""Definitions by content: written once, durable, checked."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.digest import canonical_json, digest_of
from flowrunner.model.ids import Digest, Json
from flowrunner.storage.local.definitions import LocalDefinitions
from flowrunner.storage.local.storage import DATABASE, LocalStorage
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.inline_database import InlineDatabase
from tests.fakes.records import DEFINITION

DIGEST = digest_of(DEFINITION)
TEXT = canonical_json(DEFINITION).decode()


@pytest.fixture
def rows() -> InlineDatabase:
    return InlineDatabase()


def store(rows: InlineDatabase) -> LocalDefinitions:
    """One life of the store over what lies in the database."""
    return LocalDefinitions(rows.writer, rows.readers)


async def put(definitions: LocalDefinitions) -> None:
    """Keeps the definition."""
    await definitions.put(DIGEST, DEFINITION)


def test_definition_outlives_its_store(tmp_path: Path) -> None:
    """What `put` has kept is there for the next life, under its digest and as canonical text."""

    async def put() -> None:
        storage = LocalStorage(tmp_path, LocalFiles(), FakeClock())
        await storage.open()
        await storage.definitions.put(DIGEST, DEFINITION)
        await storage.close()

    async def get() -> dict[str, Json] | None:
        storage = LocalStorage(tmp_path, LocalFiles(), FakeClock())
        await storage.open()
        found = await storage.definitions.get(DIGEST)
        await storage.close()
        return found

    asyncio.run(put())
    assert asyncio.run(get()) == DEFINITION
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        assert connection.execute("SELECT * FROM definitions").fetchall() == [(DIGEST, TEXT)]


def test_same_digest_again_costs_nothing(rows: InlineDatabase) -> None:
    """A definition is written once, however many executions name it."""

    async def main() -> None:
        definitions = store(rows)
        for _ in range(3):
            await definitions.put(DIGEST, DEFINITION)

    asyncio.run(main())
    assert rows.writer.done == 1


def test_puts_at_the_same_time_share_one_write(rows: InlineDatabase) -> None:
    """A thousand executions of one flow that start together write its definition once."""

    async def main() -> None:
        definitions = store(rows)
        await asyncio.gather(*(definitions.put(DIGEST, DEFINITION) for _ in range(5)))

    asyncio.run(main())
    assert rows.writer.done == 1


def test_cancelled_put_leaves_the_write_to_the_others(rows: InlineDatabase) -> None:
    """Who shares a write and goes away does not take it from those who wait for it."""

    async def main() -> None:
        definitions = store(rows)
        leaving, staying = (asyncio.create_task(put(definitions)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())


def test_removal_during_a_write_is_not_forgotten(rows: InlineDatabase) -> None:
    """A definition removed while it is written counts as gone: the next put writes it again."""

    async def main() -> None:
        definitions = store(rows)
        await asyncio.gather(definitions.put(DIGEST, DEFINITION), definitions.delete(DIGEST))
        assert await definitions.get(DIGEST) is None
        await definitions.put(DIGEST, DEFINITION)
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())


def test_put_during_a_removal_writes_anew(rows: InlineDatabase) -> None:
    """What is put while its row is being removed is there when `put` returns, and stays."""

    async def main() -> None:
        definitions = store(rows)
        await definitions.put(DIGEST, DEFINITION)
        removing = asyncio.create_task(definitions.delete(DIGEST))
        await asyncio.sleep(0)
        putting = asyncio.create_task(put(definitions))
        await asyncio.gather(removing, putting)
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())
    assert rows.writer.done == 3


def test_removal_that_fails_is_told_and_leaves_the_definition(rows: InlineDatabase) -> None:
    """The row is of use as before, and the next put makes sure of it."""

    async def main() -> None:
        definitions = store(rows)
        await definitions.put(DIGEST, DEFINITION)
        rows.writer.fault = StorageError("no room", code="storage.full")
        with pytest.raises(StorageError):
            await definitions.delete(DIGEST)
        rows.writer.fault = None
        await definitions.put(DIGEST, DEFINITION)
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())
    assert rows.writer.done == 2


def test_damaged_definition_is_none_and_healed_by_the_next_start(rows: InlineDatabase) -> None:
    """A changed text is never run; a store that opens anew writes it again."""
    rows.connection.execute("INSERT INTO definitions VALUES (?, ?)", (DIGEST, '{"version":2}'))

    async def main() -> None:
        definitions = store(rows)
        assert await definitions.get(DIGEST) is None
        await definitions.put(DIGEST, DEFINITION)
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())


def test_definition_with_another_digest_is_refused(rows: InlineDatabase) -> None:
    """Nothing is kept under a name that does not fit."""

    async def main() -> None:
        definitions = store(rows)
        with pytest.raises(StorageError):
            await definitions.put(DIGEST, {"version": 2})
        assert await definitions.list() == []

    asyncio.run(main())


def test_failed_write_is_tried_again_by_the_next_put(rows: InlineDatabase) -> None:
    """A definition counts as kept only when it is."""

    async def main() -> None:
        definitions = store(rows)
        rows.writer.fault = StorageError("read only", code="storage.read_only")
        with pytest.raises(StorageError) as caught:
            await definitions.put(DIGEST, DEFINITION)
        assert caught.value.code == "storage.read_only"
        rows.writer.fault = None
        await definitions.put(DIGEST, DEFINITION)
        assert await definitions.get(DIGEST) == DEFINITION

    asyncio.run(main())


def test_files_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    """Each that fits its name becomes a row, at the first start; their folder is gone then."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / f"{DIGEST.removeprefix('sha256:')}.json").write_text(TEXT)
    damaged = digest_of({"version": 2})
    (folder / f"{damaged.removeprefix('sha256:')}.json").write_text("{}")
    (folder / "notes.txt").write_text("not ours")

    async def main() -> tuple[list[Digest], dict[str, Json] | None]:
        storage = LocalStorage(tmp_path, LocalFiles(), FakeClock())
        await storage.open()
        found = await storage.definitions.list(), await storage.definitions.get(DIGEST)
        await storage.close()
        return found

    assert asyncio.run(main()) == ([DIGEST], DEFINITION)
    assert not folder.exists()
    assert asyncio.run(main()) == ([DIGEST], DEFINITION)
