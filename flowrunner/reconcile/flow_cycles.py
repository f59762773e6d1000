"""Flows that start each other in a circle: whoever closes it is refused. Pure.

Nodes and triggers of type `flow` count alike, also mixed, whatever their conditions: a circle of
starts is refused as a whole rather than trusted to end by itself. A circle that is in force
already, as after a crash between two writes, is reported on every flow of it.
"""

from __future__ import annotations

from flowrunner.definitions import codes
from flowrunner.definitions.claims import START
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.links import Graph, Link, circles, graph_of, is_new, links_of, shown, way
from flowrunner.reconcile.scene import Refusals, Scene

_MOST_SHOWN = 100
"""Flows of a circle up to which the way is told; to find it takes a walk for each of them."""


def refuse_cycles(scene: Scene) -> Refusals:
    """Returns the findings of every candidate whose link closes a circle."""
    links = links_of(scene.versions)
    graph = graph_of(links)
    newly: Refusals = {}
    for circle in circles(graph):
        inner = [link for link in links if link.source in circle and link.target in circle]
        closing = [link for link in inner if is_new(scene, link)] or inner
        for link in closing:
            candidate = scene.newcomer(link.owner)
            if candidate is not None and link.owner not in newly:
                newly[link.owner] = (_finding(candidate, link, graph, circle),)
    return newly


def _finding(candidate: Candidate, link: Link, graph: Graph, circle: frozenset[FlowKey]) -> Finding:
    message = f"the flow is one of {len(circle)} that start each other in a circle"
    if len(circle) <= _MOST_SHOWN:
        message = f"flows start each other: {shown(_round(link, graph, circle))}"
    return candidate.claims.flows.get(link.named, START).finding(
        codes.FLOW_CYCLE,
        message,
        file=candidate.file,
        hint="take one of the links out: a circle of starts never ends",
    )


def _round(link: Link, graph: Graph, circle: frozenset[FlowKey]) -> list[FlowKey]:
    """Returns the way round over a link, from its owner back to it."""
    back = way(graph, link.target, {link.source}, circle)
    if link.source == link.target:
        return [link.source, link.target]
    if link.owner == link.source:
        return [link.source, *back]
    return [*back, link.target]
