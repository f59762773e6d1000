"""Rows that are added together in a few statements, where `executemany` runs one for each row.

Each run of a statement gives Python's lock away and has to wait for it, which beside a busy loop
takes longer than what it does, and opens every index of the table anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from flowrunner.storage.local.codec import Row

MOST_ROWS = 32
"""Rows of one statement: the columns of so many are far from what SQLite takes as parameters."""


class Insert(NamedTuple):
    """How rows are added to a table.

    A row that cannot be added ends the transaction: whoever adds some takes it back in any case,
    and SQLite need not keep what the pages were before the statement.

    Attributes:
        table: Its name.
        columns: Their names, with commas between them.
        tail: What stands behind the values.
        otherwise: What becomes of a row that cannot be added; `REPLACE` takes the place of another.
        most: Rows of one statement.
    """

    table: str
    columns: str
    tail: str = ""
    otherwise: str = "ROLLBACK"
    most: int = MOST_ROWS

    def add(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Adds rows in their order, by statements of few lengths, which SQLite has at hand."""
        begin = 0
        while begin < len(rows):
            left = len(rows) - begin
            end = begin + min(1 << (left.bit_length() - 1), self.most)
            values = tuple(chain.from_iterable(rows[begin:end]))
            connection.execute(_statement(self, end - begin), values)
            begin = end


@lru_cache
def _statement(insert: Insert, rows: int) -> str:
    table, columns, tail, otherwise, _ = insert
    marks = f"({', '.join('?' * len(columns.split(',')))})"
    values = ", ".join([marks] * rows)
    into = f"INSERT OR {otherwise} INTO {table} ({columns})"
    return f"{into} VALUES {values} {tail}"
