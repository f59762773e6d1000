"""Folding the log in beside the writer: when, by whom, and what a failure changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.storage.local import checkpoints
from flowrunner.storage.local.checkpoints import Checkpoints
from flowrunner.storage.local.database import leave_log, open_checkpointer, open_writer
from tests.unit.storage.databases import MIGRATIONS, put, words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "words.db"


@pytest.fixture
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """The connection of the writer, which leaves the log alone."""
    with closing(leave_log(open_writer(path, migrations=MIGRATIONS))) as connection:
        yield connection


def write(connection: sqlite3.Connection, rows: int, size: int = 10) -> None:
    connection.execute("BEGIN")
    for number in range(rows):
        put(f"{number}-{connection.total_changes}-" + "x" * size)(connection)
    connection.execute("COMMIT")


def log_bytes(path: Path) -> int:
    return path.with_name("words.db-wal").stat().st_size


def test_few_large_rows_are_work_too(path: Path, writing: sqlite3.Connection) -> None:
    """A delivery may bring a megabyte: the growth of the log counts, and begins anew each time."""
    folding = Checkpoints(lambda: open_checkpointer(path), lambda: log_bytes(path))
    write(writing, 3, size=500_000)
    folding.committed(writing)
    assert not folding.is_due
    write(writing, 3, size=500_000)
    folding.committed(writing)
    assert folding.is_due


def test_writer_folds_nothing_in_by_itself(path: Path, writing: sqlite3.Connection) -> None:
    """A commit of two thousand pages leaves the database file as it was."""
    before = path.stat().st_size
    write(writing, 500, size=16_000)
    assert path.stat().st_size == before
    assert log_bytes(path) > 500 * 16_000


def test_log_is_folded_in_and_begun_anew(
    path: Path, writing: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread does the work, the writer the little that is left, and the log stays short."""
    monkeypatch.setattr(checkpoints, "LONG_LOG", 10)
    folding = Checkpoints(lambda: open_checkpointer(path), lambda: log_bytes(path))
    for _ in range(20):
        write(writing, 50, size=4_000)
        folding.fold()
        folding.settle(writing)
    longest = log_bytes(path)
    folding.close()
    assert longest < path.stat().st_size / 2
    assert path.stat().st_size > 20 * 50 * 4_000


def test_thread_works_once_enough_was_written(path: Path, writing: sqlite3.Connection) -> None:
    """Not for each commit, and not for another connection's earlier ones."""
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(open_checkpointer(path))
        return opened[-1]

    folding = Checkpoints(connect, lambda: 0)
    write(writing, checkpoints.DUE_ROWS - 1)
    folding.committed(writing)
    assert not folding.is_due
    write(writing, 1)
    folding.committed(writing)
    assert folding.is_due
    folding.start()
    folding.close()
    folding.close()
    assert len(opened) == 1


def test_failure_leaves_it_to_the_writer(
    path: Path, writing: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, nothing is lost, and the writer does the work as SQLite would have."""

    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    folding = Checkpoints(refuse, lambda: 0)
    write(writing, 10, size=4_000)
    before = path.stat().st_size
    folding.fold()
    assert path.stat().st_size == before
    folding.settle(writing)
    assert path.stat().st_size > before
    assert len(words(path)) == 10
    assert "store.checkpoint_failed: unable to open" in caplog.text


def test_long_log_is_the_writers_work(
    path: Path, writing: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a reader keeps the thread from its work, the log is left to the writer at a bound."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM words").fetchone()
        write(writing, 500, size=4_000)
        folding = Checkpoints(lambda: open_checkpointer(path), lambda: log_bytes(path))
        folding.fold()
        assert not folding.is_tail_due
        monkeypatch.setattr(checkpoints, "MOST_PAGES", 100)
        folding.fold()
        assert folding.is_tail_due
        folding.settle(writing)
        folding.close()
    assert len(words(path)) == 500
