"""What is counted of each flow and which executions are live, as snapshots a scrape may read.

The event loop writes here and another thread renders. So everything that leaves this module is
immutable, and the lock is held for as long as a shallow copy takes. How samples are named and
written is left to `flowrunner.telemetry.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from threading import Lock

from flowrunner.dataclass import dataclass
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.states import ExecutionState, SlotOutcome

FINAL_STATES = tuple(state for state in ExecutionState if state.is_final)
"""The states of ended executions, in the order of their declaration."""

_FAILURES = (ExecutionState.FAILED, ExecutionState.TIMED_OUT)


class FlowState(StrEnum):
    """How a flow stands, for the count of flows; each is in exactly one state."""

    READY = "ready"
    INVALID = "invalid"
    NOT_READY = "not_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFacts:
    """What the metrics show of one flow besides what is counted.

    Attributes:
        key: Its validated name; None for a file that is no flow in force, which is counted by
            its state and has no series of its own.
        state: `invalid` also while an earlier version is in force.
        is_ready: Whether the condition `Ready` is true.
        is_held: Whether it is suspended or paused.
        next_slot_at: The nearest slot of its schedules; None without one.
    """

    key: FlowKey | None
    state: FlowState
    is_ready: bool
    is_held: bool = False
    next_slot_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTotals:
    """What was counted of one flow since the start of the process, and when it last ended.

    Attributes:
        ended: Executions by final state; all four are there, so that the first failure is a
            rise from 0 and not the birth of a series, which `increase()` would not see.
        slots: Slots by outcome and reason.
        consecutive_failures: Failed and timed-out executions since the last success; a
            cancelled one neither counts nor ends the series.
    """

    ended: Mapping[ExecutionState, int] = field(
        default_factory=lambda: dict.fromkeys(FINAL_STATES, 0)
    )
    slots: Mapping[tuple[SlotOutcome, str], int] = field(default_factory=dict)
    last_ended_at: datetime | None = None
    last_success_at: datetime | None = None
    consecutive_failures: int = 0

    def with_end(self, execution: Execution) -> FlowTotals:
        """Returns the totals with one more ended execution."""
        state = execution.state
        totals = replace(
            self,
            ended={**self.ended, state: self.ended.get(state, 0) + 1},
            last_ended_at=execution.ended_at or self.last_ended_at,
        )
        if state is ExecutionState.SUCCEEDED:
            success = execution.ended_at or self.last_success_at
            return replace(totals, last_success_at=success, consecutive_failures=0)
        if state in _FAILURES:
            return replace(totals, consecutive_failures=self.consecutive_failures + 1)
        return totals

    def with_slots(self, outcome: SlotOutcome, reason: str, count: int) -> FlowTotals:
        """Returns the totals with `count` more slots of one outcome."""
        what = (outcome, reason)
        return replace(self, slots={**self.slots, what: self.slots.get(what, 0) + count})


class FlowLedger:
    """Counts by flow and knows the live executions; safe from any thread.

    An execution that was live when its flow was forgotten is not counted when it ends: it
    belongs to the flow that left, even if one of the same name has come since.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: dict[FlowKey, FlowTotals] = {}
        self._queued: dict[ExecutionId, FlowKey] = {}
        self._running: dict[ExecutionId, FlowKey] = {}
        self._forgotten: set[ExecutionId] = set()

    @property
    def queued_count(self) -> int:
        """Executions that wait."""
        return len(self._queued)

    @property
    def running_count(self) -> int:
        """Executions under way."""
        return len(self._running)

    def queued(self, execution: Execution) -> None:
        """Notes one that waits; one that has begun meanwhile is passed over."""
        with self._lock:
            if execution.state is ExecutionState.QUEUED and execution.id not in self._running:
                self._queued[execution.id] = execution.flow

    def started(self, execution: Execution) -> None:
        """Notes one that runs, whether or not it waited before."""
        with self._lock:
            self._queued.pop(execution.id, None)
            self._running[execution.id] = execution.flow

    def ended(self, execution: Execution) -> None:
        """Counts one that ended, whether or not it ever waited or ran."""
        with self._lock:
            self._queued.pop(execution.id, None)
            self._running.pop(execution.id, None)
            if execution.id in self._forgotten:
                self._forgotten.remove(execution.id)
                return
            flow = execution.flow
            self._totals[flow] = self._totals.get(flow, FlowTotals()).with_end(execution)

    def slot_decided(self, flow: FlowKey, outcome: SlotOutcome, reason: str, count: int) -> None:
        """Counts slots of one outcome."""
        with self._lock:
            totals = self._totals.get(flow, FlowTotals())
            self._totals[flow] = totals.with_slots(outcome, reason, count)

    def restore(
        self,
        flow: FlowKey,
        *,
        last_ended_at: datetime | None,
        last_success_at: datetime | None,
        consecutive_failures: int,
    ) -> None:
        """Sets what outlives the process; the counts stay."""
        with self._lock:
            self._totals[flow] = replace(
                self._totals.get(flow, FlowTotals()),
                last_ended_at=last_ended_at,
                last_success_at=last_success_at,
                consecutive_failures=consecutive_failures,
            )

    def forget(self, flow: FlowKey) -> None:
        """Drops the counts of a flow that left; linear in the live executions."""
        with self._lock:
            self._totals.pop(flow, None)
            for live in (self._queued, self._running):
                self._forgotten.update(id_ for id_, owner in live.items() if owner == flow)

    def snapshot(self) -> Mapping[FlowKey, FlowTotals]:
        """Returns all totals as they are at one moment."""
        with self._lock:
            return dict(self._totals)
