"""Inputs: keywords that suit the type, and values that fit them.

What a value must be is decided by `flowrunner.model.values`, here as at a start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.build import value_spec
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.templates import holds_expression
from flowrunner.definitions.value_hints import boolean_hint
from flowrunner.model.finding import Finding
from flowrunner.model.flow import ValueSpec, ValueType
from flowrunner.model.ids import Json
from flowrunner.model.patterns import PatternError, parse_pattern
from flowrunner.model.values import fits, problem_with

_NUMBERS = frozenset({ValueType.INTEGER, ValueType.NUMBER})
_TEXTS = frozenset({ValueType.STRING})
_SUITED: Mapping[str, frozenset[ValueType]] = {
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "pattern": _TEXTS,
    "format": _TEXTS,
    "items": frozenset({ValueType.ARRAY}),
}
"""Keyword → the types on which it has an effect."""

_JUDGING = frozenset({"type", "enum", *_SUITED})
"""Keywords that say what a value must be: while one may not be the author's, none is judged."""


def check_inputs(subject: Subject) -> Iterator[Finding]:
    """Yields findings about the declared inputs."""
    for name, raw in subject.inputs.items():
        path: Path = ("inputs", name)
        spec = input_spec(raw)
        yield from _keywords(subject, path, raw, spec, "an input")
        if spec.items is not None:
            yield from _keywords(subject, (*path, "items"), raw["items"], spec.items, "items")
        if "default" in raw and not _is_doubtful(subject, path):
            yield from _default(subject, path, raw, spec)


def _is_doubtful(subject: Subject, path: Path) -> bool:
    """Whether what an input says of its values may not be the author's."""
    return bool(subject.doubtful) and any(subject.is_doubtful(*path, key) for key in _JUDGING)


def input_spec(raw: Mapping[str, Json]) -> ValueSpec:
    """Returns what a value must be, as far as the keywords make sense."""
    return value_spec(_sensible(raw))


def misfits(path: Path, value: Json, spec: ValueSpec, what: str) -> Iterator[tuple[Path, str]]:
    """Yields where a value does not fit and why: each item of a list by itself."""
    if spec.items is not None and fits(value, spec.type):
        for index, item in enumerate(value):
            if problem := problem_with(item, spec.items):
                yield (*path, index), f"the item {problem}"
        spec = ValueSpec(type=spec.type, enum=spec.enum)
    if problem := problem_with(value, spec):
        yield path, f"the {what} {problem}"


def _sensible(raw: Mapping[str, Json]) -> dict[str, Json]:
    kind = ValueType(raw.get("type", "string"))
    return {
        key: _sensible(value) if key == "items" else value
        for key, value in raw.items()
        if kind in _SUITED.get(key, (kind,)) and not (key == "pattern" and _pattern_error(value))
    }


def _keywords(
    subject: Subject, path: Path, raw: Mapping[str, Json], spec: ValueSpec, of: str
) -> Iterator[Finding]:
    """Yields findings about keywords without effect, or with one that no value survives."""
    kind = spec.type
    for key, suited in _SUITED.items():
        if key in raw and kind not in suited:
            message = f"{key!r} has no effect on {of} of type {kind}"
            yield subject.document.finding(
                codes.EXCLUSIVE_KEYS, message, path=(*path, key), key=True
            )
    if spec.minimum is not None and spec.maximum is not None and spec.minimum > spec.maximum:
        message = "'minimum' is greater than 'maximum', so no value fits"
        yield subject.document.finding(codes.VALUE_NOT_ALLOWED, message, path=(*path, "minimum"))
    error = _pattern_error(raw["pattern"]) if "pattern" in raw and kind in _TEXTS else None
    if error is not None and not holds_expression(raw["pattern"]):
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED,
            error.message,
            path=(*path, "pattern"),
            hint=str(error.details.get("hint", "")),
        )
    if spec.enum:
        yield from _choices(subject, path, spec)


def _choices(subject: Subject, path: Path, spec: ValueSpec) -> Iterator[Finding]:
    """Yields findings about allowed values that the other keywords do not allow."""
    others = ValueSpec(
        type=spec.type,
        minimum=spec.minimum,
        maximum=spec.maximum,
        pattern=spec.pattern,
        format=spec.format,
        items=spec.items,
    )
    for index, choice in enumerate(spec.enum):
        for where, problem in misfits((*path, "enum", index), choice, others, "value"):
            yield subject.document.finding(codes.DEFAULT_MISFIT, problem, path=where)


def _default(
    subject: Subject, path: Path, raw: Mapping[str, Json], spec: ValueSpec
) -> Iterator[Finding]:
    value = raw["default"]
    if isinstance(value, str) and holds_expression(value):
        return  # told already: it is not evaluated there
    for where, problem in misfits((*path, "default"), value, spec, "default"):
        hint = _hint_for(value, raw, spec)
        yield subject.document.finding(codes.DEFAULT_MISFIT, problem, path=where, hint=hint)


def _hint_for(value: Json, raw: Mapping[str, Json], spec: ValueSpec) -> str:
    """Returns what to do about a default that does not fit."""
    if spec.type is ValueType.BOOLEAN:
        return boolean_hint(value)
    fitting = next((kind for kind in ValueType if fits(value, kind)), None)
    is_untyped = "type" not in raw and not fits(value, spec.type)
    return f"add type: {fitting}, or put it in quotes" if fitting and is_untyped else ""


def _pattern_error(source: Json) -> PatternError | None:
    try:
        parse_pattern(source)
    except PatternError as error:
        return error
    return None
