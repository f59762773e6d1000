"""One ear for everything that happens: passes it on to the metrics, the log and the service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from flowrunner.model.execution import Attempt, Execution
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import MarkKey
from flowrunner.model.sla import Breach, SlaKind
from flowrunner.model.states import SlotOutcome
from flowrunner.registry.entry import PassResult
from flowrunner.system.clock import Clock
from flowrunner.telemetry.metrics import Metrics
from flowrunner.telemetry.metrics_triggers import TriggerMetrics

_LOG = logging.getLogger("flowrunner.daemon")


class KeepsPromises(Protocol):
    """Watches the promises of flows."""

    def execution_queued(self, execution: Execution) -> None:
        """An execution waits."""

    def execution_started(self, execution: Execution) -> None:
        """An execution has begun."""

    def execution_resumed(self, execution: Execution) -> None:
        """An execution goes on after a restart."""

    def execution_ended(self, execution: Execution) -> None:
        """An execution has ended."""

    def slot_decided(self, flow: FlowKey, outcome: SlotOutcome, reason: str, count: int) -> None:
        """Slots have started nothing."""


class TellsPeople(Protocol):
    """Decides who is told of what."""

    def execution_started(self, execution: Execution) -> None:
        """An execution has begun."""

    def left_by_breach(self, breach: Breach) -> Mapping[MarkKey, str]:
        """Returns the marks to be written with that a breach was told."""

    def promise_broken(self, breach: Breach) -> None:
        """A promise was not kept."""


class KeepsEvents(Protocol):
    """Keeps what happened to flows."""

    def promise_broken(self, breach: Breach) -> None:
        """A promise was not kept."""


class DaemonObserver:
    """Observes the engine, the reconciler and the schedules."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self.triggers = TriggerMetrics()
        metrics.show_more(self.triggers.families)
        self._clock = clock
        self.settings_are_good = True
        """Whether the settings were fine when they were last read; else no pass counts as good."""
        self.on_ended: Sequence[Callable[[Execution], None]] = ()
        self.sla: KeepsPromises | None = None
        """Told of executions and slots of flows that promise something."""
        self.notices: TellsPeople | None = None
        """Told of starts and of broken promises."""
        self.history: KeepsEvents | None = None
        """Told of broken promises."""

    def execution_queued(self, execution: Execution) -> None:
        """Counts an execution that waits."""
        self._metrics.execution_queued(execution)
        if self.sla is not None:
            self.sla.execution_queued(execution)

    def execution_started(self, execution: Execution) -> None:
        """Counts a start; for a schedule also its slot, with how late it is."""
        self._metrics.execution_started(execution)
        if self.sla is not None:
            self.sla.execution_started(execution)
        if self.notices is not None:
            self.notices.execution_started(execution)
        slot_at, started_at = execution.cause.slot_at, execution.started_at
        if execution.cause.is_slot and slot_at is not None and started_at is not None:
            self._metrics.slot_decided(
                execution.flow,
                SlotOutcome.STARTED,
                "",
                1,
                lag_s=(started_at - slot_at).total_seconds(),
            )
        _LOG.info("execution.started", extra=_facts(execution))

    def execution_resumed(self, execution: Execution) -> None:
        """Notes one that runs again; its start and its slot are counted already."""
        self._metrics.execution_resumed(execution)
        if self.sla is not None:
            self.sla.execution_resumed(execution)
        _LOG.info("execution.resumed", extra=_facts(execution))

    def execution_ended(self, execution: Execution) -> None:
        """Counts an end; a slot whose execution never started was skipped."""
        self._metrics.execution_ended(execution)
        if execution.cause.is_slot and execution.started_at is None:
            self.slot_decided(execution.flow, SlotOutcome.SKIPPED, execution.reason, 1)
        if self.sla is not None:
            self.sla.execution_ended(execution)
        for listener in self.on_ended:
            listener(execution)
        _LOG.info(
            "execution.ended",
            extra={
                **_facts(execution),
                "state": str(execution.state),
                "reason": execution.reason,
                "error": execution.error.message if execution.error else "",
            },
        )

    def attempt_ended(self, node_type: str, attempt: Attempt) -> None:
        """Counts an attempt."""
        self._metrics.attempt_ended(node_type, attempt)

    def slot_decided(self, flow: FlowKey, outcome: SlotOutcome, reason: str, count: int) -> None:
        """Counts slots that did not start."""
        self._metrics.slot_decided(flow, outcome, reason, count)
        if self.sla is not None:
            self.sla.slot_decided(flow, outcome, reason, count)
        _LOG.info("slots.%s flow=%s reason=%s count=%d", outcome, flow, reason, count)

    def start_skipped(self, flow: FlowKey, kind: str, trigger: str, reason: str) -> None:
        """Counts what a trigger of type start, flow or file asked for in vain."""
        self.triggers.start_skipped(flow, kind, reason)
        _LOG.warning(
            "triggers.skipped flow=%s trigger=%s type=%s reason=%s", flow, trigger, kind, reason
        )

    def promises_made(self, flow: FlowKey, kinds: Collection[SlaKind]) -> None:
        """Lets the counts of a flow's promises begin."""
        self.triggers.promises_made(flow, kinds)

    def left_by_breach(self, breach: Breach) -> Mapping[MarkKey, str]:
        """Returns the marks of those who are told of a breach."""
        return {} if self.notices is None else self.notices.left_by_breach(breach)

    def promise_broken(self, breach: Breach) -> None:
        """Counts and keeps a promise of `sla` that was broken, says so, and lets people be told."""
        self.triggers.promise_broken(breach)
        if self.notices is not None:
            self.notices.promise_broken(breach)
        if self.history is not None:
            self.history.promise_broken(breach)
        _LOG.warning(
            "sla.breached flow=%s kind=%s limit_s=%g since=%s count=%d",
            breach.flow,
            breach.kind,
            breach.limit_s,
            breach.since.isoformat(),
            breach.count,
            extra={"flow": str(breach.flow), "execution": breach.execution or ""},
        )

    def pass_ended(self, result: PassResult) -> None:
        """Counts a pass; it is good when the source was read and no file was rejected."""
        is_read = result.result in ("applied", "unchanged") and not result.errors
        ok = is_read and self.settings_are_good
        self._metrics.pass_ended(
            result.trigger, result.result, result.duration_s, ok=ok, at=self._clock.now()
        )


def _facts(execution: Execution) -> dict[str, str]:
    return {
        "flow": str(execution.flow),
        "execution": execution.id,
        "trigger": execution.cause.trigger_id,
    }
