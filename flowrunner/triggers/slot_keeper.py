"""What becomes of the slots of a schedule: started, skipped or missed, each of them once.

A slot is accounted for in the transaction that starts its execution, or by a row of the ledger
that says why it did not start, with the evidence. Slots that nobody could look at in time are
caught up as their trigger says: `latest` starts the newest of them, `all` each of them, the
oldest first and the next one when the one before has ended, `none` none. All of it follows from
the cursor of the ledger, so that a crash at any moment changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from flowrunner.errors import ExecutionError, RefusedError, ValidationError
from flowrunner.model.execution import Cause, SlotRun
from flowrunner.model.flow import Catchup
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.pause import ALL_SCHEDULES
from flowrunner.model.schedule import Schedule, SlotCount, count_between, last_between
from flowrunner.model.states import Reason, SlotOutcome
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.slot_store import SlotStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.armed import Armed, start_key
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from flowrunner.triggers.evidence import evidence_of, pause_evidence
from flowrunner.triggers.pace import Pace

_LOG = logging.getLogger(__name__)
GRACE = timedelta(seconds=60)
"""A slot looked at this late was due while the daemon was down or asleep."""

_SHORT = timedelta(hours=1)
"""Slots of so short a time are counted in the loop; 3,600 of them take no millisecond."""
_MOMENT = timedelta(microseconds=1)


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


class _No(NamedTuple):
    """Why a slot does not start."""

    reason: str
    evidence: Mapping[str, Json]


class SlotKeeper:
    """Decides about slots and keeps the ledger; called for one schedule at a time.

    Every method raises `StorageError` when the ledger cannot be written; what was decided until
    then stands, and the rest is left to the next call.
    """

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        dispatcher: Dispatcher,
        slots: SlotStore,
        clock: Clock,
        observer: SlotObserver,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._slots = slots
        self._clock = clock
        self._observer = observer
        self._pace = Pace(lambda: dispatcher.is_crowded)

    async def account(
        self, armed: Armed, until: datetime, may_catch_up: Callable[[], bool]
    ) -> None:
        """Decides about every slot up to `until`.

        Args:
            armed: The schedule.
            until: The newest slot that may start by now; a little later if the clock has gone
                back since it was woken.
            may_catch_up: Tells whether slots of an earlier life may start already; asked when the
                cursor is known, as it may have been lifted meanwhile.
        """
        if armed.cursor is None:
            armed.cursor = await self._slots.open(armed.key, armed.since)
        schedule = armed.trigger.schedule
        first = schedule.next_after(armed.cursor)
        if first is None or first > until:
            return
        if armed.left_at is not None:
            await self._close(armed, armed.left_at)
            return
        if not armed.trigger.is_enabled:
            await self._skip_all(armed, until, Reason.DISABLED)
            return
        armed.is_held = (
            first <= armed.begin
            and armed.trigger.catchup is not Catchup.NONE
            and not may_catch_up()
        )
        if armed.is_held:
            return
        second = schedule.next_after(first)
        is_alone = first > max(armed.begin, until - GRACE) and (second is None or second > until)
        if is_alone and not armed.is_feeding:
            await self._start(armed, first)
        else:
            await self._catch_up(armed, until)

    async def _catch_up(self, armed: Armed, until: datetime) -> None:
        """Decides about slots that are late, or of which several are due together."""
        catchup = armed.trigger.catchup
        if catchup is Catchup.NONE:
            lost = max(until - GRACE, min(armed.begin, until))
            await self._miss(armed, lost, armed.lost_to)
        else:
            window_s = armed.trigger.catchup_window_s
            lost = until - max(timedelta(seconds=window_s), GRACE) - _MOMENT
            await self._miss(armed, lost, Reason.WINDOW, {"window_s": window_s})
        if catchup is Catchup.ALL:
            await self._feed(armed, until)
            return
        newest = await _last(armed.trigger.schedule, _cursor(armed), until)
        if newest is None:
            return
        if catchup is Catchup.NONE:
            await self._miss(armed, newest - _MOMENT, armed.lost_to)
        else:
            by: dict[str, Json] = {"by_slot": newest.isoformat()}
            await self._miss(armed, newest - _MOMENT, Reason.SUPERSEDED, by)
        await self._start(armed, newest)

    async def _feed(self, armed: Armed, until: datetime) -> None:
        """Starts the oldest slot; those after it follow when its execution has ended."""
        armed.is_feeding = False
        key, schedule = armed.key, armed.trigger.schedule
        while (slot := schedule.next_after(_cursor(armed))) is not None and slot <= until:
            is_busy = self._dispatcher.started_by(key.flow, key.trigger) > 0
            if is_busy and self._is_startable(key.flow):
                armed.is_feeding = True
                return
            if not await self._start(armed, slot):
                return

    async def _close(self, armed: Armed, until: datetime) -> None:
        """Accounts for what was due when a schedule left force, so that no slot is forgotten."""
        if armed.trigger.is_enabled:
            await self._miss(armed, min(armed.begin, until), armed.lost_to)
        await self._skip_all(armed, until, armed.left_for)

    async def _skip_all(self, armed: Armed, until: datetime, reason: Reason) -> None:
        """Records the slots up to a moment that nothing was to come of, as one row."""
        found = await _count(armed.trigger.schedule, _cursor(armed), until)
        await self._record(armed, SlotOutcome.SKIPPED, found, _No(reason, {}))

    async def _miss(
        self,
        armed: Armed,
        until: datetime,
        reason: Reason,
        evidence: Mapping[str, Json] | None = None,
    ) -> None:
        """Records the slots up to a moment, as one row."""
        found = await _count(armed.trigger.schedule, _cursor(armed), until)
        more = {"lost_to": str(armed.lost_to)} if armed.lost_to not in (reason, Reason.DOWN) else {}
        no = _No(reason, {**(evidence or {}), **more})
        await self._record(armed, SlotOutcome.MISSED, found, no)

    async def _start(self, armed: Armed, slot: datetime) -> bool:
        """Starts the flow for a slot; one that does not start is recorded with its reason.

        Returns whether it is accounted for: a slot that is being caught up when the daemon stops
        is left to the next life.
        """
        flow, no = armed.key.flow, None
        try:
            async with self._pace:
                no = await self._submit(armed, slot)
        except RefusedError as error:
            if error.code == Reason.DRAINING and slot + armed.delay <= self._clock.now() - GRACE:
                return False
            no = _No(error.code, evidence_of(error, self._registry.pause_of(flow)))
        except (ExecutionError, ValidationError) as error:
            no = _No(error.code, evidence_of(error))
            _LOG.warning("slots.start_failed flow=%s: %s", flow, error.message)
        if no is None:
            armed.cursor = slot
        else:
            await self._record(armed, SlotOutcome.SKIPPED, SlotCount(1, slot, slot), no)
        return True

    async def _submit(self, armed: Armed, slot: datetime) -> _No | None:
        """Submits a slot and returns why it did not start, or None."""
        entry, trigger = self._registry.get(armed.key.flow), armed.trigger
        if armed.left_at is not None:  # meanwhile; what is in force now has other slots
            return _No(armed.left_for, {})
        if entry is None or entry.spec is None:
            return _No(Reason.DELETED, {})
        self._dispatcher.judged(entry)
        if (pause := self._registry.pause_of(ALL_SCHEDULES)) is not None:
            return _No(Reason.PAUSED, {"all_schedules": True, **pause_evidence(pause)})
        cause = Cause(trigger_id=trigger.id, trigger_type="schedule", slot_at=slot)
        moment = self._clock.now()
        scope = trigger_scope(entry.spec, cause, moment)
        if not wants_start(trigger, scope):
            source = trigger.condition.source if trigger.condition else ""
            return _No(Reason.IF_FALSE, {"if": source})
        start = Start(
            cause=cause,
            inputs=trigger_inputs(entry.spec, trigger, scope),
            start_key=start_key(armed.key, slot),
            cursor=armed.key,
            judged_at=moment,
        )
        await self._dispatcher.submit(entry, start)
        return None

    def _is_startable(self, flow: FlowKey) -> bool:
        entry = self._registry.get(flow)
        if self._registry.pause_of(ALL_SCHEDULES) is not None:
            return False
        try:
            return entry is not None and bool(self._dispatcher.startable(entry))
        except RefusedError:
            return False

    async def _record(self, armed: Armed, outcome: SlotOutcome, found: SlotCount, no: _No) -> None:
        """Writes a row; none for no slots."""
        if found.first is None or found.last is None:
            return
        flow = armed.key.flow
        entry = self._registry.get(flow)
        run = SlotRun(
            schedule=armed.key,
            outcome=outcome,
            reason=str(no.reason),
            first=found.first,
            last=found.last,
            count=found.total,
            decided_at=self._clock.now(),
            digest=entry.spec.digest if entry and entry.spec else None,
            evidence=no.evidence,
            revision=self._dispatcher.revision_of(entry) if entry and entry.spec else None,
        )
        await self._slots.record(run)
        armed.cursor = run.last
        self._observer.slot_decided(flow, run.outcome, run.reason, run.count)


def _cursor(armed: Armed) -> datetime:
    return armed.since if armed.cursor is None else armed.cursor


async def _count(schedule: Schedule, after: datetime, until: datetime) -> SlotCount:
    """Counts slots, in a thread where that may take long."""
    if until - after <= _SHORT:
        return count_between(schedule, after, until)
    return await asyncio.to_thread(count_between, schedule, after, until)


async def _last(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """Returns the newest slot; in a thread where that may take long."""
    if until - after <= _SHORT:
        return last_between(schedule, after, until)
    return await asyncio.to_thread(last_between, schedule, after, until)
