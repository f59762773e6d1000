"""The walk over a flow's graph: what is ready, what is skipped, what the status functions say.

Pure: it holds the states of one execution's nodes and answers questions. The run asks, starts
nodes, and reports their ends back. Everything costs time linear in the edges of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flowrunner.model.execution import NodeStatus
from flowrunner.model.flow import NodeSpec
from flowrunner.model.states import NodeState, Reason

_RAN = frozenset({NodeState.SUCCEEDED, NodeState.FAILED, NodeState.TIMED_OUT})


class GraphWalk:
    """States of some nodes of one execution, moving forward only.

    Attributes:
        states: Where each node stands, in the order of the flow.
        final: The nodes that have ended, in the order in which they did.
    """

    def __init__(self, nodes: Sequence[NodeSpec]) -> None:
        self._specs = {node.id: node for node in nodes}
        self._dependants: dict[str, list[str]] = {node.id: [] for node in nodes}
        self._open_needs = {node.id: len(node.needs) for node in nodes}
        for node in nodes:
            for need in node.needs:
                self._dependants[need].append(node.id)
        self._below_failure: set[str] = set()
        self.states: dict[str, NodeState] = dict.fromkeys(self._specs, NodeState.PENDING)
        self.final: dict[str, NodeStatus] = {}

    def forget(self) -> None:
        """Lets go of all nodes; the walk is of no use afterwards."""
        for known in (self._specs, self._dependants, self._open_needs, self.states, self.final):
            known.clear()

    @property
    def is_complete(self) -> bool:
        """Whether every node is final."""
        return len(self.final) == len(self._specs)

    def take_over(self, statuses: Iterable[NodeStatus]) -> None:
        """Records nodes that were final before the walk began; those of others are left out."""
        for status in statuses:
            if status.node in self._specs:
                self.settle(status)

    def ready(self) -> list[NodeSpec]:
        """Returns the nodes that are not final though all their needs are."""
        return [self._specs[name] for name in self.open_nodes() if not self._open_needs[name]]

    def settle(self, status: NodeStatus) -> list[NodeSpec]:
        """Records a final node and returns those whose needs are now all final."""
        node = status.node
        self.states[node] = status.state
        self.final[node] = status
        if self.has_failed(status) or node in self._below_failure:
            self._below_failure.update(self._dependants[node])
        ready = []
        for name in self._dependants[node]:
            self._open_needs[name] -= 1
            if not self._open_needs[name] and name not in self.final:
                ready.append(self._specs[name])
        return ready

    def spec(self, name: str) -> NodeSpec:
        """Returns a node as its flow has it."""
        return self._specs[name]

    def open_nodes(self) -> Iterator[str]:
        """Yields the nodes that are not final, in the order of the flow."""
        return (name for name in self.states if name not in self.final)

    def success(self, node: NodeSpec) -> bool:
        """`success()`: no need failed, timed out, was cancelled, or passed a skip on."""
        return self.obstacle(node) is None

    def obstacle(self, node: NodeSpec) -> Reason | None:
        """Returns what its needs pass on to a node that does not ask for their states, or None.

        `NOT_CHOSEN` travels as far as it meets nodes without a need that ran.
        """
        if self.is_left_out(node):
            return Reason.NOT_CHOSEN
        lacking = self.lacking(node)
        if not lacking:
            return None
        if any(status.reason != Reason.NOT_CHOSEN for status in lacking):
            return Reason.NEEDS
        has_run = any(self.states[need] in _RAN for need in node.needs)
        return None if has_run else Reason.NOT_CHOSEN

    def lacking(self, node: NodeSpec) -> list[NodeStatus]:
        """Returns the ends of those of its needs that do not count as a success."""
        return [self.final[need] for need in node.needs if not self._counts_as_success(need)]

    def is_left_out(self, node: NodeSpec) -> bool:
        """Whether every switch that names a node has chosen, and none of them this one.

        A switch that was skipped by its own `if`, or failed with `continue_on_error`, has chosen
        nobody. One that failed or was left out itself has made no choice.
        """
        if not node.chosen_by or not all(map(self._counts_as_success, node.chosen_by)):
            return False
        outputs = [self.final[switch].outputs or {} for switch in node.chosen_by]
        return all(each.get("chosen") != node.id for each in outputs)

    def failure(self, node: NodeSpec) -> bool:
        """`failure()`: a node upstream, at any distance, failed or timed out untolerated."""
        return node.id in self._below_failure

    def skipped(self, node: NodeSpec) -> bool:
        """`skipped()`: a direct need was skipped."""
        return any(self.states[need] is NodeState.SKIPPED for need in node.needs)

    def all_succeeded(self) -> bool:
        """`success()` in `finally`: no node failed untolerated, timed out or was cancelled."""
        ends = self.final.values()
        return not self.any_failed() and all(s.state is not NodeState.CANCELLED for s in ends)

    def any_failed(self) -> bool:
        """`failure()` in `finally`: a node failed or timed out untolerated."""
        return any(self.has_failed(status) for status in self.final.values())

    def any_skipped(self) -> bool:
        """`skipped()` in `finally`: a node was skipped."""
        return NodeState.SKIPPED in self.states.values()

    def has_failed(self, status: NodeStatus) -> bool:
        """Whether a node failed or timed out without `continue_on_error`."""
        return status.state.is_failure and not self._specs[status.node].continue_on_error

    def _counts_as_success(self, name: str) -> bool:
        status = self.final[name]
        if status.state is NodeState.SKIPPED:
            return status.reason == Reason.IF_FALSE
        if status.state.is_failure:
            return self._specs[name].continue_on_error
        return status.state is NodeState.SUCCEEDED
