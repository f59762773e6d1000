"""Which flow starts which: the links between the versions of a scene, and circles of them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.model.references import NO_REFERENCES
from flowrunner.reconcile.scene import Scene

_LONGEST = 10
"""Names shown of a way from flow to flow."""

Graph: TypeAlias = dict[FlowKey, list[FlowKey]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One flow starts another one, by a node of its own or by a trigger of the other.

    Attributes:
        owner: The flow that says so, one of the two.
        is_waited: Whether the first waits until the other has ended.
    """

    source: FlowKey
    target: FlowKey
    owner: FlowKey
    is_waited: bool = False

    @property
    def named(self) -> str:
        """The flow that the owner names."""
        return self.target.name if self.owner == self.source else self.source.name


def links_of(versions: Mapping[FlowKey, FlowSpec]) -> list[Link]:
    """Returns the links between these versions; names of other flows lead nowhere."""
    return [
        link
        for key, spec in versions.items()
        for link in _links(key, spec)
        if link.source in versions and link.target in versions
    ]


def is_new(scene: Scene, link: Link) -> bool:
    """Whether the version in force of a link's owner has no such link."""
    return link not in _links(link.owner, scene.before(link.owner))


def graph_of(links: Iterable[Link]) -> Graph:
    """Returns whom each flow starts, sorted."""
    graph: Graph = {}
    for link in links:
        graph.setdefault(link.source, []).append(link.target)
    return {source: sorted(set(targets)) for source, targets in graph.items()}


def circles(graph: Graph) -> list[frozenset[FlowKey]]:
    """Returns the sets of flows that start each other, directly or through others.

    Each flow is in one set at most; a flow that starts itself may be alone in one. Linear, without
    recursion. Source: Kosaraju's algorithm, by S. Rao Kosaraju and Micha Sharir.
    """
    backward: Graph = {}
    for source, targets in graph.items():
        for target in targets:
            backward.setdefault(target, []).append(source)
    seen: set[FlowKey] = set()
    order = [key for start in graph for key in _reached(start, graph, seen)]
    seen.clear()
    found = [frozenset(_reached(start, backward, seen)) for start in reversed(order)]
    return [keys for keys in found if len(keys) > 1 or _starts_itself(keys, graph)]


def way(
    graph: Graph, start: FlowKey, ends: Collection[FlowKey], within: Collection[FlowKey]
) -> list[FlowKey]:
    """Returns the shortest way over at least one link to one of `ends`; empty when none is.

    Start and end are included; no other flows than those of `within` are.
    """
    before: dict[FlowKey, FlowKey] = {}
    queue = deque([start])
    while queue:
        key = queue.popleft()
        for target in graph.get(key, ()):
            if target not in within or target in before:
                continue
            before[target] = key
            if target in ends:
                return _traced(before, start, target)
            queue.append(target)
    return []


def shown(keys: list[FlowKey]) -> str:
    """Returns a way for a message: `a → b → a`, its middle left out when it is long."""
    names = [key.name for key in keys]
    if len(names) > _LONGEST:
        names[_LONGEST - 1 : -2] = ["…"]
    return " → ".join(names)


def _links(key: FlowKey, spec: FlowSpec | None) -> Iterator[Link]:
    if spec is None or spec.references is NO_REFERENCES:
        return  # so do most
    named = spec.references
    for other in sorted(named.waits_for | named.starts):
        target = FlowKey(key.account, other)
        is_waited = other in named.waits_for
        yield Link(source=key, target=target, owner=key, is_waited=is_waited)
    for other in sorted(named.follows):
        yield Link(source=FlowKey(key.account, other), target=key, owner=key)


def _reached(start: FlowKey, graph: Graph, seen: set[FlowKey]) -> Iterator[FlowKey]:
    """Yields what can be reached and was not seen, each behind what it leads to."""
    if start in seen:
        return
    seen.add(start)
    path = {start: iter(graph.get(start, ()))}  # in order of insertion, a stack
    while path:
        key = next(reversed(path))
        target = next((t for t in path[key] if t not in seen), None)
        if target is None:
            del path[key]
            yield key
        else:
            seen.add(target)
            path[target] = iter(graph.get(target, ()))


def _starts_itself(keys: frozenset[FlowKey], graph: Graph) -> bool:
    return any(key in graph.get(key, ()) for key in keys)


def _traced(before: Mapping[FlowKey, FlowKey], start: FlowKey, end: FlowKey) -> list[FlowKey]:
    found = [end, before[end]]
    while found[-1] != start:
        found.append(before[found[-1]])
    return found[::-1]
