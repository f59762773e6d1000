"""The local backend as a whole: what it leaves on disk and how it fails."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.states import ExecutionState
from flowrunner.storage.local.storage import LocalStorage
from flowrunner.storage.protocols import ExecutionQuery, Expiry
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.records import make_attempt, make_execution, make_node, make_record, minutes

Use = Callable[[Callable[[LocalStorage], Awaitable[None]]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "var" / "state"


@pytest.fixture
def use(folder: Path) -> Use:
    """Runs a body with an open backend."""

    def run(body: Callable[[LocalStorage], Awaitable[None]]) -> None:
        async def main() -> None:
            storage = LocalStorage(folder, LocalFiles(), FakeClock())
            await storage.open()
            try:
                await body(storage)
            finally:
                await storage.close()

        asyncio.run(main())

    return run


def test_state_is_for_its_owner_alone(use: Use, folder: Path) -> None:
    """Folders have mode 0700 and every file, those of SQLite too, 0600."""

    async def body(storage: LocalStorage) -> None:
        await storage.executions.create(make_execution())
        await storage.flows.create(make_record())
        await storage.definitions.put(make_record().digest, make_record().definition)
        found = modes(folder)
        assert (folder / "flowrunner.db-wal", 0o600) in found
        assert {mode for path, mode in found if path.is_dir()} == {0o700}
        assert {mode for path, mode in found if path.is_file()} == {0o600}

    use(body)


def test_execution_is_not_kept_without_its_definition(use: Use) -> None:
    """Where a definition is refused for its own fault, so is the execution right behind it."""

    async def body(storage: LocalStorage) -> None:
        record, execution = make_record(), make_execution()
        put = storage.definitions.put(record.digest, {**record.definition, "version": 2})
        execution = replace(execution, digest=record.digest)
        creating = storage.executions.create(execution, needs_definition=True)
        other = storage.executions.create(make_execution(2))
        for refused in (put, creating):
            with pytest.raises(StorageError):
                await refused
        assert (await other).created
        assert await storage.executions.get(execution.id) is None

    use(body)


def modes(folder: Path) -> list[tuple[Path, int]]:
    return [(each, each.stat().st_mode & 0o777) for each in (folder, *folder.rglob("*"))]


def test_close_leaves_one_whole_database(use: Use, folder: Path) -> None:
    """After a close the log is folded in, so that a copy of the file is a backup."""

    async def body(storage: LocalStorage) -> None:
        await storage.executions.create(make_execution())

    use(body)
    assert [each.name for each in folder.iterdir()] == ["flowrunner.db"]


def test_store_that_is_not_open_refuses(folder: Path) -> None:
    """Before `open` and after `close` every call fails with a `StorageError`."""

    async def main() -> None:
        storage = LocalStorage(folder, LocalFiles(), FakeClock())
        for _ in range(2):
            with pytest.raises(StorageError):
                await storage.executions.create(make_execution())
            with pytest.raises(StorageError):
                await storage.executions.list(ExecutionQuery())
            with pytest.raises(StorageError):
                await storage.check()
            await storage.close()

    asyncio.run(main())


def test_open_tells_when_the_folder_cannot_be_written(folder: Path) -> None:
    """A state directory without write permission is read-only, said at once."""
    files = FakeFiles()
    files.fail("replace_durably", "flowrunner.db", OSError(errno.EROFS, "Read-only file system"))

    async def main() -> None:
        with pytest.raises(StorageError) as caught:
            await LocalStorage(folder, files, FakeClock()).open()
        assert caught.value.code == "storage.read_only"

    asyncio.run(main())


def test_open_refuses_a_damaged_database_and_releases_it(folder: Path) -> None:
    """The failure names the file, and the file is left as it is."""
    folder.mkdir(parents=True)
    (folder / "flowrunner.db").write_bytes(b"x" * 5_000)

    async def main() -> None:
        storage = LocalStorage(folder, LocalFiles(), FakeClock())
        with pytest.raises(StorageError) as caught:
            await storage.open()
        assert caught.value.code == "storage.corrupt"
        await storage.close()

    asyncio.run(main())
    assert (folder / "flowrunner.db").read_bytes() == b"x" * 5_000


def test_full_database_refuses_what_does_not_fit_and_keeps_the_rest(use: Use) -> None:
    """Without room a write fails as full; what was kept is still read, and room lets it go on."""
    big = make_execution(2, payload=bytes(1_000_000))

    async def body(storage: LocalStorage) -> None:
        await storage.executions.create(make_execution(1))
        await storage._writer.submit(set_most_pages(60))
        with pytest.raises(StorageError) as caught:
            await storage.executions.create(big)
        assert caught.value.code == "storage.full"
        assert await storage.executions.unfinished() == [make_execution(1)]
        await storage._writer.submit(set_most_pages(10_000))
        await storage.executions.create(big)
        assert await storage.executions.get(big.id) == big

    use(body)


def set_most_pages(number: int) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: connection.execute(f"PRAGMA max_page_count = {number}").close()


@pytest.mark.parametrize("inputs", ["{", "[" * 100_000], ids=["cut", "bottomless"])
def test_row_without_sense_is_reported_as_corrupt(use: Use, folder: Path, inputs: str) -> None:
    """A value that no version wrote is no crash but a damaged state."""

    async def body(storage: LocalStorage) -> None:
        await storage.executions.create(make_execution())
        with closing(sqlite3.connect(folder / "flowrunner.db")) as connection, connection:
            connection.execute("UPDATE executions SET inputs = ?", (inputs,))
        with pytest.raises(StorageError) as caught:
            await storage.executions.get(make_execution().id)
        assert caught.value.code == "storage.corrupt"

    use(body)


def test_value_that_cannot_be_kept_fails_its_own_write(use: Use) -> None:
    """An output that is no JSON is refused as a `StorageError`, and the next write is kept."""
    execution = make_execution()

    async def body(storage: LocalStorage) -> None:
        await storage.executions.create(execution)
        with pytest.raises(StorageError):
            await storage.journal.settle([make_node(execution.id, outputs={1, 2})])
        await storage.journal.begin(make_attempt(execution.id))
        assert await storage.journal.running() == [make_attempt(execution.id)]

    use(body)


def test_pages_never_read_the_whole_history(use: Use, folder: Path) -> None:
    """Lists, and what a start and retention ask, are answered from an index, without sorting."""
    queries = [
        ExecutionQuery(),
        ExecutionQuery(account="default"),
        ExecutionQuery(account="default", flow="backup"),
        ExecutionQuery(account="default", states=(ExecutionState.RUNNING,)),
    ]

    async def body(storage: LocalStorage) -> None:
        statements: list[str] = []
        await storage._readers.run(
            lambda connection: connection.set_trace_callback(statements.append)
        )
        for query in queries:  # one after the other, so all by the connection that is watched
            await storage.executions.list(query)
        await storage.executions.unfinished()
        await storage.executions.last_of_each()
        await storage.journal.running()
        await storage.executions.flows()
        await storage.executions.digests()
        await storage.executions.find("delivery:1")
        await storage.executions.expired(
            Expiry(flow=make_execution().flow, keep=1, before=minutes(0), limit=10)
        )
        assert len(statements) >= len(queries)
        with closing(sqlite3.connect(folder / "flowrunner.db")) as connection:
            for statement in statements:
                plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                assert not [row[3] for row in plan if "TEMP B-TREE" in row[3]], statement
                assert not [row[3] for row in plan if row[3] == "SCAN executions"], statement

    use(body)
