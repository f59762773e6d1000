"""Backups, and what becomes of a damaged database: verified copies, and nothing deleted."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.states import AttemptState, ExecutionState, NodeState
from flowrunner.storage.local import backups
from flowrunner.storage.local.backups import backup_database, verify
from flowrunner.storage.local.restore import Swap, finish_swap, swap
from flowrunner.storage.local.storage import DATABASE, LocalOptions, LocalStorage
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import DEFAULT_START, FakeClock
from tests.fakes.records import BACKUP, NIGHTLY, make_attempt, make_execution, make_slots, minutes

DONE, RUNNING, QUEUED = (
    make_execution(1, state=ExecutionState.SUCCEEDED),
    make_execution(2, state=ExecutionState.RUNNING),
    make_execution(3),
)

Body = Callable[[LocalStorage], Awaitable[None]]


class State:
    """A state directory, used by one store after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / DATABASE
        self.clock = FakeClock()

    def use(self, body: Body, **options: int | bool) -> None:
        async def main() -> None:
            chosen = replace(LocalOptions(), **options)  # type: ignore[arg-type] # by their names
            storage = LocalStorage(self.folder, LocalFiles(), self.clock, options=chosen)
            await storage.open()
            try:
                await body(storage)
            finally:
                await storage.close()

        asyncio.run(main())

    def damage(self) -> None:
        """Overwrites the middle of the database, as a broken disk would."""
        content = bytearray(self.database.read_bytes())
        content[4_096:20_480] = b"\xff" * 16_384
        self.database.write_bytes(content)

    def names(self) -> list[str]:
        return sorted(each.name for each in self.folder.iterdir())


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


async def fill(storage: LocalStorage) -> None:
    """Something that has ended, something that runs, something that waits, and a cursor."""
    for execution in (DONE, RUNNING, QUEUED):
        await storage.executions.create(execution)
    await storage.journal.begin(make_attempt(RUNNING.id))
    await storage.slots.record(make_slots(1, 3))


async def fill_and_back_up(storage: LocalStorage) -> None:
    await fill(storage)
    await storage.backup()


async def nothing(_: LocalStorage) -> None:
    """Opens and closes."""


def test_backup_is_one_whole_private_file(state: State, tmp_path: Path) -> None:
    """It passes verification, is the owner's alone, and nothing is left beside it."""
    target = tmp_path / "elsewhere" / "copy.db"

    async def body(storage: LocalStorage) -> None:
        await fill(storage)
        assert await storage.backup(target) == target

    state.use(body)
    verify(target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in target.parent.iterdir()] == ["copy.db"]


def test_backup_is_of_one_moment_while_others_write(state: State) -> None:
    """Writes during the copying neither enter it nor begin it anew nor wait for it."""
    written: list[int] = []

    def write(_pause_s: float) -> None:
        with closing(sqlite3.connect(state.database)) as connection, connection:
            connection.execute("UPDATE executions SET reason = reason || 'x'")
        written.append(1)

    async def big(storage: LocalStorage) -> None:
        await storage.executions.create(make_execution(1, payload=bytes(3_000_000)))

    state.use(big)
    target = state.folder / "copy.db"
    backup_database(state.database, target, pause=write)
    with closing(sqlite3.connect(target)) as copy:
        (reason,) = copy.execute("SELECT reason FROM executions").fetchone()
    assert reason == ""
    assert 2 <= len(written) <= 6


def test_existing_file_is_never_overwritten(state: State) -> None:
    """A backup goes to a new file; an old one may be the only good one."""

    async def body(storage: LocalStorage) -> None:
        target = state.folder / "mine"
        target.write_text("precious")
        with pytest.raises(StorageError) as caught:
            await storage.backup(target)
        assert caught.value.code == "storage.conflict"
        assert target.read_text() == "precious"

    state.use(body)


def test_damaged_state_makes_no_backup(state: State, tmp_path: Path) -> None:
    """A copy that fails its verification does not get its name, and is removed."""
    state.use(fill)
    state.damage()
    with pytest.raises(StorageError) as caught:
        backup_database(state.database, tmp_path / "copies" / "copy.db")
    assert caught.value.code == "storage.corrupt"
    assert list((tmp_path / "copies").iterdir()) == []


