"""Schedules: which are armed, and when their slots are looked at.

The timers only wake us; which slots are due is worked out from the cursor of the ledger, and what
becomes of them is decided by `flowrunner.triggers.slot_keeper`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

from flowrunner.errors import FlowError, StorageError
from flowrunner.model.execution import Execution, ScheduleKey
from flowrunner.model.flow import ScheduleTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.model.jitter import delayed, jitter_delay
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
        self._entries: Mapping[FlowKey, FlowEntry] = {}
        self._tasks: dict[asyncio.Task[None], ScheduleKey] = {}
        self._leaving: set[asyncio.Task[None]] = set()

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
        if keys and self._leaving:
            await asyncio.wait(self._leaving)
        # A slot of its last time in force, still being decided, would bring the cursor back.
        late = [task for task, key in self._tasks.items() if key in keys]
        if late:
            await asyncio.wait(late)
        if keys:
            await self._slots.forget(keys, self._clock.now())

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],  # noqa: ARG002 - the whole new set says it too
    ) -> None:
        """Arms what is new, disarms what is gone, leaves the same schedule untouched."""
        changed = changed_keys(self._entries, entries)
        wanted = {
            (key, trigger.id): trigger
            for key in sorted(changed & entries.keys())
            if (spec := entries[key].spec) and not self._registry.lacking_labels(spec)
            for trigger in spec.schedules
        }
        gone = [place for place in self._armed if place[0] in changed and place not in wanted]
        for place in gone:
            self._timers.disarm(_name(place))
            self._close(self._armed.pop(place))
        for place, trigger in wanted.items():
            self._arm(place, trigger)
        self._leave(entries[key] for key in changed & entries.keys())
        self._entries = entries

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
            task = asyncio.create_task(self._forget(keys), name="slots: other hosts")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

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
        armed, start = self._armed.get(place), self._timers.next_at(_name(place))
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
        while self._tasks or self._leaving:
            await asyncio.wait([*self._tasks, *self._leaving])

    def _close(self, armed: Armed, reason: Reason = Reason.DELETED) -> None:
        """Accounts for what a schedule that leaves force has not been asked for."""
        armed.left_at, armed.left_for = self._clock.now(), reason
        self._wake(armed, armed.left_at)

    def _arm(self, place: tuple[FlowKey, str], trigger: ScheduleTrigger) -> None:
        key, now = schedule_key(place[0], trigger), self._clock.now()
        delay = jitter_delay(key.flow, self._host, trigger.jitter_s)
        armed = self._armed.get(place)
        if armed is not None and armed.key == key and armed.is_as_enabled_as(trigger):
            armed.trigger = trigger
            if armed.delay == delay:
                return
            armed.delay = delay
        else:
            fresh = Armed(key=key, trigger=trigger, since=now, delay=delay)
            if armed is not None:
                if armed.key == key:
                    fresh.turn = armed.turn  # it begins where the one before has ended
                self._close(armed, Reason.DISABLED if armed.key == key else Reason.DELETED)
            armed = self._armed[place] = fresh
        starts = delayed(trigger.schedule, delay)
        self._timers.arm(_name(place), starts, partial(self._due, armed))
        self._wake(armed, now - delay)  # opens the cursor, accounts for what was due while down

    def _due(self, armed: Armed, start: datetime) -> None:
        self._wake(armed, start - armed.delay)

    def _wake(self, armed: Armed, due: datetime) -> None:
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
                if isinstance(error, StorageError):
                    armed.lost_to = Reason.DISK
                _LOG.error(
                    "slots.not_recorded flow=%s code=%s: %s",
                    armed.key.flow,
                    error.code,
                    error.message,
                )


def _name(place: tuple[FlowKey, str]) -> str:
    return f"{place[0]}:{place[1]}"
