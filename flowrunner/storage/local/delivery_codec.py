"""Deliveries as rows, and back; see `codec.py` for how values are kept."""

from __future__ import annotations

from flowrunner.model.delivery_record import DeliveryReason, DeliveryRecord
from flowrunner.model.ids import ExecutionId, FlowKey, Revision
from flowrunner.storage.local.codec import Row, micros_of, moment_of

DELIVERY_COLUMNS = (
    "id, at, first_at, repeats, path, source, account, flow, trigger_id, event, delivery_id,"
    " is_proven, status, reason, detail, execution, revision, request_id"
)
"""In the order of `delivery_of`, and of `delivery_row`, which has the run behind them."""


def delivery_row(record: DeliveryRecord) -> Row:
    """Returns the row of a delivery."""
    return (
        record.id,
        micros_of(record.at),
        micros_of(record.first_at),
        record.repeats,
        record.path,
        record.source,
        *record.flow,
        record.trigger,
        record.event,
        record.delivery_id,
        record.is_proven,
        record.status,
        record.reason.value,
        record.detail,
        record.execution,
        record.revision,
        record.request_id,
        record.run or None,
    )


def delivery_of(row: Row) -> DeliveryRecord:
    """Returns the delivery of `DELIVERY_COLUMNS`."""
    return DeliveryRecord(
        id=row[0],
        at=moment_of(row[1]),
        first_at=moment_of(row[2]),
        repeats=row[3],
        path=row[4],
        source=row[5],
        flow=FlowKey(row[6], row[7]),
        trigger=row[8],
        event=row[9],
        delivery_id=row[10],
        is_proven=bool(row[11]),
        status=row[12],
        reason=DeliveryReason(row[13]),
        detail=row[14],
        execution=None if row[15] is None else ExecutionId(row[15]),
        revision=Revision(row[16]),
        request_id=row[17],
    )
