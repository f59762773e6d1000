"""Promises of findings between files: they point at the very word, as those within a file do."""

from __future__ import annotations

from flowrunner.cli.diagnostics import render_one
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Revision
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.nodes import builtin_compiler

SCANNER = Scanner(FakeFiles(), builtin_compiler(), FolderTrees(FakeFiles()), FakeClock())
NODES = "nodes: [{id: a, run: x}]\n"
HOOK = "auth: {type: github, secret: S}"


def findings(*texts: str) -> list[Finding]:
    """Returns all findings of files `a.yaml`, `b.yaml`, … that come together."""
    names = (f"{letter}.yaml" for letter in "abcdefgh")
    files = tuple(SCANNER.compile(t.encode(), n) for t, n in zip(texts, names, strict=False))
    plan = make_plan(Snapshot(revision=Revision("r"), files=files), {})
    told = [f for entry in plan.entries.values() for f in entry.findings]
    return sorted([*told, *(f for file in plan.rejected for f in file.findings)])


def places(*texts: str) -> list[tuple[str, str, int, int, str]]:
    return [(f.file, f.code, f.line, f.column, f.pointer) for f in findings(*texts)]


def test_duplicate_name_points_at_the_name() -> None:
    """Each file that names the flow is told where it does."""
    first = "version: 1\nname: same\n" + NODES
    second = "# a comment\n" + NODES + "version: 1\nname:   'same'\n"

    assert places(first, second) == [
        ("a.yaml", "FR311", 2, 7, "/name"),
        ("b.yaml", "FR311", 4, 9, "/name"),
    ]


def test_duplicate_name_of_a_file_with_errors_points_at_the_name_too() -> None:
    """A file that is wrong otherwise still says where its name stands."""
    good = "version: 1\nname: same\n" + NODES
    bad = "typo: 1\nversion: 1\nname: same\n" + NODES

    assert places(good, bad) == [
        ("a.yaml", "FR311", 2, 7, "/name"),
        ("b.yaml", "FR201", 1, 1, "/typo"),
        ("b.yaml", "FR311", 3, 7, "/name"),
    ]


def test_claimed_webhook_path_points_at_the_path() -> None:
    """A written path is pointed at; a default one is the trigger's, so the trigger is."""
    first = f"version: 1\nname: one\n{NODES}triggers:\n  - {{id: push, type: webhook, {HOOK}}}\n"
    second = (
        f"version: 1\nname: two\n{NODES}triggers:\n"
        f"  - {{type: schedule, every: 1h}}\n  - type: webhook\n    {HOOK}\n    path: one/push\n"
    )

    assert places(first, second) == [
        ("a.yaml", "FR310", 5, 5, "/triggers/0/path"),
        ("b.yaml", "FR310", 8, 11, "/triggers/1/path"),
    ]


def test_two_claimed_paths_are_two_findings_in_their_places() -> None:
    """Of several paths each claimed one is told by itself."""
    hooks = "".join(f"  - {{id: {n}, type: webhook, path: {n}, {HOOK}}}\n" for n in ("p", "q"))
    texts = [f"version: 1\nname: {n}\n{NODES}triggers:\n{hooks}" for n in ("one", "two")]

    assert [place[1:4] for place in places(*texts)] == [("FR310", 5, 34), ("FR310", 6, 34)] * 2


def test_excerpt_shows_the_line_with_a_caret() -> None:
    """On a terminal the line stands below the message, with a caret below the word."""
    text = "version: 1\nname: same\n" + NODES
    (first, _) = findings(text, text)

    assert render_one(first) == (
        "a.yaml:2:7: FR311 error: the flow 'same' is also defined in b.yaml\n"
        "    name: same\n"
        "          ^\n"
        "    hint: give one of them another name"
    )


def test_circle_of_sub_flows_points_at_the_name_in_params() -> None:
    """With a catalog that knows the node type `flow`, the circle is found at its very links."""
    texts = [
        f"version: 1\nname: {own}\nnodes:\n  - {{id: x, type: flow, params: {{flow: {other}}}}}\n"
        for own, other in (("a", "b"), ("b", "a"), ("c", "nope"), ("d", "a"))
    ]

    assert places(*texts) == [
        ("a.yaml", "FR315", 4, 40, "/nodes/0/params/flow"),
        ("b.yaml", "FR315", 4, 40, "/nodes/0/params/flow"),
        ("c.yaml", "FR505", 4, 40, "/nodes/0/params/flow"),
    ]
