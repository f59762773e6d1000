"""Where expressions stand in a definition, and where they must not.

Every text with an expression belongs to one kind of place. The kind decides which contexts exist
there; `flowrunner.definitions.checks.expressions` does the judging.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from flowrunner.definitions.build import facts_of, node_params, node_type
from flowrunner.definitions.checks.interpreters import code_arguments
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.formats import is_written_moment
from flowrunner.model.ids import Json


class Kind(Enum):
    """What a place takes."""

    CONDITION = "if of a node"
    RETRY = "if of a retry"
    WHEN = "when of a switch"
    MOMENT = "until of a wait"
    DEFAULT_RETRY = "if of a retry in defaults"
    PARAM = "params of a node"
    SECRET_PARAM = "params that may be secret"  # noqa: S105 - a kind of place, not a secret
    FOREACH = "foreach of a node"
    ITEM = "an item of a foreach"
    NODE_ENV = "env of a node"
    STDIN = "stdin of a node"
    FLOW_ENV = "env of the flow"
    OUTPUT = "outputs of the flow"
    TRIGGER_CONDITION = "if or dedupe.key of a trigger"
    TRIGGER_INPUT = "inputs of a trigger"
    GROUP = "group of concurrency"
    INTERPRETED = "text that an interpreter parses"
    LITERAL = "literal text"

    __hash__ = object.__hash__  # members are single: that of `Enum` is ten times slower

    @property
    def is_bare(self) -> bool:
        """Whether the whole text is an expression, with or without the wrapper."""
        return self in _BARE


CONDITIONS = frozenset({Kind.CONDITION, Kind.WHEN, Kind.RETRY, Kind.DEFAULT_RETRY})
"""Where an expression decides about nodes and their attempts."""

_BARE = CONDITIONS | {Kind.FOREACH, Kind.MOMENT, Kind.TRIGGER_CONDITION, Kind.GROUP}

OF_ITEMS = frozenset(
    {Kind.RETRY, Kind.MOMENT, Kind.PARAM, Kind.SECRET_PARAM, Kind.NODE_ENV, Kind.STDIN}
)
"""Where a node with `foreach` says something about each item."""


class Place(NamedTuple):
    """A text of the definition; `node` is the path of its node, if it stands in one."""

    path: Path
    text: str
    kind: Kind
    node: Path | None = None


def places(subject: Subject) -> Iterator[Place]:
    """Yields every text that is an expression or holds `${{`, with the kind of its place."""
    special: dict[Path, Place] = {place.path: place for place in _special(subject)}
    yield from (place for place in special.values() if place.kind in _BARE)
    for path, text in _texts(subject.data, ()):
        place = special.get(path) or Place(path=path, text=text, kind=Kind.LITERAL)
        if place.kind not in _BARE:
            yield place


def _special(subject: Subject) -> Iterator[Place]:
    for path, text in _texts(subject.data.get("env", {}), ("env",)):
        yield Place(path=path, text=text, kind=Kind.FLOW_ENV)
    for path, text in _texts(subject.data.get("outputs", {}), ("outputs",)):
        yield Place(path=path, text=text, kind=Kind.OUTPUT)
    group = subject.data.get("concurrency", {}).get("group")
    if isinstance(group, str):
        yield Place(path=("concurrency", "group"), text=group, kind=Kind.GROUP)
    general = subject.data.get("defaults", {}).get("retry", {}).get("if")
    if isinstance(general, str):
        yield Place(path=("defaults", "retry", "if"), text=general, kind=Kind.DEFAULT_RETRY)
    for at, node in subject.all_nodes:
        yield from _of_node(subject, at, node)
    for index, trigger in enumerate(subject.triggers):
        top: Path = ("triggers", index)
        for path, text in _texts(trigger.get("inputs", {}), (*top, "inputs")):
            yield Place(path=path, text=text, kind=Kind.TRIGGER_INPUT)
        bare = {(*top, "if"): trigger.get("if")}
        bare[(*top, "dedupe", "key")] = trigger.get("dedupe", {}).get("key")
        for path, value in bare.items():
            if isinstance(value, str):
                yield Place(path=path, text=value, kind=Kind.TRIGGER_CONDITION)


def _of_node(subject: Subject, at: Path, node: Mapping[str, Json]) -> Iterator[Place]:
    if isinstance(node.get("if"), str):
        yield Place(path=(*at, "if"), text=node["if"], kind=Kind.CONDITION, node=at)
    again = node.get("retry", {}).get("if")
    if isinstance(again, str):
        yield Place(path=(*at, "retry", "if"), text=again, kind=Kind.RETRY, node=at)
    items = node.get("foreach")
    if isinstance(items, str):
        yield Place(path=(*at, "foreach"), text=items, kind=Kind.FOREACH, node=at)
    for path, text in _texts(items if isinstance(items, list) else (), (*at, "foreach")):
        yield Place(path=path, text=text, kind=Kind.ITEM, node=at)
    for path, text in _texts(node.get("env", {}), (*at, "env")):
        yield Place(path=path, text=text, kind=Kind.NODE_ENV, node=at)
    if isinstance(node.get("stdin"), str):
        yield Place(path=(*at, "stdin"), text=node["stdin"], kind=Kind.STDIN, node=at)
    if "run" not in node:
        yield from _of_params(subject, at, node)
    elif "${{" in node["run"]:
        yield Place(path=(*at, "run"), text=node["run"], kind=Kind.INTERPRETED, node=at)


def _of_params(subject: Subject, at: Path, node: Mapping[str, Json]) -> Iterator[Place]:
    facts = facts_of(node, subject.catalog)
    schema = facts.schema if facts is not None else {}
    params = node_params(node)
    for path, text, kind in param_texts(params, schema, (*at, "params"), Kind.LITERAL):
        yield Place(path=path, text=text, kind=kind, node=at)
    argv = params.get("argv", []) if node_type(node) == "exec" else []
    for position in code_arguments(argv):
        path = (*at, "params", "argv", position)
        yield Place(path=path, text=str(argv[position]), kind=Kind.INTERPRETED, node=at)


def param_texts(
    value: Json, schema: Mapping[str, Any], path: Path, kind: Kind
) -> Iterator[tuple[Path, str, Kind]]:
    """Yields every text of `params`, with the kind that the schema gives its place."""
    if schema.get("x-condition"):
        kind = Kind.WHEN
    elif schema.get("x-moment"):
        kind = Kind.LITERAL if _is_time(value) else Kind.MOMENT
    elif schema.get("x-expression"):
        kind = Kind.SECRET_PARAM if schema.get("x-secret") else Kind.PARAM
    elif schema.get("x-interpreted"):
        kind = Kind.INTERPRETED
    if isinstance(value, str):
        yield path, value, kind
    elif isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        other = rest if isinstance(rest, Mapping) else {}
        for key, item in value.items():
            yield from param_texts(item, known.get(key, other), (*path, key), kind)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from param_texts(item, schema.get("items", {}), (*path, index), kind)


def _is_time(value: Json) -> bool:
    return isinstance(value, str) and is_written_moment(value)


def _texts(value: Json, path: Path) -> list[tuple[Path, str]]:
    """Returns the texts below a list or mapping that hold `${{`, in their order."""
    found: list[tuple[Path, str]] = []
    _collect(value, path, found)
    return found


def _collect(value: Json, path: Path, found: list[tuple[Path, str]]) -> None:
    """Adds to what was found: everything of every flow passes here, so nothing else is made."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for part, item in items:
        if isinstance(item, str):
            if "${{" in item:
                found.append(((*path, part), item))
        elif isinstance(item, dict | list):
            _collect(item, (*path, part), found)
