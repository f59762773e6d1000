"""Promises of the static rules of `switch`."""

from __future__ import annotations

import pytest

from flowrunner.definitions.build import resolved_needs
from flowrunner.model.ids import Json
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
HEAD = "version: 1\nname: example\nnodes:\n"
SWITCH = "  - {id: route, type: switch, params: {cases: [{when: vars.x, goto: a}], default: b}}\n"


def found(nodes: str) -> list[tuple[str, int, int, str]]:
    """Returns the findings of a flow with these nodes."""
    text = HEAD + nodes + "vars: {x: true}\n"
    candidate = COMPILER.read(text.encode(), file="f.yaml", account="default")
    return [(f.code, f.line, f.column, f.message) for f in candidate.findings]


def needs(nodes: str) -> dict[str, tuple[str, ...]]:
    """Returns the needs of a flow that compiles."""
    text = HEAD + nodes + "vars: {x: true}\n"
    spec = COMPILER.read(text.encode(), file="f.yaml", account="default").spec
    assert spec is not None
    return {node.id: node.needs for node in spec.nodes}


def test_target_without_needs_waits_for_the_switch_alone() -> None:
    """A node that a switch names does not wait for the branch that happens to stand above it."""
    join = "  - {id: join, run: x, needs: [a, b]}\n"

    assert needs(SWITCH + "  - {id: a, run: x}\n  - {id: b, run: x}\n" + join) == {
        "route": (),
        "a": ("route",),
        "b": ("route",),
        "join": ("a", "b"),
    }


def test_written_needs_of_a_target_stay() -> None:
    """What the author writes counts, also for a target that waits for more than its switch."""
    nodes = "  - {id: first, run: x}\n" + SWITCH
    nodes += "  - {id: a, run: x, needs: [route, first]}\n  - {id: b, run: x}\n"

    assert needs(nodes)["a"] == ("route", "first")
    assert needs(nodes)["b"] == ("route",)


def test_target_of_two_switches_waits_for_both() -> None:
    """A node that two switches may choose is decided about when both have chosen."""
    nodes: list[dict[str, Json]] = [
        {"id": "one", "type": "switch", "params": {"default": "t"}},
        {"id": "two", "type": "switch", "params": {"default": "t"}, "needs": []},
        {"id": "t", "run": "x"},
    ]

    assert resolved_needs(nodes) == [(), (), ("one", "two")]


def test_name_above_a_switch_changes_no_needs() -> None:
    """A `goto` upwards is a finding of its own and draws no cycle into the graph."""
    nodes = "  - {id: a, run: x}\n  - {id: mid, run: x}\n" + SWITCH + "  - {id: b, run: x}\n"

    assert found(nodes) == [
        ("FR313", 6, 69, "the node 'a' stands above the switch 'route'"),
    ]


@pytest.mark.parametrize(
    ("nodes", "finding"),
    [
        pytest.param(
            "  - {id: s, type: switch, params: {default: nope}}\n",
            ("FR302", 4, 45, "there is no node 'nope'"),
            id="unknown",
        ),
        pytest.param(
            "  - {id: s, type: switch, params: {default: s}}\n",
            ("FR313", 4, 45, "the switch 's' names itself"),
            id="itself",
        ),
        pytest.param(
            "  - {id: s, type: switch, params: {default: t}}\n  - {id: t, run: x, needs: []}\n",
            ("FR313", 4, 45, "the node 't' does not wait for the switch 's'"),
            id="does-not-wait",
        ),
        pytest.param(
            "  - {id: s, type: switch, params: {default: t}}\n"
            "  - {id: t, run: x}\n"
            "  - {id: after, run: x}\n",
            ("FR314", 6, 5, "the node 'after' follows 't', which a switch may leave out"),
            id="follows-a-target",
        ),
        pytest.param(
            "  - {id: s, type: switch, params: {default: t}}\n"
            "  - {id: t, run: x, needs: [u, s]}\n"
            "  - {id: u, run: x, needs: [t]}\n",
            ("FR303", 5, 28, "these nodes wait for each other: t → u → t"),
            id="cycle",
        ),
    ],
)
def test_mistake_of_a_switch(nodes: str, finding: tuple[str, int, int, str]) -> None:
    """Each mistake about targets is one finding at the very word."""
    assert found(nodes) == [finding]


def test_target_that_waits_for_the_switch_at_a_distance_is_fine() -> None:
    """A target may come after its switch by way of other nodes."""
    nodes = SWITCH + "  - {id: b, run: x}\n  - {id: mid, run: x, needs: [route]}\n"

    assert found(nodes + "  - {id: a, run: x, needs: [mid]}\n") == []


def test_expression_for_a_target_is_told_once() -> None:
    """A target is a literal name; an expression in its place is that finding alone."""
    nodes = "  - {id: s, type: switch, params: {default: '${{ vars.x }}'}}\n"

    assert [code for code, *_ in found(nodes)] == ["FR404"]


def test_unwritten_needs_are_not_told_where_the_schema_complains() -> None:
    """A node whose `needs` do not fit the schema is told that, and not that it has none."""
    nodes = "  - {id: s, type: switch, params: {default: t}}\n  - {id: t, run: x}\n"

    assert [code for code, *_ in found(nodes + "  - {id: u, run: x, needs: t}\n")] == ["FR203"]


def test_params_of_any_shape_name_nobody() -> None:
    """What is not a list of cases names no node, and nothing breaks."""
    odd: list[Json] = [None, [], {"cases": 5}, {"cases": [5, {"goto": 1}], "default": 2}]
    for params in odd:
        nodes = [{"id": "s", "type": "switch", "params": params}, {"id": "t", "run": "x"}]
        assert resolved_needs(nodes) == [(), ("s",)]
