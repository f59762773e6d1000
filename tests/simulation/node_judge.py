"""Judges nodes: when their processes begin, what they come to, and how they are counted.

What is durable is compared with `semantics.py`, which reads the flow as it was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flowrunner.model.execution import Attempt, Execution, NodeStatus
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, Json
from tests.simulation.item_judge import judge_begin, judge_repeat
from tests.simulation.many import Items
from tests.simulation.retrying import Try, least_delay_s, seconds
from tests.simulation.semantics import Case, Seen, graph_of, misfits

_ROUNDING_S = 0.001
_COMMIT_S = 0.2
"""How much later than an attempt its begin may be durable."""
_LATE_S = 1.0
"""How long after its time is up an execution may still begin what a thread had begun."""
_SETTLING_S = 10.0
"""How long before a start is seen its wall clock time may have been read, and a restart takes."""


class NodeJudge:
    """Knows every flow that was ever written.

    Args:
        tables: What is durable.
        now: The monotonic time, in seconds.
        wall: The time of the clock on the wall.
        fail: Called with what does not hold.

    Attributes:
        wished: Executions that somebody wanted to be cancelled.
        forced: Those whose `finally` was to be left out.
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
        self.wished: set[ExecutionId] = set()
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
        self._waits: dict[AttemptKey, tuple[float, int]] = {}
        self._life_began = 0.0

    def life_begins(self) -> None:
        """Notes when that was."""
        self._life_began = self._now()

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

    def flow_of(self, execution: Execution) -> Mapping[str, Json]:
        """Returns the text of the version that an execution runs."""
        return self._flows[execution.digest]

    def names_of(self, execution_id: ExecutionId) -> list[str]:
        """Returns the nodes of an execution's version, without those of `finally`."""
        return [node["id"] for node in self.flow_of(self._tables.executions[execution_id])["nodes"]]

    def node_of(self, execution_id: ExecutionId, name: str) -> Mapping[str, Json]:
        """Returns the text of a node of an execution."""
        flow = self._flows[self._tables.executions[execution_id].digest]
        nodes: list[Mapping[str, Json]] = [*flow["nodes"], *flow.get("finally", ())]
        (node,) = (each for each in nodes if each["id"] == name)
        return node

    def spawns(self, attempt: AttemptKey) -> None:
        """Judges whether the time of a process has come, and is not over."""
        execution_id, name = attempt.execution, attempt.node
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
        self._judge_delay(attempt, node)
        if not is_last and "timeout" in flow:
            self._judge_bound(execution, seconds(flow["timeout"]))

    def _judge_delay(self, attempt: AttemptKey, node: Mapping[str, Json]) -> None:
        known, number = self._attempts(attempt.execution, attempt.node), attempt.number
        earlier = [each for each in known.get(attempt.item_index, ()) if each.key.number < number]
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

    def begins(self, attempt: Attempt, *, is_calm: bool) -> None:
        """Judges a begin that becomes durable: of items, is it the turn of this one?

        Args:
            attempt: It.
            is_calm: Whether the disk has been well in this life.
        """
        node = self.node_of(attempt.key.execution, attempt.key.node)
        self._waits.setdefault(attempt.key, (self._now(), len(self._jumps)))
        if "foreach" in node:
            known = self._attempts(attempt.key.execution, attempt.key.node)
            for told in judge_begin(node, attempt, known, is_calm=is_calm):
                self._fail(f"{_name(attempt)} {told}")

    def finishes(self, attempt: Attempt, *, is_calm: bool) -> None:
        """Counts the end of an attempt that becomes durable; an item's last one has no other.

        Args:
            attempt: It.
            is_calm: Whether the disk has been well in this life.
        """
        node = self.node_of(attempt.key.execution, attempt.key.node)
        if attempt.ended_at is None:
            return
        self.counted[node.get("type", "shell"), str(attempt.state)] += 1
        if "for" in node.get("params", {}) and attempt.state == "succeeded":
            self._judge_wait(attempt, seconds(node["params"]["for"]), is_calm=is_calm)
        if "foreach" in node:
            known = self._attempts(attempt.key.execution, attempt.key.node)
            for told in judge_repeat(attempt, known):
                self._fail(f"{_name(attempt)} {told}")

    def _judge_wait(self, attempt: Attempt, least_s: float, *, is_calm: bool) -> None:
        """Judges how long a wait took: not longer for a restart, but as long as that took."""
        began, jumps = self._waits[attempt.key]
        if jumps != len(self._jumps):
            return
        if self._jumps and began - self._jumps[-1] <= _SETTLING_S:
            return  # it may have begun before the jump, and have become durable after it
        passed_s, most_s = self._now() - began, max(least_s, self._life_began - began)
        if passed_s < least_s - _COMMIT_S or (is_calm and passed_s > most_s + _SETTLING_S):
            self._fail(f"the wait {attempt.key} took {passed_s:.3f} s, not {least_s:g} s")

    def saw_jump(self, attempt: AttemptKey) -> bool:
        """Whether the clock on the wall was set since an attempt has begun."""
        return self._waits[attempt][1] != len(self._jumps)

    def ends(self, execution: Execution, known: Execution) -> None:
        """Judges all nodes of an execution that has begun and ends now."""
        flow, final = self._flows[execution.digest], self._tables.nodes.get(execution.id, {})
        missing = [name for name in graph_of(flow).needs if name not in final]
        if missing:
            self._fail(f"{execution.id} has ended, and its node {missing[0]} has not")
        case = self.case_of(execution, asked=known.reason)
        for misfit in misfits(case):
            self._fail(f"{execution.id} has ended, {misfit}")

    def case_of(self, execution: Execution, *, asked: str = "") -> Case:
        """Returns an ended execution as the model judges it."""
        final = self._tables.nodes.get(execution.id, {})
        return Case(
            flow=self._flows[execution.digest],
            nodes={name: self._seen(execution.id, status) for name, status in final.items()},
            asked=asked,
            is_forced=self._is_forced(execution),
            is_wished=execution.id in self.wished,
            state=str(execution.state),
        )

    def _is_forced(self, execution: Execution) -> bool:
        """Whether a cancel by force may have reached an execution, from whomever waits for it."""
        if execution.id in self.forced:
            return True
        parent = execution.parent
        above = self._tables.executions.get(parent.attempt.execution) if parent else None
        return bool(parent and parent.is_waited and above and self._is_forced(above))

    def _seen(self, execution_id: ExecutionId, status: NodeStatus) -> Seen:
        attempts = self._attempts(execution_id, status.node)
        tries = {index: list(map(_try_of, known)) for index, known in attempts.items()}
        if "foreach" not in self.node_of(execution_id, status.node):
            return Seen(
                state=str(status.state),
                reason=status.reason,
                chosen=(status.outputs or {}).get("chosen"),
                tries=tries.get(0, ()),
            )
        at_fault = status.error.details.get("item_index") if status.error else None
        outputs = status.outputs if isinstance(status.outputs, list) else None
        given = None if outputs is None else [each is not None for each in outputs]
        return Seen(
            state=str(status.state),
            reason=status.reason,
            tries=() if at_fault is None else tries.get(at_fault, ()),
            items=Items(tries=tries, outputs=given, at_fault=at_fault),
        )

    def _attempts(self, execution_id: ExecutionId, node: str) -> dict[int, list[Attempt]]:
        """Returns the attempts of each item of a node; without items there is one, 0."""
        found: dict[int, list[Attempt]] = {}
        known = self._tables.attempts.get(execution_id, {})
        for key in sorted(key for key in known if key.node == node):
            found.setdefault(key.item_index, []).append(known[key])
        return found


def _name(attempt: Attempt) -> str:
    key = attempt.key
    return f"attempt {key.number} of item {key.item_index} of {key.node} of {key.execution}"


def _try_of(attempt: Attempt) -> Try:
    return Try(state=str(attempt.state), reason=attempt.reason, exit_code=attempt.exit_code)