def test_full_disk_leaves_no_half_backup(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a sync of the copy fails it is an error of the store, and nothing stays."""
    state.use(fill)

    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StorageError) as caught:
        backup_database(state.database, tmp_path / "copies" / "copy.db")
    assert caught.value.code == "storage.full"
    assert list((tmp_path / "copies").iterdir()) == []


def test_newest_backups_are_kept(state: State) -> None:
    """So many stay, and the time of the newest is known; other files are not touched."""

    async def body(storage: LocalStorage) -> None:
        assert await storage.last_backup() is None
        made = []
        for _ in range(4):
            made.append(await storage.backup())
            state.clock.advance(60)
        (state.folder / "backup" / "flowrunner-mine.db").write_text("mine")
        last = await storage.backup()
        kept = sorted((state.folder / "backup").iterdir())
        assert kept == [made[3], last, state.folder / "backup" / "flowrunner-mine.db"]
        assert await storage.last_backup() == state.clock.now()

    state.use(body, backups_kept=2)


def test_damaged_database_without_backup_refuses_and_stays(state: State) -> None:
    """Nothing is set aside when there is nothing to go on from; the message names the ways."""
    state.use(fill)
    state.damage()
    before = state.database.read_bytes()
    for _ in range(2):  # a second start must not take it for a good one
        with pytest.raises(StorageError) as caught:
            state.use(nothing)
        assert caught.value.code == "storage.corrupt"
        assert "flowrunner restore" in caught.value.message
        assert "--accept-state-loss" in caught.value.message
    assert state.database.read_bytes() == before


def test_damaged_database_gives_way_to_the_newest_good_backup(state: State) -> None:
    """Damaged backups are passed over; the damaged database is kept under a time stamp."""
    state.use(fill_and_back_up)
    state.clock.advance(3_600)
    backups.backup_path(state.folder / "backup", state.clock.now()).write_bytes(b"x" * 9_000)
    state.damage()

    async def body(storage: LocalStorage) -> None:
        restored = await storage.restored()
        assert restored is not None
        assert restored.at == state.clock.now()
        assert Path(restored.origin) == backups.backup_path(state.folder / "backup", DEFAULT_START)
        assert Path(restored.quarantined).name in state.names()
        assert await storage.executions.get(DONE.id) == DONE

    state.use(body)


def test_restored_state_runs_nothing_again(state: State) -> None:
    """What it holds as unfinished has ended, with attempts and nodes, and no cursor is left."""
    state.use(fill_and_back_up)
    state.damage()

    async def body(storage: LocalStorage) -> None:
        assert await storage.executions.unfinished() == []
        assert await storage.journal.running() == []
        assert await storage.slots.cursor(NIGHTLY) is None
        for execution in (RUNNING, QUEUED):
            ended = await storage.executions.get(execution.id)
            assert ended is not None
            assert (ended.state, ended.reason) == (ExecutionState.FAILED, "interrupted")
            assert ended.error is not None
            assert ended.error.code == "state_restored"
            assert ended.ended_at == state.clock.now()
        (attempt,) = await storage.journal.attempts(RUNNING.id)
        assert (attempt.state, attempt.reason) == (AttemptState.FAILED, "interrupted")
        (node,) = await storage.journal.nodes(RUNNING.id)
        assert (node.state, node.reason) == (NodeState.FAILED, "interrupted")
        assert await storage.slots.list(BACKUP) == [make_slots(1, 3)]

    state.use(body)


def test_loss_that_was_accepted_begins_empty(state: State) -> None:
    """Without a backup the daemon goes on with nothing, and says that it does."""
    state.use(fill)
    state.damage()

    async def body(storage: LocalStorage) -> None:
        restored = await storage.restored()
        assert restored is not None
        assert restored.origin == ""
        assert Path(restored.quarantined).name in state.names()
        assert await storage.executions.get(DONE.id) is None
        assert await storage.slots.open(NIGHTLY, minutes(90)) == minutes(90)

    state.use(body, accept_state_loss=True)


def test_good_database_is_not_replaced(state: State) -> None:
    """To accept a loss that did not happen changes nothing."""
    state.use(fill)

    async def body(storage: LocalStorage) -> None:
        assert await storage.restored() is None
        assert await storage.executions.get(DONE.id) == DONE

    state.use(body, accept_state_loss=True)


def test_note_stays_until_it_is_acknowledged(state: State) -> None:
    """It outlives restarts, and is gone for good once somebody has seen it."""
    state.use(fill)
    state.damage()
    state.use(nothing, accept_state_loss=True)

    async def acknowledge(storage: LocalStorage) -> None:
        assert await storage.restored() is not None
        await storage.acknowledge_restored()

    async def after(storage: LocalStorage) -> None:
        assert await storage.restored() is None

    state.use(acknowledge)
    state.use(after)


@pytest.fixture
def exchange(state: State, tmp_path: Path) -> Swap:
    """A state with a backup that shall take its place."""
    state.use(fill)
    origin = tmp_path / "origin.db"
    backup_database(state.database, origin)
    return Swap(database=state.database, origin=origin, at=DEFAULT_START)


@pytest.mark.parametrize("crash_at", range(1, 6))
def test_crash_in_an_exchange_loses_neither_database(
    state: State, exchange: Swap, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """Whichever rename or sync is the last one: a start finds a whole database, never an empty one.

    Before the old one is set aside the next start has the old one, then the new one.
    """
    done = 0

    class PowerCutError(Exception):
        """The machine is off."""

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def run(*args: object) -> None:
            nonlocal done
            done += 1
            if done >= crash_at:
                raise PowerCutError
            real(*args)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(os, "fsync", counted(os.fsync))
        with suppress(PowerCutError):
            swap(exchange)
    assert done >= crash_at

    async def body(storage: LocalStorage) -> None:
        assert await storage.executions.get(DONE.id) == DONE

    state.use(body)
    assert not list(state.folder.glob("*.restoring"))


def test_unfit_backup_changes_nothing(state: State, tmp_path: Path) -> None:
    """Neither a damaged file nor one of a newer FlowRunner takes the place of anything."""
    state.use(fill)
    before = state.database.read_bytes()
    newer = tmp_path / "newer.db"
    backup_database(state.database, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 999")
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"x" * 9_000)
    for origin, code in ((newer, "storage.newer"), (bad, "storage.corrupt")):
        with pytest.raises(StorageError) as caught:
            swap(Swap(database=state.database, origin=origin, at=DEFAULT_START))
        assert caught.value.code == code
        assert state.database.read_bytes() == before
        assert [name for name in state.names() if "." in name.removeprefix(DATABASE)] == []


def test_leftover_of_an_exchange_that_had_not_begun_is_dropped(state: State) -> None:
    """While the database stands, a prepared one beside it means nothing."""
    state.use(fill)
    ready = state.folder / f"{DATABASE}.restoring"
    ready.write_bytes(b"")
    finish_swap(state.database)
    assert state.names() == [DATABASE]
