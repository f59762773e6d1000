"""What is shown of slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.states import SlotOutcome


class SlotPlace(NamedTuple):
    """A place in a list of slots, which goes from the latest slot back; also its cursor."""

    slot_at: datetime
    trigger: str = ""
    fingerprint: str = ""

    def is_before(self, other: SlotPlace) -> bool:
        """Whether this place comes before another one in the list."""
        if self.slot_at != other.slot_at:
            return self.slot_at > other.slot_at
        return self[1:] < other[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """One slot, or several alike of a schedule that is not known any more.

    Attributes:
        place: Where it stands: the slot itself (the last one of several), trigger, schedule.
        outcome: None while it is not decided: its execution waits.
        decided_at: None while it is not decided; of several alike, when the last one was.
        is_last: Whether it is that last one, so that the time is its own.
        execution: The execution that stands for it.
        digest: The version in force when it was decided.
        revision: The one in force then.
        count: How many slots; 1 unless their schedule is not known any more.
        first_at: The first of them.
    """

    place: SlotPlace
    outcome: SlotOutcome | None
    reason: str = ""
    decided_at: datetime | None = None
    is_last: bool = True
    execution: ExecutionId | None = None
    digest: Digest | None = None
    revision: Revision | None = None
    evidence: Mapping[str, Json] = field(default_factory=dict)
    count: int = 1
    first_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPage:
    """A page of slots, the latest first; `next_place` is None on the last."""

    items: tuple[SlotView, ...]
    next_place: SlotPlace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueView:
    """When a schedule is due next."""

    flow: FlowKey
    trigger: str
    slot_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyView:
    """Why a flow did or did not start at a moment.

    Attributes:
        sentence: The answer.
        deliveries: The last one to each hook of the flow by then.
        slots: The slots of that moment, one of each schedule that was due.
        last: The newest slot before that moment.
        next: The first slot after that moment, by the schedules in force.
    """

    flow: FlowKey
    at: datetime
    sentence: str
    deliveries: tuple[DeliveryRecord, ...] = ()
    slots: tuple[SlotView, ...] = ()
    last: SlotView | None = None
    next: DueView | None = None
