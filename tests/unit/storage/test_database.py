"""Opening the database: its durability, its version, and what is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.states import AttemptState
from flowrunner.storage.local.codec import (
    ATTEMPT_COLUMNS,
    EXECUTION_COLUMNS,
    attempt_of,
    attempt_row,
    execution_row,
)
from flowrunner.storage.local.database import open_reader, open_writer
from flowrunner.storage.local.schema import MIGRATIONS
from flowrunner.storage.local.slot_codec import SLOT_RUN_COLUMNS, slot_run_of
from tests.fakes.records import make_attempt, make_execution

FIRST = ("CREATE TABLE words (word TEXT)",)
SECOND = ("ALTER TABLE words ADD COLUMN length INTEGER", "UPDATE words SET length = length(word)")
BROKEN = ("CREATE TABLE others (word TEXT)", "INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flowrunner.db"


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_commit_is_on_disk_when_it_returns(path: Path) -> None:
    """The log is written ahead and synced with each commit, and references are checked."""
    with closing(open_writer(path)) as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2
        assert pragma(connection, "foreign_keys") == 1


def test_new_database_has_the_version_of_the_code(path: Path) -> None:
    """A fresh database gets every migration, and opening it again changes nothing."""
    for _ in range(2):
        with closing(open_writer(path)) as connection:
            assert pragma(connection, "user_version") == len(MIGRATIONS)


def test_older_database_is_migrated_with_its_content(path: Path) -> None:
    """What an older version wrote is there, in the new form."""
    with closing(open_writer(path, migrations=[FIRST])) as connection:
        connection.execute("INSERT INTO words VALUES ('flow')")
    with closing(open_writer(path, migrations=[FIRST, SECOND])) as connection:
        assert connection.execute("SELECT * FROM words").fetchall() == [("flow", 4)]
        assert pragma(connection, "user_version") == 2


def test_attempts_of_older_versions_have_no_ends_of_items(path: Path) -> None:
    """What was journaled before nodes had items is read as it was."""
    execution = make_execution()
    attempt = make_attempt(execution.id, state=AttemptState.SUCCEEDED)
    with closing(open_writer(path, migrations=MIGRATIONS[:5])) as connection:
        columns, row = EXECUTION_COLUMNS.split(", "), execution_row(execution)[:-1]
        _insert(connection, "executions", columns, row)
        _insert(connection, "attempts", ATTEMPT_COLUMNS.split(", ")[:-1], attempt_row(attempt)[:-1])
    with closing(open_writer(path)) as connection:
        (found,) = connection.execute(f"SELECT {ATTEMPT_COLUMNS} FROM attempts")
        assert attempt_of(found) == attempt


def _insert(
    connection: sqlite3.Connection, table: str, columns: list[str], row: tuple[object, ...]
) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)


def test_failed_migration_leaves_the_database_as_it_was(path: Path) -> None:
    """A migration is applied whole or not at all, so that the older code can start again."""
    with pytest.raises(StorageError):
        open_writer(path, migrations=[FIRST, BROKEN])
    with closing(open_writer(path, migrations=[FIRST])) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("words",)]


def test_newer_database_is_refused_and_not_touched(path: Path) -> None:
    """State of newer code is never written by older code, not one byte."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    content = path.read_bytes()
    with pytest.raises(StorageError, match="newer FlowRunner") as caught:
        open_writer(path)
    assert caught.value.code == "storage.newer"
    assert caught.value.details == {"found": len(MIGRATIONS) + 1, "known": len(MIGRATIONS)}
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"this is not a database\n" * 100, id="text"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 4_080, id="damaged-header"),
    ],
)
def test_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    """A damaged file is reported with its path, and left as it is for a rescue."""
    path.write_bytes(content)
    with pytest.raises(StorageError, match=str(path)) as caught:
        open_writer(path)
    assert caught.value.code == "storage.corrupt"
    assert path.read_bytes() == content


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """A database that cannot be opened is unavailable, for the reason that SQLite gives."""
    with pytest.raises(StorageError, match="unable to open") as caught:
        open_writer(tmp_path / "missing" / "flowrunner.db")
    assert caught.value.code == "storage.unavailable"


def test_file_system_without_shared_memory_is_refused() -> None:
    """Where no write-ahead log is possible nothing is opened in a weaker mode."""
    with pytest.raises(StorageError, match="local file system"):
        open_writer(Path(":memory:"))


def test_reader_cannot_write(path: Path) -> None:
    """A reading connection refuses a write."""
    with (
        closing(open_writer(path, migrations=[FIRST])),
        closing(open_reader(path)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("INSERT INTO words VALUES ('flow')")


def test_state_without_calls_is_migrated(path: Path) -> None:
    """Executions of a version that knew no children are there, and none has a parent."""
    position = next(n for n, each in enumerate(MIGRATIONS) if "TABLE calls" in each[0])
    with closing(open_writer(path, migrations=MIGRATIONS[:position])) as connection:
        connection.execute(
            "INSERT INTO executions (id, account, flow, state, reason, trigger_id, trigger_type,"
            " context, revision, digest, inputs, created_at)"
            " VALUES ('e', 'default', 'f', 'running', '', 'm', 'manual', '{}', '', '', '{}', 0)"
        )
    with closing(open_writer(path)) as connection:
        assert connection.execute("SELECT id FROM executions").fetchall() == [("e",)]
        assert connection.execute("SELECT * FROM calls").fetchall() == []


def test_older_database_has_no_marks(path: Path) -> None:
    """A state from before there were marks keeps its executions and begins with none."""
    position = next(n for n, each in enumerate(MIGRATIONS) if "TABLE marks" in each[0])
    execution = make_execution()
    columns, row = EXECUTION_COLUMNS.split(", "), execution_row(execution)[:-1]
    with closing(open_writer(path, migrations=MIGRATIONS[:position])) as connection:
        _insert(connection, "executions", columns, row)
    with closing(open_writer(path)) as connection:
        assert connection.execute("SELECT id FROM executions").fetchall() == [(execution.id,)]
        assert connection.execute("SELECT * FROM marks").fetchall() == []


def test_slots_of_older_versions_have_no_evidence(path: Path) -> None:
    """Rows of a version that kept neither evidence nor revision are there, and say no more."""
    position = next(n for n, each in enumerate(MIGRATIONS) if "slot_runs ADD" in each[0])
    with closing(open_writer(path, migrations=MIGRATIONS[:position])) as connection:
        connection.execute(
            "INSERT INTO slot_runs VALUES"
            " (1, 'default', 'f', 't', 'p', 'missed', 'down', 1, 3, 3, 4)"
        )
    with closing(open_writer(path)) as connection:
        (row,) = connection.execute(f"SELECT {SLOT_RUN_COLUMNS} FROM slot_runs")
        run = slot_run_of(row)
        assert (run.count, run.digest, run.evidence, run.revision) == (3, None, {}, None)
