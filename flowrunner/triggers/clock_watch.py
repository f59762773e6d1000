"""Watches the wall clock: it may jump, and after a boot it may not be right yet.

Timers wait by the monotonic clock, so a jump is seen by comparing both: then they look anew. A
slot that was jumped over is late and is caught up as its schedule says; one that comes a second
time was accounted for the first time.

A host without a clock of its own boots in the past, and the time service sets the clock a little
later. What was lost until then cannot be known, so catching up waits, if the clock shows less
than the last moment of which anything is recorded, until it shows more or the kernel takes it for
right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from flowrunner.storage.slot_store import SlotStore
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)
PERIOD_S = 1.0
SMALLEST_JUMP_S = 1.0
"""Less is within what a timer may be late anyway."""

CLOCK = "clock"
"""Why catching up waits while the clock is behind."""


class CatchesUp(Protocol):
    """What waits for a clock that is right."""

    def hold_catchup(self, why: str) -> None:
        """Lets nothing of an earlier life start."""

    def lift_catchup(self, why: str) -> None:
        """Begins to catch up."""


class Rechecks(Protocol):
    """Timers that wait for moments of the wall clock."""

    def recheck(self) -> None:
        """Looks anew at what is due."""


class ClockWatch:
    """Compares the wall clock with the monotonic one, and with what is recorded.

    Args:
        clock: Both clocks.
        slots: Knows the last recorded moment.
        schedules: Waits while the clock is behind.
        timers: Look anew after a jump.
        is_synchronised: Whether the kernel takes the clock for right.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        slots: SlotStore,
        schedules: CatchesUp,
        timers: Rechecks,
        is_synchronised: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._slots = slots
        self._schedules = schedules
        self._timers = timers
        self._is_synchronised = is_synchronised
        self._behind: datetime | None = None
        self._offset = self._measure()

    async def load(self) -> None:
        """Compares the clock with what is recorded; called before any schedule is armed.

        Raises:
            StorageError: It cannot be read.
        """
        last = await self._slots.last_instant()
        if last is not None and last > self._clock.now() and not self._is_synchronised():
            self._behind = last
            self._schedules.hold_catchup(CLOCK)
            _LOG.warning("clock.behind last_recorded=%s: nothing is caught up", last.isoformat())

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            self.look()

    def look(self) -> None:
        """Compares once."""
        before, self._offset = self._offset, self._measure()
        jump = self._offset - before
        if abs(jump) >= timedelta(seconds=SMALLEST_JUMP_S):
            _LOG.warning("clock.jumped seconds=%+.3f", jump.total_seconds())
            self._timers.recheck()
        if self._behind is not None and (
            self._clock.now() >= self._behind or self._is_synchronised()
        ):
            self._behind = None
            _LOG.info("clock.caught_up")
            self._schedules.lift_catchup(CLOCK)

    def _measure(self) -> datetime:
        """Returns the wall time at which the monotonic clock was 0."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic())
