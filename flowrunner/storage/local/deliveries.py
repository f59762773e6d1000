"""What became of deliveries, in SQLite: one row for each, or for a run of equal ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import MOST_UNPROVEN, DeliveryRecord
from flowrunner.model.ids import FlowKey
from flowrunner.storage.local.codec import Row, micros_of
from flowrunner.storage.local.delivery_codec import DELIVERY_COLUMNS, delivery_of, delivery_row
from flowrunner.storage.local.inserts import Insert
from flowrunner.storage.local.readers import Readers
from flowrunner.storage.local.writer import Writer

_MARKS = ", ".join("?" * (1 + len(DELIVERY_COLUMNS.split(","))))
_LATER = ", ".join(
    f"{name} = excluded.{name}"
    for name in (
        *("path", "source", "event", "delivery_id", "detail", "revision", "request_id", "status"),
    )
)

_PUT = f"""INSERT INTO deliveries ({DELIVERY_COLUMNS}, run) VALUES ({_MARKS})
ON CONFLICT (run) WHERE run IS NOT NULL DO UPDATE SET {_LATER}, at = max(at, excluded.at),
first_at = min(first_at, excluded.first_at), repeats = repeats + excluded.repeats
ON CONFLICT (id) DO NOTHING"""  # noqa: S608 - constants
_PUT_ALONE = Insert("deliveries", f"{DELIVERY_COLUMNS}, run", "ON CONFLICT (id) DO NOTHING")
"""For those that share their row with no other."""
_STATUS = "UPDATE deliveries SET status = ? WHERE id = ?"
_TRIM_UNPROVEN = """DELETE FROM deliveries WHERE id IN (
SELECT id FROM deliveries INDEXED BY deliveries_unproven
WHERE account = ? AND flow = ? AND NOT is_proven ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?)"""
_LIST = f"SELECT {DELIVERY_COLUMNS} FROM deliveries"  # noqa: S608 - constants
# From flow to flow along the index; the cost grows with the flows, not with the deliveries.
_FLOWS = """
WITH RECURSIVE flows (account, flow) AS (
  SELECT * FROM (SELECT account, flow FROM deliveries ORDER BY account, flow LIMIT 1)
  UNION ALL
  SELECT deliveries.account, deliveries.flow FROM flows, deliveries WHERE deliveries.id = coalesce(
    (SELECT id FROM deliveries WHERE account = flows.account AND flow > flows.flow
     ORDER BY flow LIMIT 1),
    (SELECT id FROM deliveries WHERE account > flows.account ORDER BY account, flow LIMIT 1))
)
SELECT * FROM flows"""
_SURPLUS = """SELECT id FROM deliveries WHERE account = ? AND flow = ? AND is_proven
ORDER BY at DESC, id DESC LIMIT ? OFFSET ?"""
_OLD = "SELECT id FROM deliveries WHERE at < ? ORDER BY at LIMIT ?"
_DELETE = "DELETE FROM deliveries WHERE id = ?"


def put_deliveries(connection: sqlite3.Connection, records: Iterable[DeliveryRecord]) -> None:
    """Adds deliveries, inside a transaction of the caller."""
    alone: list[Row] = []
    shared: list[Row] = []
    for record in records:
        (shared if record.run else alone).append(delivery_row(record))
    _PUT_ALONE.add(connection, alone)
    connection.executemany(_PUT, shared)


class LocalDeliveries:
    """Meets `DeliveryStore` over the shared writer and readers."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def record(
        self, records: Sequence[DeliveryRecord], statuses: Mapping[str, int] | None = None
    ) -> None:
        """Adds deliveries, and changes what others were answered, in one write."""
        write = partial(_record, records=tuple(records), statuses=dict(statuses or {}))
        await self._writer.submit(write)

    async def flows(self) -> list[FlowKey]:
        """Returns every flow that has deliveries, sorted."""
        return await self._readers.run(_flows)

    async def trim(self, flow: FlowKey, *, keep: int, limit: int) -> int:
        """Removes deliveries of a flow but for the newest with a proof."""
        return await self._remove(partial(_ids, sql=_SURPLUS, values=(*flow, limit, keep)))

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old deliveries."""
        return await self._remove(partial(_ids, sql=_OLD, values=(micros_of(before), limit)))

    async def _remove(self, find: partial[list[tuple[str]]]) -> int:
        """Removes what is found over a reader, so that only the removal is a write."""
        gone = await self._readers.run(find)
        if gone:
            await self._writer.submit(partial(_delete, ids=gone))
        return len(gone)

    async def list(self, query: DeliveryQuery) -> list[DeliveryRecord]:
        """Returns a page, newest first."""
        return await self._readers.run(partial(_list, query=query))


def _record(
    connection: sqlite3.Connection,
    *,
    records: Sequence[DeliveryRecord],
    statuses: Mapping[str, int],
) -> None:
    put_deliveries(connection, records)
    connection.executemany(_STATUS, [(status, each) for each, status in statuses.items()])
    flows = {record.flow for record in records if not record.is_proven}
    connection.executemany(_TRIM_UNPROVEN, [(*flow, MOST_UNPROVEN) for flow in sorted(flows)])


def _list(connection: sqlite3.Connection, *, query: DeliveryQuery) -> list[DeliveryRecord]:
    """Builds the page's statement out of constant pieces; values are always parameters."""
    conditions: list[str] = []
    values: list[object] = []
    if query.accounts is not None:
        conditions.append(f"account IN ({', '.join('?' * len(query.accounts))})")
        values.extend(sorted(query.accounts))
    if query.only_hooks:
        conditions.append("account != ''")
    for column, value in (
        ("flow", query.flow),
        ("trigger_id", query.trigger),
        ("path", query.path),
    ):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if query.reasons:
        conditions.append(f"reason IN ({', '.join('?' * len(query.reasons))})")
        values.extend(reason.value for reason in query.reasons)
    if query.since is not None:
        conditions.append("at >= ?")
        values.append(micros_of(query.since))
    if query.until is not None:
        conditions.append("at < ?")
        values.append(micros_of(query.until))
    if query.before is not None:
        conditions.append("(at, id) < (?, ?)")
        values.extend((micros_of(query.before.at), query.before.id))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"{_LIST}{where} ORDER BY at DESC, id DESC LIMIT ?"
    return [delivery_of(row) for row in connection.execute(sql, (*values, query.limit))]


def _flows(connection: sqlite3.Connection) -> list[FlowKey]:
    return [FlowKey(*row) for row in connection.execute(_FLOWS)]


def _ids(
    connection: sqlite3.Connection, *, sql: str, values: tuple[object, ...]
) -> list[tuple[str]]:
    return list(connection.execute(sql, values))


def _delete(connection: sqlite3.Connection, *, ids: Sequence[tuple[str]]) -> None:
    connection.executemany(_DELETE, ids)
