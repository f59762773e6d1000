"""Marks in SQLite: one row for each, found by its kind."""

from __future__ import annotations

import sqlite3
from functools import partial

from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_MARKS, MarkChange, MarkKey, MarkKind
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer

_PUT = "INSERT OR REPLACE INTO marks (kind, account, flow, trigger_id, name, value)\
 VALUES (?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM marks WHERE kind = ? AND account = ? AND flow = ? AND trigger_id = ?\
 AND name = ?"
_LIST = "SELECT account, flow, trigger_id, name, value FROM marks WHERE kind = ?\
 ORDER BY account, flow, trigger_id, name"


def apply_marks(connection: sqlite3.Connection, change: MarkChange) -> None:
    """Makes a change inside a transaction of the caller."""
    if change is NO_MARKS:
        return
    connection.executemany(_PUT, [(*_row(key), value) for key, value in change.put.items()])
    connection.executemany(_DROP, [_row(key) for key in change.drop])


class LocalMarks:
    """Meets `MarkStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def change(self, change: MarkChange) -> None:
        """Makes a change, in one write."""
        await self._writer.submit(partial(apply_marks, change=change))

    async def list(self, kind: MarkKind) -> dict[MarkKey, str]:
        """Returns the marks of one kind, sorted by key."""
        return await self._readers.run(partial(_list, kind=kind))


def _row(key: MarkKey) -> tuple[str, ...]:
    return (key.kind.value, *key.flow, key.trigger, key.name)


def _list(connection: sqlite3.Connection, *, kind: MarkKind) -> dict[MarkKey, str]:
    rows = connection.execute(_LIST, (kind.value,))
    return {
        MarkKey(kind, FlowKey(account, flow), trigger, name): value
        for account, flow, trigger, name, value in rows
    }
