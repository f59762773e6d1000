"""Judges nodes: when their processes begin, what they come to, and how they are counted.

What is durable is compared with `semantics.py`, which reads the flow as it was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flowrunner.model.execution import Attempt, Execution
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, Json
from tests.simulation.retrying import Try, least_delay_s, seconds
from tests.simulation.semantics import Case, Seen, graph_of, misfits

_ROUNDING_S = 0.001
_LATE_S = 1.0
"""How long after its time is up an execution may still begin what a thread had begun."""
_SETTLING_S = 10.0
"""How long before a start is seen its wall clock time may have been read."""


class NodeJudge:
    """Knows every flow that was ever written.

    Args:
        tables: What is durable.
        now: The monotonic time, in seconds.
        wall: The time of the clock on the wall.
        fail: Called with what does not hold.

    Attributes:
        forced: Executions whose `finally` somebody wanted to be left out.
        told_forced: Those of whom somebody was told so.
        counted: Ends of attempts committed in this life, by type of node and state.
    """

    def __init__(
        self,
        tables: Any,
        now: Callable[[], float],
        wall: Callable[[], datetime],
        fail: Callable[[str], None],
    ) -> None:
        self.forced: set[ExecutionId] = set()
        self.told_forced: set[ExecutionId] = set()
        self.counted = Counter[tuple[str, str]]()
        self._tables = tables
        self._now = now
        self._wall = wall
        self._fail = fail
        self._flows: dict[Digest, Mapping[str, Json]] = {}
        self._jumps: list[float] = []
        self._jumps_at_start: dict[ExecutionId, int] = {}
        self._jumps_at_end: dict[AttemptKey, int] = {}

    def knows(self, digest: Digest, flow: Mapping[str, Json]) -> None:
        """Learns what was written."""
        self._flows[digest] = flow

    def jumps(self) -> None:
        """Learns that the clock on the wall was set: what it measures over that is not judged."""
        self._jumps.append(self._now())

    def starts(self, execution: Execution) -> None:
        """Learns that an execution has begun."""
        is_settled = not self._jumps or self._now() - self._jumps[-1] > _SETTLING_S
        self._jumps_at_start.setdefault(execution.id, len(self._jumps) if is_settled else -1)

    def attempt_ends(self, attempt: Attempt) -> None:
        """Learns of an end at the moment at which it is, before it is durable."""
        self._jumps_at_end[attempt.key] = len(self._jumps)

    def is_told_cancelled(self, execution_id: ExecutionId, *, is_forced: bool) -> None:
        """Judges the answer to a cancel: a crash must not forget it."""
        if is_forced:
            self.told_forced.add(execution_id)
        known = self._tables.executions[execution_id]
        if known.state.is_final or known.reason:
            return
        flow = self._flows[known.digest]
        final = self._tables.nodes.get(execution_id, {})
        if not all(node["id"] in final for node in flow["nodes"]):
            self._fail(f"{execution_id} was said to be cancelled, and that is not durable")

    def spawns(self, execution_id: ExecutionId, name: str, number: int) -> None:
        """Judges whether the time of a process has come, and is not over."""
        execution = self._tables.executions[execution_id]
        flow, graph = self._flows[execution.digest], graph_of(self._flows[execution.digest])
        final = self._tables.nodes.get(execution_id, {})
        is_last = name in graph.finals
        if is_last and execution_id in self.told_forced:
            self._fail(f"{name} of {execution_id} begins, and its finally was to be left out")
        before = [*graph.needs[name], *(graph.nodes if is_last else ())]
        missing = [need for need in before if need not in final]
        if missing:
            self._fail(f"{name} of {execution_id} begins before {missing[0]} is final")
        node = graph.finals[name] if is_last else graph.nodes[name]
        self._judge_delay(execution_id, node, number)
        if not is_last and "timeout" in flow:
            self._judge_bound(execution, seconds(flow["timeout"]))

    def _judge_delay(
        self, execution_id: ExecutionId, node: Mapping[str, Json], number: int
    ) -> None:
        earlier = self._attempts(execution_id, node["id"])[: number - 1]
        if not earlier or self._jumps_at_end.get(earlier[-1].key) != len(self._jumps):
            return
        passed_s = (self._wall() - (earlier[-1].ended_at or self._wall())).total_seconds()
        least_s = least_delay_s(node, list(map(_try_of, earlier)))
        if passed_s < least_s - _ROUNDING_S:
            self._fail(
                f"attempt {number} of {node['id']} begins {passed_s:.3f} s after the one before, "
                f"not after {least_s:.3f} s"
            )

    def _judge_bound(self, execution: Execution, bound_s: float) -> None:
        if self._jumps_at_start.get(execution.id) != len(self._jumps) or not execution.started_at:
            return
        passed_s = (self._wall() - execution.started_at).total_seconds()
        if passed_s > bound_s + _LATE_S:
            self._fail(
                f"{execution.id} begins a node {passed_s:.3f} s after its start, its timeout "
                f"is {bound_s:g} s"
            )

    def finishes(self, attempt: Attempt) -> None:
        """Counts the end of an attempt that becomes durable."""
        flow = self._flows[self._tables.executions[attempt.key.execution].digest]
        if attempt.ended_at is not None:
            nodes = [*flow["nodes"], *flow.get("finally", ())]
            (node,) = (each for each in nodes if each["id"] == attempt.key.node)
            self.counted[node.get("type", "shell"), str(attempt.state)] += 1

    def ends(self, execution: Execution, known: Execution) -> None:
        """Judges all nodes of an execution that has begun and ends now."""
        flow, final = self._flows[execution.digest], self._tables.nodes.get(execution.id, {})
        missing = [name for name in graph_of(flow).needs if name not in final]
        if missing:
            self._fail(f"{execution.id} has ended, and its node {missing[0]} has not")
        nodes = {
            name: Seen(
                state=str(status.state),
                reason=status.reason,
                chosen=(status.outputs or {}).get("chosen"),
                tries=[_try_of(each) for each in self._attempts(execution.id, name)],
            )
            for name, status in final.items()
        }
        case = Case(
            flow=flow,
            nodes=nodes,
            asked=known.reason,
            is_forced=execution.id in self.forced,
            state=str(execution.state),
        )
        for misfit in misfits(case):
            self._fail(f"{execution.id} has ended, {misfit}")

    def _attempts(self, execution_id: ExecutionId, node: str) -> list[Attempt]:
        known = self._tables.attempts.get(execution_id, {}).values()
        return sorted(
            (each for each in known if each.key.node == node), key=lambda each: each.key.number
        )


def _try_of(attempt: Attempt) -> Try:
    return Try(state=str(attempt.state), reason=attempt.reason, exit_code=attempt.exit_code)
