"""What is foretold about nodes against the walk that the engine goes, over random outcomes.

The oracle is `GraphWalk` itself: nodes end at random, conditions are evaluated with its answers.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.definitions.build import build_flow
from flowrunner.definitions.checks.needs import NeedsGraph
from flowrunner.definitions.checks.reach import dead_nodes, foretold
from flowrunner.definitions.checks.texts import Texts
from flowrunner.engine.graph import GraphWalk
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import NodeStatus
from flowrunner.model.expressions import Expression, truth, uses_status_function
from flowrunner.model.flow import FlowSpec, NodeSpec
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.states import NodeState, Reason
from tests.fakes.nodes import builtin_nodes

CATALOG = builtin_nodes()
CONDITIONS = (
    *("false", "true", "inputs.x", "!inputs.x", "1 == 2", "inputs.x && false", "inputs.x || true"),
    *("success()", "failure()", "always()", "skipped()", "cancelled()", "!success()"),
    *("!failure()", "failure() && inputs.x", "success() || failure()", "!skipped() && success()"),
)
ROUNDS = 60
"""Random executions of each graph."""


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Json]]:
    nodes: list[dict[str, Json]] = []
    for index in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from([{"run": "x"}, {"run": "x"}, {"type": "fail"}]))
        raw: dict[str, Json] = {"id": f"n{index}", **kind}
        if "type" in kind:
            raw["params"] = {"message": "m"}
        if draw(st.booleans()):
            raw["if"] = draw(st.sampled_from(CONDITIONS))
        if index and draw(st.booleans()):
            names = [node["id"] for node in nodes]
            raw["needs"] = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
        nodes.append(raw)
    return nodes


class Answers:
    """The scope of a condition: what the walk says, and a random input."""

    def __init__(self, walk: GraphWalk, node: NodeSpec, *, x: bool) -> None:
        self._walk, self._node, self._x = walk, node, x

    def lookup(self, name: str) -> Json:
        return {"inputs": {"x": self._x}}[name]

    def status(self, name: str) -> bool:
        known = {
            "success": self._walk.success,
            "failure": self._walk.failure,
            "skipped": self._walk.skipped,
        }
        return known[name](self._node) if name in known else name == "always"

    def now(self) -> datetime:
        return datetime(2027, 3, 1, tzinfo=UTC)


def started(spec: FlowSpec, chance: random.Random) -> set[str]:
    """Returns the nodes that start in one random execution, by the rules of the engine."""
    walk, begun = GraphWalk(spec.nodes), set()
    ready = list(walk.ready())
    x = chance.random() < 0.5
    while ready:
        node = ready.pop(chance.randrange(len(ready)))
        state, reason = _decided(walk, node, x=x)
        if state is NodeState.RUNNING:
            begun.add(node.id)
            is_good = node.type != "fail" and chance.random() < 0.6
            state = NodeState.SUCCEEDED if is_good else NodeState.FAILED
        status = NodeStatus(execution=ExecutionId("e"), node=node.id, state=state, reason=reason)
        ready.extend(walk.settle(status))
    return begun


def _decided(walk: GraphWalk, node: NodeSpec, *, x: bool) -> tuple[NodeState, str]:
    expression = node.condition.expressions[0] if node.condition else None
    if not _asks(expression) and not walk.success(node):
        return NodeState.SKIPPED, Reason.NEEDS
    try:
        wanted = expression is None or truth(expression.evaluate(Answers(walk, node, x=x)))
    except ExecutionError:
        return NodeState.FAILED, "if"
    return (NodeState.RUNNING, "") if wanted else (NodeState.SKIPPED, Reason.IF_FALSE)


def _asks(expression: Expression | None) -> bool:
    return expression is not None and uses_status_function(expression)


@given(graphs(), st.integers(0, 2**32))
def test_node_that_starts_is_never_called_dead(nodes: list[dict[str, Json]], seed: int) -> None:
    """Whatever ends how: no node that the engine would start has the warning."""
    definition = {"version": 1, "name": "x", "nodes": nodes}
    spec = build_flow(FlowKey("default", "x"), Digest("d"), definition, CATALOG)
    chance = random.Random(seed)
    dead = {nodes[found.index]["id"] for found in dead_nodes(nodes, NeedsGraph(nodes), Texts())}

    begun = set().union(*(started(spec, chance) for _ in range(ROUNDS)))
    assert not begun & dead


@given(graphs())
def test_condition_that_is_never_true_is_found(nodes: list[dict[str, Json]]) -> None:
    """Whatever stands around it: a node whose own condition is never true has the warning."""
    never = {raw["id"] for raw in nodes if raw.get("if") in ("false", "1 == 2", "cancelled()")}

    assert never <= {
        nodes[found.index]["id"] for found in dead_nodes(nodes, NeedsGraph(nodes), Texts())
    }


@given(graphs())
def test_nodes_that_may_succeed_by_themselves_are_all_alive(nodes: list[dict[str, Json]]) -> None:
    """What is told without a look at needs is what a look at them tells."""
    graph = NeedsGraph(nodes)
    assert list(dead_nodes(nodes, graph, Texts())) == list(foretold(nodes, graph, Texts()))
