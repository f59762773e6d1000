"""Backfills: executions for slots of the past, one after the other, as a person asked for.

How far one has come is a mark that moves in the transaction that accepts each execution, so a
backfill goes on after a crash where it was. A slot that has started already, by its schedule or by
an earlier backfill, does not start again unless that is asked for. The outcome that the ledger has
of a slot stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from flowrunner.errors import ExecutionError, RefusedError, StorageError, ValidationError
from flowrunner.model.backfill import Backfill, backfill_of
from flowrunner.model.execution import RETRIED_TRIGGER, Cause, Execution
from flowrunner.model.flow import OnConflict, ScheduleTrigger
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.schedule import count_between
from flowrunner.model.states import Reason
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.system.clock import Clock
from flowrunner.system.ids import IdSource
from flowrunner.triggers.armed import schedule_key, start_key
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from flowrunner.triggers.mark_work import MarkWork

_LOG = logging.getLogger(__name__)
BACKFILL = "backfill"
"""The id and the type of the trigger of its executions."""

MOST_SLOTS = 10_000
MOST_PARALLEL = 100
_PATIENCE_S = 5.0
"""How long at most until it is tried again whether a flow that refused takes a slot."""
_MOMENT = timedelta(microseconds=1)


class Backfills:
    """Begins, carries on and ends backfills."""

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        dispatcher: Dispatcher,
        executions: ExecutionStore,
        marks: MarkStore,
        ids: IdSource,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._executions = executions
        self._marks = marks
        self._ids = ids
        self._clock = clock
        self._work = MarkWork(marks, MarkKind.BACKFILL, self._feed)
        self._changed = asyncio.Event()

    async def begin(
        self,
        key: FlowKey,
        *,
        trigger: str | None,
        first: datetime,
        until: datetime,
        parallel: int = 1,
        force: bool = False,
    ) -> tuple[str, int]:
        """Begins a backfill; returns its id and how many slots it has, once it is durable.

        Args:
            key: The flow.
            trigger: Its schedule; None: the only one.
            first: The first slot may be at this moment.
            until: The last one lies before this moment.
            parallel: How many of its executions wait or run at once, 1 to 100.
            force: Starts slots again that have started already.

        Raises:
            NotFoundError: There is no such flow.
            ValidationError: ``request.backfill``: which schedule is meant is not clear, or there is
                no slot, or more than 10,000.
            RefusedError: The flow may not start now.
            StorageError: It is not begun.
        """
        spec = self._dispatcher.startable(self._registry.require(key))
        chosen = _chosen(spec.schedules, trigger)
        if until > self._clock.now():
            raise _invalid("the end of a backfill lies in the future")
        after, last = first - _MOMENT, until - _MOMENT
        count = await asyncio.to_thread(count_between, chosen.schedule, after, last)
        if not 1 <= count.total <= MOST_SLOTS:
            text = f"{chosen.id} has {count.total} slots there, a backfill takes 1 to {MOST_SLOTS}"
            raise _invalid(text)
        backfill = Backfill(
            id=self._ids.execution_id(),
            flow=key,
            trigger=chosen.id,
            first=first,
            until=until,
            parallel=parallel,
            is_forced=force,
        )
        mark, text = _mark(backfill), backfill.text
        await self._marks.change(MarkChange(put={mark: text}))
        _LOG.info("backfill.begun flow=%s id=%s slots=%d", key, backfill.id, count.total)
        self._work.begin(mark, text)
        return backfill.id, count.total

    async def cancel(self, key: FlowKey) -> int:
        """Ends the backfills of a flow and returns how many; what they have started goes on.

        Raises:
            StorageError: They go on.
        """
        mine = [mark for mark in await self._marks.list(MarkKind.BACKFILL) if mark.flow == key]
        if mine:
            await self._marks.change(MarkChange(drop=frozenset(mine)))
        for mark in mine:
            self._work.end(mark)
        return len(mine)

    def note_ended(self, execution: Execution) -> None:
        """Lets the next slot follow."""
        if execution.cause.trigger_type == BACKFILL:
            self._changed.set()

    async def run(self) -> None:
        """Carries backfills on until it is cancelled, first those of an earlier life."""
        await self._work.run()

    async def _feed(self, mark: MarkKey, text: str) -> None:
        backfill = backfill_of(mark.flow, mark.trigger, mark.name, text)
        while True:
            self._changed.clear()
            try:
                left = await self._step(backfill)
            except RefusedError as error:
                if error.code == Reason.DRAINING:
                    return  # the next life goes on
                left = backfill
                await self._wait()
            except StorageError as error:
                _LOG.error("backfill.not_recorded code=%s: %s", error.code, error.message)
                left = backfill
                await self._wait()
            if left is None:
                _LOG.info("backfill.ended flow=%s id=%s", backfill.flow, backfill.id)
                return
            backfill = left

    async def _step(self, backfill: Backfill) -> Backfill | None:
        """Starts the next slot, or passes it over; returns what is left, None for nothing.

        Raises:
            RefusedError: The flow does not take it now.
            StorageError: Nothing was accepted.
        """
        entry = self._registry.get(backfill.flow)
        trigger = _trigger_of(entry, backfill.trigger)
        slot = trigger.schedule.next_after(backfill.first - _MOMENT) if trigger else None
        if entry is None or trigger is None or slot is None or slot >= backfill.until:
            await self._marks.change(MarkChange(drop=frozenset({_mark(backfill)})))
            return None
        left = replace(backfill, first=slot + _MOMENT)
        key = _key(backfill, trigger, slot)
        if not backfill.is_forced and await self._has_started(backfill, trigger, slot):
            return left
        if self._dispatcher.started_by(backfill.flow, BACKFILL) >= _most(entry, backfill):
            await self._wait()
            return backfill
        try:
            await self._submit(entry, trigger, slot, key, left)
        except (ExecutionError, ValidationError) as error:
            _LOG.warning("backfill.slot_failed flow=%s: %s", backfill.flow, error.message)
        return left

    async def _submit(
        self,
        entry: FlowEntry,
        trigger: ScheduleTrigger,
        slot: datetime,
        key: str,
        left: Backfill,
    ) -> None:
        spec, moment = self._dispatcher.startable(entry), self._clock.now()
        cause = Cause(
            trigger_id=BACKFILL,
            trigger_type=BACKFILL,
            slot_at=slot,
            context={RETRIED_TRIGGER: trigger.id},
        )
        scope = trigger_scope(spec, cause, moment)
        if wants_start(trigger, scope):
            start = Start(
                cause=cause,
                inputs=trigger_inputs(spec, trigger, scope),
                start_key=key,
                judged_at=moment,
                marks=MarkChange(put={_mark(left): left.text}),
            )
            await self._dispatcher.submit(entry, start)

    async def _has_started(
        self, backfill: Backfill, trigger: ScheduleTrigger, slot: datetime
    ) -> bool:
        """Whether a slot has an execution that began, or that may still begin."""
        keys = (
            start_key(schedule_key(backfill.flow, trigger), slot),
            _key(backfill, trigger, slot),
        )
        for key in keys:
            found = await self._executions.find(key)
            if found is not None and await self._counts(found):
                return True
        return False

    async def _counts(self, execution_id: ExecutionId) -> bool:
        execution = await self._executions.get(execution_id)
        is_known = execution is not None and execution.state.is_final
        return not (is_known and execution is not None and execution.started_at is None)

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._changed.wait()


def _chosen(schedules: tuple[ScheduleTrigger, ...], wanted: str | None) -> ScheduleTrigger:
    found = [trigger for trigger in schedules if wanted in (None, trigger.id)]
    if len(found) == 1:
        return found[0]
    if not schedules:
        raise _invalid("the flow has no schedule, so that there are no slots")
    names = ", ".join(trigger.id for trigger in schedules)
    if wanted is not None:
        raise _invalid(f"the flow has no schedule {wanted[:64]!r}, but these: {names}")
    raise _invalid(f"the flow has several schedules, say which one is meant: {names}")


def _invalid(message: str) -> ValidationError:
    return ValidationError(message, code="request.backfill", findings=[{"message": message}])


def _mark(backfill: Backfill) -> MarkKey:
    return MarkKey(MarkKind.BACKFILL, backfill.flow, backfill.trigger, backfill.id)


def _key(backfill: Backfill, trigger: ScheduleTrigger, slot: datetime) -> str:
    whose = f"{backfill.id}:" if backfill.is_forced else ""
    return f"{BACKFILL}:{whose}{start_key(schedule_key(backfill.flow, trigger), slot)}"


def _trigger_of(entry: FlowEntry | None, name: str) -> ScheduleTrigger | None:
    spec = entry.spec if entry else None
    found = (trigger for trigger in (spec.schedules if spec else ()) if trigger.id == name)
    return next(found, None)


def _most(entry: FlowEntry, backfill: Backfill) -> int:
    """Returns how many may be under way: one where each start would end the one before."""
    spec = entry.spec
    is_alone = spec is not None and spec.concurrency.on_conflict is OnConflict.REPLACE
    return 1 if is_alone else backfill.parallel
