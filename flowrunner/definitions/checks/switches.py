"""Switches: the nodes they name exist, stand below and wait, and who follows says for whom."""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.definitions import codes
from flowrunner.definitions.build import node_type
from flowrunner.definitions.checks.needs import NeedsGraph
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.hints import did_you_mean
from flowrunner.definitions.switches import SWITCH, Choice, choices, naming_switches
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding


def check_switches(subject: Subject) -> Iterator[Finding]:
    """Yields findings about `goto` and `default` of switches, and about unwritten needs."""
    for path, node in subject.all_nodes:
        if path[0] == "finally" and node_type(node) == SWITCH:
            yield subject.document.finding(
                codes.SWITCH_TARGET,
                "a switch cannot choose among the nodes of 'finally'",
                path=(*path, "type"),
                hint="give each of them an 'if'",
            )
    nodes = subject.nodes
    if not any(choices(node) for node in nodes):
        return
    graph = subject.graphs["nodes"]
    for index, node in enumerate(nodes):
        for choice in choices(node):
            if not holds_expression(choice.target):
                yield from _target(subject, graph, (index, node["id"]), choice)
    yield from _unwritten(subject)


def _target(
    subject: Subject, graph: NeedsGraph, switch: tuple[int, str], choice: Choice
) -> Iterator[Finding]:
    index, own = switch
    place, name = graph.by_id.get(choice.target), choice.target
    code, hint = codes.SWITCH_TARGET, ""
    if place is None:
        code, message = codes.UNKNOWN_NEED, f"there is no node {name!r}"
        hint = did_you_mean(name, graph.by_id)
    elif place == index:
        message = f"the switch {own!r} names itself"
    elif place < index:
        message = f"the node {name!r} stands above the switch {own!r}"
        hint = "move it below: a switch chooses what comes next"
    elif not graph.comes_before(index, place):
        message = f"the node {name!r} does not wait for the switch {own!r}"
        hint = f"add {own} to 'needs' of {name}, or leave its 'needs' out"
    else:
        return
    yield subject.document.finding(code, message, path=("nodes", index, *choice.path), hint=hint)


def _unwritten(subject: Subject) -> Iterator[Finding]:
    """Yields a finding for each node that would wait for one branch by its place alone."""
    nodes = subject.nodes
    named = naming_switches(nodes)
    for index in named:
        after = index + 1
        if after >= len(nodes) or after in named or "needs" in nodes[after]:
            continue
        if subject.is_doubtful("nodes", after):
            continue  # the schema may complain of the needs that it has
        branch = nodes[index]["id"]
        yield subject.document.finding(
            codes.NEEDS_UNWRITTEN,
            f"the node {nodes[after]['id']!r} follows {branch!r}, which a switch may leave out",
            path=("nodes", after),
            hint=f"write needs: [{branch}], or all branches that come together here",
        )
