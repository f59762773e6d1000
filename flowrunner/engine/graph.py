"""The walk over a flow's graph: what is ready, what is skipped, what the status functions say.

Pure: it holds the states of one execution's nodes and answers questions. The run asks, starts
nodes, and reports their ends back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from flowrunner.model.execution import NodeStatus
from flowrunner.model.flow import FlowSpec, NodeSpec
from flowrunner.model.states import NodeState, Reason


class GraphWalk:
    """States of the nodes of one execution, moving forward only."""

    def __init__(self, spec: FlowSpec) -> None:
        self._specs = {node.id: node for node in spec.nodes}
        self._dependants: dict[str, list[str]] = {node.id: [] for node in spec.nodes}
        self._open_needs = {node.id: len(set(node.needs)) for node in spec.nodes}
        for node in spec.nodes:
            for need in set(node.needs):
                self._dependants[need].append(node.id)
        self.states: dict[str, NodeState] = dict.fromkeys(self._specs, NodeState.PENDING)
        self.final: dict[str, NodeStatus] = {}
        self._upstream = cache(self._find_upstream)

    def first(self) -> list[NodeSpec]:
        """Returns the nodes that need nothing."""
        return [self._specs[name] for name, count in self._open_needs.items() if not count]

    def settle(self, status: NodeStatus) -> list[NodeSpec]:
        """Records a final node and returns those whose needs are now all final."""
        self.states[status.node] = status.state
        self.final[status.node] = status
        ready = []
        for name in self._dependants[status.node]:
            self._open_needs[name] -= 1
            if not self._open_needs[name] and not self.states[name].is_final:
                ready.append(self._specs[name])
        return ready

    def open_nodes(self) -> Iterator[str]:
        """Yields the nodes that are not final, in the order of the flow."""
        return (name for name, state in self.states.items() if not state.is_final)

    def success(self, node: NodeSpec) -> bool:
        """`success()`: no need failed, timed out, was cancelled, or passed a skip on."""
        return all(self._counts_as_success(need) for need in node.needs)

    def failure(self, node: NodeSpec) -> bool:
        """`failure()`: a node upstream, at any distance, failed or timed out."""
        return any(self.states[name].is_failure for name in self._upstream(node.id))

    def skipped(self, node: NodeSpec) -> bool:
        """`skipped()`: a direct need was skipped."""
        return any(self.states[need] is NodeState.SKIPPED for need in node.needs)

    def upstream(self, node: NodeSpec) -> frozenset[str]:
        """Returns every node above, at any distance."""
        return self._upstream(node.id)

    def _counts_as_success(self, name: str) -> bool:
        status = self.final[name]
        if status.state is NodeState.SKIPPED:
            return status.reason == Reason.IF_FALSE
        return status.state is NodeState.SUCCEEDED

    def _find_upstream(self, name: str) -> frozenset[str]:
        found: set[str] = set()
        pending = list(self._specs[name].needs)
        while pending:
            need = pending.pop()
            if need not in found:
                found.add(need)
                pending.extend(self._specs[need].needs)
        return frozenset(found)
