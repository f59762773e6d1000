"""The slot ledger in SQLite: how far each schedule is accounted for, and what did not start."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from flowrunner.model.execution import ScheduleKey, SlotRun
from flowrunner.model.ids import FlowKey
from flowrunner.storage.local.codec import micros_of, moment_of
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.slot_codec import (
    SLOT_RUN_COLUMNS,
    schedule_row,
    slot_run_of,
    slot_run_row,
)
from flowrunner.storage.local.writer import Writer

_AT_ONCE = 1_000
"""Cursors opened in one write."""
_MANY = 100
"""Cursors from which on all between the first and the last flow are read together."""

_THIS = "account = ? AND flow = ? AND trigger_id = ? AND fingerprint = ?"
_RUN_MARKS = ", ".join("?" * len(SLOT_RUN_COLUMNS.split(",")))

_CURSOR = f"SELECT at FROM cursors WHERE {_THIS}"  # noqa: S608 - constants
_CURSORS = "SELECT account, flow, trigger_id, fingerprint, at FROM cursors"
_OPEN = """INSERT INTO cursors (account, flow, trigger_id, fingerprint, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING"""
_NEAR = """SELECT account, flow, trigger_id, fingerprint, at FROM cursors
WHERE (account, flow) BETWEEN (?, ?) AND (?, ?)"""
_MOVE = """INSERT INTO cursors (account, flow, trigger_id, fingerprint, at, open_run)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account, flow, trigger_id, fingerprint)
DO UPDATE SET at = max(at, excluded.at), open_run = excluded.open_run"""
_CLOSE_RUN = f"UPDATE cursors SET open_run = NULL WHERE {_THIS}"  # noqa: S608 - constants
_ANY = "SELECT 1 FROM cursors LIMIT 1"
_FORGET = f"DELETE FROM cursors WHERE {_THIS} AND at <= ?"  # noqa: S608 - constants
_OPEN_RUN = f"""SELECT position FROM slot_runs
WHERE position = (SELECT open_run FROM cursors WHERE {_THIS})
AND outcome = ? AND reason = ? AND digest IS ? AND evidence = ? AND revision IS ?"""  # noqa: S608 - constants
_JOIN = "UPDATE slot_runs SET last = ?, count = count + ?, decided_at = ? WHERE position = ?"
_ADD = f"INSERT INTO slot_runs ({SLOT_RUN_COLUMNS}) VALUES ({_RUN_MARKS}) RETURNING position"  # noqa: S608 - constants
_LIST = f"""SELECT {SLOT_RUN_COLUMNS} FROM slot_runs
WHERE account = ? AND flow = ? ORDER BY position DESC LIMIT ?"""  # noqa: S608 - constants

_BETWEEN = f"""SELECT {SLOT_RUN_COLUMNS} FROM slot_runs
WHERE account = ? AND flow = ? AND last > ? AND first <= ? ORDER BY last DESC LIMIT ?"""  # noqa: S608 - constants
_LAST_INSTANT = """SELECT max(at) FROM (
SELECT max(at) AS at FROM cursors
UNION ALL SELECT decided_at FROM (SELECT decided_at FROM slot_runs ORDER BY position DESC LIMIT 1)
UNION ALL SELECT created_at FROM (SELECT created_at FROM executions ORDER BY id DESC LIMIT 1))"""

# In the order in which they were begun: what follows a row of today is not older, but for slots
# that were caught up with, whose rows go a little later. So nothing is read in vain but the rows
# that schedules may still join.
_OLDEST = """SELECT position, first, last,
EXISTS (SELECT 1 FROM cursors WHERE cursors.account = slot_runs.account
AND cursors.flow = slot_runs.flow AND open_run = position) FROM slot_runs ORDER BY position"""
_DELETE = "DELETE FROM slot_runs WHERE position = ?"


def move_cursor(
    connection: sqlite3.Connection,
    schedule: ScheduleKey,
    at: datetime,
    *,
    open_run: int | None = None,
) -> None:
    """Moves a cursor forward, inside a transaction of the caller.

    `open_run` is the row of the ledger that the next slot may join; None after a start.
    """
    connection.execute(_MOVE, (*schedule_row(schedule), micros_of(at), open_run))


class LocalSlots:
    """Meets `SlotStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def cursor(self, schedule: ScheduleKey) -> datetime | None:
        """Returns up to when the slots of a schedule are accounted for."""
        return await self._readers.run(partial(_cursor, schedule=schedule))

    async def open(self, schedule: ScheduleKey, at: datetime) -> datetime:
        """Returns the cursor; a schedule without one begins at `at`."""
        return await self._writer.submit(partial(_open, schedule=schedule, at=at))

    async def cursors(self) -> dict[ScheduleKey, datetime]:
        """Returns the cursors of all schedules."""
        return await self._readers.run(_cursors)

    async def open_all(
        self, schedules: Mapping[ScheduleKey, datetime]
    ) -> dict[ScheduleKey, datetime]:
        """Opens them a thousand at a time, since others wait for each write."""
        found: dict[ScheduleKey, datetime] = {}
        waiting = iter(schedules.items())
        while some := list(islice(waiting, _AT_ONCE)):
            found.update(await self._writer.submit(partial(_open_all, schedules=some)))
        return found

    async def forget(self, schedules: Collection[ScheduleKey], until: datetime) -> None:
        """Removes the cursors of schedules up to now; no later slot joins their rows."""
        at = micros_of(until)
        await self._writer.submit(partial(_forget, schedules=schedules, until=at))

    async def record(self, run: SlotRun) -> None:
        """Adds slots that did not start, joining the row before them if they continue it."""
        await self._writer.submit(partial(_record, run=run))

    async def between(
        self, flow: FlowKey, *, after: datetime, until: datetime, limit: int
    ) -> list[SlotRun]:
        """Returns rows of one flow that reach into an interval, the latest slots first."""
        work = partial(_between, flow=flow, after=after, until=until, limit=limit)
        return await self._readers.run(work)

    async def list(self, flow: FlowKey, *, limit: int = 100) -> list[SlotRun]:
        """Returns rows of one flow, the one that was begun last first."""
        return await self._readers.run(partial(_list, flow=flow, limit=limit))

    async def last_instant(self) -> datetime | None:
        """Returns the latest moment of which anything is recorded."""
        return await self._readers.run(_last_instant)

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old rows; looks for them over a reader, so that only the removal is a write."""
        old = await self._readers.run(partial(_old, before=micros_of(before), limit=limit))
        if old:
            await self._writer.submit(partial(_delete, positions=old))
        return len(old)


def _cursor(connection: sqlite3.Connection, *, schedule: ScheduleKey) -> datetime | None:
    row = connection.execute(_CURSOR, schedule_row(schedule)).fetchone()
    return None if row is None else moment_of(row[0])


def _cursors(connection: sqlite3.Connection) -> dict[ScheduleKey, datetime]:
    return {
        ScheduleKey(FlowKey(account, flow), trigger, fingerprint): moment_of(at)
        for account, flow, trigger, fingerprint, at in connection.execute(_CURSORS)
    }


def _open(connection: sqlite3.Connection, *, schedule: ScheduleKey, at: datetime) -> datetime:
    key = schedule_row(schedule)
    row = connection.execute(_CURSOR, key).fetchone()
    if row is None:
        connection.execute(_OPEN, (*key, micros_of(at)))
        row = connection.execute(_CURSOR, key).fetchone()
    return moment_of(row[0])


def _open_all(
    connection: sqlite3.Connection, *, schedules: Collection[tuple[ScheduleKey, datetime]]
) -> dict[ScheduleKey, datetime]:
    if len(schedules) < _MANY:
        return {key: _open(connection, schedule=key, at=at) for key, at in schedules}
    rows = [(schedule_row(key), micros_of(at)) for key, at in schedules]
    first, last = min(rows)[0], max(rows)[0]
    near = connection.execute(_NEAR, (*first[:2], *last[:2]))
    known = {row[:-1]: row[-1] for row in near}
    connection.executemany(_OPEN, [(*row, at) for row, at in rows if row not in known])
    return {
        key: moment_of(known.get(row, at))
        for (key, _), (row, at) in zip(schedules, rows, strict=True)
    }


def _forget(
    connection: sqlite3.Connection, *, schedules: Collection[ScheduleKey], until: int
) -> None:
    if connection.execute(_ANY).fetchone() is None:
        return  # ten thousand flows come into force at a first start
    keys = [schedule_row(schedule) for schedule in schedules]
    connection.executemany(_FORGET, [(*key, until) for key in keys])
    connection.executemany(_CLOSE_RUN, keys)


def _record(connection: sqlite3.Connection, *, run: SlotRun) -> None:
    key = schedule_row(run.schedule)
    row = slot_run_row(run)
    found = connection.execute(_OPEN_RUN, (*key, *row[4:6], *row[10:13])).fetchone()
    if found is not None:
        (position,) = found
        change = (micros_of(run.last), run.count, micros_of(run.decided_at), position)
        connection.execute(_JOIN, change)
    else:
        (position,) = connection.execute(_ADD, row).fetchone()
    move_cursor(connection, run.schedule, run.last, open_run=position)


def _list(connection: sqlite3.Connection, *, flow: FlowKey, limit: int) -> list[SlotRun]:
    return [slot_run_of(row) for row in connection.execute(_LIST, (*flow, limit))]


def _between(
    connection: sqlite3.Connection,
    *,
    flow: FlowKey,
    after: datetime,
    until: datetime,
    limit: int,
) -> list[SlotRun]:
    values = (*flow, micros_of(after), micros_of(until), limit)
    return [slot_run_of(row) for row in connection.execute(_BETWEEN, values)]


def _last_instant(connection: sqlite3.Connection) -> datetime | None:
    (at,) = connection.execute(_LAST_INSTANT).fetchone()
    return None if at is None else moment_of(at)


def _old(connection: sqlite3.Connection, *, before: int, limit: int) -> list[int]:
    found: list[int] = []
    for position, first, last, is_open in connection.execute(_OLDEST):
        if len(found) == limit or first >= before:
            break
        if last < before and not is_open:
            found.append(position)
    return found


def _delete(connection: sqlite3.Connection, *, positions: Sequence[int]) -> None:
    """Removes rows; one that nobody could join a moment ago is never joined again."""
    connection.executemany(_DELETE, [(position,) for position in positions])
