"""Timers: who is woken when a schedule is due. The only door to APScheduler.

APScheduler waits; when to wait for is `flowrunner.model.schedule`, and what becomes of a slot
is for whoever is woken. A wake is a hint: several slots that came due together (after a sleep,
or while the loop was busy) give one wake, and lateness is no reason to leave it out.

All schedules share one APScheduler job, which is due when the first of them is: a thousand flows
due at the same moment cost its loop once, and so do ten thousand that are armed at a start. What
APScheduler is never left to decide: the time zone of the host, its own cron arithmetic, its one
second of grace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterator
from dataclasses import field
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import Any, Protocol

from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from flowrunner.dataclass import dataclass
from flowrunner.errors import FlowError
from flowrunner.model.schedule import Slots, last_between

_LOG = logging.getLogger(__name__)
_SLICE = 10
"""Keys that are woken in one turn of the loop; each begins a start of about half a millisecond."""
_FEW = 64
"""Entries passed over that may stay, however few timers there are; looks back in one turn."""

Wake = Callable[[datetime], None]
"""Called in the event loop with the newest slot that is due, in UTC; must return at once."""


class Timers(Protocol):
    """Wakes its callers at the slots of their schedules; all methods are called in the loop."""

    def start(self) -> None:
        """Begins to wake; what was armed before is due from now on."""

    def stop(self) -> None:
        """Disarms every key; no wake follows. Nothing happens when already stopped."""

    def arm(self, key: Hashable, schedule: Slots, wake: Wake) -> None:
        """Wakes at the slots of `schedule` from now on.

        An armed key with the same schedule keeps its timer as it runs and only gets the new
        `wake`; with another schedule it begins anew.
        """

    def disarm(self, key: Hashable) -> None:
        """Ends the wakes of a key, also one that is due; nothing happens if it is not armed."""

    def recheck(self) -> None:
        """Looks anew at what is due, after the wall clock has jumped.

        Set back, it wakes at the slots that it passes a second time: what was under way when it
        was set back goes on there, and only the caller knows of which slots it is done.
        """

    def next_at(self, key: Hashable) -> datetime | None:
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

    Its own executors run functions in threads.
    """

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:  # noqa: ARG002 - one wake
        loop = asyncio.get_running_loop()
        loop.call_soon(job.func)
        loop.call_soon(self._run_job_success, job.id, [])


@dataclass(slots=True, eq=False)
class _Timer:
    """One schedule and who waits for it; `next_at` is None until the scheduler runs."""

    schedule: Slots
    wakes: dict[Hashable, Wake] = field(default_factory=dict)
    next_at: datetime | None = None


