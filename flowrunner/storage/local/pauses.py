"""Pauses in SQLite: one row for each flow that is or was paused."""

from __future__ import annotations

import sqlite3
from functools import partial

from flowrunner.model.ids import FlowKey
from flowrunner.model.pause import PauseRecord
from flowrunner.storage.local.codec import PAUSE_COLUMNS, pause_of, pause_row
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer

_MARKS = ", ".join("?" * len(PAUSE_COLUMNS.split(",")))
_PUT = f"INSERT OR REPLACE INTO pauses ({PAUSE_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608 - constants
_DELETE = "DELETE FROM pauses WHERE account = ? AND flow = ?"
_LIST = f"SELECT {PAUSE_COLUMNS} FROM pauses"  # noqa: S608 - constants


class LocalPauses:
    """Meets `PauseStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def put(self, flow: FlowKey, record: PauseRecord) -> None:
        """Keeps the record of a flow in the place of an earlier one."""
        await self._writer.submit(partial(_execute, sql=_PUT, values=pause_row(flow, record)))

    async def delete(self, flow: FlowKey) -> None:
        """Removes the record of a flow."""
        await self._writer.submit(partial(_execute, sql=_DELETE, values=tuple(flow)))

    async def list(self) -> dict[FlowKey, PauseRecord]:
        """Returns every record."""
        return await self._readers.run(_list)


def _execute(connection: sqlite3.Connection, *, sql: str, values: tuple[object, ...]) -> None:
    connection.execute(sql, values)


def _list(connection: sqlite3.Connection) -> dict[FlowKey, PauseRecord]:
    return dict(pause_of(row) for row in connection.execute(_LIST))
