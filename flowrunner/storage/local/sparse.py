"""Rows without their NULLs: to bind one takes longer than to bind a text, and most rows have many.

A column that is not named in an INSERT is NULL.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache

from flowrunner.storage.local.codec import Row

_SHAPES = 256
"""Statements that are kept: a row of few columns has few shapes."""


def insert(
    connection: sqlite3.Connection, table: str, columns: str, row: Row, rest: str = ""
) -> None:
    """Inserts a row.

    Args:
        connection: Inside a transaction of the caller.
        table: A constant, as the columns and the rest are.
        columns: With commas between them.
        row: Their values.
        rest: What stands behind the values, such as what a conflict does.
    """
    shape = tuple([value is not None for value in row])
    values = [value for value in row if value is not None]
    connection.execute(_statement(table, columns, shape, rest), values)


@lru_cache(_SHAPES)
def _statement(table: str, columns: str, shape: tuple[bool, ...], rest: str) -> str:
    pairs = zip(columns.split(", "), shape, strict=True)
    names = [name for name, has_value in pairs if has_value]
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) {rest}"  # noqa: S608 - constants
