"""What a retry from one node must take over of an ended execution: the model's own reading.

Source: docs/writing-flows.md and FLOW_FORMAT 4: a node keeps its result unless it is the one that
is named, did not end well, or comes after such a node; nodes of `finally` never do. Of a node that
is repeated for its own sake, the items that succeeded keep theirs.
"""

from __future__ import annotations

from flowrunner.model.execution import Kept
from tests.simulation.semantics import Case, graph_of

_FAILED = ("failed", "timed_out")


def misfit_of(kept: Kept, case: Case, start: str | None) -> str | None:
    """Returns what is wrong with what a retry keeps of an ended execution.

    Args:
        kept: It.
        case: The execution; one that was given up on paper may lack nodes.
        start: The node from which it was wanted; None: from the begin.
    """
    nodes, items = (set(), set()) if start is None else _kept_of(case, start)
    names = {status.node for status in kept.nodes}
    if names != nodes:
        return f"keeps {sorted(names)}, it must be {sorted(nodes)}"
    tries = {(each.key.node, each.key.item_index) for each in kept.attempts}
    if {each for each in tries if each[0] in case.nodes} != items:
        return f"keeps the items {sorted(tries)}, it must be {sorted(items)}"
    return None


def is_well_above(case: Case, start: str) -> bool:
    """Whether all that a node depends on has ended well, so that it may begin a retry."""
    graph = graph_of(case.flow)
    found, to_go = set[str](), [start]
    while to_go:
        name = to_go.pop()
        found.add(name)
        to_go.extend({*graph.needs[name], *graph.named_by.get(name, ())} - found)
    return all(_is_well(case, name) for name in found - {start})


def _kept_of(case: Case, start: str) -> tuple[set[str], set[tuple[str, int]]]:
    """Returns the nodes that keep their results, and of which items attempts are kept."""
    graph = graph_of(case.flow)
    anew = {start} | {name for name in graph.nodes if not _is_well(case, name)}
    items = set[tuple[str, int]]()
    for name in graph.nodes:  # what a node needs stands above it
        is_below = not anew.isdisjoint({*graph.needs[name], *graph.named_by.get(name, ())})
        if is_below:
            anew.add(name)
        if (seen := case.nodes.get(name)) is None:
            continue
        if name not in anew:
            begun = seen.items.tries if seen.items else range(min(1, len(seen.tries)))
            items |= {(name, index) for index in begun}
        elif not is_below and seen.items and seen.state != "succeeded":
            items |= {(name, index) for index in seen.items.well}
    return set(graph.nodes) - anew, items


def _is_well(case: Case, name: str) -> bool:
    seen = case.nodes.get(name)
    if seen is None:
        return False
    (node,) = (each for each in case.flow["nodes"] if each["id"] == name)
    if seen.state == "skipped":
        return seen.reason in ("if", "not_chosen")
    is_tolerated = seen.state in _FAILED and bool(node.get("continue_on_error"))
    return seen.state == "succeeded" or is_tolerated
