"""Jitter: how much later than its slot a schedule starts, so that not all start at once.

It moves the start and never the slot: an execution is that of its slot, whenever it began.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import FlowKey
from flowrunner.model.schedule import Schedule, Slots

_BITS = 64
_COARSE_S = 60.0
"""From here on delays are whole seconds, so that many flows share the timer of a moment."""


def jitter_delay(flow: FlowKey, host: str, jitter_s: float) -> timedelta:
    """Returns the delay of a flow on a host: 0 <= delay < `jitter_s`, always the same one."""
    if not jitter_s:
        return timedelta()
    digest = sha256(f"{host}\n{flow.account}\n{flow.name}".encode()).digest()
    part = int.from_bytes(digest[: _BITS // 8], "big") / 2**_BITS
    if jitter_s >= _COARSE_S:
        return timedelta(seconds=int(part * jitter_s))
    return timedelta(milliseconds=int(part * jitter_s * 1_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedSchedule(Slots):
    """The moments at which the slots of a schedule are to start.

    Attributes:
        delay: From a slot to its start; not negative.
    """

    schedule: Schedule
    delay: timedelta

    @property
    def fingerprint(self) -> str:
        """That of the schedule: the slots are the same ones."""
        return self.schedule.fingerprint

    def _find(self, instant: datetime) -> datetime | None:
        slot = self.schedule.next_after(instant - self.delay)
        return None if slot is None else slot + self.delay


def delayed(schedule: Schedule, delay: timedelta) -> Slots:
    """Returns when a schedule is to start; the schedule itself where nothing is added."""
    return DelayedSchedule(schedule=schedule, delay=delay) if delay else schedule
