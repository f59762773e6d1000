"""The writing connection over failures of the disk, with connections that fail on command."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowrunner.errors import StorageError
from flowrunner.storage.local.database import check_quickly, open_writer, reopen_writer
from flowrunner.storage.local.session import FIRST_PAUSE_S, LONGEST_PAUSE_S, Session, failure_of
from tests.fakes.clock import FakeClock
from tests.unit.storage.databases import MIGRATIONS, put, words

EIO, FULL = sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_FULL


class FaultyConnection(sqlite3.Connection):
    """A connection whose next commits fail with a code of SQLite."""

    fails_with: int = 0
    is_closed = False

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.fails_with:
            super().execute("ROLLBACK")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self.fails_with
            raise error
        return super().execute(sql, parameters)

    def close(self) -> None:
        self.is_closed = True
        super().close()


class Disk:
    """A database on a disk that can break; counts how often it is opened anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        open_writer(path, migrations=MIGRATIONS).close()
        self.clock = FakeClock()
        self.tried: list[float] = []
        self.renewed: list[FaultyConnection] = []
        self.broken: StorageError | None = None
        self.first = self._connect()
        self.session = Session(self.first, self.renew, self.clock.monotonic)

    def renew(self) -> sqlite3.Connection:
        self.tried.append(self.clock.monotonic())
        if self.broken is not None:
            raise self.broken
        self.renewed.append(self._connect())
        return self.renewed[-1]

    def write(self, word: str) -> str:
        """Returns the code of the failure, or an empty text."""
        (outcome,) = self.session.run([put(word)])
        return outcome.error.code if outcome.error else ""

    def close(self) -> None:
        for connection in (self.first, *self.renewed):
            connection.close()

    def _connect(self) -> FaultyConnection:
        return sqlite3.connect(self.path, isolation_level=None, factory=FaultyConnection)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with closing(Disk(tmp_path / "words.db")) as made:
        yield made


def test_connection_with_a_failed_sync_is_never_used_again(disk: Disk) -> None:
    """After EIO it is closed, and the next write goes over one that was opened anew."""
    disk.first.fails_with = EIO
    assert disk.write("lost") == "storage.unavailable"
    assert disk.first.is_closed
    disk.clock.advance(FIRST_PAUSE_S)
    assert disk.write("kept") == ""
    assert len(disk.renewed) == 1
    assert words(disk.path) == ["kept"]


def test_full_disk_keeps_its_connection(disk: Disk) -> None:
    """A write that found no room was rolled back by SQLite: there is nothing to distrust."""
    disk.first.fails_with = FULL
    assert disk.write("lost") == "storage.full"
    disk.first.fails_with = 0
    assert disk.write("kept") == ""
    assert disk.renewed == []


def test_pauses_between_openings_double_up_to_a_bound(disk: Disk) -> None:
    """While the disk is broken, opening and verifying is tried ever less often, but tried."""
    disk.first.fails_with = EIO
    disk.write("lost")
    disk.broken = StorageError("still broken", code="storage.corrupt")
    for _ in range(200):
        assert disk.write("lost") in ("storage.unavailable", "storage.corrupt")
        disk.clock.advance(1)
    pauses = [after - before for before, after in itertools.pairwise(disk.tried)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert set(pauses[4:]) == {LONGEST_PAUSE_S}


def test_writes_without_a_connection_fail_with_the_reason(disk: Disk) -> None:
    """Each of them fails alone, as a failure of the store, with an error of its own."""
    disk.first.fails_with = EIO
    disk.write("lost")
    outcomes = disk.session.run([put("a"), put("b")])
    assert [outcome.error.code for outcome in outcomes if outcome.error] == 2 * [
        "storage.unavailable"
    ]
    assert outcomes[0].error is not outcomes[1].error
    assert failure_of(outcomes) is outcomes[1].error
    assert words(disk.path) == []


def test_refused_operation_is_no_failure_of_the_store(disk: Disk) -> None:
    """A conflict says nothing about the disk."""
    disk.write("one")
    outcomes = disk.session.run([put("one")])
    assert outcomes[0].error is not None
    assert failure_of(outcomes) is None


def test_reopening_makes_no_database_where_there_was_one(tmp_path: Path) -> None:
    """A file that is gone is a failure, not a new and empty journal."""
    with pytest.raises(StorageError, match="there is no database"):
        reopen_writer(tmp_path / "gone.db", limit_s=1, monotonic=FakeClock().monotonic)
    assert not (tmp_path / "gone.db").exists()


def fill(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO words VALUES (?)", [(f"{n:0200}",) for n in range(999)])
    connection.close()


def damage(path: Path) -> None:
    """Overwrites pages in the middle, as a broken disk would."""
    content = bytearray(path.read_bytes())
    content[8_192 : 8_192 + 12_288] = b"\xff" * 12_288
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "expected"), [(lambda _: None, ""), (damage, "storage.corrupt")], ids=["ok", "bad"]
)
def test_reopening_verifies(disk: Disk, harm: Callable[[Path], None], expected: str) -> None:
    """Damage is found before anything is written on top of it."""
    fill(disk.path)
    harm(disk.path)
    found = ""
    try:
        check_quickly(disk.path, limit_s=60, monotonic=FakeClock().monotonic)
    except StorageError as error:
        found = error.code
    assert found == expected


def test_look_for_damage_ends_at_its_limit(disk: Disk) -> None:
    """A database too large to be read in time is not fully looked at, and that is told."""
    fill(disk.path)
    times = itertools.count(0.0)
    assert not check_quickly(disk.path, limit_s=0, monotonic=lambda: next(times))