class _Agenda(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Tells APScheduler when the first of many timers is due, and takes down which are.

    It holds an entry for each timer, sorted by its next slot; one whose timer has another slot by
    now, or left, is passed over.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[datetime, int, _Timer]] = []
        self._numbers = count()
        self._due: list[tuple[_Timer, datetime]] = []

    @property
    def first(self) -> datetime | None:
        """The slot that is next."""
        while self._waiting and not self._is_current(self._waiting[0]):
            heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def expect(self, timer: _Timer, at: datetime | None) -> None:
        """Lets a timer wait for a slot; for None it waits no more."""
        timer.next_at = at
        if at is not None:
            heappush(self._waiting, (at, next(self._numbers), timer))

    def forget(self, timer: _Timer, most: int) -> None:
        """Lets a timer go; passed over entries are removed when they outnumber `most` timers."""
        timer.next_at = None
        if len(self._waiting) > 2 * most + _FEW:
            self._waiting = [entry for entry in self._waiting if self._is_current(entry)]
            heapify(self._waiting)

    def take_due(self) -> list[tuple[_Timer, datetime]]:
        """Returns the timers that came due since the last call, each with its newest slot."""
        due, self._due = self._due, []
        return due

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Returns the slot that is next; what is due by now counts as fired, but at the first."""
        while previous_fire_time is not None and (at := self.first) is not None and at <= now:
            timer = heappop(self._waiting)[2]
            trigger, newest = SlotTrigger(timer.schedule), at
            following = trigger.get_next_fire_time(at, now)
            while following is not None and following <= now:
                newest, following = following, trigger.get_next_fire_time(following, now)
            self.expect(timer, following)
            self._due.append((timer, newest))
        return self.first

    def _is_current(self, entry: tuple[datetime, int, _Timer]) -> bool:
        return entry[2].next_at == entry[0]


class ApschedulerTimers:
    """Timers over an `AsyncIOScheduler` in memory, in the loop that runs when it is started."""

    def __init__(self) -> None:
        self._scheduler: Any = None
        self._job: Any = None
        self._agenda = _Agenda()
        self._schedules: dict[Hashable, Slots] = {}
        self._timers: dict[Slots, _Timer] = {}
        self._is_hastening = False

    def start(self) -> None:
        """Begins to wake; needs a running loop and does nothing when started already."""
        if self._scheduler is not None:
            return
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            executors={"default": _LoopExecutor()},
        )
        self._scheduler.start()
        for timer in self._timers.values():
            self._plan(timer)

    def stop(self) -> None:
        """Disarms every key; the scheduler ends in the next turn of the loop."""
        self._schedules.clear()
        self._timers.clear()
        self._agenda, self._job, self._is_hastening = _Agenda(), None, False
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def arm(self, key: Hashable, schedule: Slots, wake: Wake) -> None:
        """Wakes at the slots of `schedule` from now on; see `Timers`."""
        before = self._schedules.get(key)
        if before is not None and before != schedule:
            self.disarm(key)
        self._schedules[key] = schedule
        timer = self._timers.get(schedule)
        if timer is None:
            timer = self._timers[schedule] = _Timer(schedule)
            if self._scheduler is not None:
                self._plan(timer)
        timer.wakes[key] = wake

    def disarm(self, key: Hashable) -> None:
        """Ends the wakes of a key; the timer goes with its last key."""
        schedule = self._schedules.pop(key, None)
        if schedule is None:
            return
        timer = self._timers[schedule]
        del timer.wakes[key]
        if not timer.wakes:
            del self._timers[schedule]
            self._agenda.forget(timer, len(self._timers))

    def recheck(self) -> None:
        """Looks anew at what is due; see `Timers`."""
        if self._scheduler is not None:
            self._scheduler.wakeup()
            self._look_back(iter(list(self._timers.values())))

    def _look_back(self, timers: Iterator[_Timer]) -> None:
        """Lets timers wait for the slot after now, should that be one they have left behind.

        Some in each turn of the loop, as there may be thousands.
        """
        now, some = datetime.now(UTC), list(islice(timers, _FEW))
        for timer in some:
            if self._timers.get(timer.schedule) is timer:
                slot = SlotTrigger(timer.schedule).get_next_fire_time(None, now)
                if slot is not None and (timer.next_at is None or slot < timer.next_at):
                    self._agenda.expect(timer, slot)
        self._hasten()
        if some:
            asyncio.get_running_loop().call_soon(self._look_back, timers)

    def next_at(self, key: Hashable) -> datetime | None:
        """Returns the slot a key waits for; see `Timers`."""
        schedule = self._schedules.get(key)
        # Also called in the thread of a scrape: the loop may disarm the key meanwhile.
        timer = None if schedule is None else self._timers.get(schedule)
        return None if timer is None else timer.next_at

    def _plan(self, timer: _Timer) -> None:
        slot = SlotTrigger(timer.schedule).get_next_fire_time(None, datetime.now(UTC))
        self._agenda.expect(timer, slot)
        if not self._is_hastening:  # once for all that are armed in this turn
            self._is_hastening = True
            asyncio.get_running_loop().call_soon(self._hasten)

    def _hasten(self) -> None:
        """Lets APScheduler wake for the slot that is next by now."""
        self._is_hastening = False
        first = self._agenda.first
        if self._scheduler is None or first is None:
            return
        if (
            self._job is None or self._scheduler.get_job(self._job.id) is None
        ):  # it drops one at its end
            self._job = self._scheduler.add_job(
                self._wake_due,
                self._agenda,
                # Given for each job: the same words on the scheduler itself would be ignored.
                misfire_grace_time=None,
                coalesce=True,
                max_instances=1_000,
            )
        elif first < self._job.next_run_time:
            self._job.modify(next_run_time=first)

    def _wake_due(self) -> None:
        """Wakes each key in its own call, so that one that fails is reported and harms no other.

        A few in each turn of the loop: what a thousand of them begin would hold it for long.
        """
        due = self._agenda.take_due()
        self._wake_some(iter([(timer, key, slot) for timer, slot in due for key in timer.wakes]))

    def _wake_some(self, due: Iterator[tuple[_Timer, Hashable, datetime]]) -> None:
        loop = asyncio.get_running_loop()
        some = list(islice(due, _SLICE))
        for each in some:
            loop.call_soon(self._wake, *each)
        if some:
            loop.call_soon(self._wake_some, due)

    def _wake(self, timer: _Timer, key: Hashable, slot: datetime) -> None:
        if self._timers.get(timer.schedule) is timer and key in timer.wakes:
            timer.wakes[key](slot)
