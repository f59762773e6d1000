"""Timers that wake when a test says so."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from flowrunner.model.schedule import Slots, last_between
from flowrunner.system.clock import Clock
from flowrunner.triggers.timers import Wake


@dataclass
class _Armed:
    schedule: Slots
    wake: Wake
    since: datetime


class FakeTimers:
    """Meets `Timers`; `fire_due` stands for the passing of time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._armed: dict[Hashable, _Armed] = {}
        self.started = False
        self.rechecked = 0

    def start(self) -> None:
        if not self.started:
            self.started = True
            for armed in self._armed.values():
                armed.since = self._clock.now()

    def stop(self) -> None:
        self.started = False
        self._armed.clear()

    def arm(self, key: Hashable, schedule: Slots, wake: Wake) -> None:
        armed = self._armed.get(key)
        if armed is not None and armed.schedule == schedule:
            armed.wake = wake
        else:
            self._armed[key] = _Armed(schedule, wake, self._clock.now())

    def disarm(self, key: Hashable) -> None:
        self._armed.pop(key, None)

    def recheck(self) -> None:
        self.rechecked += 1
        for armed in self._armed.values():
            armed.since = min(armed.since, self._clock.now())
        self.fire_due()

    def next_at(self, key: Hashable) -> datetime | None:
        armed = self._armed.get(key)
        if armed is None or not self.started:
            return None
        return armed.schedule.next_after(armed.since)

    @property
    def keys(self) -> frozenset[Hashable]:
        return frozenset(self._armed)

    def fire_due(self, now: datetime | None = None) -> list[Hashable]:
        """Wakes every key with a slot since it was last asked, once, and returns those keys.

        `now` is the clock's unless given; nothing is woken before `start`.
        """
        if not self.started:
            return []
        until = now or self._clock.now()
        woken: list[Hashable] = []
        for key, armed in list(self._armed.items()):
            slot = last_between(armed.schedule, armed.since, until)
            if slot is not None and self._armed.get(key) is armed:
                armed.since = until
                armed.wake(slot)
                woken.append(key)
        return woken

    def fire_all(self) -> None:
        """Wakes every key now, whether or not anything is due."""
        if self.started:
            for armed in list(self._armed.values()):
                armed.wake(self._clock.now())
