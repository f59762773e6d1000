"""Promises of `flowrunner.definitions.checks.needs`: who comes before whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.definitions.checks.needs import NeedsGraph

Edges = dict[int, list[int]]


def graph(edges: Edges) -> NeedsGraph:
    return NeedsGraph(
        [{"id": f"n{node}", "needs": [f"n{n}" for n in edges[node]]} for node in edges]
    )


def reached(edges: Edges, start: int) -> set[int]:
    """Returns all that can be reached over at least one edge, the slow way."""
    found: set[int] = set()
    for _ in edges:
        found |= {need for node in (start, *found) for need in edges[node]}
    return found


@st.composite
def edges_of_graphs(draw: st.DrawFn) -> Edges:
    count = draw(st.integers(1, 8))
    needs = st.lists(st.integers(0, count - 1), max_size=4, unique=True)
    return {node: draw(needs) for node in range(count)}


@st.composite
def edges_without_cycles(draw: st.DrawFn) -> Edges:
    edges = draw(edges_of_graphs())
    order = draw(st.permutations(list(edges)))
    place = {node: index for index, node in enumerate(order)}
    return {node: [n for n in needs if place[n] < place[node]] for node, needs in edges.items()}


@given(edges_without_cycles())
def test_comes_before_is_being_reached(edges: Edges) -> None:
    """Without cycles a node comes before another exactly when needs lead to it."""
    nodes = graph(edges)

    for second in edges:
        before = {first for first in edges if nodes.comes_before(first, second)}
        assert before == reached(edges, second)
    assert nodes.cycles() == []


@given(edges_of_graphs())
def test_cycle_is_found_exactly_when_there_is_one(edges: Edges) -> None:
    """Every cycle told is one, none is told twice, and none is told where there is none."""
    cycles = graph(edges).cycles()

    for cycle in cycles:
        assert cycle[0] == min(cycle)
        assert len(set(cycle)) == len(cycle)
        assert all(
            need in edges[node] for node, need in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        )
    assert len({tuple(cycle) for cycle in cycles}) == len(cycles)
    assert bool(cycles) == any(node in reached(edges, node) for node in edges)


def test_name_stands_for_the_first_node_that_has_it() -> None:
    """A second node of the same id, a fault of its own, makes no cycle of the first."""
    nodes = NeedsGraph([{"id": "a"}, {"id": "a"}, {"id": "b"}])

    assert nodes.cycles() == []
    assert nodes.comes_before(0, 1)
    assert nodes.comes_before(0, 2)


def test_needs_of_unknown_nodes_are_left_out() -> None:
    """A need without a node is told elsewhere and leads nowhere."""
    nodes = NeedsGraph([{"id": "a", "needs": ["nope"]}, {"id": "b"}])

    assert nodes.comes_before(0, 1)
    assert nodes.cycles() == []


def test_cycles_told_are_bounded() -> None:
    """Of very many cycles a hundred are told."""
    everyone = [f"n{number}" for number in range(200)]
    nodes = NeedsGraph([{"id": name, "needs": everyone} for name in everyone])

    assert len(nodes.cycles()) == 100
