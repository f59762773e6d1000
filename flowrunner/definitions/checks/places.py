"""Where expressions stand in a definition, and where they must not.

Every text with an expression belongs to one kind of place. The kind decides which contexts exist
there; `flowrunner.definitions.checks.expressions` does the judging.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from flowrunner.definitions.build import NODE_LISTS, facts_of, node_params, node_type
from flowrunner.definitions.catalog import NodeFacts
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


CONDITIONS = frozenset({Kind.CONDITION, Kind.WHEN, Kind.RETRY, Kind.DEFAULT_RETRY})
"""Where an expression decides about nodes and their attempts."""

BARE = CONDITIONS | {Kind.FOREACH, Kind.MOMENT, Kind.TRIGGER_CONDITION, Kind.GROUP}
"""Where the whole text is an expression, with or without the wrapper."""

OF_ITEMS = frozenset(
    {Kind.RETRY, Kind.MOMENT, Kind.PARAM, Kind.SECRET_PARAM, Kind.NODE_ENV, Kind.STDIN}
)
"""Where a node with `foreach` says something about each item."""


_AT: Mapping[Path, Kind] = {
    ("concurrency", "group"): Kind.GROUP,
    ("defaults", "retry", "if"): Kind.DEFAULT_RETRY,
}
_BELOW: Mapping[str, Kind] = {"env": Kind.FLOW_ENV, "outputs": Kind.OUTPUT}
_OF_NODE: Mapping[str, Kind] = {
    "if": Kind.CONDITION,
    "foreach": Kind.FOREACH,
    "stdin": Kind.STDIN,
    "run": Kind.INTERPRETED,
}
_TRIGGER_CONDITIONS: frozenset[Path] = frozenset({("if",), ("dedupe", "key")})

_NODE_TYPES = 256
"""More than there are."""


class Place(NamedTuple):
    """A text of the definition; `node` is the path of its node, if it stands in one."""

    path: Path
    text: str
    kind: Kind
    node: Path | None = None


def places(subject: Subject) -> Iterator[Place]:
    """Yields every text that is an expression or holds `${{`, with the kind of its place."""
    yield from _bare(subject)
    read = _Reading(subject)
    for path, text in subject.braced:
        if "${{" in text:
            place = read.place(path, text)
            if place.kind not in BARE:
                yield place


def _bare(subject: Subject) -> Iterator[Place]:
    """Yields the texts that are an expression with or without the wrapper."""
    data = subject.data
    group = data.get("concurrency", {}).get("group")
    if isinstance(group, str):
        yield Place(("concurrency", "group"), group, Kind.GROUP)
    general = data.get("defaults", {}).get("retry", {}).get("if")
    if isinstance(general, str):
        yield Place(("defaults", "retry", "if"), general, Kind.DEFAULT_RETRY)
    for at, node in subject.all_nodes:
        yield from _bare_in_node(subject, at, node)
    for index, trigger in enumerate(subject.triggers):
        if isinstance(trigger.get("if"), str):
            yield Place(("triggers", index, "if"), trigger["if"], Kind.TRIGGER_CONDITION)
        key = trigger.get("dedupe", {}).get("key")
        if isinstance(key, str):
            yield Place(("triggers", index, "dedupe", "key"), key, Kind.TRIGGER_CONDITION)


def _bare_in_node(subject: Subject, at: Path, node: Mapping[str, Json]) -> Iterator[Place]:
    if isinstance(node.get("if"), str):
        yield Place((*at, "if"), node["if"], Kind.CONDITION, at)
    if "retry" in node and isinstance(node["retry"].get("if"), str):
        yield Place((*at, "retry", "if"), node["retry"]["if"], Kind.RETRY, at)
    if isinstance(node.get("foreach"), str):
        yield Place((*at, "foreach"), node["foreach"], Kind.FOREACH, at)
    facts = None if "run" in node else facts_of(node, subject.catalog)
    if facts is not None and _has_bare(facts):
        params = node_params(node)
        for path, text, kind in param_texts(params, facts.schema, (*at, "params"), Kind.LITERAL):
            if kind in BARE:
                yield Place(path, text, kind, at)


@lru_cache(maxsize=_NODE_TYPES)
def _has_bare(facts: NodeFacts) -> bool:
    """Whether some params of a node type are expressions with or without the wrapper."""
    return _marks(facts.schema, frozenset({"x-condition", "x-moment"}))


def _marks(schema: Any, marks: frozenset[str]) -> bool:
    """Whether one of the marks stands anywhere in a schema."""
    if isinstance(schema, Mapping):
        return not marks.isdisjoint(schema) or any(_marks(each, marks) for each in schema.values())
    return isinstance(schema, list | tuple) and any(_marks(each, marks) for each in schema)


class _Reading:
    """Tells what takes a text, by the way that leads to it; remembers which words are code."""

    def __init__(self, subject: Subject) -> None:
        self._data = subject.data
        self._catalog = subject.catalog
        self._code: dict[Path, frozenset[int]] = {}

    def place(self, path: Path, text: str) -> Place:
        """Returns the place of a text that holds `${{`."""
        top = path[0]
        if top in NODE_LISTS:
            node = self._data[top][path[1]]
            return Place(path, text, self._in_node(node, path, text), path[:2])
        if top == "triggers":
            return Place(path, text, _in_trigger(path[2:]))
        return Place(path, text, _AT.get(path) or _BELOW.get(str(top), Kind.LITERAL))

    def _in_node(self, node: Mapping[str, Json], path: Path, text: str) -> Kind:
        key, below = str(path[2]), path[3:]
        if key == "env":
            return Kind.NODE_ENV
        if key == "params" and "run" not in node:
            return self._in_params(node, path[:2], below, text)
        if key == "foreach" and below:
            return Kind.ITEM
        if key == "retry" and below == ("if",):
            return Kind.RETRY
        return Kind.LITERAL if below else _OF_NODE.get(key, Kind.LITERAL)

    def _in_params(
        self, node: Mapping[str, Json], at: Path, below: Sequence[str | int], text: str
    ) -> Kind:
        match below:
            case ("argv", int() as word) if node_type(node) == "exec":
                if at not in self._code:
                    self._code[at] = code_arguments(node["params"]["argv"])
                if word in self._code[at]:
                    return Kind.INTERPRETED
        facts = facts_of(node, self._catalog)
        schema: Mapping[str, Any] = facts.schema if facts is not None else {}
        kind = _marked(schema, Kind.LITERAL, text)
        for part in below:
            schema = _inner(schema, part)
            kind = _marked(schema, kind, text)
        return kind


def _in_trigger(rest: Path) -> Kind:
    if rest[0] == "inputs":
        return Kind.TRIGGER_INPUT
    return Kind.TRIGGER_CONDITION if rest in _TRIGGER_CONDITIONS else Kind.LITERAL


def param_texts(
    value: Json, schema: Mapping[str, Any], path: Path, kind: Kind
) -> Iterator[tuple[Path, str, Kind]]:
    """Yields every text of `params`, with the kind that the schema gives its place."""
    kind = _marked(schema, kind, value)
    if isinstance(value, str):
        yield path, value, kind
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for part, item in items:
            yield from param_texts(item, _inner(schema, part), (*path, part), kind)


def _marked(schema: Mapping[str, Any], kind: Kind, value: Json) -> Kind:
    """Returns the kind of what a schema is about, inside of something that has a kind."""
    if schema.get("x-condition"):
        return Kind.WHEN
    if schema.get("x-moment"):
        return Kind.LITERAL if _is_time(value) else Kind.MOMENT
    if schema.get("x-expression"):
        return Kind.SECRET_PARAM if schema.get("x-secret") else Kind.PARAM
    return Kind.INTERPRETED if schema.get("x-interpreted") else kind


def _inner(schema: Mapping[str, Any], part: str | int) -> Mapping[str, Any]:
    """Returns the schema of a value of a map, or of an item of a list."""
    if isinstance(part, int):
        items: Mapping[str, Any] = schema.get("items", {})
        return items
    rest = schema.get("additionalProperties")
    other = rest if isinstance(rest, Mapping) else {}
    known: Mapping[str, Any] = schema.get("properties", {}).get(part, other)
    return known


def _is_time(value: Json) -> bool:
    return isinstance(value, str) and is_written_moment(value)
