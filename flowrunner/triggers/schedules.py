"""Schedules: which are armed, and when their slots are looked at.

The timers only wake us; which slots are due is worked out from the cursor of the ledger, and what
becomes of them is decided by `flowrunner.triggers.slot_keeper`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from flowrunner.errors import FlowError, StorageError
from flowrunner.model.execution import Execution, ScheduleKey
from flowrunner.model.flow import ScheduleTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.model.jitter import delayed, jitter_delay
from flowrunner.model.schedule import Schedule
from flowrunner.model.states import Reason
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.slot_store import SlotStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.armed import Armed, schedule_key
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.slot_keeper import SlotKeeper, SlotObserver
from flowrunner.triggers.timers import Timers

_LOG = logging.getLogger(__name__)

_AT_ONCE = 100
"""Schedules looked at in one turn of the loop; each takes about 20 microseconds."""

FIRST_PASS = "first_pass"  # noqa: S105 - no password
"""Why catching up waits at a start: the first pass may bring another version."""


class Schedules:
    """Arms the schedules of the flows in force and accounts for their slots."""

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        dispatcher: Dispatcher,
        slots: SlotStore,
        timers: Timers,
        clock: Clock,
        observer: SlotObserver,
        host: str,
    ) -> None:
        self._registry = registry
        self._slots = slots
        self._timers = timers
        self._clock = clock
        self._host = host
        self._keeper = SlotKeeper(
            registry=registry, dispatcher=dispatcher, slots=slots, clock=clock, observer=observer
        )
        self._holds: set[str] = {FIRST_PASS}
        self._armed: dict[tuple[FlowKey, str], Armed] = {}
        self._ids: dict[FlowKey, tuple[str, ...]] = {}
        """Which triggers of a flow are armed, in the order of their arming."""
        self._entries: Mapping[FlowKey, FlowEntry] = {}
        self._cursors: dict[ScheduleKey, datetime] = {}
        """Of an earlier life, until the first schedules are armed."""
        self._tasks: dict[asyncio.Task[None], ScheduleKey] = {}
        self._many: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def load(self) -> None:
        """Reads how far an earlier life has accounted for slots; once, before any is armed.

        Raises:
            StorageError: The ledger cannot be read.
        """
        self._cursors = await self._slots.cursors()

    async def flows_coming(
        self, coming: Iterable[FlowEntry], before: Mapping[FlowKey, FlowEntry]
    ) -> None:
        """Makes the schedules of versions that come into force begin at now.

        A schedule that was in force once has left a cursor. It is removed before the version is
        stored, so that a start finds the cursor of a stored schedule only if that schedule was in
        force up to the daemon's end.

        Raises:
            StorageError: The cursors could not be removed.
        """
        keys = {
            key
            for entry in coming
            for key in self._keys_of(entry) - self._keys_of(before.get(entry.key))
        }
        if keys and self._many:
            await asyncio.wait(self._many)
        # A slot of its last time in force, still being decided, would bring the cursor back.
        late = [task for task, key in self._tasks.items() if key in keys]
        if late:
            await asyncio.wait(late)
        if keys:
            await self._slots.forget(keys, self._clock.now())
            self._cursors.clear()

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],  # noqa: ARG002 - the whole new set says it too
    ) -> None:
        """Arms what is new, disarms what is gone, leaves the same schedule untouched."""
        changed = changed_keys(self._entries, entries)
        there = [entry for key in sorted(changed) if (entry := entries.get(key)) is not None]
        wanted = {
            (entry.key, trigger.id): trigger
            for entry in there
            if (spec := entry.spec) and not self._registry.lacking_labels(spec)
            for trigger in spec.schedules
        }
        for key in sorted(changed & self._ids.keys()):
            for place in [(key, each) for each in self._ids[key] if (key, each) not in wanted]:
                self._disarm(place)
        fresh = [armed for place, trigger in wanted.items() if (armed := self._arm(place, trigger))]
        if fresh:
            self._begin(self._open(fresh), "slots: open")
        self._leave(there)
        self._entries = entries
        self._cursors.clear()  # from now on the ledger moves

    def _leave(self, entries: Iterable[FlowEntry]) -> None:
        """Lets schedules of flows that run on other hosts begin at now, should they come back.

        This host may have had their labels in an earlier life: it misses none of their slots.
        """
        keys = frozenset(
            schedule_key(entry.key, each)
            for entry in entries
            if entry.spec and self._registry.lacking_labels(entry.spec)
            for each in entry.spec.schedules
        )
        if keys:
            self._begin(self._forget(keys), "slots: other hosts")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begins work on many cursors, for which whoever removes some must wait."""
        task = asyncio.create_task(work, name=name)
        self._many.add(task)
        task.add_done_callback(self._many.discard)

    async def _open(self, fresh: Sequence[Armed]) -> None:
        """Opens the cursors of schedules that come into force; accounts for what is due already."""
        try:
            new = {armed.key: armed.since for armed in fresh if armed.cursor is None}
            cursors = await self._slots.open_all(new) if new else {}
        except StorageError as error:
            for armed in fresh:
                self._not_recorded(armed, error)
            return
        for count, armed in enumerate(fresh, 1):
            if armed.cursor is None:
                armed.cursor = cursors[armed.key]
            due = armed.since - armed.delay
            if _may_be_due(armed, armed.cursor, due):
                self._wake(armed, due)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _forget(self, keys: frozenset[ScheduleKey]) -> None:
        """Removes cursors, after slots that are being decided and would bring them back."""
        late = [task for task, key in self._tasks.items() if key in keys]
        if late:
            await asyncio.wait(late)
        try:
            await self._slots.forget(keys, self._clock.now())
        except StorageError as error:  # the next start tries again
            _LOG.error("slots.not_forgotten code=%s: %s", error.code, error.message)

    def _keys_of(self, entry: FlowEntry | None) -> frozenset[ScheduleKey]:
        """Returns the schedules of a flow that this host waits for."""
        if entry is None or entry.spec is None or self._registry.lacking_labels(entry.spec):
            return frozenset()
        return frozenset(schedule_key(entry.key, trigger) for trigger in entry.spec.schedules)

    def next_slot(self, key: FlowKey, trigger_id: str) -> datetime | None:
        """Returns the next slot of an armed schedule, or None."""
        place = key, trigger_id
        armed, start = self._armed.get(place), self._timers.next_at(place)
        if armed is None or start is None or not armed.trigger.is_enabled:
            return None
        slot = start - armed.delay
        if armed.cursor is not None and slot <= armed.cursor:  # the clock was set back
            return armed.trigger.schedule.next_after(armed.cursor)
        return slot

    def hold_catchup(self, why: str) -> None:
        """Lets nothing of an earlier life start until the same reason is lifted."""
        self._holds.add(why)

    def lift_catchup(self, why: str) -> None:
        """Begins to catch up, unless there is another reason to wait."""
        self._holds.discard(why)
        now = self._clock.now()
        for armed in self._armed.values() if not self._holds else ():
            if armed.is_held:
                self._wake(armed, now - armed.delay)

    def note_ended(self, execution: Execution) -> None:
        """Lets the next slot follow one that was caught up."""
        if execution.cause.is_slot:
            armed = self._armed.get((execution.flow, execution.cause.trigger_id))
            if armed is not None and armed.is_feeding:
                self._wake(armed, self._clock.now() - armed.delay)

    def store_healed(self) -> None:
        """Accounts now for the slots that could not be recorded while the store failed."""
        now = self._clock.now()
        for armed in self._armed.values():
            if armed.lost_to is Reason.DISK:
                self._wake(armed, now - armed.delay)

    async def settle(self) -> None:
        """Waits for the slots being decided; at stop, after the timers have stopped."""
        while self._tasks or self._many:
            await asyncio.wait([*self._tasks, *self._many])

    async def close(self) -> None:
        """Waits for the slots being decided, and leaves all others to the next life.

        So also those that a store has kept nobody from recording any more, if that is found by the
        last writes of a stop.
        """
        await self.settle()
        self._is_closed = True

    def _close(self, armed: Armed, reason: Reason = Reason.DELETED) -> None:
        """Accounts for what a schedule that leaves force has not been asked for."""
        armed.left_at, armed.left_for = self._clock.now(), reason
        self._wake(armed, armed.left_at)

    def _disarm(self, place: tuple[FlowKey, str]) -> None:
        """Ends a schedule that leaves force."""
        self._timers.disarm(place)
        flow, left = place
        self._ids[flow] = tuple(each for each in self._ids[flow] if each != left)
        if not self._ids[flow]:
            del self._ids[flow]
        self._close(self._armed.pop(place))

    def _arm(self, place: tuple[FlowKey, str], trigger: ScheduleTrigger) -> Armed | None:
        """Arms a schedule; returns it if there is something to be done about its cursor yet."""
        before = self._armed.get(place)
        if before is None:
            return self._arm_new(place, trigger)
        key, now = schedule_key(place[0], trigger), self._clock.now()
        delay = jitter_delay(key.flow, self._host, trigger.jitter_s)
        if before.key == key and before.is_as_enabled_as(trigger):
            before.trigger = trigger
            if before.delay == delay:
                return None
            before.delay = delay
            armed = before
        else:
            armed = Armed(key=key, trigger=trigger, since=now, delay=delay)
            if before.key == key:
                armed.follow(before)
            self._close(before, Reason.DISABLED if before.key == key else Reason.DELETED)
            self._armed[place] = armed
        self._timers.arm(place, delayed(trigger.schedule, delay), partial(self._due, armed))
        self._wake(armed, now - delay)  # opens the cursor, accounts for what was due while down
        return None

    def _arm_new(self, place: tuple[FlowKey, str], trigger: ScheduleTrigger) -> Armed | None:
        """Arms a schedule that was not in force.

        Returns it if its cursor is to be opened, or if slots of an earlier life are due.
        """
        flow, trigger_id = place
        key, schedule = schedule_key(flow, trigger), trigger.schedule
        delay, cursor = jitter_delay(flow, self._host, trigger.jitter_s), self._cursors.get(key)
        armed = Armed(key=key, trigger=trigger, since=self._clock.now(), delay=delay, cursor=cursor)
        # Asked before the timer asks, for which it is the answer, too, where nothing was due.
        first = None if cursor is None else _first_after(schedule, cursor)
        self._armed[place] = armed
        self._ids[flow] = (*self._ids.get(flow, ()), trigger_id)
        self._timers.arm(place, delayed(schedule, delay), partial(self._due, armed))
        armed.since = self._clock.now()  # after the timer: no slot comes between the two
        is_due = first is not None and first <= armed.begin
        return armed if is_due or cursor is None else None

    def _due(self, armed: Armed, start: datetime) -> None:
        self._wake(armed, start - armed.delay)

    def _wake(self, armed: Armed, due: datetime) -> None:
        if self._is_closed:
            return
        work = self._account(armed, due)
        task = asyncio.create_task(work, name=f"slots:{armed.key.flow}")
        self._tasks[task] = armed.key
        task.add_done_callback(self._tasks.pop)

    async def _account(self, armed: Armed, due: datetime) -> None:
        """Decides about every slot that may have started by now.

        And up to `due`, should the clock have gone back.

        A failure leaves the cursor for the next wake.
        """
        async with armed.turn:
            now = max(self._clock.now() - armed.delay, due)
            try:
                await self._keeper.account(armed, now, lambda: not self._holds)
                armed.lost_to = Reason.DOWN
            except FlowError as error:
                self._not_recorded(armed, error)

    def _not_recorded(self, armed: Armed, error: FlowError) -> None:
        if isinstance(error, StorageError):
            armed.lost_to = Reason.DISK
        flow, code, message = armed.key.flow, error.code, error.message
        _LOG.error("slots.not_recorded flow=%s code=%s: %s", flow, code, message)


def _may_be_due(armed: Armed, cursor: datetime, due: datetime) -> bool:
    """Whether there is a slot to decide about; what comes later is for the timer."""
    first = _first_after(armed.trigger.schedule, cursor) if cursor < due else None
    return first is not None and first <= due


def _first_after(schedule: Schedule, cursor: datetime) -> datetime | None:
    """Returns the first slot to decide about; what cannot be said is due at once."""
    try:
        return schedule.next_after(cursor)
    except FlowError:
        return cursor  # whoever accounts for it says so
