"""Nodes that never run: a warning for each, with the reason. The foretelling is `reach`'s."""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.definitions import codes
from flowrunner.definitions.build import node_type
from flowrunner.definitions.checks.reach import Cause, DeadNode, dead_nodes
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json


def check_unreachable(subject: Subject) -> Iterator[Finding]:
    """Yields a warning for each node that no execution can ever start."""
    if subject.is_doubtful("nodes"):
        return
    nodes = subject.nodes
    for dead in dead_nodes(nodes, subject.graphs["nodes"], subject.texts):
        reason, path, hint = _explained(dead, nodes[dead.index], subject.nodes)
        yield subject.document.finding(
            codes.NEVER_RUNS,
            f"the node {nodes[dead.index]['id']!r} never runs: {reason}",
            path=path,
            hint=hint,
            severity=Severity.WARNING,
        )


def _explained(
    dead: DeadNode, raw: dict[str, Json], nodes: list[dict[str, Json]]
) -> tuple[str, Path, str]:
    """Returns the reason, where it stands and what to do."""
    at: Path = ("nodes", dead.index)
    match dead.cause:
        case Cause.CONDITION:
            return "its 'if' is never true", (*at, "if"), _about_condition(str(raw["if"]))
        case Cause.NOT_CHOSEN:
            return "no case of its switch can choose it", at, ""
        case Cause.NEEDS:
            what = "never succeeds" if dead.need_starts else "never runs"
            hint = ""
            types = {node["id"]: node_type(node) for node in nodes}
            if dead.need_starts and types[dead.need] == "fail":
                hint = "a fail node always fails: to run after it, write if: failure()"
            written = raw.get("needs", [])
            place = (*at, "needs", written.index(dead.need)) if dead.need in written else at
            return f"its need {dead.need!r} {what}", place, hint


def _about_condition(text: str) -> str:
    if "cancelled" in text:
        return "cancelled() is never true here: a cancel ends every node that has not begun"
    if "failure" in text or "skipped" in text:
        return "failure() and skipped() speak about the nodes before it, and there are none"
    return ""
