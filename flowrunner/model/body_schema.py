"""What the body of a delivery must be: a subset of JSON Schema that takes linear time.

The keywords mean what JSON Schema says, and one that does not concern the type of a value says
nothing about it. Two things differ: `pattern` is matched by an automaton, and `format` is held to.
What is wrong is told by its place and by words of the schema, never by what was sent.

Source: JSON Schema 2020-12, core section 10 and validation section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from itertools import islice

from flowrunner.dataclass import dataclass
from flowrunner.model.finding import pointer_of
from flowrunner.model.formats import TextFormat, format_example, is_format
from flowrunner.model.ids import Json
from flowrunner.model.patterns import Pattern

MOST_MISFITS = 10
"""Misfits that are told at once."""

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodySchema:
    """What a value must be.

    Attributes:
        types: The words of JSON Schema; any type when empty.
        enum: The allowed values; all when empty.
        allows_more: Whether a map may have other keys than `properties`.
    """

    types: tuple[str, ...] = ()
    enum: tuple[Json, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: Pattern | None = None
    format: TextFormat | None = None
    items: BodySchema | None = None
    min_items: int | None = None
    max_items: int | None = None
    properties: Mapping[str, BodySchema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    allows_more: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A value that is not what it must be.

    Attributes:
        pointer: Where it stands (RFC 6901), by keys that the schema names; empty for the whole.
        message: What it must be.
    """

    pointer: str
    message: str


def misfits_of(value: Json, schema: BodySchema) -> tuple[Misfit, ...]:
    """Returns what is wrong with a value, at most `MOST_MISFITS`; nothing when it fits."""
    found = islice(_misfits(value, schema, ()), MOST_MISFITS)
    return tuple(Misfit(pointer=pointer_of(place), message=text) for place, text in found)


def _misfits(value: Json, schema: BodySchema, at: Place) -> Iterator[tuple[Place, str]]:
    if schema.types and not any(_IS[word](value) for word in schema.types):
        yield at, f"must be of type {' or '.join(schema.types)}"
        return
    if schema.enum and not any(_is_same(value, each) for each in schema.enum):
        yield at, "must be one of the allowed values"
    if isinstance(value, str):
        yield from ((at, text) for text in _text(value, schema))
    elif isinstance(value, list):
        yield from _list(value, schema, at)
    elif isinstance(value, dict):
        yield from _map(value, schema, at)
    elif _is_number(value):
        yield from ((at, text) for text in _number(value, schema))


def _number(value: float, schema: BodySchema) -> Iterator[str]:
    if schema.minimum is not None and value < schema.minimum:
        yield f"must be at least {schema.minimum}"
    if schema.maximum is not None and value > schema.maximum:
        yield f"must be at most {schema.maximum}"


def _text(value: str, schema: BodySchema) -> Iterator[str]:
    yield from _count(len(value), schema.min_length, schema.max_length, "characters")
    if schema.format is not None and not is_format(value, schema.format):
        yield f"must be of format {schema.format}, such as {format_example(schema.format)}"
    if schema.pattern is not None and not schema.pattern.is_in(value):
        yield "must match the pattern"


def _list(value: list[Json], schema: BodySchema, at: Place) -> Iterator[tuple[Place, str]]:
    counted = _count(len(value), schema.min_items, schema.max_items, "items")
    yield from ((at, text) for text in counted)
    if schema.items is not None:
        for index, item in enumerate(value):
            yield from _misfits(item, schema.items, (*at, index))


def _map(value: dict[str, Json], schema: BodySchema, at: Place) -> Iterator[tuple[Place, str]]:
    for name in schema.required:
        if name not in value:
            yield (*at, name), "is missing"
    if not schema.allows_more and not value.keys() <= schema.properties.keys():
        yield at, "has a key that is not allowed"
    for name, inner in schema.properties.items():
        if name in value:
            yield from _misfits(value[name], inner, (*at, name))


def _count(size: int, least: int | None, most: int | None, what: str) -> Iterator[str]:
    if least is not None and size < least:
        yield f"must have at least {least} {what}"
    if most is not None and size > most:
        yield f"must have at most {most} {what}"


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Json) -> bool:
    """Source: JSON Schema 2020-12, validation section 6.1.1: 1.0 is an integer, too."""
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


_IS: Mapping[str, Callable[[Json], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
BODY_TYPES = tuple(_IS)
"""The words of JSON Schema for types."""


def _is_same(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON: true is not 1, as it is in Python, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    return bool(one == other)
