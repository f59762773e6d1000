"""Rows that are added together: each once, in their order, and all of them or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.storage.local.database import open_writer
from flowrunner.storage.local.inserts import MOST_ROWS, Insert
from tests.unit.storage.databases import MIGRATIONS, words

WORDS = Insert("words", "word")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(path, migrations=MIGRATIONS)) as opened:
        yield opened


def rows(count: int) -> list[tuple[str]]:
    return [(f"{number:03}",) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS + 7])
def test_every_row_is_added_once_and_in_order(
    connection: sqlite3.Connection, path: Path, count: int
) -> None:
    """However many there are, and however they are shared out among statements."""
    WORDS.add(connection, rows(count))
    assert words(path) == [word for (word,) in rows(count)]


def test_statements_are_few_and_their_texts_fewer(connection: sqlite3.Connection) -> None:
    """Any number of rows takes texts that are known soon, so that none is parsed each time."""
    statements: list[str] = []
    for count in range(1, 100):
        connection.execute("DELETE FROM words")
        connection.set_trace_callback(statements.append)
        WORDS.add(connection, rows(count))
        connection.set_trace_callback(None)
        assert len(statements) <= count.bit_length() + count // MOST_ROWS
        statements.clear()


@pytest.mark.parametrize("place", [0, 5, MOST_ROWS + 1])
def test_row_that_does_not_fit_takes_back_all_of_its_transaction(
    connection: sqlite3.Connection, path: Path, place: int
) -> None:
    """Nothing stays of those before it, whichever statement they came by."""
    added = rows(MOST_ROWS + 2)
    added[place] = added[place - 1]
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO words VALUES ('before')")
    with pytest.raises(sqlite3.IntegrityError):
        WORDS.add(connection, added)
    assert not connection.in_transaction
    assert words(path) == []


def test_row_that_may_be_there_already_is_passed_over(
    connection: sqlite3.Connection, path: Path
) -> None:
    """What stands behind the values says what becomes of one that is there; the others come."""
    insert = Insert("words", "word", "ON CONFLICT (word) DO NOTHING")
    WORDS.add(connection, rows(2))
    insert.add(connection, rows(5))
    assert words(path) == [word for (word,) in rows(5)]


def test_row_may_take_the_place_of_another(connection: sqlite3.Connection, path: Path) -> None:
    """Where that is asked for nothing is refused, and a statement may have more rows."""
    statements: list[str] = []
    insert = Insert("words", "word", otherwise="REPLACE", most=4 * MOST_ROWS)
    insert.add(connection, rows(2))
    connection.set_trace_callback(statements.append)
    insert.add(connection, rows(4 * MOST_ROWS))
    assert len(statements) == 1
    assert words(path) == [word for (word,) in rows(4 * MOST_ROWS)]
