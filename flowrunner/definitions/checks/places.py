"""Where expressions stand in a definition, and where they must not.

Every text of the definition belongs to one kind of place. The kind decides which contexts exist
there; `flowrunner.definitions.checks.expressions` does the judging.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from flowrunner.definitions.build import node_params, node_type
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.ids import Json

_INTERPRETERS = frozenset(
    {"sh", "bash", "dash", "zsh", "ksh", "python", "python3", "perl", "ruby", "node", "php", "awk"}
)
_CODE_FLAGS = frozenset({"-c", "-e", "-lc", "-ec", "-r", "--eval", "--command"})


class Kind(Enum):
    """What a place takes."""

    CONDITION = "if of a node"
    PARAM = "params of a node"
    NODE_ENV = "env of a node"
    FLOW_ENV = "env of the flow"
    TRIGGER_CONDITION = "if or dedupe.key of a trigger"
    TRIGGER_INPUT = "inputs of a trigger"
    INTERPRETED = "text that an interpreter parses"
    LITERAL = "literal text"

    @property
    def is_bare(self) -> bool:
        """Whether the whole text is an expression, with or without the wrapper."""
        return self in (Kind.CONDITION, Kind.TRIGGER_CONDITION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A text of the definition; `node` is the index of its node, if it stands in one."""

    path: Path
    text: str
    kind: Kind
    node: int | None = None


def places(subject: Subject) -> Iterator[Place]:
    """Yields every text of the definition with the kind of its place."""
    special: dict[Path, Place] = {place.path: place for place in _special(subject)}
    for path, text in _texts(subject.data, ()):
        yield special.get(path) or Place(path=path, text=text, kind=Kind.LITERAL)


def _special(subject: Subject) -> Iterator[Place]:
    for path, text in _texts(subject.data.get("env", {}), ("env",)):
        yield Place(path=path, text=text, kind=Kind.FLOW_ENV)
    for index, node in enumerate(subject.nodes):
        yield from _of_node(subject, index, node)
    for index, trigger in enumerate(subject.triggers):
        at: Path = ("triggers", index)
        for path, text in _texts(trigger.get("inputs", {}), (*at, "inputs")):
            yield Place(path=path, text=text, kind=Kind.TRIGGER_INPUT)
        bare = {(*at, "if"): trigger.get("if")}
        bare[(*at, "dedupe", "key")] = trigger.get("dedupe", {}).get("key")
        for path, value in bare.items():
            if isinstance(value, str):
                yield Place(path=path, text=value, kind=Kind.TRIGGER_CONDITION)


def _of_node(subject: Subject, index: int, node: Mapping[str, Json]) -> Iterator[Place]:
    at: Path = ("nodes", index)
    if isinstance(node.get("if"), str):
        yield Place(path=(*at, "if"), text=node["if"], kind=Kind.CONDITION, node=index)
    for path, text in _texts(node.get("env", {}), (*at, "env")):
        yield Place(path=path, text=text, kind=Kind.NODE_ENV, node=index)
    if "run" in node:
        yield Place(path=(*at, "run"), text=node["run"], kind=Kind.INTERPRETED, node=index)
        return
    facts = subject.catalog.get(node_type(node))
    if facts is None:
        return
    params = node_params(node)
    for path, text, kind in _params(params, facts.schema, (*at, "params"), Kind.LITERAL):
        yield Place(path=path, text=text, kind=kind, node=index)
    for position in _code_arguments(params.get("argv")):
        path = (*at, "params", "argv", position)
        text = str(params["argv"][position])
        yield Place(path=path, text=text, kind=Kind.INTERPRETED, node=index)


def _params(
    value: Json, schema: Mapping[str, Any], path: Path, kind: Kind
) -> Iterator[tuple[Path, str, Kind]]:
    if schema.get("x-expression"):
        kind = Kind.PARAM
    elif schema.get("x-interpreted"):
        kind = Kind.INTERPRETED
    if isinstance(value, str):
        yield path, value, kind
    elif isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties")
        other = rest if isinstance(rest, Mapping) else {}
        for key, item in value.items():
            yield from _params(item, known.get(key, other), (*path, key), kind)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _params(item, schema.get("items", {}), (*path, index), kind)


def _code_arguments(argv: Json) -> list[int]:
    """Returns the positions in an argv that a known interpreter would parse as code."""
    if not isinstance(argv, list) or not argv or not isinstance(argv[0], str):
        return []
    program = PurePosixPath(argv[0]).name
    if program not in _INTERPRETERS:
        return []
    after_flag = [i + 1 for i, word in enumerate(argv[:-1]) if word in _CODE_FLAGS]
    return after_flag or ([1] if program == "awk" and len(argv) > 1 else [])


def _texts(value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
