"""Tells the service manager that the daemon works, for as long as its three engines turn.

Those are the event loop, the thread that writes the journal, and the scheduler of the timers. A
process that lives with one of them stuck accepts work and does none: then the pings stop, and
systemd restarts it. The loop proves itself by getting here. The writer has to answer a probe;
also an error is an answer, since a full disk is told by `/readyz` and is not cured by a restart.
The scheduler has to wake us. The ping itself is the business of `flowrunner.system.systemd`.

Source: sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from flowrunner.errors import FlowError
from flowrunner.model.schedule import EverySchedule
from flowrunner.system.clock import Clock
from flowrunner.triggers.timers import Timers

_LOG = logging.getLogger(__name__)

_KEY = "watchdog"
_WAKE = EverySchedule(period_s=1)
_PROBES = 6
"""Probes within the time after which the service manager loses patience."""


class Pinged(Protocol):
    """Hears the pings, as `flowrunner.system.systemd.Notifier` does."""

    def watchdog(self) -> None:
        """Takes one ping; never raises."""


class Probed(Protocol):
    """Has a writer that can be stuck, as a storage does."""

    async def check(self) -> None:
        """Returns, or raises `StorageError`, when the writer has answered."""


class Watchdog:
    """Probes, and pings while every answer is young.

    Args:
        patience_s: Seconds without a ping after which the service manager acts. There is a ping
            after half of it, and an answer may be as old as that.
    """

    def __init__(
        self, *, pinged: Pinged, probed: Probed, timers: Timers, clock: Clock, patience_s: float
    ) -> None:
        self._pinged = pinged
        self._probed = probed
        self._timers = timers
        self._clock = clock
        self._half_s = patience_s / 2
        self._period_s = patience_s / _PROBES
        self._answered = dict.fromkeys(("writer", "scheduler"), clock.monotonic())
        self._pinged_at = clock.monotonic()
        self._stuck: frozenset[str] = frozenset()
        self._probing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Probes and pings until it is cancelled."""
        now = self._clock.monotonic()
        self._answered = dict.fromkeys(self._answered, now)
        self._ping(now)
        try:
            while True:
                self._probe()
                await asyncio.sleep(self._period_s)
                self._judge()
        finally:
            self._timers.disarm(_KEY)
            if self._probing is not None:
                self._probing.cancel()

    def forget_scheduler(self) -> None:
        """Asks no more for the scheduler: the daemon drains and has stopped it."""
        self._answered.pop("scheduler", None)

    def _judge(self) -> None:
        now = self._clock.monotonic()
        stuck = {who for who, at in self._answered.items() if now - at > self._half_s}
        for who in sorted(stuck - self._stuck):
            _LOG.error("watchdog.stuck part=%s silent_s=%.1f", who, now - self._answered[who])
        self._stuck = frozenset(stuck)
        # Half a period early rather than one late: timers of the loop are never exact.
        if not stuck and now - self._pinged_at >= self._half_s - self._period_s / 2:
            self._ping(now)

    def _ping(self, now: float) -> None:
        self._pinged_at = now
        self._pinged.watchdog()

    def _probe(self) -> None:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._ask_writer(), name="watchdog probe")
        if "scheduler" in self._answered:
            # Armed anew, so that it waits for the next second of the wall clock as it is now: set
            # back by an hour, the clock would else keep a scheduler that works silent for an hour.
            self._timers.disarm(_KEY)
            self._timers.arm(_KEY, _WAKE, lambda _: self._woken())

    def _woken(self) -> None:
        self._timers.disarm(_KEY)  # one wake for each probe
        self._note("scheduler")

    async def _ask_writer(self) -> None:
        with suppress(FlowError):
            await self._probed.check()
        self._note("writer")

    def _note(self, who: str) -> None:
        if who in self._answered:
            self._answered[who] = self._clock.monotonic()
