"""A schedule in force: its trigger, and how far its slots are accounted for."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from flowrunner.dataclass import dataclass
from flowrunner.model.execution import ScheduleKey
from flowrunner.model.flow import ScheduleTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import Reason


@dataclass(slots=True)
class Armed:
    """One schedule in force.

    Attributes:
        since: When it was armed: where its slots begin if the ledger does not know it.
        delay: How much later than its slot each start is.
        cursor: Up to where its slots are accounted for; None until the ledger was asked.
        lost_to: Why slots that are looked at too late were not looked at in time.
        is_held: Whether slots of an earlier life wait until catching up may begin.
        is_feeding: Whether the next slot waits for the end of the one that was caught up.
        left_at: When it left force; None while it is in force.
        left_for: What its last slots are skipped for then.
    """

    key: ScheduleKey
    trigger: ScheduleTrigger
    since: datetime
    delay: timedelta
    cursor: datetime | None = None
    lost_to: Reason = Reason.DOWN
    is_held: bool = False
    is_feeding: bool = False
    left_at: datetime | None = None
    left_for: Reason = Reason.DELETED
    _turn: asyncio.Lock | None = None

    @property
    def turn(self) -> asyncio.Lock:
        """Makes its slots one after the other; made when the first is looked at."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        return self._turn

    def follow(self, before: Armed) -> None:
        """Begins where one of the same schedule, which it takes the place of, has ended."""
        self._turn = before.turn

    def is_as_enabled_as(self, trigger: ScheduleTrigger) -> bool:
        """Whether both let slots start, or neither does."""
        return self.trigger.is_enabled == trigger.is_enabled

    @property
    def begin(self) -> datetime:
        """Slots after this one start in this life, by their jitter; those before are lost."""
        return self.since - self.delay


def schedule_key(flow: FlowKey, trigger: ScheduleTrigger) -> ScheduleKey:
    """Returns the key of a schedule in the ledger."""
    return ScheduleKey(flow=flow, trigger=trigger.id, fingerprint=trigger.schedule.fingerprint)


def start_key(schedule: ScheduleKey, slot: datetime) -> str:
    """Returns the key that at most one start has: that of this slot."""
    return f"slot:{schedule.flow}:{schedule.trigger}:{schedule.fingerprint}:{slot.isoformat()}"
