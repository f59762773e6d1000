"""Promises of flows: which are not kept, each told once, also over a restart.

Only flows that say `sla` are looked at: for all others an event costs one look into a map, and
there is no timer but the one of the next promise that runs out. That a breach was told is marked as
long as it lasts: an execution is late until it has ended, a success overdue until there is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import FlowKey
from flowrunner.model.jitter import jitter_delay
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.sla import Breach, SlaKind, SlaSpec
from flowrunner.model.states import ExecutionState, Reason, SlotOutcome
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.storage.protocols import ExecutionQuery, ExecutionStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.deadlines import Deadlines, Watch

_LOG = logging.getLogger(__name__)

LONGEST_SLEEP_S = 60.0
"""The clock may be set meanwhile."""

AGAIN_S = 10.0
"""Between two tries while the disk takes nothing."""

_SINCE = "since"
"""Name of the mark that holds from when `max_since_success` counts."""

_SUSPENDED = "suspended"
"""Its value while the flow is."""


class TellsBreaches(Protocol):
    """Told of each promise that is not kept, once: metrics, the log, notifications."""

    def promises_made(self, flow: FlowKey, kinds: Collection[SlaKind]) -> None:
        """Learns what a flow promises, before any of it can be broken."""

    def left_by_breach(self, breach: Breach) -> Mapping[MarkKey, str]:
        """Returns the marks to be written with that a breach was told, which follows."""

    def promise_broken(self, breach: Breach) -> None:
        """Learns of a breach; must be quick and must not fail."""


class SlaWatch:
    """Watches the promises of the flows in force.

    Args:
        registry: The flows in force.
        executions: Where the last success is looked up.
        marks: Where it is kept what was told.
        clock: The wall clock, by which promises are made.
        host: Its name, for the jitter of schedules.
        told: Told of breaches.
    """

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        executions: ExecutionStore,
        marks: MarkStore,
        clock: Clock,
        host: str,
        told: TellsBreaches,
    ) -> None:
        self._registry = registry
        self._executions = executions
        self._marks = marks
        self._clock = clock
        self._host = host
        self._told = told
        self._entries: Mapping[FlowKey, FlowEntry] = {}
        self._promises: dict[FlowKey, SlaSpec] = {}
        self._watches = Deadlines()
        self._known: dict[MarkKey, str] = {}
        self._unsure: set[FlowKey] = set()
        self._to_write: dict[MarkKey, str | None] = {}
        self._alive: set[MarkKey] = set()
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Learns what an earlier life told; called before executions go on.

        Raises:
            StorageError: It cannot be read.
        """
        self._known = await self._marks.list(MarkKind.SLA)
        self.flows_changed(self._registry.entries, frozenset())

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],
    ) -> None:
        """Learns who promises what; what is under way keeps the promise that it began with."""
        marked = {mark.flow for mark in self._known}
        for key in changed_keys(self._entries, entries):
            entry = entries.get(key)
            spec = None if entry is None else entry.spec
            promise = None if spec is None or self._registry.lacking_labels(spec) else spec.sla
            if promise is None:
                if self._promises.pop(key, None) is None and key not in marked:
                    continue  # most flows promise nothing, and never did
            else:
                self._promises[key] = promise
                self._told.promises_made(key, promise.kinds)
            self._judge_success(key, is_suspended=spec is not None and spec.is_suspended)
        for key in removed:
            for mark in [each for each in self._known if each.flow == key]:
                self._write(mark, None)
        self._entries = entries
        self._changed.set()

    def execution_queued(self, execution: Execution) -> None:
        """Begins to wait for the start of a slot that is in line."""
        promise = self._promises.get(execution.flow)
        if promise is not None and promise.start_within_s is not None:
            due = self._start_due(execution)
            if due is not None:
                self._watch(execution, SlaKind.START_WITHIN, due, promise.start_within_s)

    def execution_started(self, execution: Execution) -> None:
        """Tells a start that comes too late, and begins to wait for the end."""
        promise = self._promises.get(execution.flow)
        if promise is None or execution.started_at is None:
            return
        if promise.start_within_s is not None:
            waited = self._watches.pop(_mark(execution, SlaKind.START_WITHIN))
            due = self._start_due(execution) if waited is None else waited.since
            if due is not None:
                self._judge(
                    execution,
                    SlaKind.START_WITHIN,
                    due,
                    promise.start_within_s,
                    execution.started_at,
                )
        self.execution_resumed(execution)

    def execution_resumed(self, execution: Execution) -> None:
        """Waits for the end of an execution that goes on after a restart."""
        promise = self._promises.get(execution.flow)
        if promise is not None and promise.max_duration_s is not None and execution.started_at:
            since = execution.started_at
            self._watch(execution, SlaKind.MAX_DURATION, since, promise.max_duration_s)

    def execution_ended(self, execution: Execution) -> None:
        """Tells an execution that has taken too long, and begins a new time after a success."""
        for kind in (SlaKind.START_WITHIN, SlaKind.MAX_DURATION):
            mark = _mark(execution, kind)
            watch = self._watches.pop(mark)
            if watch is not None and execution.ended_at is not None:
                self._judge(execution, kind, watch.since, watch.limit_s, execution.ended_at)
            if mark in self._known:
                self._write(mark, None)
        if execution.state is ExecutionState.SUCCEEDED and execution.ended_at is not None:
            self._succeeded(execution.flow, execution.ended_at)

    def slot_decided(self, flow: FlowKey, outcome: SlotOutcome, reason: str, count: int) -> None:
        """Tells slots that will never start, since they were missed; others took their place."""
        promise = self._promises.get(flow)
        if promise is None or promise.start_within_s is None or outcome is not SlotOutcome.MISSED:
            return
        if reason != Reason.SUPERSEDED:
            self._told.promise_broken(
                Breach(
                    flow=flow,
                    kind=SlaKind.START_WITHIN,
                    execution=None,
                    since=self._clock.now(),
                    limit_s=promise.start_within_s,
                    count=count,
                )
            )

    async def run(self) -> None:
        """Tells promises as they run out, until it is cancelled."""
        self._forget_ended()
        while True:
            self._changed.clear()
            is_well = await self._catch_up()
            late = self._late(self._clock.now())
            is_well = await self._keep() and is_well
            for watch in late:  # also when the disk is full: that may be why it is late
                self._told.promise_broken(watch.breach)
            wait_s = None if is_well else AGAIN_S
            if (next_at := self._watches.next_at()) is not None:
                left_s = max((next_at - self._clock.now()).total_seconds(), 0.0)
                wait_s = min(left_s, LONGEST_SLEEP_S, AGAIN_S if not is_well else LONGEST_SLEEP_S)
            with suppress(TimeoutError):
                # Not `wait_for`: on Python 3.11 it loses a cancel that comes with the event.
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    def _start_due(self, execution: Execution) -> datetime | None:
        """Returns when the slot of an execution was to start; None for one without a slot."""
        slot_at, cause = execution.cause.slot_at, execution.cause
        entry = self._registry.get(execution.flow)
        if not cause.is_slot or slot_at is None or entry is None or entry.spec is None:
            return None
        jitters = (t.jitter_s for t in entry.spec.schedules if t.id == cause.trigger_id)
        return slot_at + jitter_delay(execution.flow, self._host, next(jitters, 0.0))

    def _watch(self, execution: Execution, kind: SlaKind, since: datetime, limit_s: float) -> None:
        watch = Watch(
            flow=execution.flow,
            kind=kind,
            execution=execution.id,
            since=since,
            limit_s=limit_s,
        )
        if watch.mark in self._known:
            self._alive.add(watch.mark)
        elif self._watches.add(watch):
            self._changed.set()

    def _judge(
        self, execution: Execution, kind: SlaKind, since: datetime, limit_s: float, at: datetime
    ) -> None:
        """Tells the breach of a promise that was waited for no longer, unless it was told."""
        if at - since > timedelta(seconds=limit_s) and _mark(execution, kind) not in self._known:
            watch = Watch(
                flow=execution.flow,
                kind=kind,
                execution=execution.id,
                since=since,
                limit_s=limit_s,
            )
            self._told.promise_broken(watch.breach)

    def _judge_success(self, flow: FlowKey, *, is_suspended: bool) -> None:
        """Begins, or ends, to wait for a success of a flow."""
        promise, since = self._promises.get(flow), MarkKey(MarkKind.SLA, flow, "", _SINCE)
        told = MarkKey(MarkKind.SLA, flow, "", str(SlaKind.MAX_SINCE_SUCCESS))
        limit_s = None if promise is None else promise.max_since_success_s
        watch = self._watches.get(told)
        if limit_s is None or is_suspended:
            self._watches.pop(told)
            self._unsure.discard(flow)
            if told in self._known:
                self._write(told, None)
            if is_suspended and limit_s is not None:
                self._write(since, _SUSPENDED)
            elif since in self._known:
                self._write(since, None)
        elif self._known.get(since) == _SUSPENDED:
            self._write(since, self._clock.now().isoformat())
            self._wait_for_success(flow, self._clock.now(), limit_s)
        elif watch is not None:
            self._wait_for_success(flow, watch.since, limit_s)
        elif told not in self._known or flow not in self._entries:
            self._unsure.add(flow)

    def _wait_for_success(self, flow: FlowKey, since: datetime, limit_s: float) -> None:
        kind = SlaKind.MAX_SINCE_SUCCESS
        watch = Watch(flow=flow, kind=kind, execution=None, since=since, limit_s=limit_s)
        if self._watches.add(watch):
            self._changed.set()

    def _succeeded(self, flow: FlowKey, at: datetime) -> None:
        promise = self._promises.get(flow)
        limit_s = None if promise is None else promise.max_since_success_s
        since = MarkKey(MarkKind.SLA, flow, "", _SINCE)
        if limit_s is None or self._known.get(since) == _SUSPENDED:
            return
        told = MarkKey(MarkKind.SLA, flow, "", str(SlaKind.MAX_SINCE_SUCCESS))
        if told in self._known:
            self._write(told, None)
        self._unsure.discard(flow)
        self._write(since, at.isoformat())
        self._wait_for_success(flow, at, limit_s)

    async def _catch_up(self) -> bool:
        """Finds out since when flows are without a success that were not watched before."""
        for flow in sorted(self._unsure):
            try:
                await self._look_back(flow)
            except StorageError as error:
                _LOG.error("sla.not_read flow=%s code=%s", flow, error.code)
                return False
        return True

    async def _look_back(self, flow: FlowKey) -> None:
        query = ExecutionQuery(
            account=flow.account, flow=flow.name, states=(ExecutionState.SUCCEEDED,), limit=1
        )
        found = await self._executions.list(query)
        promise = self._promises.get(flow)
        if flow not in self._unsure or promise is None or promise.max_since_success_s is None:
            return
        self._unsure.discard(flow)
        since = MarkKey(MarkKind.SLA, flow, "", _SINCE)
        told = MarkKey(MarkKind.SLA, flow, "", str(SlaKind.MAX_SINCE_SUCCESS))
        known = [each.ended_at for each in found if each.ended_at is not None]
        if since in self._known:
            known.append(datetime.fromisoformat(self._known[since]))
        begin = max(known, default=self._clock.now())
        if told in self._known and begin <= datetime.fromisoformat(self._known[told]):
            return  # overdue since an earlier life, which told it
        if told in self._known:
            self._write(told, None)
        if self._known.get(since) != begin.isoformat():
            self._write(since, begin.isoformat())
        self._wait_for_success(flow, begin, promise.max_since_success_s)

    def _late(self, now: datetime) -> list[Watch]:
        """Returns the promises that have run out, and marks them as told."""
        late = self._watches.take_due(now)
        for watch in late:
            self._write(watch.mark, now.astimezone(UTC).isoformat())
            self._to_write.update(self._told.left_by_breach(watch.breach))
        return late

    def _forget_ended(self) -> None:
        """Drops the marks of what ended, or left, while no daemon could see it."""
        for mark in list(self._known):
            is_of_execution = ":" in mark.name
            is_gone = self._registry.get(mark.flow) is None
            if is_gone or (is_of_execution and mark not in self._alive):
                self._write(mark, None)
        self._alive.clear()

    def _write(self, mark: MarkKey, value: str | None) -> None:
        """Changes a mark now in memory, and soon on disk; None: there is none any more."""
        if value is None:
            self._known.pop(mark, None)
        else:
            self._known[mark] = value
        self._to_write[mark] = value
        self._changed.set()

    async def _keep(self) -> bool:
        """Writes what has changed; False: the disk did not take it, and it is tried again."""
        changes, self._to_write = self._to_write, {}
        if not changes:
            return True
        put = {mark: value for mark, value in changes.items() if value is not None}
        try:
            await self._marks.change(MarkChange(put=put, drop=frozenset(changes.keys() - put)))
        except StorageError as error:
            _LOG.error("sla.not_recorded code=%s: %s", error.code, error.message)
            self._to_write = {**changes, **self._to_write}
            return False
        return True


def _mark(execution: Execution, kind: SlaKind) -> MarkKey:
    return MarkKey(MarkKind.SLA, execution.flow, "", f"{kind}:{execution.id}")
