"""Concurrency of a flow: who may start now, who waits, who is refused. Pure bookkeeping.

It decides in memory and at once; the engine makes the decision durable. After a crash the
engine fills it again from the journal, so no limit can stick to an execution that is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from flowrunner.model.flow import ConcurrencySpec, OnConflict
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.states import Reason


class Verdict(StrEnum):
    """What becomes of a request to start."""

    START = "start"
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One execution as admission sees it."""

    id: ExecutionId
    trigger_id: str
    trigger_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict.

    Attributes:
        reason: Why not, when it is refused.
        superseded: Who waits in the place that this one takes; to be released by the caller as
            soon as this one is durable.
    """

    verdict: Verdict
    reason: Reason | None = None
    superseded: tuple[ExecutionId, ...] = ()


@dataclass(slots=True)
class _Group:
    running: set[ExecutionId] = field(default_factory=set)
    waiting: deque[Ticket] = field(default_factory=deque)


class Admission:
    """Running and waiting executions per flow."""

    def __init__(self) -> None:
        self._groups: dict[FlowKey, _Group] = {}

    def request(self, flow: FlowKey, ticket: Ticket, rules: ConcurrencySpec) -> Decision:
        """Takes a place for the ticket, running or waiting, or refuses.

        At most one slot of a trigger waits: a newer one takes its place. `queue_limit` counts
        deliveries; starts by hand always find a place.
        """
        group = self._groups.setdefault(flow, _Group())
        if len(group.running) < rules.limit and not group.waiting:
            group.running.add(ticket.id)
            return Decision(verdict=Verdict.START)
        if rules.on_conflict is OnConflict.SKIP:
            return Decision(verdict=Verdict.REFUSE, reason=Reason.CONCURRENCY)
        if ticket.trigger_type == "webhook" and _deliveries(group) >= rules.queue_limit:
            return Decision(verdict=Verdict.REFUSE, reason=Reason.QUEUE_FULL)
        older = _waiting_slots(group, ticket) if ticket.trigger_type == "schedule" else ()
        group.waiting.append(ticket)
        return Decision(verdict=Verdict.WAIT, superseded=older)

    def put_back(self, flow: FlowKey, ticket: Ticket) -> None:
        """Puts an accepted execution back in line by its age, whatever the limits say."""
        group = self._groups.setdefault(flow, _Group())
        position = sum(1 for other in group.waiting if other.id < ticket.id)
        group.waiting.insert(position, ticket)

    def take(self, flow: FlowKey, execution_id: ExecutionId) -> None:
        """Gives an execution that runs already its place, whatever the limits say."""
        self._groups.setdefault(flow, _Group()).running.add(execution_id)

    def release(self, flow: FlowKey, execution_id: ExecutionId) -> None:
        """Forgets an execution that ended, or that never came to be."""
        group = self._groups.get(flow)
        if group is None:
            return
        group.running.discard(execution_id)
        group.waiting = deque(t for t in group.waiting if t.id != execution_id)
        if not group.running and not group.waiting:
            del self._groups[flow]

    def next_ready(self, flow: FlowKey, rules: ConcurrencySpec) -> ExecutionId | None:
        """Moves the oldest waiting execution to running, if the limit leaves room."""
        group = self._groups.get(flow)
        if group is None or not group.waiting or len(group.running) >= rules.limit:
            return None
        ticket = group.waiting.popleft()
        group.running.add(ticket.id)
        return ticket.id

    def waiting(self, flow: FlowKey) -> tuple[ExecutionId, ...]:
        """Returns who waits, oldest first."""
        group = self._groups.get(flow)
        return tuple(ticket.id for ticket in group.waiting) if group else ()

    def flows_waiting(self) -> Iterator[FlowKey]:
        """Yields every flow with someone in line."""
        return (flow for flow, group in tuple(self._groups.items()) if group.waiting)


def _deliveries(group: _Group) -> int:
    return sum(1 for ticket in group.waiting if ticket.trigger_type == "webhook")


def _waiting_slots(group: _Group, ticket: Ticket) -> tuple[ExecutionId, ...]:
    same = (t for t in group.waiting if t.trigger_type == "schedule")
    return tuple(t.id for t in same if t.trigger_id == ticket.trigger_id)
