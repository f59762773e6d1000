"""Schedules: which are armed, what becomes of each slot, and the slots lost while down.

The timers only wake us; which slots are due is worked out from the cursor of the ledger. A slot
is accounted for in the transaction that starts its execution, or by a row of the ledger that
says why it did not start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from flowrunner.errors import (
    ExecutionError,
    FlowError,
    RefusedError,
    StorageError,
    ValidationError,
)
from flowrunner.model.execution import Cause, ScheduleKey, SlotRun
from flowrunner.model.flow import ScheduleTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.model.jitter import delayed, jitter_delay
from flowrunner.model.schedule import count_between
from flowrunner.model.states import Reason, SlotOutcome
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.protocols import SlotStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from flowrunner.triggers.timers import Timers

_LOG = logging.getLogger(__name__)
GRACE = timedelta(seconds=60)
"""A slot looked at this late was due while the daemon was down or asleep."""


class SlotObserver(Protocol):
    """Told of each slot once it is decided."""

    def slot_decided(
        self,
        flow: FlowKey,
        outcome: SlotOutcome,
        reason: str,
        count: int,
    ) -> None:
        """Learns what became of `count` slots that started no execution."""


@dataclass(slots=True)
class _Armed:
    """One schedule in force.

    Attributes:
        since: When it was armed: where its slots begin if the ledger does not know it.
        delay: How much later than its slot each start is.
        cursor: Up to where its slots are accounted for; None until the ledger was asked.
        turn: Makes its slots one after the other.
        lost_to: Why slots that are looked at too late were not looked at in time.
    """

    key: ScheduleKey
    trigger: ScheduleTrigger
    since: datetime
    delay: timedelta
    cursor: datetime | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    lost_to: Reason = Reason.DOWN


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
        self._dispatcher = dispatcher
        self._slots = slots
        self._timers = timers
        self._clock = clock
        self._observer = observer
        self._host = host
        self._armed: dict[tuple[FlowKey, str], _Armed] = {}
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
            await self._slots.forget(keys)

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
            if trigger.is_enabled
        }
        gone = [place for place in self._armed if place[0] in changed and place not in wanted]
        for place in gone:
            self._timers.disarm(_name(place))
            del self._armed[place]
        for place, trigger in wanted.items():
            self._arm(place, trigger)
        self._leave(entries[key] for key in changed & entries.keys())
        self._entries = entries

    def _leave(self, entries: Iterable[FlowEntry]) -> None:
        """Lets schedules of flows that run on other hosts begin at now, should they come back.

        This host may have had their labels in an earlier life: it misses none of their slots.
        """
        keys = frozenset(
            _schedule_key(entry.key, each)
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
            await self._slots.forget(keys)
        except StorageError as error:  # the next start tries again
            _LOG.error("slots.not_forgotten code=%s: %s", error.code, error.message)

    def _keys_of(self, entry: FlowEntry | None) -> frozenset[ScheduleKey]:
        """Returns the schedules of a flow that this host waits for."""
        if entry is None or entry.spec is None or self._registry.lacking_labels(entry.spec):
            return frozenset()
        return frozenset(
            _schedule_key(entry.key, each) for each in entry.spec.schedules if each.is_enabled
        )

    def next_slot(self, key: FlowKey, trigger_id: str) -> datetime | None:
        """Returns the next slot of an armed schedule, or None."""
        place = key, trigger_id
        armed, start = self._armed.get(place), self._timers.next_at(_name(place))
        return None if armed is None or start is None else start - armed.delay

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

    def _arm(self, place: tuple[FlowKey, str], trigger: ScheduleTrigger) -> None:
        key, now = _schedule_key(place[0], trigger), self._clock.now()
        delay = jitter_delay(key.flow, self._host, trigger.jitter_s)
        armed = self._armed.get(place)
        if armed is not None and armed.key == key:
            armed.trigger = trigger
            if armed.delay == delay:
                return
            armed.delay = delay
        else:
            armed = self._armed[place] = _Armed(key=key, trigger=trigger, since=now, delay=delay)
        starts = delayed(trigger.schedule, delay)
        self._timers.arm(_name(place), starts, partial(self._due, armed))
        self._wake(armed, now - delay)  # opens the cursor, accounts for what was due while down

    def _due(self, armed: _Armed, start: datetime) -> None:
        self._wake(armed, start - armed.delay)

    def _wake(self, armed: _Armed, due: datetime) -> None:
        work = self._account(armed, due)
        task = asyncio.create_task(work, name=f"slots:{armed.key.flow}")
        self._tasks[task] = armed.key
        task.add_done_callback(self._tasks.pop)

    async def _account(self, armed: _Armed, due: datetime) -> None:
        """Decides about every slot that may have started by now.

        And up to `due`, should the clock have gone back.

        A failure leaves the cursor for the next wake.
        """
        async with armed.turn:
            now = max(self._clock.now() - armed.delay, due)
            try:
                if armed.cursor is None:
                    armed.cursor = await self._opened(armed)
                await self._decide(armed, armed.cursor, now)
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

    async def _opened(self, armed: _Armed) -> datetime:
        """Returns where the slots of a schedule begin; what was due while down is missed."""
        cursor = await self._slots.open(armed.key, armed.since)
        since = armed.since - armed.delay
        if cursor >= since:
            return cursor
        await self._missed(armed, cursor, since)
        return since

    async def _decide(self, armed: _Armed, cursor: datetime, now: datetime) -> None:
        schedule, late = armed.trigger.schedule, now - GRACE
        first = schedule.next_after(cursor)
        if first is None or first > now:
            return
        if first <= late:
            await self._missed(armed, cursor, late)
        due = list(schedule.slots_between(max(cursor, late), now))
        if len(due) > 1:
            await self._record(armed, SlotOutcome.MISSED, armed.lost_to, due[:-1])
        if due:
            await self._start(armed, due[-1])

    async def _missed(self, armed: _Armed, after: datetime, until: datetime) -> None:
        """Records the slots that were due while nobody could look, as one row."""
        schedule = armed.trigger.schedule
        found = await asyncio.to_thread(count_between, schedule, after, until)
        if found.first is not None and found.last is not None:
            await self._write(
                armed,
                SlotRun(
                    schedule=armed.key,
                    outcome=SlotOutcome.MISSED,
                    reason=str(armed.lost_to),
                    first=found.first,
                    last=found.last,
                    count=found.total,
                    decided_at=self._clock.now(),
                ),
            )

    async def _start(self, armed: _Armed, slot: datetime) -> None:
        """Starts the flow for a slot; a slot that does not start is recorded with its reason."""
        flow, reason = armed.key.flow, ""
        try:
            reason = await self._submit(armed, slot)
        except RefusedError as error:
            reason = error.code
        except (ExecutionError, ValidationError) as error:
            reason = error.code
            _LOG.warning("slots.start_failed flow=%s: %s", flow, error.message)
        if reason:
            await self._record(armed, SlotOutcome.SKIPPED, reason, [slot])
        else:
            armed.cursor = slot

    async def _submit(self, armed: _Armed, slot: datetime) -> str:
        """Submits a slot and returns why it did not start, or an empty text."""
        entry, trigger = self._registry.get(armed.key.flow), armed.trigger
        if entry is None or entry.spec is None:
            return str(Reason.DELETED)
        self._dispatcher.startable(entry)
        cause = Cause(trigger_id=trigger.id, trigger_type="schedule", slot_at=slot)
        moment = self._clock.now()
        scope = trigger_scope(entry.spec, cause, moment)
        if not wants_start(trigger, scope):
            return str(Reason.IF_FALSE)
        key = armed.key
        start = Start(
            cause=cause,
            inputs=trigger_inputs(entry.spec, trigger, scope),
            start_key=f"slot:{key.flow}:{key.trigger}:{key.fingerprint}:{slot.isoformat()}",
            cursor=key,
            judged_at=moment,
        )
        await self._dispatcher.submit(entry, start)
        return ""

    async def _record(
        self, armed: _Armed, outcome: SlotOutcome, reason: str, slots: list[datetime]
    ) -> None:
        await self._write(
            armed,
            SlotRun(
                schedule=armed.key,
                outcome=outcome,
                reason=str(reason),
                first=slots[0],
                last=slots[-1],
                count=len(slots),
                decided_at=self._clock.now(),
            ),
        )

    async def _write(self, armed: _Armed, run: SlotRun) -> None:
        await self._slots.record(run)
        armed.cursor = run.last
        self._observer.slot_decided(armed.key.flow, run.outcome, run.reason, run.count)


def _schedule_key(flow: FlowKey, trigger: ScheduleTrigger) -> ScheduleKey:
    return ScheduleKey(flow=flow, trigger=trigger.id, fingerprint=trigger.schedule.fingerprint)


def _name(place: tuple[FlowKey, str]) -> str:
    return f"{place[0]}:{place[1]}"
