"""Promises of the warning FR502: nodes that no execution can start, and no others."""

from __future__ import annotations

import pytest

from flowrunner.definitions.checks.needs import NeedsGraph
from flowrunner.definitions.checks.reach import dead_nodes
from flowrunner.definitions.checks.texts import Texts
from flowrunner.model.ids import Json
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
STOP = {"id": "stop", "type": "fail", "params": {"message": "x"}}


def node(name: str, **keys: Json) -> dict[str, Json]:
    return {"id": name, "run": "x", **keys}


def dead(*nodes: dict[str, Json]) -> list[str]:
    """Returns the ids of the nodes that never start."""
    return [
        str(nodes[found.index]["id"])
        for found in dead_nodes(list(nodes), NeedsGraph(list(nodes)), Texts())
    ]


@pytest.mark.parametrize(
    "condition",
    [
        *("failure()", "always()", "!success()", "failure() || cancelled()", "skipped()"),
        *("inputs.x", "inputs.x && failure()", "!cancelled()", "nodes.stop.state == 'failed'"),
    ],
)
def test_status_functions_reach_a_node_behind_a_fail(condition: str) -> None:
    """A node that asks for the state of its needs may run after a fail node."""
    alive = condition.count("()") > 0
    assert dead(STOP, node("after", **{"if": condition})) == ([] if alive else ["after"])


@pytest.mark.parametrize(
    "stop",
    [
        {**STOP, "if": "inputs.x"},
        {**STOP, "if": False},
        {**STOP, "continue_on_error": True},
        {**STOP, "continue_on_error": "${{ inputs.x }}"},
        {**STOP, "type": "noop"},
    ],
)
def test_fail_that_may_count_as_success_blocks_nobody(stop: dict[str, Json]) -> None:
    """A fail node that its own `if` skips, or that may continue, lets those behind it run."""
    assert "after" not in dead(stop, node("after"))


def test_skipped_by_its_own_if_counts_as_success() -> None:
    """Behind a node that never runs because of its own `if` everything goes on."""
    assert dead(node("off", **{"if": False}), node("after"), node("last")) == ["off"]


def test_skip_by_needs_is_passed_on() -> None:
    """Behind a node that never runs because of its needs nothing runs, until somebody asks."""
    nodes = (STOP, node("a"), node("b"), node("c", **{"if": "always()"}), node("d"))

    assert dead(*nodes) == ["a", "b"]


def test_node_beside_a_fail_runs() -> None:
    """Only a path through the fail node is blocked."""
    assert dead(STOP, node("beside", needs=[]), node("both", needs=["beside", "stop"])) == ["both"]


def test_success_that_is_certain_makes_its_denial_dead() -> None:
    """Where all needs count as success whatever happens, `!success()` is never true."""
    assert dead(node("off", **{"if": False}), node("b", **{"if": "!success()"})) == ["off", "b"]


@pytest.mark.parametrize("condition", ["now() > 5", "1 < 'x'", "((", "from_json('{') == 1"])
def test_condition_that_cannot_be_foretold_is_not_judged(condition: str) -> None:
    """What is malformed, changes or fails when evaluated is not called dead."""
    assert dead(node("a", **{"if": condition})) == []


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([STOP, node("a", needs=["stop", "nope"])], id="unknown-need"),
        pytest.param([STOP, node("a", needs=["b", "stop"]), node("b")], id="cycle"),
        pytest.param([STOP, node("stop"), node("a", needs=["stop"])], id="duplicate"),
    ],
)
def test_graph_at_odds_is_not_judged(nodes: list[dict[str, Json]]) -> None:
    """Where needs are wrong anyway, no second finding guesses at what they would lead to."""
    assert dead(*nodes) == []


def switch(*cases: Json, default: str | None = None) -> dict[str, Json]:
    params = {"cases": [{"when": when, "goto": goto} for when, goto in cases]}
    return {
        "id": "s",
        "type": "switch",
        "params": params if default is None else {**params, "default": default},
    }


def test_target_behind_a_constant_case_is_dead() -> None:
    """A case that is never true chooses nobody; behind one that is always true nobody is chosen."""
    route = switch((False, "a"), ("inputs.x", "b"), ("1 == 1", "c"), ("inputs.y", "d"), default="e")

    assert dead(route, *(node(name) for name in "abcde")) == ["a", "d", "e"]


def test_target_named_by_a_live_case_too_is_alive() -> None:
    """One case that may choose a node is enough."""
    assert dead(switch((False, "a"), ("inputs.x", "a")), node("a")) == []


def test_join_behind_a_dead_branch_runs_by_the_other_one() -> None:
    """A branch that is not chosen passes on its skip only where no other need ran."""
    nodes = (switch((False, "a"), default="b"), node("a"), node("b"))

    assert dead(*nodes, node("join", needs=["a", "b"])) == ["a"]
    assert dead(*nodes, node("tail", needs=["a"]), node("join", needs=["tail", "b"])) == [
        "a",
        "tail",
    ]


def test_join_of_fail_branches_is_dead() -> None:
    """A node all of whose branches end in a fail node never runs, chosen as they may be."""
    one = {**STOP, "id": "one"}
    other = {**STOP, "id": "other"}
    join = node("join", needs=["one", "other"])

    assert dead(switch(("inputs.x", "one"), default="other"), one, other, join) == ["join"]


def test_doubtful_nodes_are_not_judged() -> None:
    """While the schema complains of nodes, nothing is said about which of them run."""
    text = "version: 1\nname: x\nnodes: [{id: a, run: x, if: false}, {id: b, run: 5}]\n"
    candidate = COMPILER.read(text.encode(), file="f", account="default")

    assert [finding.code for finding in candidate.findings] == ["FR203"]


def test_warning_lets_the_flow_in() -> None:
    """A node may be switched off on purpose: the flow is in force all the same."""
    text = "version: 1\nname: x\nnodes: [{id: a, run: x, if: false}]\n"
    candidate = COMPILER.read(text.encode(), file="f", account="default")

    assert [(f.code, f.is_error) for f in candidate.findings] == [("FR502", False)]
    assert candidate.spec is not None
