"""The shape of a delivery."""

from __future__ import annotations

from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.ids import Json
from flowrunner.service.delivery_sentences import reason_text
from flowrunner.web.wire import time_text


def delivery_json(record: DeliveryRecord, *, redacted: bool) -> Json:
    """Returns the shape of a delivery.

    Restricted callers see neither who sent it, nor what stood in the way. `repeats` is more than 1
    for several alike: `at` is the last one, `first_at` the first.
    """
    return {
        "id": record.id,
        "at": time_text(record.at),
        "first_at": time_text(record.first_at),
        "repeats": record.repeats,
        "source": None if redacted else record.source,
        "path": record.path,
        "account": record.flow.account or None,
        "flow": record.flow.name if record.flow.account else None,
        "trigger": record.trigger or None,
        "event": record.event,
        "delivery_id": record.delivery_id,
        "is_proven": record.is_proven,
        "status": record.status,
        "outcome": str(record.reason.outcome),
        "reason": str(record.reason),
        "detail": None if redacted else record.detail,
        "sentence": reason_text(record, redacted=redacted),
        "execution_id": record.execution,
        "revision": record.revision,
        "request_id": record.request_id,
        "redacted": redacted,
    }
