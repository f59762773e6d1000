"""Judges children: one for each attempt that asks, and who waits for one ends after it.

A cancel reaches who is waited for, and the end of that one who waits. Looks at what is durable.
Source: FLOW_FORMAT 2, `concurrency`, and 4, `flow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowrunner.model.execution import Attempt, Execution, NodeStatus
from flowrunner.model.ids import AttemptKey, ExecutionId, Json
from flowrunner.model.states import ExecutionState, Reason
from tests.simulation.lines import Lines, group_of
from tests.simulation.node_judge import NodeJudge

MOST_ABOVE = 16
_GRACE_S = 5.0
"""How long what must happen to a child may take until it is seen here."""

_ENDS = {
    "flow_failed": "failed",
    "flow_timed_out": "timed_out",
    "flow_cancelled": "cancelled",
}
_ON_PAPER = "storage."
"""Begins the reasons of attempts that were given up because the journal failed."""


class ChildJudge:
    """Knows which attempt asked for whom.

    Args:
        tables: What is durable.
        lines: Knows which rules are in force, and for how long.
        nodes: Knows the text of the version that an execution runs.
        now: The monotonic time, in seconds.
        fail: Called with what does not hold.
    """

    def __init__(
        self,
        tables: Any,
        lines: Lines,
        nodes: NodeJudge,
        now: Callable[[], float],
        fail: Callable[[str], None],
    ) -> None:
        self._tables = tables
        self._lines = lines
        self._nodes = nodes
        self._now = now
        self._fail = fail
        self._children: dict[AttemptKey, ExecutionId] = {}
        self._waited: dict[ExecutionId, AttemptKey] = {}
        self._faults: dict[ExecutionId, tuple[str, float]] = {}

    def created(self, execution: Execution) -> None:
        """Judges a child that has just become durable, and whom it stands below."""
        parent = execution.parent
        if parent is None:
            return
        other = self._children.setdefault(parent.attempt, execution.id)
        if other != execution.id:
            self._fail(f"{parent.attempt} has the children {other} and {execution.id}")
        above = self._tables.executions[parent.attempt.execution]
        depth = 1 + (above.parent.depth if above.parent else 0)
        if parent.depth != depth or depth > MOST_ABOVE:
            self._fail(f"{execution.id} says that {parent.depth} stand above it, it is {depth}")
        asking = self._tables.attempts.get(above.id, {}).get(parent.attempt)
        if asking is None:
            self._fail(f"{execution.id} was asked for before the begin of that was durable")
        elif parent.is_waited and asking.ended_at is not None:
            self._fail(f"{execution.id} was asked for by {parent.attempt}, which had ended")
        if parent.is_waited:
            self._waited[execution.id] = parent.attempt

    def judge_place(self, child: Execution, free: set[ExecutionId]) -> None:
        """Judges that nobody who waits for a new child holds what it needs.

        Args:
            child: It.
            free: Those that hold no place of their group.
        """
        if not self._lines.needs_room(child.flow):
            return
        for each in self._above(child):
            if group_of(each) == group_of(child) and each.id not in free:
                self._fail(f"{child.id} can never start, {each.id} waits for it in its group")

    def finishes(self, attempt: Attempt, node_type: str) -> None:
        """Judges the end of an attempt against that of its child."""
        if node_type != "flow" or attempt.ended_at is None or attempt.reason.startswith(_ON_PAPER):
            return
        found = self._tables.executions.get(self._children.get(attempt.key))
        state = None if found is None else str(found.state)
        is_waited = found is not None and _is_waited(found)
        if is_waited and not found.state.is_final and attempt.reason != Reason.INTERRUPTED:
            self._fail(f"{attempt.key} has ended, its child {found.id} has not")
        if attempt.state == "succeeded":
            wanted = {"succeeded"} if is_waited else _ANY
            if state not in wanted:
                self._fail(f"{attempt.key} has succeeded, and its child is {state}")
        elif attempt.reason in _ENDS:
            if state != _ENDS[attempt.reason]:
                self._fail(f"{attempt.key} says {attempt.reason}, and its child is {state}")
            is_cut = found is not None and found.reason == "parent"
            if is_cut and not self._is_forgotten(attempt.key):
                self._fail(f"{attempt.key} was waiting, and its child was ended for it")

    def _is_forgotten(self, key: AttemptKey) -> bool:
        """Whether an earlier life may have ended the child for a bound that now lies ahead.

        Of an attempt without a `timeout` that is `finally_timeout`, and a clock that was set back.
        """
        node, flow = key.node, self._nodes.flow_of(self._tables.executions[key.execution])
        is_bounded = "timeout" in self._nodes.node_of(key.execution, node)
        return not is_bounded and node not in _names(flow) and self._nodes.saw_jump(key)

    def settles(self, node: NodeStatus) -> None:
        """Judges that no child goes on for which a node was waiting that is final."""
        if node.reason.startswith(_ON_PAPER):
            return
        for key, child in self._children_of(node.execution):
            if key.node != node.node:
                continue
            found = self._tables.executions[child]
            if _is_waited(found) and not found.state.is_final:
                self._fail(f"{node.node} of {node.execution} has ended, its child {child} has not")

    def look(self, *, is_calm: bool) -> None:
        """Judges what must have happened by now to who waits and who is waited for.

        Args:
            is_calm: Whether that can be expected: nobody stops, the disk has been well for a while.
        """
        now = self._now()
        for child, key in list(self._waited.items()):
            execution = self._tables.executions[child]
            is_asking = self._tables.attempts[key.execution][key].ended_at is None
            if execution.state.is_final and not is_asking:
                del self._waited[child]
                self._faults.pop(child, None)
                continue
            fault = self._fault(execution, key, is_asking=is_asking) if is_calm else ""
            known, since = self._faults.get(child, ("", now))
            if fault and fault == known and now - since > _GRACE_S:
                self._fail(fault)
            if fault != known:
                self._faults[child] = (fault, now)

    def _fault(self, child: Execution, key: AttemptKey, *, is_asking: bool) -> str:
        """Returns what is wrong with a child and who waits for it, if it stays so; else nothing."""
        if child.state.is_final:
            return f"the child {child.id} has ended, and {key} still waits for it"
        if child.reason:
            return ""
        parent = self._tables.executions[key.execution]
        is_over = bool(parent.reason) and key.node in _names(self._nodes.flow_of(parent))
        if not is_asking or is_over:
            final = self._tables.nodes.get(child.id, {})
            is_ending = child.started_at and all(
                n in final for n in _names(self._nodes.flow_of(child))
            )
            return "" if is_ending else f"nobody asks the child {child.id} to end with {key}"
        if child.state is ExecutionState.QUEUED and not self._is_held_up(child):
            return f"the child {child.id} waits, and nobody is in its way"
        return ""

    def _is_held_up(self, execution: Execution) -> bool:
        group = group_of(execution)
        return not self._lines.may_go(execution) or any(
            not each.state.is_final and each.id != execution.id and group_of(each) == group
            for each in self._tables.executions.values()
        )

    def _above(self, child: Execution) -> Iterator[Execution]:
        while child.parent is not None and child.parent.is_waited:
            child = self._tables.executions[child.parent.attempt.execution]
            yield child

    def _children_of(self, parent: ExecutionId) -> list[tuple[AttemptKey, ExecutionId]]:
        return [each for each in self._children.items() if each[0].execution == parent]


def _names(flow: Mapping[str, Json]) -> list[str]:
    """Returns the nodes that a cancel ends: those of `finally` go on."""
    return [node["id"] for node in flow["nodes"]]


def _is_waited(child: Execution) -> bool:
    return child.parent is not None and child.parent.is_waited


_ANY = {str(state) for state in ExecutionState}
