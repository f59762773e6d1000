"""Checking data against the flow schema: a fast yes, and a patient explanation of every no.

`jsonschema-rs` says yes in microseconds; only when it says no does `jsonschema` look for all
that is wrong (0.1 s to import). A test shows that the two agree. This module turns the
library's errors into our codes and sentences; it knows nothing of positions in files.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.definitions.flow_schema import (
    DURATION,
    ENV_NAME,
    FLOW_NAME,
    HOOK_PATH,
    INNER_NAME,
    SIZE,
)
from flowrunner.definitions.planned import PLANNED, PLANNED_WORDS
from flowrunner.model.ids import Json

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

LibraryError = Any
"""A `jsonschema.ValidationError`: its attributes are typed as possibly unset, which they never
are in an error that validation yields."""

PLANNED_HINT = "planned: in the flow format, but not in this version of FlowRunner"
_NAME_HINT = "lower-case letters, digits and _, beginning with a letter, at most 63 characters"
_PATTERNS: Mapping[str, tuple[Code, str, str]] = {
    DURATION: (codes.MALFORMED_QUANTITY, "is not a duration", "write a number with its unit, 90s"),
    SIZE: (codes.MALFORMED_QUANTITY, "is not a size", "write a number with its unit, as 64KiB"),
    FLOW_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of a flow",
        "lower-case letters, digits and -, at most 63 characters",
    ),
    INNER_NAME: (codes.MALFORMED_NAME, "is not a name", _NAME_HINT),
    ENV_NAME: (codes.MALFORMED_NAME, "is not a name of an environment variable", ""),
    HOOK_PATH: (
        codes.MALFORMED_NAME,
        "is not a path of a webhook",
        "segments of letters, digits and ._~- joined by /, no leading slash",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaProblem:
    """One disagreement with the schema; `at_key` says that the key itself is at fault."""

    code: Code
    path: tuple[str | int, ...]
    message: str
    hint: str = ""
    at_key: bool = False


class FlowSchema:
    """The schema, ready to check: built once, used for every file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._fast = jsonschema_rs.Draft202012Validator(dict(document))

    @cached_property
    def _patient(self) -> Draft202012Validator:
        from jsonschema import Draft202012Validator
        from referencing import Registry

        return Draft202012Validator(dict(self.document), registry=Registry())

    def is_valid(self, data: Json) -> bool:
        """Whether the data fits; the fast way."""
        return bool(self._fast.is_valid(data))

    def problems(self, data: Json) -> list[SchemaProblem]:
        """Returns everything that does not fit, in no particular order."""
        if self.is_valid(data):
            return []
        found = [p for error in self._patient.iter_errors(data) for p in _explain(error)]
        return list(dict.fromkeys(found))


def _explain(error: LibraryError) -> Iterator[SchemaProblem]:
    path = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(error, path)
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            for key in missing:
                yield SchemaProblem(
                    code=codes.MISSING_KEY, path=path, message=f"the key {key!r} is missing"
                )
        case "type":
            yield _wrong_type(error, path)
        case "pattern":
            yield _pattern(error, path)
        case "enum" | "const":
            yield _not_allowed(error, path)
        case None:
            key = path[-1] if path else ""
            message = f"{key!r} cannot stand beside 'run'"
            hint = "'run' is short for type: shell with params.script; keep one of the two"
            yield SchemaProblem(
                code=codes.EXCLUSIVE_KEYS, path=path, message=message, hint=hint, at_key=True
            )
        case _:
            yield SchemaProblem(code=codes.VALUE_NOT_ALLOWED, path=path, message=_bound(error))


def _unknown_keys(error: LibraryError, path: tuple[str | int, ...]) -> Iterator[SchemaProblem]:
    known = list(error.schema.get("properties", {}))
    kind = str(error.schema.get("x-kind", path[-2] if len(path) > 1 else ""))
    for key in error.instance:
        if key in known:
            continue
        if key in PLANNED.get(kind, ()):
            code, hint = codes.PLANNED_KEY, PLANNED_HINT
        else:
            code, hint = codes.UNKNOWN_KEY, _nearest(str(key), known)
        message = f"unknown key {_cut(key)}"
        yield SchemaProblem(code=code, path=(*path, key), message=message, hint=hint, at_key=True)


def _wrong_type(error: LibraryError, path: tuple[str | int, ...]) -> SchemaProblem:
    wanted = error.validator_value
    words = [wanted] if isinstance(wanted, str) else list(wanted)
    hint = ""
    pattern = error.schema.get("pattern")
    is_number = isinstance(error.instance, int | float)
    if pattern in (DURATION, SIZE) and is_number and not isinstance(error.instance, bool):
        unit = "s" if pattern == DURATION else "KiB"
        hint = f"a bare number has no unit; write {error.instance}{unit}"
    elif words == ["string"]:
        hint = "put it in quotes"
    message = f"expected {' or '.join(words)}, found {_kind(error.instance)}"
    return SchemaProblem(code=codes.WRONG_TYPE, path=path, message=message, hint=hint)


def _pattern(error: LibraryError, path: tuple[str | int, ...]) -> SchemaProblem:
    code, text, hint = _PATTERNS.get(
        error.validator_value, (codes.MALFORMED_NAME, "has the wrong form", "")
    )
    names_a_key = "propertyNames" in error.absolute_schema_path
    where = (*path, error.instance) if names_a_key else path
    message = f"{_cut(error.instance)} {text}"
    return SchemaProblem(code=code, path=where, message=message, hint=hint, at_key=names_a_key)


def _not_allowed(error: LibraryError, path: tuple[str | int, ...]) -> SchemaProblem:
    value, allowed = error.instance, error.validator_value
    choices = allowed if isinstance(allowed, list) else [allowed]
    code = codes.VALUE_NOT_ALLOWED
    if len(path) == 3 and path[0] == "nodes" and path[2] == "type":  # noqa: PLR2004 - nodes/i/type
        code = codes.UNKNOWN_NODE_TYPE
    if value in PLANNED_WORDS:
        hint = PLANNED_HINT
    else:
        hint = _nearest(str(value), [str(choice) for choice in choices])
    listed = ", ".join(str(choice) for choice in choices)
    message = f"{_cut(value)} is not one of {listed}"
    return SchemaProblem(code=code, path=path, message=message, hint=hint)


def _bound(error: LibraryError) -> str:
    limit = error.validator_value
    texts = {
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
        "minLength": "must not be empty",
        "maxLength": f"must be at most {limit} characters long",
        "minItems": "must not be empty",
        "maxItems": f"must have at most {limit} entries",
        "uniqueItems": "holds an entry twice",
    }
    return texts.get(str(error.validator), "is not allowed here")


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(sorted(known))}" if known and len(known) <= 20 else ""  # noqa: PLR2004 - a longer list helps nobody


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…'"  # noqa: PLR2004 - one line of text
