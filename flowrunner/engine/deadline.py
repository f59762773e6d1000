"""A bound on the wall clock, so that time in which nothing ran counts too.

The loop's timers go by the monotonic clock, which stands still while a host sleeps and does not see
when the wall clock is set. So the deadline is looked at again now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from flowrunner.system.clock import Clock

LOOK_AGAIN_S = 60.0
"""Seconds after which the wall clock is asked again, whatever it said."""


class Deadline:
    """Calls once when an instant has come; at once when it lies in the past."""

    def __init__(self, clock: Clock, at: datetime, strike: Callable[[], None]) -> None:
        self._clock = clock
        self._at = at
        self._strike = strike
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Begins to wait."""
        left_s = (self._at - self._clock.now()).total_seconds()
        if left_s <= 0:
            self._timer = None
            self._strike()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(left_s, LOOK_AGAIN_S), self.arm)

    def disarm(self) -> None:
        """Waits no longer; may be called at any time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
