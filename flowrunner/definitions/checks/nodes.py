"""Nodes one by one: their type's own rules, and keys that would have no effect."""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.definitions import codes
from flowrunner.definitions.build import facts_of, has_script, node_params, node_type
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.switches import SWITCH
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

_OF_ITEMS = ("foreach", "max_parallel", "fail_fast")
_SHELL_LIKE_KEYS = (
    "env",
    "outputs",
    "kill_after",
    "working_dir",
    "user",
    "umask",
    "nice",
    "stdin",
    "limits",
    "success_exit_codes",
)


def check_nodes(subject: Subject) -> Iterator[Finding]:
    """Yields findings of node types about their params, and about keys without effect."""
    for path, node in subject.all_nodes:
        if not node.keys().isdisjoint(_OF_ITEMS):
            yield from _items(subject, path, node)
        facts = facts_of(node, subject.catalog)
        if facts is None:
            continue
        params = node_params(node)
        for issue in facts.validate(params):
            if _is_expression(params, issue.path):
                continue  # told already: it is not evaluated there
            below: Path = ("params", *issue.path)
            yield subject.document.finding(
                codes.VALUE_NOT_ALLOWED,
                issue.message,
                path=(*path, *(("run",) if "run" in node else below)),
                hint=issue.hint,
            )
        if not facts.is_shell_like and not node.keys().isdisjoint(_SHELL_LIKE_KEYS):
            hint = "it belongs to nodes that start a process: shell, exec, a wait with a probe"
            yield from _without_effect(subject, path, node, _SHELL_LIKE_KEYS, hint)
        if "shell" in node and not has_script(node):
            hint = "it belongs to nodes with a script: run, type: shell, a wait with a probe"
            yield from _without_effect(subject, path, node, ("shell",), hint)


def _items(subject: Subject, path: Path, node: dict[str, Json]) -> Iterator[Finding]:
    """Yields findings about `foreach` where it has no place, and about keys that go with it."""
    if "foreach" not in node:
        for key in _OF_ITEMS[1:]:
            if key in node:
                hint = "it belongs to nodes with a foreach: foreach: [a, b]"
                yield _no_effect(subject, path, key, "without 'foreach'", hint)
        return
    if node_type(node) == SWITCH:
        hint = "it chooses once; the nodes that it names may have a foreach"
        yield _no_effect(subject, path, "foreach", "on a node of type 'switch'", hint)
    if node.get("fail_fast") is True and node.get("continue_on_error") is True:
        hint = "an item that may fail ends no other: leave one of the two out"
        yield _no_effect(subject, path, "fail_fast", "beside 'continue_on_error'", hint)


def _no_effect(subject: Subject, path: Path, key: str, where: str, hint: str) -> Finding:
    return subject.document.finding(
        codes.EXCLUSIVE_KEYS,
        f"{key!r} has no effect {where}",
        path=(*path, key),
        key=True,
        hint=hint,
    )


def _is_expression(params: Json, path: Path) -> bool:
    """Whether a path of params leads to a text with an expression."""
    for part in path:
        params = params.get(part) if isinstance(params, dict) else None
    return isinstance(params, str) and holds_expression(params)


def _without_effect(
    subject: Subject, path: Path, node: dict[str, Json], keys: tuple[str, ...], hint: str
) -> Iterator[Finding]:
    for key in keys:
        if key in node:
            yield _no_effect(subject, path, key, f"on a node of type {node_type(node)!r}", hint)
