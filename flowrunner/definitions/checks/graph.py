"""The graph: ids are unique, needs exist, nothing waits for itself."""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.definitions import codes
from flowrunner.definitions.build import NODE_LISTS
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.hints import did_you_mean
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding

_LONGEST_CYCLE = 10
"""Names shown of a cycle."""

_FINALLY_IS_LAST = "the nodes of 'finally' start when all of 'nodes' have ended"


def check_graph(subject: Subject) -> Iterator[Finding]:
    """Yields findings about duplicate ids, unknown needs and cycles."""
    yield from _duplicates(subject)
    yield from _unknown_needs(subject)
    yield from _cycles(subject)


def _duplicates(subject: Subject) -> Iterator[Finding]:
    if len({node["id"] for _, node in subject.all_nodes}) == len(subject.all_nodes):
        return
    first: dict[str, Path] = {}
    for path, node in subject.all_nodes:
        name = node["id"]
        if name in first:
            line = subject.document.position((*first[name], "id")).line
            yield subject.document.finding(
                codes.DUPLICATE_NODE,
                f"the node id {name!r} is taken by the node at line {line}",
                path=(*path, "id"),
            )
        first.setdefault(name, path)


def _unknown_needs(subject: Subject) -> Iterator[Finding]:
    mains = {node["id"] for node in subject.nodes}
    finals = {node["id"] for node in subject.finals}
    for path, node in subject.all_nodes:
        if "needs" not in node:
            continue
        known, others = (finals, mains) if path[0] == "finally" else (mains, finals)
        for position, need in enumerate(node["needs"]):
            if need in known or holds_expression(need):
                continue
            hint = _FINALLY_IS_LAST if need in others else did_you_mean(need, known)
            yield subject.document.finding(
                codes.UNKNOWN_NEED,
                f"there is no node {need!r} in {path[0]!r}"
                if need in others
                else f"there is no node {need!r}",
                path=(*path, "needs", position),
                hint=hint,
            )


def _cycles(subject: Subject) -> Iterator[Finding]:
    """Yields a finding per cycle, at the node of it that stands first in the file."""
    for part, nodes in zip(NODE_LISTS, (subject.nodes, subject.finals), strict=True):
        for cycle in subject.graphs[part].cycles():
            names = [nodes[index]["id"] for index in (*cycle, cycle[0])]
            if len(names) > _LONGEST_CYCLE:
                names[_LONGEST_CYCLE - 1 : -2] = ["…"]
            yield subject.document.finding(
                codes.CYCLE,
                f"these nodes wait for each other: {' → '.join(names)}"
                if len(cycle) > 1
                else f"the node {names[0]!r} waits for itself",
                path=(part, cycle[0], "needs"),
                hint="take one of them out of 'needs'" if len(cycle) > 1 else "",
            )
