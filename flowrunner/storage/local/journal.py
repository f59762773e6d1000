"""Attempts and nodes in SQLite: what was begun, how it ended, in the order of the calls."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.model.execution import Attempt, Kept, NodeStatus
from flowrunner.model.ids import ExecutionId
from flowrunner.storage.local.batch import Joined
from flowrunner.storage.local.codec import (
    ATTEMPT_COLUMNS,
    NODE_COLUMNS,
    attempt_of,
    attempt_row,
    node_of,
    node_row,
)
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer

_ATTEMPT_MARKS = ", ".join("?" * len(ATTEMPT_COLUMNS.split(",")))
_NODE_MARKS = ", ".join("?" * len(NODE_COLUMNS.split(",")))

_BEGIN = f"INSERT INTO attempts ({ATTEMPT_COLUMNS}) VALUES ({_ATTEMPT_MARKS})"  # noqa: S608 - constants
_PUT = f"""{_BEGIN}
ON CONFLICT (execution, node, item_index, number) DO UPDATE SET
  state = excluded.state, reason = excluded.reason, exit_code = excluded.exit_code,
  error = excluded.error, started_at = excluded.started_at, ended_at = excluded.ended_at,
  item_end = excluded.item_end
WHERE excluded.state <> 'running'
"""
_SETTLE = f"""INSERT INTO nodes ({NODE_COLUMNS}) VALUES ({_NODE_MARKS})
ON CONFLICT (execution, node) DO UPDATE SET
  state = excluded.state, reason = excluded.reason, outputs = excluded.outputs,
  error = excluded.error, started_at = excluded.started_at, ended_at = excluded.ended_at
"""  # noqa: S608 - constants

_ATTEMPTS = f"""SELECT {ATTEMPT_COLUMNS} FROM attempts
WHERE execution = ? ORDER BY node, item_index, number"""  # noqa: S608 - constants
_NODES = f"SELECT {NODE_COLUMNS} FROM nodes WHERE execution = ? ORDER BY position"  # noqa: S608 - constants
_RUNNING = f"""SELECT {ATTEMPT_COLUMNS} FROM attempts
WHERE state = 'running' ORDER BY execution, node, item_index, number"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class _Entry(Joined):
    """An attempt that begins or ends, and nodes that are final with it."""

    attempt: Attempt | None
    nodes: Sequence[NodeStatus] = ()

    @classmethod
    def run_all(cls, connection: sqlite3.Connection, operations: Sequence[_Entry]) -> list[None]:
        """Writes some: attempts in their order, and nodes in theirs."""
        attempts = [attempt_row(each.attempt) for each in operations if each.attempt is not None]
        if connection.executemany(_PUT, attempts).rowcount < len(attempts):
            raise StorageError("an attempt that begins is known", code="storage.conflict")
        connection.executemany(
            _SETTLE, [node_row(node) for each in operations for node in each.nodes]
        )
        return [None] * len(operations)


class LocalJournal:
    """Meets `Journal` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def begin(self, attempt: Attempt) -> asyncio.Future[None]:
        """Records an attempt before its side effect."""
        return self._writer.submit(_Entry(attempt))

    def finish(self, attempt: Attempt, node: NodeStatus | None = None) -> asyncio.Future[None]:
        """Records the end of an attempt and of the node it decides."""
        return self._writer.submit(_Entry(attempt, () if node is None else (node,)))

    def settle(self, nodes: Sequence[NodeStatus]) -> asyncio.Future[None]:
        """Records final nodes, all or none."""
        return self._writer.submit(_Entry(None, tuple(nodes)))

    async def attempts(self, execution_id: ExecutionId) -> list[Attempt]:
        """Returns the attempts of an execution in order of their key."""
        return await self._readers.run(partial(_attempts, sql=_ATTEMPTS, values=(execution_id,)))

    async def nodes(self, execution_id: ExecutionId) -> list[NodeStatus]:
        """Returns the final nodes of an execution in the order of their recording."""
        return await self._readers.run(partial(_nodes, execution_id=execution_id))

    async def running(self) -> list[Attempt]:
        """Returns every attempt that has not ended."""
        return await self._readers.run(partial(_attempts, sql=_RUNNING))


def write_kept(connection: sqlite3.Connection, kept: Kept) -> None:
    """Writes what a new execution has taken over, in the transaction that adds it."""
    connection.executemany(_BEGIN, map(attempt_row, kept.attempts))
    connection.executemany(_SETTLE, map(node_row, kept.nodes))


def _attempts(
    connection: sqlite3.Connection, *, sql: str, values: tuple[object, ...] = ()
) -> list[Attempt]:
    return [attempt_of(row) for row in connection.execute(sql, values)]


def _nodes(connection: sqlite3.Connection, *, execution_id: ExecutionId) -> list[NodeStatus]:
    return [node_of(row) for row in connection.execute(_NODES, (execution_id,))]
