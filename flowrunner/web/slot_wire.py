"""The shapes of slots."""

from __future__ import annotations

from flowrunner.model.ids import Json
from flowrunner.service.slot_views import DueView, SlotView, WhyView
from flowrunner.web.delivery_wire import delivery_json
from flowrunner.web.wire import time_text


def slot_json(view: SlotView, *, redacted: bool) -> Json:
    """Returns the shape of a slot, for restricted callers without its evidence.

    `count` is more than 1 only for slots of a schedule that is not known any more: they cannot be
    told apart, and stand from `first_slot_at` to `slot_at`.
    """
    return {
        "slot_at": time_text(view.place.slot_at),
        "trigger": view.place.trigger,
        "outcome": None if view.outcome is None else str(view.outcome),
        "reason": view.reason,
        "decided_at": time_text(view.decided_at),
        "execution_id": view.execution,
        "digest": view.digest,
        "revision": view.revision,
        "evidence": {} if redacted else dict(view.evidence),
        "count": view.count,
        "first_slot_at": time_text(view.first_at or view.place.slot_at),
        "redacted": redacted,
    }


def due_json(due: DueView) -> Json:
    """Returns the shape of what is due next."""
    return {
        "account": due.flow.account,
        "flow": due.flow.name,
        "trigger": due.trigger,
        "slot_at": time_text(due.slot_at),
    }


def why_json(view: WhyView) -> Json:
    """Returns the shape of an answer."""
    return {
        "account": view.flow.account,
        "flow": view.flow.name,
        "at": time_text(view.at),
        "sentence": view.sentence,
        "deliveries": [delivery_json(each, redacted=False) for each in view.deliveries],
        "slots": [slot_json(each, redacted=False) for each in view.slots],
        "last_slot": None if view.last is None else slot_json(view.last, redacted=False),
        "next_slot": None if view.next is None else due_json(view.next),
    }
