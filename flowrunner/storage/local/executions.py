"""Executions in SQLite: the unique start key makes "exactly one start" a fact of the database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import NOTHING_KEPT, Execution, FormerKey, Kept, ScheduleKey
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.storage.local import pruning
from flowrunner.storage.local.codec import (
    CALL_COLUMNS,
    EXECUTION_COLUMNS,
    LISTED_CALL,
    LISTED_DATA,
    LISTED_PINS,
    LISTED_ROW,
    PIN_COLUMNS,
    execution_of,
    micros_of,
)
from flowrunner.storage.local.execution_writes import WRITTEN_COLUMNS, Creation, update
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer
from flowrunner.storage.protocols import ExecutionQuery, Expiry, Submitted

_BY_KEY = """SELECT id, created_at FROM executions WHERE start_key = ?
UNION ALL SELECT execution, created_at FROM spent_keys WHERE start_key = ?"""
_DELETE = "DELETE FROM executions WHERE id = ?"

_WITH_DATA = (
    f"SELECT {WRITTEN_COLUMNS}, body, {PIN_COLUMNS}, {CALL_COLUMNS} FROM executions"  # noqa: S608 - constants
    " LEFT JOIN payloads ON payloads.execution = executions.id"
    " LEFT JOIN pins ON pins.execution = executions.id"
    " LEFT JOIN calls ON calls.child = executions.id"
)
_CHILDREN = (
    f"SELECT {LISTED_DATA}, {CALL_COLUMNS} FROM calls"  # noqa: S608 - constants
    " JOIN executions ON executions.id = calls.child"
    " WHERE calls.execution = ? ORDER BY calls.child LIMIT ?"
)
_LISTED = f"SELECT {LISTED_ROW} FROM executions"  # noqa: S608 - constants
_OF_SLOTS = f"""{_LISTED} INDEXED BY executions_by_slot
WHERE account = ? AND flow = ? AND slot_at > ? AND slot_at <= ?
AND (? IS NULL OR trigger_type = ?) ORDER BY slot_at DESC LIMIT ?"""
_INPUTS = "SELECT inputs FROM executions WHERE id = ?"
_GET = f"{_WITH_DATA} WHERE id = ?"
_UNFINISHED = f"{_WITH_DATA} WHERE {pruning.IS_UNFINISHED} ORDER BY id"

# In each flow from the newest back to the first that ended.
_LAST_OF_EACH = f"""
{pruning.FLOWS}
SELECT {EXECUTION_COLUMNS}, NULL, NULL, {LISTED_PINS}, {LISTED_CALL} FROM executions WHERE id IN (
  SELECT (
    SELECT id FROM executions
    WHERE account = flows.account AND flow = flows.flow AND NOT {pruning.IS_UNFINISHED}
    ORDER BY id DESC LIMIT 1)
  FROM flows)
