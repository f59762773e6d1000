"""Decides who is told of what, and writes that with what it is about.

The end of an execution, a broken promise or a change of `Ready` is one write with the notices that
it makes: a crash comes before both or after both, so each event is decided about exactly once. What
is sent, and when, is the business of `flowrunner.notify.outbox`. A flow about which nobody is told
costs one look at its rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC

from flowrunner.dataclass import dataclass
from flowrunner.model.conditions import ConditionType, Status
from flowrunner.model.execution import Execution
from flowrunner.model.flow_events import FlowEvent
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.mark import MarkKey, MarkKind
from flowrunner.model.notify import Notice, NotifyOn, NotifyRules
from flowrunner.model.sla import Breach
from flowrunner.notify.alarms import QUIET, Alarm, after_end, alarm_of
from flowrunner.notify.outbox import TakesNotices
from flowrunner.registry.channels import ChannelDirectory
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.system.clock import Clock

_LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class _Decided:
    """What was decided about an end that is not known to be on disk yet."""

    state: str
    before: Alarm
    marks: Mapping[MarkKey, str]


class Decisions:
    """Decides for all flows of a daemon.

    Args:
        registry: The flows in force.
        directory: The channels and the defaults, which a reload may exchange.
        outbox: Takes what was decided once it is durable.
        marks: Where both are kept.
        clock: Says when a broken promise is told.
    """

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        directory: ChannelDirectory,
        outbox: TakesNotices,
        marks: MarkStore,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._outbox = outbox
        self._marks = marks
        self._clock = clock
        self._alarms: dict[FlowKey, Alarm] = {}
        self._decided: dict[ExecutionId, _Decided] = {}
        self._late: dict[str, Mapping[MarkKey, str]] = {}

    async def load(self) -> None:
        """Learns which flows had failed in an earlier life; called before executions go on.

        Raises:
            StorageError: It cannot be read.
        """
        for key, text in (await self._marks.list(MarkKind.ALARM)).items():
            alarm = alarm_of(text)
            if alarm == QUIET or self._registry.get(key.flow) is None:
                self._outbox.forget(frozenset({key}))
            else:
                self._alarms[key.flow] = alarm

    def flows_changed(
        self,
        entries: Mapping[FlowKey, object],  # noqa: ARG002 - those that left say it
        removed: frozenset[FlowKey],
    ) -> None:
        """Forgets the failures of flows that have left."""
        gone = frozenset(_alarm_key(key) for key in removed if self._alarms.pop(key, None))
        self._outbox.forget(gone)

    def left_by(self, execution: Execution) -> Mapping[MarkKey, str]:
        """Returns the marks that the end of an execution leaves, to be written with it.

        It may be asked again for the same end, when the disk did not take it.
        """
        decided = self._decided.get(execution.id)
        if decided is not None and decided.state == execution.state:
            return decided.marks
        if decided is None:
            before = self._alarms.get(execution.flow, QUIET)
        else:  # the disk failed, and it was carried to another end
            before = decided.before
            self._outbox.withdraw(decided.marks)
        rules = self._directory.now.rules_of(execution.flow, self._registry)
        if (not rules and before is QUIET) or execution.ended_at is None:
            return {}
        alarm, told = after_end(before, rules, execution.state, execution.ended_at)
        marks = dict(self._outbox.accept(self._of_end(execution, told)))
        if alarm != before:
            self._alarms[execution.flow] = alarm
            marks[_alarm_key(execution.flow)] = alarm.to_text()
        if marks:
            self._decided[execution.id] = _Decided(str(execution.state), before, marks)
        return marks

    def note_ended(self, execution: Execution) -> None:
        """Lets the notices of an execution go whose end is on disk."""
        decided = self._decided.pop(execution.id, None)
        if decided is not None:
            self._outbox.release(decided.marks)

    def execution_started(self, execution: Execution) -> None:
        """Pings that an execution has begun; lost in a crash, this is no more than no start."""
        if not self._directory.now.pings:
            return
        rules = self._directory.now.rules_of(execution.flow, self._registry)
        labels = self._labels(execution.flow, rules)
        notice = _of_execution(execution, NotifyOn.STARTED, "", "")
        self._outbox.take(
            notice.over(label) for label in labels if label in self._directory.now.pings
        )

    def left_by_breach(self, breach: Breach) -> Mapping[MarkKey, str]:
        """Returns the marks of a broken promise, to be written with that it was told."""
        marks = self._outbox.accept(self._of_breach(breach))
        if marks:
            self._late[_about(breach)] = marks
        return marks

    def promise_broken(self, breach: Breach) -> None:
        """Tells a broken promise; its marks were written, or are now."""
        marks = self._late.pop(_about(breach), None)
        if marks is None:
            self._outbox.take(self._of_breach(breach))
        else:
            self._outbox.release(marks)

    def left_by_event(self, event: FlowEvent) -> Mapping[MarkKey, str]:
        """Returns the marks of a change of `Ready`, to be written with it."""
        return self._outbox.accept(self._of_event(event))

    def event_told(self, marks: Mapping[MarkKey, str]) -> None:
        """Lets the notices of changes go that are on disk."""
        self._outbox.release(marks)

    def _labels(self, flow: FlowKey, rules: NotifyRules) -> tuple[str, ...]:
        names = (name for rule in rules for name in rule.channels)
        return self._directory.now.labels(flow.account, names)

    def _of_end(
        self, execution: Execution, told: Mapping[NotifyOn, NotifyRules]
    ) -> Iterable[Notice]:
        for on, rules in told.items():
            labels = self._labels(execution.flow, rules)
            if labels:
                notice = _of_execution(execution, on, *_why(execution))
                yield from (notice.over(label) for label in labels)

    def _of_breach(self, breach: Breach) -> Iterable[Notice]:
        rules = self._directory.now.rules_of(breach.flow, self._registry)
        labels = self._labels(breach.flow, _that_tell(rules, NotifyOn.LATE))
        if not labels:
            return
        entry = self._registry.get(breach.flow)
        notice = Notice(
            id=_about(breach),
            channel="",
            on=NotifyOn.LATE,
            flow=breach.flow,
            at=self._clock.now(),
            execution=breach.execution or "",
            reason=str(breach.kind),
            message=f"sla.{breach.kind} is {breach.limit_s:g} s",
            revision=entry.revision if entry is not None else "",
            count=breach.count,
        )
        yield from (notice.over(label) for label in labels)

    def _of_event(self, event: FlowEvent) -> Iterable[Notice]:
        if event.type != ConditionType.READY or event.status is None:
            return
        on = NotifyOn.READY if event.status is Status.TRUE else NotifyOn.NOT_READY
        rules = self._directory.now.rules_of(event.flow, self._registry)
        notice = Notice(
            id=f"{event.flow}:{event.number}:{on}",
            channel="",
            on=on,
            flow=event.flow,
            at=event.at,
            state=str(event.status),
            reason=event.reason,
            message=event.message[:_LONGEST_MESSAGE],
            revision=event.revision,
        )
        for label in self._labels(event.flow, _that_tell(rules, on)):
            yield notice.over(label)


def _of_execution(execution: Execution, on: NotifyOn, reason: str, message: str) -> Notice:
    return Notice(
        id=f"{execution.id}:{on}",
        channel="",
        on=on,
        flow=execution.flow,
        at=execution.ended_at or execution.started_at or execution.created_at,
        execution=execution.id,
        state=str(execution.state),
        reason=reason,
        message=message,
        revision=execution.revision,
    )


def _why(execution: Execution) -> tuple[str, str]:
    """Returns reason and message of an end, without inputs and outputs.

    The engine has hidden the flow's secrets in what it journals.
    """
    error = execution.error
    if error is None:
        return execution.reason, ""
    message = "" if error.quotes_data else error.message[:_LONGEST_MESSAGE]
    return execution.reason or error.code, message


def _about(breach: Breach) -> str:
    """Returns what a breach is known by: it is the same one as long as it lasts.

    Without a dot, as all ids: ISO 8601 has a comma as well.
    """
    since = breach.since.astimezone(UTC).isoformat().replace(".", ",")
    return f"{breach.execution or f'{breach.flow}:{since}'}:{breach.kind}"


def _alarm_key(flow: FlowKey) -> MarkKey:
    return MarkKey(MarkKind.ALARM, flow, "", "")


def _that_tell(rules: NotifyRules, on: NotifyOn) -> NotifyRules:
    return tuple(rule for rule in rules if on in rule.on)
