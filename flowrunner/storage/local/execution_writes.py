"""How executions are written: those that begin together in as few statements as there are tables.

Each statement gives Python's lock away and has to wait for it, which beside a busy loop takes
longer than what it does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.model.delivery_record import DeliveryRecord, as_duplicate
from flowrunner.model.execution import NOTHING_KEPT, Execution, FormerKey, Kept, ScheduleKey
from flowrunner.model.ids import ExecutionId
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.storage.local.batch import Joined
from flowrunner.storage.local.codec import (
    CALL_COLUMNS,
    EXECUTION_COLUMNS,
    PIN_COLUMNS,
    call_row,
    execution_change,
    execution_row,
    micros_of,
    pins_row,
)
from flowrunner.storage.local.definitions import require_definition
from flowrunner.storage.local.deliveries import put_deliveries
from flowrunner.storage.local.inserts import Insert
from flowrunner.storage.local.journal import write_kept
from flowrunner.storage.local.marks import apply_marks
from flowrunner.storage.local.slots import move_cursor
from flowrunner.storage.protocols import Submitted

WRITTEN_COLUMNS = f"{EXECUTION_COLUMNS}, outputs"
"""In the order of `execution_row`."""

_INSERT = Insert("executions", WRITTEN_COLUMNS)
_INSERT_PAYLOAD = Insert("payloads", "execution, body")
_INSERT_PINS = Insert("pins", f"execution, {PIN_COLUMNS}")
_INSERT_CALL = Insert("calls", f"child, {CALL_COLUMNS.replace('calls.', '')}")
_HOLDERS = """WITH wanted (start_key) AS (VALUES {marks})
SELECT start_key, id, created_at FROM wanted JOIN executions USING (start_key)
UNION ALL
SELECT start_key, execution, created_at FROM wanted JOIN spent_keys USING (start_key)"""
_UPDATE = (
    "UPDATE executions SET state = ?, reason = ?, error = ?, started_at = ?, ended_at = ?,"
    " outputs = ? WHERE id = ?"
)


class _Holder(NamedTuple):
    """Who has a start key, and when it was created, in microseconds."""

    id: ExecutionId
    created_at: int


@dataclass(frozen=True, slots=True)
class Creation(Joined):
    """A new execution, and what is written with it; see `ExecutionStore.create`."""

    execution: Execution
    cursor: tuple[ScheduleKey, datetime] | None = None
    also: Sequence[Execution] = ()
    kept: Kept = NOTHING_KEPT
    marks: MarkChange = NO_MARKS
    delivery: DeliveryRecord | None = None
    former: FormerKey | None = None
    needs_definition: bool = False

    @classmethod
    def run_all(
        cls, connection: sqlite3.Connection, operations: Sequence[Creation]
    ) -> list[Submitted]:
        """Writes some in their order: a start key that two of them have is the first one's."""
        for each in operations:
            if each.needs_definition:
                require_definition(connection, each.execution.digest)
            if each.cursor is not None:
                move_cursor(connection, *each.cursor)
        answers = _answers(connection, operations)
        pairs = list(zip(operations, answers, strict=True))
        new = [each for each, answer in pairs if answer.created]
        _insert(connection, [each.execution for each in new])
        for each in new:
            _write_rest(connection, each)
        records = [
            each.delivery if answer.created else as_duplicate(each.delivery, answer.id)
            for each, answer in pairs
            if each.delivery is not None
        ]
        put_deliveries(connection, records)
        return answers


def update(
    connection: sqlite3.Connection, *, execution: Execution, marks: MarkChange = NO_MARKS
) -> None:
    """Replaces what may change of a known execution."""
    if connection.execute(_UPDATE, execution_change(execution)).rowcount == 0:
        raise StorageError(f"execution {execution.id} is unknown", code="storage.conflict")
    apply_marks(connection, marks)


def _answers(connection: sqlite3.Connection, creations: Sequence[Creation]) -> list[Submitted]:
    """Returns which executions come to be, and who has the keys of the others."""
    holders = _holders(connection, creations)
    answers = []
    for each in creations:
        execution = each.execution
        first = _holder_of(each, holders)
        answers.append(Submitted(first or execution.id, created=first is None))
        if first is None and execution.start_key is not None:
            holders[execution.start_key] = _Holder(execution.id, micros_of(execution.created_at))
    return answers


def _holder_of(creation: Creation, holders: Mapping[str, _Holder]) -> ExecutionId | None:
    key, former = creation.execution.start_key, creation.former
    if key is not None and key in holders:
        return holders[key].id
    before = None if former is None else holders.get(former.start_key)
    if former is None or before is None or before.created_at < micros_of(former.since):
        return None
    return before.id


def _holders(connection: sqlite3.Connection, creations: Sequence[Creation]) -> dict[str, _Holder]:
    """Returns who has the keys of some, those of removed executions included."""
    keys = [each.execution.start_key for each in creations if each.execution.start_key]
    keys += [each.former.start_key for each in creations if each.former]
    if not keys:
        return {}
    count = 1 << (len(keys) - 1).bit_length()  # one of few texts, which SQLite has at hand
    keys += keys[-1:] * (count - len(keys))
    rows = connection.execute(_HOLDERS.format(marks=", ".join(["(?)"] * count)), keys)
    return {key: _Holder(ExecutionId(holder), created_at) for key, holder, created_at in rows}


def _insert(connection: sqlite3.Connection, executions: Sequence[Execution]) -> None:
    bodies = [
        (each.id, each.cause.payload) for each in executions if each.cause.payload is not None
    ]
    pins = [(each.id, *row) for each in executions if any(row := pins_row(each))]
    calls = [call_row(each.id, each.parent) for each in executions if each.parent is not None]
    _INSERT.add(connection, [execution_row(each) for each in executions])
    _INSERT_PAYLOAD.add(connection, bodies)
    _INSERT_PINS.add(connection, pins)
    _INSERT_CALL.add(connection, calls)


def _write_rest(connection: sqlite3.Connection, creation: Creation) -> None:
    """Writes what goes with an execution that came to be."""
    for other in creation.also:
        update(connection, execution=other)
    if creation.kept is not NOTHING_KEPT:
        write_kept(connection, creation.kept)
    apply_marks(connection, creation.marks)
