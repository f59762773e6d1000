"""Circles of flows against plain reachability, and what plans put in force over many passes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.links import Graph, circles, graph_of, links_of, way
from tests.fakes.definitions import key_of
from tests.unit.reconcile.sources import Source, linked

NAMES = "abcdef"
Edges = dict[str, list[str]]
edges = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
)
uses = st.sampled_from(["waits_for", "starts", "follows"])
groups = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["x", "y"]))


def graph(found: Edges) -> Graph:
    return {key_of(name): [key_of(other) for other in others] for name, others in found.items()}


def reached(found: Graph, start: FlowKey) -> set[FlowKey]:
    """Returns all that can be reached over at least one link, the slow way."""
    seen: set[FlowKey] = set()
    for _ in NAMES:
        seen |= {other for key in (start, *seen) for other in found.get(key, ())}
    return seen


@given(edges)
def test_circles_are_the_sets_that_reach_themselves(found: Edges) -> None:
    """Flows are in one circle exactly when each can be reached from the other."""
    links = graph(found)
    after = {key_of(name): reached(links, key_of(name)) for name in NAMES}
    expected = {
        frozenset(other for other in after[key] if key in after[other])
        for key in after
        if key in after[key]
    }

    assert set(circles(links)) == expected
    assert len(circles(links)) == len(expected)


@given(edges, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_way_is_one(found: Edges, start: str, end: str) -> None:
    """There is a way exactly to what can be reached, over links that are there."""
    links = graph(found)
    every = {key_of(name) for name in NAMES}
    keys = way(links, key_of(start), {key_of(end)}, every)

    assert bool(keys) == (key_of(end) in reached(links, key_of(start)))
    if keys:
        assert (keys[0], keys[-1]) == (key_of(start), key_of(end))
        assert all(b in links[a] for a, b in pairwise(keys))


@given(st.lists(st.tuples(edges, uses, groups), min_size=1, max_size=4))
def test_no_pass_puts_a_circle_in_force(passes: list[tuple[Edges, str, dict[str, str]]]) -> None:
    """However flows come and change: those in force never start each other in a circle."""
    source = Source()
    for found, use, groups_in in passes:
        files = [
            linked(
                name,
                **{use: tuple(found.get(name, ()))},
                **({"group": groups_in[name]} if name in groups_in else {}),
            )
            for name in NAMES
        ]
        source.plan({}, *files)
        specs = {key: entry.spec for key, entry in source.observed.items() if entry.spec}
        assert circles(graph_of(links_of(specs))) == []
        waited = graph_of(link for link in links_of(specs) if link.is_waited)
        for key, spec in specs.items():
            group = spec.references.group
            held = {specs[other].references.group for other in reached(waited, key)}
            assert group is None or group not in held