"""  # noqa: S608 - constants


class LocalExecutions:
    """Meets `ExecutionStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    def create(
        self,
        execution: Execution,
        *,
        cursor: tuple[ScheduleKey, datetime] | None = None,
        also: Sequence[Execution] = (),
        kept: Kept = NOTHING_KEPT,
        marks: MarkChange = NO_MARKS,
        delivery: DeliveryRecord | None = None,
        former: FormerKey | None = None,
        needs_definition: bool = False,
    ) -> asyncio.Future[Submitted]:
        """Adds an execution once per start key, and what goes with it, in one transaction."""
        creation = Creation(
            execution, cursor, also, kept, marks, delivery, former, needs_definition
        )
        return self._writer.submit(creation)

    async def get(self, execution_id: ExecutionId) -> Execution | None:
        """Returns the execution with its payload and outputs, or None."""
        found = await self._readers.run(partial(_select, sql=_GET, values=(execution_id,)))
        return found[0] if found else None

    def update(self, execution: Execution, *, marks: MarkChange = NO_MARKS) -> asyncio.Future[None]:
        """Replaces what may change of a known execution."""
        return self._writer.submit(partial(update, execution=execution, marks=marks))

    async def delete(self, execution_id: ExecutionId) -> None:
        """Removes the execution, its payload and its journal."""
        await self._writer.submit(partial(_delete, execution_id=execution_id))

    async def flows(self) -> list[FlowKey]:
        """Returns every flow that has executions, sorted."""
        return await self._readers.run(pruning.flows)

    async def expired(self, rule: Expiry) -> list[Execution]:
        """Returns what a rule lets go, oldest first."""
        return await self._readers.run(partial(pruning.expired, rule=rule))

    async def prune(self, ids: Sequence[ExecutionId]) -> None:
        """Removes ended executions in one write; their start keys stay taken."""
        await self._writer.submit(partial(pruning.prune, ids=tuple(ids)))

    async def forget_keys(self, before: datetime, *, limit: int) -> int:
        """Frees the start keys of removed executions that are older than this."""
        return await self._writer.submit(partial(pruning.forget_keys, before=before, limit=limit))

    async def digests(self) -> set[Digest]:
        """Returns the digests that executions name."""
        return await self._readers.run(pruning.digests)

    async def unfinished(self) -> list[Execution]:
        """Returns what is queued or running, with payloads, oldest first."""
        return await self._readers.run(partial(_select, sql=_UNFINISHED))

    async def find(self, *start_keys: str, since: datetime | None = None) -> ExecutionId | None:
        """Returns the execution with one of these keys, if it is not older than `since`."""
        return await self._readers.run_soon(partial(_find, start_keys=start_keys, since=since))

    async def children(self, parent: ExecutionId, *, limit: int) -> list[Execution]:
        """Returns what attempts of an execution have asked for, oldest first."""
        return await self._readers.run(partial(_select, sql=_CHILDREN, values=(parent, limit)))

    async def of_slots(
        self,
        flow: FlowKey,
        *,
        after: datetime,
        until: datetime,
        limit: int,
        trigger_type: str | None = None,
    ) -> list[Execution]:
        """Returns executions by their slots, latest slot first."""
        times = (micros_of(after), micros_of(until))
        values = (*flow, *times, trigger_type, trigger_type, limit)
        return await self._readers.run(partial(_select, sql=_OF_SLOTS, values=values))

    async def last_of_each(self) -> dict[FlowKey, Execution]:
        """Returns the newest ended execution of every flow, without payload and outputs."""
        found = await self._readers.run(partial(_select, sql=_LAST_OF_EACH))
        return {execution.flow: execution for execution in found}

    async def list(self, query: ExecutionQuery) -> list[Execution]:
        """Returns a page without what may be large, newest first."""
        return await self._readers.run(partial(_list, query=query))

    async def inputs(
        self, ids: Sequence[ExecutionId], *, most_bytes: int
    ) -> dict[ExecutionId, dict[str, Json]]:
        """Returns the inputs of executions, as far as they are not too large."""
        return await self._readers.run(partial(_inputs, ids=tuple(ids), most_bytes=most_bytes))


def _delete(connection: sqlite3.Connection, *, execution_id: ExecutionId) -> None:
    connection.execute(_DELETE, (execution_id,))


def _select(
    connection: sqlite3.Connection, *, sql: str, values: tuple[object, ...] = ()
) -> list[Execution]:
    return [execution_of(row) for row in connection.execute(sql, values)]


def _list(connection: sqlite3.Connection, *, query: ExecutionQuery) -> list[Execution]:
    """Builds the page's statement out of constant pieces; values are always parameters."""
    source = _LISTED
    conditions: list[str] = []
    values: list[object] = []
    if query.account is not None:
        conditions.append("account = ?")
        values.append(query.account)
    if query.flow is not None:
        conditions.append("flow = ?")
        values.append(query.flow)
    if query.states:
        conditions.append(f"state IN ({', '.join('?' * len(query.states))})")
        values.extend(state.value for state in query.states)
        if not any(state.is_final for state in query.states):
            source += " INDEXED BY executions_unfinished"  # few, wherever they are in the history
            conditions.append(pruning.IS_UNFINISHED)
    if query.before is not None:
        conditions.append("id < ?")
        values.append(query.before)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"{source}{where} ORDER BY id DESC LIMIT ?"
    return _select(connection, sql=sql, values=(*values, query.limit))


def _inputs(
    connection: sqlite3.Connection, *, ids: Sequence[ExecutionId], most_bytes: int
) -> dict[ExecutionId, dict[str, Json]]:
    found: dict[ExecutionId, dict[str, Json]] = {}
    for execution_id in ids:
        row = connection.execute(_INPUTS, (execution_id,)).fetchone()
        if row is None:
            continue
        found[execution_id] = json.loads(row[0])
        most_bytes -= len(row[0])  # ASCII: the codec escapes the rest
        if most_bytes <= 0:
            break
    return found


def _find(
    connection: sqlite3.Connection, *, start_keys: Sequence[str], since: datetime | None
) -> ExecutionId | None:
    earliest = None if since is None else micros_of(since)
    for start_key in start_keys:
        row = connection.execute(_BY_KEY, (start_key, start_key)).fetchone()
        if row is not None and (earliest is None or row[1] >= earliest):
            return ExecutionId(row[0])
    return None
