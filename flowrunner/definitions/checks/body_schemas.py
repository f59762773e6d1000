"""The `schema` of a webhook: keywords that suit the type, and patterns that take linear time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.body_keywords import SUITED, types_of
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json
from flowrunner.model.patterns import PatternError, parse_pattern

_BOUNDS = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))


def check_body_schema(subject: Subject, at: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    """Yields findings about a schema and all within it."""
    yield from _without_effect(subject, at, raw)
    yield from _never(subject, at, raw)
    yield from _pattern(subject, at, raw)
    if "items" in raw:
        yield from check_body_schema(subject, (*at, "items"), raw["items"])
    for name, inner in raw.get("properties", {}).items():
        yield from check_body_schema(subject, (*at, "properties", name), inner)


def _without_effect(subject: Subject, at: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    types = types_of(raw)
    for key, suited in SUITED.items():
        if key in raw and types and not suited.intersection(types):
            message = f"{key!r} has no effect on a value of type {' or '.join(types)}"
            yield subject.document.finding(codes.EXCLUSIVE_KEYS, message, path=(*at, key), key=True)


def _never(subject: Subject, at: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    """Yields findings about what no value can be."""
    for least, most in _BOUNDS:
        if least in raw and most in raw and raw[least] > raw[most]:
            message = f"{least!r} is greater than {most!r}, so no value fits"
            yield subject.document.finding(codes.VALUE_NOT_ALLOWED, message, path=(*at, least))
    if raw.get("additionalProperties", True):
        return
    for index, name in enumerate(raw.get("required", ())):
        if name not in raw.get("properties", {}):
            message = f"{name!r} is required and not in 'properties', so no value fits"
            yield subject.document.finding(
                codes.VALUE_NOT_ALLOWED, message, path=(*at, "required", index)
            )


def _pattern(subject: Subject, at: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    try:
        parse_pattern(raw.get("pattern", ""))
    except PatternError as error:
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED,
            error.message,
            path=(*at, "pattern"),
            hint=str(error.details.get("hint", "")),
        )
