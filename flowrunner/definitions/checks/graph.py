"""The graph: ids are unique, needs exist, nothing waits for itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from flowrunner.definitions import codes
from flowrunner.definitions.build import resolved_needs
from flowrunner.definitions.checks.subject import Subject
from flowrunner.model.finding import Finding


def check_graph(subject: Subject) -> Iterator[Finding]:
    """Yields findings about duplicate ids, unknown needs and cycles."""
    yield from _duplicates(subject)
    yield from _unknown_needs(subject)
    yield from _cycles(subject)


def _duplicates(subject: Subject) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, node in enumerate(subject.nodes):
        name = node["id"]
        if name in first:
            line = subject.document.position(("nodes", first[name], "id")).line
            yield subject.document.finding(
                codes.DUPLICATE_NODE,
                f"the node id {name!r} is taken by the node at line {line}",
                path=("nodes", index, "id"),
            )
        first.setdefault(name, index)


def _unknown_needs(subject: Subject) -> Iterator[Finding]:
    known = [node["id"] for node in subject.nodes]
    for index, node in enumerate(subject.nodes):
        for position, need in enumerate(node.get("needs", ())):
            if need in known:
                continue
            close = difflib.get_close_matches(need, known, n=1)
            yield subject.document.finding(
                codes.UNKNOWN_NEED,
                f"there is no node {need!r}",
                path=("nodes", index, "needs", position),
                hint=f"did you mean {close[0]!r}?" if close else "",
            )


def _cycles(subject: Subject) -> Iterator[Finding]:
    """Yields one finding per cycle, at the node of it that stands first in the file."""
    nodes = subject.nodes
    order = {node["id"]: index for index, node in reversed(list(enumerate(nodes)))}
    needs = {nodes[i]["id"]: names for i, names in enumerate(resolved_needs(nodes))}
    done: set[str] = set()
    for start in order:
        cycle = _find_cycle(start, needs, done)
        if cycle:
            first = min(cycle, key=lambda name: order[name])
            turn = cycle.index(first)
            text = " → ".join([*cycle[turn:], *cycle[:turn], first])
            yield subject.document.finding(
                codes.CYCLE,
                f"these nodes wait for each other: {text}",
                path=("nodes", order[first], "needs"),
                hint="take one of them out of 'needs'",
            )


def _find_cycle(start: str, needs: dict[str, tuple[str, ...]], done: set[str]) -> list[str] | None:
    """Walks needs from a node without recursion; returns a cycle it meets."""
    path: list[str] = []
    stack = [(start, iter(needs.get(start, ())))]
    if start in done:
        return None
    path.append(start)
    while stack:
        name, pending = stack[-1]
        need = next((n for n in pending if n in needs and n not in done), None)
        if need is None:
            done.add(name)
            stack.pop()
            path.pop()
        elif need in path:
            done.update(path)
            return path[path.index(need) :]
        else:
            path.append(need)
            stack.append((need, iter(needs[need])))
    return None
