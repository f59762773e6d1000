"""Events of flows in SQLite: what happened, and what of it the next pass must know.

A pass is one write, however many flows it is about. Events are keyed by flow and number, so that
those beyond the newest so many are one range before the new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter

from flowrunner.model.flow_events import MOST_EVENTS, FlowEvent, FlowState
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.storage.local.codec import micros_of
from flowrunner.storage.local.event_codec import (
    EVENT_COLUMNS,
    STATE_COLUMNS,
    event_of,
    event_row,
    state_row,
    states_of,
)
from flowrunner.storage.local.inserts import Insert
from flowrunner.storage.local.marks import apply_marks
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer

_THIS = "account = ? AND flow = ?"

_ADD = Insert("flow_events", EVENT_COLUMNS, otherwise="REPLACE", most=512)
_KEEP = Insert("flow_states", STATE_COLUMNS, otherwise="REPLACE", most=512)
_TRIM = f"DELETE FROM flow_events WHERE {_THIS} AND number <= ?"  # noqa: S608 - constants
_STATES = f"SELECT {STATE_COLUMNS} FROM flow_states"  # noqa: S608 - constants
_LIST = f"""SELECT {EVENT_COLUMNS} FROM flow_events
WHERE {_THIS} AND number < ? ORDER BY number DESC LIMIT ?"""  # noqa: S608 - constants
_OLD = "SELECT account, flow, number FROM flow_events WHERE at < ? ORDER BY at LIMIT ?"
_DELETE = f"DELETE FROM flow_events WHERE {_THIS} AND number = ?"  # noqa: S608 - constants
_FORGET = f"""DELETE FROM flow_states WHERE {_THIS} AND is_gone
AND NOT EXISTS (SELECT 1 FROM flow_events WHERE flow_events.account = flow_states.account
AND flow_events.flow = flow_states.flow)"""  # noqa: S608 - constants

_NEWEST = 2**63 - 1


class LocalEvents:
    """Meets `EventStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def record(
        self,
        events: Sequence[FlowEvent],
        states: Mapping[FlowKey, FlowState],
        *,
        marks: MarkChange = NO_MARKS,
    ) -> None:
        """Adds events, replaces states and changes marks, all or none."""
        write = partial(_record, events=tuple(events), states=dict(states), marks=marks)
        await self._writer.submit(write)

    async def states(self) -> dict[FlowKey, FlowState]:
        """Returns what was told of each flow."""
        return await self._readers.run(_states)

    async def list(
        self, flow: FlowKey, *, before: int | None = None, limit: int = 100
    ) -> list[FlowEvent]:
        """Returns a page, newest first."""
        below = _NEWEST if before is None else before
        return await self._readers.run(partial(_list, flow=flow, below=below, limit=limit))

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old events; looks for them over a reader, so that only the removal is a write."""
        at = micros_of(before)
        old = await self._readers.run(partial(_old, before=at, limit=limit))
        if old:
            await self._writer.submit(partial(_delete, keys=old))
        return len(old)


def _record(
    connection: sqlite3.Connection,
    *,
    events: Sequence[FlowEvent],
    states: Mapping[FlowKey, FlowState],
    marks: MarkChange,
) -> None:
    apply_marks(connection, marks)
    for at in range(0, len(events), _ADD.most):  # of ten thousand rows few are there at a time
        _ADD.add(connection, [event_row(event) for event in events[at : at + _ADD.most]])
    known: dict[int, str] = {}
    in_order = sorted(states.items(), key=itemgetter(0))  # as they lie on the disk
    for at in range(0, len(in_order), _KEEP.most):
        _KEEP.add(connection, [state_row(*it, known) for it in in_order[at : at + _KEEP.most]])
    full = ((flow, state.number - MOST_EVENTS) for flow, state in states.items())
    connection.executemany(_TRIM, [(*flow, number) for flow, number in full if number > 0])


def _states(connection: sqlite3.Connection) -> dict[FlowKey, FlowState]:
    return dict(states_of(connection.execute(_STATES)))


def _list(
    connection: sqlite3.Connection, *, flow: FlowKey, below: int, limit: int
) -> list[FlowEvent]:
    return [event_of(row) for row in connection.execute(_LIST, (*flow, below, limit))]


def _old(connection: sqlite3.Connection, *, before: int, limit: int) -> list[tuple[str, str, int]]:
    return list(connection.execute(_OLD, (before, limit)))


def _delete(connection: sqlite3.Connection, *, keys: Sequence[tuple[str, str, int]]) -> None:
    connection.executemany(_DELETE, keys)
    connection.executemany(_FORGET, {(account, flow) for account, flow, _ in keys})
