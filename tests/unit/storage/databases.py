"""Small databases for tests of the parts below the stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

MIGRATIONS = (("CREATE TABLE words (word TEXT PRIMARY KEY)",),)


def put(word: str) -> Callable[[sqlite3.Connection], str]:
    """An operation that adds a word and returns it."""

    def operation(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO words VALUES (?)", (word,))
        return word

    return operation


def words(path: Path) -> list[str]:
    """What is durable in the database, in the order in which it came."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT word FROM words ORDER BY rowid").fetchall()
    connection.close()
    return [word for (word,) in found]
