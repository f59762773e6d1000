"""Flows that wait for one of their own concurrency group: the newcomer is refused. Pure.

Only literal groups can be judged before an execution. A flow whose group is its own waits for it
only when it starts itself, which is a circle (`flow_cycles`).
Source: FLOW_FORMAT 2, `concurrency`: a child whose group an ancestor holds fails at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from flowrunner.definitions import codes
from flowrunner.definitions.claims import Place
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.links import Graph, Link, graph_of, is_new, links_of, shown, way
from flowrunner.reconcile.scene import Refusals, Scene


def refuse_deadlocks(scene: Scene) -> Refusals:
    """Returns the findings of every candidate by which a flow waits for its own group."""
    members = _members(scene)
    if not members:
        return {}
    links = [link for link in links_of(scene.versions) if link.is_waited]
    graph = graph_of(links)
    newly: Refusals = {}
    for found in _ways(members, graph, scene):
        owners = _owners_of_news(scene, found) or found
        for key in owners:
            candidate = scene.newcomer(key)
            if candidate is not None and key not in newly:
                newly[key] = (_finding(scene, candidate, key, found),)
    return newly


def _members(scene: Scene) -> dict[tuple[str, str], list[FlowKey]]:
    """Returns the flows of each literal group that has several."""
    found: dict[tuple[str, str], list[FlowKey]] = {}
    for key, spec in scene.versions.items():
        if spec.references.group is not None:
            found.setdefault((key.account, spec.references.group), []).append(key)
    return {place: keys for place, keys in found.items() if len(keys) > 1}


def _ways(
    members: dict[tuple[str, str], list[FlowKey]], graph: Graph, scene: Scene
) -> Iterator[list[FlowKey]]:
    """Yields the shortest way from each flow to another one of its group that it waits for."""
    for keys in map(frozenset, members.values()):
        for start in sorted(keys & graph.keys()):
            found = way(graph, start, keys - {start}, scene.versions)
            if found:
                yield found


def _owners_of_news(scene: Scene, found: list[FlowKey]) -> list[FlowKey]:
    """Returns who brings something that the versions in force do not have: a link, or its group."""
    owners = [
        source
        for source, target in pairwise(found)
        if is_new(scene, Link(source=source, target=target, owner=source, is_waited=True))
    ]
    return owners + [key for key in (found[0], found[-1]) if _has_new_group(scene, key)]


def _has_new_group(scene: Scene, key: FlowKey) -> bool:
    before = scene.before(key)
    group = scene.versions[key].references.group
    return before is None or before.references.group != group


def _finding(scene: Scene, candidate: Candidate, key: FlowKey, found: list[FlowKey]) -> Finding:
    group = scene.versions[found[0]].references.group
    return _place(candidate, key, found).finding(
        codes.GROUP_DEADLOCK,
        f"the flow {found[0].name!r} waits for {found[-1].name!r} in its own group {group!r}: "
        f"{shown(found)}",
        file=candidate.file,
        hint="give one of them another group, or start the other with wait: false",
    )


def _place(candidate: Candidate, key: FlowKey, found: list[FlowKey]) -> Place:
    """Returns where a flow names the next one on the way, else where it names its group."""
    after = dict(pairwise(found)).get(key)
    place = candidate.claims.flows.get(after.name) if after else None
    return place or candidate.claims.group
