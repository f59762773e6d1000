"""Every failure of SQLite and of files has one code for an operator."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.storage.local.translate import is_outer_failure, storage_error


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 3")
    connection.execute("INSERT INTO words VALUES (?)", ("x" * 100_000,))


def write_read_only(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("INSERT INTO words VALUES ('a')")


def repeat(connection: sqlite3.Connection) -> None:
    for _ in range(2):
        connection.execute("INSERT INTO words VALUES ('a')")


def name_no_table(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT * FROM nowhere")


def bind_badly(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO words VALUES (?)", (object(),))


def overflow(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100)
    connection.execute("INSERT INTO words VALUES (?)", ("x" * 1_000,))


def damage(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET rootpage = 99")
    connection.execute("PRAGMA writable_schema = RESET")
    connection.execute("SELECT * FROM words")


@pytest.mark.parametrize(
    ("action", "code", "outer"),
    [
        pytest.param(fill, "storage.full", True, id="full"),
        pytest.param(write_read_only, "storage.read_only", True, id="read-only"),
        pytest.param(damage, "storage.corrupt", True, id="corrupt"),
        pytest.param(name_no_table, "storage.unavailable", True, id="schema"),
        pytest.param(repeat, "storage.conflict", False, id="conflict"),
        pytest.param(bind_badly, "storage.unavailable", False, id="value"),
        pytest.param(overflow, "storage.unavailable", False, id="too-big"),
    ],
)
def test_failure_of_sqlite_has_its_code(
    tmp_path: Path, action: Callable[[sqlite3.Connection], None], code: str, *, outer: bool
) -> None:
    """The code tells what to do, and whether others are concerned; the cause is kept."""
    with closing(sqlite3.connect(tmp_path / "words.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE words (word TEXT PRIMARY KEY)")
        with pytest.raises(sqlite3.Error) as caught:
            action(connection)
    error = storage_error(caught.value)
    assert error.code == code
    assert error.__cause__ is caught.value
    assert is_outer_failure(caught.value) is outer


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(errno.ENOSPC, "storage.full", id="no-space"),
        pytest.param(errno.EDQUOT, "storage.full", id="quota"),
        pytest.param(errno.EROFS, "storage.read_only", id="read-only"),
        pytest.param(errno.EACCES, "storage.read_only", id="permission"),
        pytest.param(errno.EIO, "storage.unavailable", id="disk"),
    ],
)
def test_failure_of_a_file_has_its_code(number: int, code: str) -> None:
    """The reason of the kernel becomes a code."""
    assert storage_error(OSError(number, os.strerror(number))).code == code


def test_storage_error_stays_as_it_is() -> None:
    """What has its code already is not wrapped again."""
    error = StorageError("known", code="storage.conflict")
    assert storage_error(error) is error
