"""Timers: who is woken when a schedule is due. The only door to APScheduler.

APScheduler waits; when to wait for is `flowrunner.model.schedule`, and what becomes of a slot
is for whoever is woken. A wake is a hint: several slots that came due together (after a sleep,
or while the loop was busy) give one wake, and lateness is no reason to leave it out.

Keys with the same schedule share one APScheduler job, so that a thousand flows due at the same
moment cost its loop once. What APScheduler is never left to decide: the time zone of the host,
its own cron arithmetic, its one second of grace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from flowrunner.errors import FlowError
from flowrunner.model.schedule import Slots, last_between

_LOG = logging.getLogger(__name__)
_SLICE = 20
"""Keys that are woken in one turn of the loop; each begins a start of about half a millisecond."""

Wake = Callable[[datetime], None]
"""Called in the event loop with the newest slot that is due, in UTC; must return at once."""


class Timers(Protocol):
    """Wakes its callers at the slots of their schedules; all methods are called in the loop."""

    def start(self) -> None:
        """Begins to wake; what was armed before is due from now on."""

    def stop(self) -> None:
        """Disarms every key; no wake follows. Nothing happens when already stopped."""

    def arm(self, key: str, schedule: Slots, wake: Wake) -> None:
        """Wakes at the slots of `schedule` from now on.

        An armed key with the same schedule keeps its timer as it runs and only gets the new
        `wake`; with another schedule it begins anew.
        """

    def disarm(self, key: str) -> None:
        """Ends the wakes of a key, also one that is due; nothing happens if it is not armed."""

    def recheck(self) -> None:
        """Looks anew at what is due, after the wall clock has jumped."""

    def next_at(self, key: str) -> datetime | None:
        """Returns the slot a key waits for; None when it is not armed or nothing was started."""


class SlotTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Tells APScheduler the slots of a schedule."""

    def __init__(self, schedule: Slots) -> None:
        self._schedule = schedule

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Returns the slot after `previous_fire_time`, or after `now` when there was none.

        Of several slots up to `now` it is the newest, for APScheduler would join them into one
        anyway, and to step through each of them could hold the loop for minutes after a long
        sleep or a jump of the clock.
        """
        try:
            return self._next(previous_fire_time, now)
        except FlowError:
            # Left to APScheduler this would end its loop, and with it every other timer.
            _LOG.exception("timers.schedule_stuck schedule=%s", self._schedule)
            return None

    def _next(self, previous: datetime | None, now: datetime) -> datetime | None:
        slot = self._schedule.next_after(previous or now)
        if previous is None or slot is None or slot > now:
            return slot
        return last_between(self._schedule, previous, now)


class _LoopExecutor(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """Calls what is due in the loop, after APScheduler has done its bookkeeping.

    Its own executors run functions in threads, and do not tell them the slot.
    """

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(job.func, *job.args, run_times[-1])
        loop.call_soon(self._run_job_success, job.id, [])


@dataclass(slots=True)
class _Timer:
    """One schedule and who waits for it; `job` is None until the scheduler runs."""

    schedule: Slots
    wakes: dict[str, Wake] = field(default_factory=dict)
    job: Any = None


class ApschedulerTimers:
    """Timers over an `AsyncIOScheduler` in memory, in the loop that runs when it is started."""

    def __init__(self) -> None:
        self._scheduler: Any = None
        self._schedules: dict[str, Slots] = {}
        self._timers: dict[Slots, _Timer] = {}

    def start(self) -> None:
        """Begins to wake; needs a running loop and does nothing when started already."""
        if self._scheduler is not None:
            return
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            executors={"default": _LoopExecutor()},
        )
        self._scheduler.start(paused=True)
        for timer in self._timers.values():
            self._add(timer)
        self._scheduler.resume()

    def stop(self) -> None:
        """Disarms every key; the scheduler ends in the next turn of the loop."""
        self._schedules.clear()
        self._timers.clear()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def arm(self, key: str, schedule: Slots, wake: Wake) -> None:
        """Wakes at the slots of `schedule` from now on; see `Timers`."""
        if self._schedules.get(key) != schedule:
            self.disarm(key)
        self._schedules[key] = schedule
        timer = self._timers.get(schedule)
        if timer is None:
            timer = self._timers[schedule] = _Timer(schedule)
            if self._scheduler is not None:
                self._add(timer)
        timer.wakes[key] = wake

    def disarm(self, key: str) -> None:
        """Ends the wakes of a key; the timer goes with its last key."""
        schedule = self._schedules.pop(key, None)
        if schedule is None:
            return
        timer = self._timers[schedule]
        del timer.wakes[key]
        if not timer.wakes:
            del self._timers[schedule]
            if self._waits(timer):
                timer.job.remove()

    def recheck(self) -> None:
        """Looks anew at what is due; see `Timers`."""
        if self._scheduler is not None:
            self._scheduler.wakeup()

    def next_at(self, key: str) -> datetime | None:
        """Returns the slot a key waits for; see `Timers`."""
        schedule = self._schedules.get(key)
        # Also called in the thread of a scrape: the loop may disarm the key meanwhile.
        timer = None if schedule is None else self._timers.get(schedule)
        if timer is None or not self._waits(timer):
            return None
        at: datetime | None = timer.job.next_run_time
        return at

    def _add(self, timer: _Timer) -> None:
        timer.job = self._scheduler.add_job(
            self._due,
            SlotTrigger(timer.schedule),
            args=(timer,),
            # Given for each job: the same words on the scheduler itself would be ignored.
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1_000,
        )

    def _waits(self, timer: _Timer) -> bool:
        """Whether APScheduler still has the job: it drops one that has no further slot."""
        return timer.job is not None and self._scheduler.get_job(timer.job.id) is not None

    def _due(self, timer: _Timer, *slots: datetime) -> None:
        """Wakes each key in its own call, so that one that fails is reported and harms no other.

        A few in each turn of the loop: what a thousand of them begin would hold it for long.
        """
        self._wake_some(timer, iter(tuple(timer.wakes)), slots[-1])

    def _wake_some(self, timer: _Timer, keys: Iterator[str], slot: datetime) -> None:
        loop = asyncio.get_running_loop()
        some = list(islice(keys, _SLICE))
        for key in some:
            loop.call_soon(self._wake, timer, key, slot)
        if some:
            loop.call_soon(self._wake_some, timer, keys, slot)

    def _wake(self, timer: _Timer, key: str, slot: datetime) -> None:
        if self._timers.get(timer.schedule) is timer and key in timer.wakes:
            timer.wakes[key](slot)
