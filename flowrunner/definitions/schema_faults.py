"""What is wrong with data that does not fit the schema: the library's errors as our sentences.

Each problem also says what would fit in its place, so that the rest of a file can be checked
beside it (`flowrunner.definitions.salvage`). Positions in files are not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from flowrunner.dataclass import dataclass
from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.definitions.document import Path
from flowrunner.definitions.hints import did_you_mean, nearest_word
from flowrunner.definitions.kind_words import found_words, wanted_words
from flowrunner.definitions.planned import PLANNED_WORDS
from flowrunner.definitions.schema_parts import (
    ENV_NAME,
    FLOW_NAME,
    HEADER_NAME,
    HOOK_PATH,
    INNER_NAME,
    LABEL_NAME,
    SECRET_NAME,
    UMASK,
)
from flowrunner.definitions.templates import holds_expression
from flowrunner.definitions.value_hints import (
    duration_hint,
    straight_quotes_hint,
    type_hint,
    type_word_hint,
    unknown_key_hint,
)
from flowrunner.definitions.ways_round import planned_hint
from flowrunner.model.ids import Json
from flowrunner.model.notify import CHANNEL_NAME
from flowrunner.model.quantities import DURATION_PATTERN, SIZE_PATTERN
from flowrunner.model.rates import RATE_PATTERN

LibraryError = Any
"""A `jsonschema.ValidationError`: its attributes are typed as possibly unset, which they never
are in an error that validation yields."""

_LONGEST_QUOTE = 80
_QUANTITY_HINTS: Mapping[str, tuple[str, str]] = {
    DURATION_PATTERN: ("s", "write a number with its unit, as 90s or 2h30m"),
    SIZE_PATTERN: ("B", "write a number with its unit, as 64KiB"),
}
_PATTERNS: Mapping[str, tuple[Code, str, str]] = {
    DURATION_PATTERN: (
        codes.MALFORMED_QUANTITY,
        "is not a duration",
        _QUANTITY_HINTS[DURATION_PATTERN][1],
    ),
    SIZE_PATTERN: (codes.MALFORMED_QUANTITY, "is not a size", _QUANTITY_HINTS[SIZE_PATTERN][1]),
    RATE_PATTERN: (
        codes.MALFORMED_QUANTITY,
        "is not a rate",
        "write a number per time, as 30/1m; s m h",
    ),
    FLOW_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of a flow",
        "lower-case letters, digits and -, at most 63 characters",
    ),
    INNER_NAME: (
        codes.MALFORMED_NAME,
        "is not a name",
        "lower-case letters, digits and _, beginning with a letter, at most 63 characters",
    ),
    LABEL_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of a label",
        "lower-case letters, digits and _./-, beginning with a letter, at most 63 characters",
    ),
    CHANNEL_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of a channel",
        "lower-case letters, digits, _ and -, a letter or digit first, at most 63 characters",
    ),
    ENV_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of an environment variable",
        "letters, digits and _, not beginning with a digit",
    ),
    SECRET_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of a secret",
        "letters, digits and _, not beginning with a digit, at most 128 characters",
    ),
    HEADER_NAME: (
        codes.MALFORMED_NAME,
        "is not a name of a header",
        "letters, digits and signs such as -, no spaces, at most 100 characters",
    ),
    UMASK: (
        codes.VALUE_NOT_ALLOWED,
        "is not a file mode mask",
        'three octal digits in quotes, as "022" or "0077"',
    ),
    HOOK_PATH: (
        codes.MALFORMED_NAME,
        "is not a path of a webhook",
        "segments of letters, digits and ._~- joined by single /, none of them . or ..",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaProblem:
    """One disagreement with the schema.

    Attributes:
        path: The value at fault, or the mapping that lacks a key.
        at_key: Whether the key itself is at fault.
        place: Where something else would fit.
        instead: What would fit there; without an entry, nothing would.
        meant: The known key for which an unknown one was probably meant; else empty.
    """

    code: Code
    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    place: Path = field(default=(), compare=False)
    instead: tuple[Json, ...] = field(default=(), compare=False)
    meant: str = field(default="", compare=False)


def explain(error: LibraryError) -> Iterator[SchemaProblem]:
    """Yields the problems that one error of the library stands for."""
    path = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            yield from _unknown_keys(error, path)
        case "required":
            yield from _missing_keys(error, path)
        case "not":
            yield _beside_run(path)
        case _:
            yield _unfit_value(error, path)


def _unfit_value(error: LibraryError, path: Path) -> SchemaProblem:
    match error.validator:
        case "type":
            problem = _wrong_type(error, path)
        case "pattern":
            problem = _pattern(error, path)
        case "enum" | "const":
            problem = _not_allowed(error, path)
        case keyword:
            message = _bound(str(keyword), error.validator_value)
            problem = SchemaProblem(
                code=codes.VALUE_NOT_ALLOWED, path=path, message=message, place=path
            )
    if isinstance(error.instance, str) and holds_expression(error.instance):
        message = "an expression is not evaluated here"
        return replace(problem, code=codes.EXPRESSION_NOT_ALLOWED, message=message, hint="")
    return problem


def _unknown_keys(error: LibraryError, path: Path) -> Iterator[SchemaProblem]:
    known = error.schema.get("properties", {})
    kind = error.schema.get("x-kind", "")
    for key in error.instance:
        if key in known:
            continue
        meant = nearest_word(key, known)
        yield SchemaProblem(
            code=codes.UNKNOWN_KEY,
            path=(*path, key),
            message=f"unknown key {quoted(key)}",
            hint=unknown_key_hint(kind, key, known),
            at_key=True,
            place=(*path, key),
            meant=meant if meant not in error.instance else "",
        )


def _missing_keys(error: LibraryError, path: Path) -> Iterator[SchemaProblem]:
    properties = error.schema.get("properties", {})
    for key in error.validator_value:
        if key in error.instance:
            continue
        yield SchemaProblem(
            code=codes.MISSING_KEY,
            path=path,
            message=f"the key {key!r} is missing",
            hint="or 'run', a script" if is_node_type((*path, key)) else "",
            place=(*path, key),
            instead=(properties.get(key, {}).get("examples", [{}])[0],),
        )


def _wrong_type(error: LibraryError, path: Path) -> SchemaProblem:
    wanted = error.validator_value
    words = [wanted] if isinstance(wanted, str) else list(wanted)
    value = error.instance
    hint = type_hint(value, words, path)
    if error.schema.get("pattern") in _QUANTITY_HINTS and _is_number(value):
        unit, hint = _QUANTITY_HINTS[error.schema["pattern"]]
        if isinstance(value, int):
            hint = f"a bare number has no unit; write {value}{unit} if that is what you mean"
    return SchemaProblem(
        code=codes.WRONG_TYPE,
        path=path,
        message=f"expected {wanted_words(words)}, found {found_words(value, words)}",
        hint=hint,
        place=path,
        instead=_as_meant(value, words),
    )


def _as_meant(value: Json, words: list[str]) -> tuple[Json, ...]:
    """Returns the value as one of the wanted types, if it can be taken for one."""
    is_scalar = not isinstance(value, list | dict)
    if "string" in words:
        return (json.dumps(value) if is_scalar else "",)
    if "object" in words:
        return ({},)
    if "array" in words and is_scalar and value is not None:
        return ([value],)
    return ()


def _pattern(error: LibraryError, path: Path) -> SchemaProblem:
    code, text, hint = _PATTERNS.get(
        error.validator_value, (codes.MALFORMED_NAME, "has the wrong form", "")
    )
    if error.validator_value == DURATION_PATTERN:
        hint = duration_hint(error.instance) or hint
    names_a_key = "propertyNames" in error.absolute_schema_path
    where = (*path, error.instance) if names_a_key else path
    return SchemaProblem(
        code=code,
        path=where,
        message=f"{quoted(error.instance)} {text}",
        hint=straight_quotes_hint(error.instance) or hint,
        at_key=names_a_key,
        place=where,
    )


def _not_allowed(error: LibraryError, path: Path) -> SchemaProblem:
    value, allowed = error.instance, error.validator_value
    choices = allowed if isinstance(allowed, list) else [allowed]
    listed = ", ".join(str(choice) for choice in choices)
    hint = ""
    if isinstance(value, str):
        hint = _word_hint(path, value, [str(choice) for choice in choices])
    return SchemaProblem(
        code=codes.UNKNOWN_NODE_TYPE if is_node_type(path) else codes.VALUE_NOT_ALLOWED,
        path=path,
        message=f"{quoted(value)} is not {'one of ' if len(choices) > 1 else ''}{listed}",
        hint=hint,
        place=path,
        instead=tuple(choices[:1]),
    )


def _word_hint(path: Path, word: str, choices: list[str]) -> str:
    if word in choices:  # the value in quotes where a number belongs
        return f"write it without quotes: {word}"
    kind = _kind_of_word(path)
    if word in PLANNED_WORDS.get(kind, frozenset()):
        return planned_hint(kind, word)
    return type_word_hint(path, word) or did_you_mean(word, choices)


def is_node_type(path: Path) -> bool:
    """Whether a path leads to the `type` of a node."""
    return path[:1] in (("nodes",), ("finally",)) and path[2:] == ("type",)


def _kind_of_word(path: Path) -> str:
    """Returns which list of words a value is of, in `PLANNED_WORDS`; empty for none."""
    match path:
        case ("nodes" | "finally", _, "type"):
            return "node-type"
        case ("triggers", _, "type"):
            return "trigger-type"
        case ("triggers", _, "auth", "type"):
            return "auth-type"
    return ""


def _beside_run(path: Path) -> SchemaProblem:
    """The one place where the schema says that a key must not be."""
    return SchemaProblem(
        code=codes.EXCLUSIVE_KEYS,
        path=path,
        message=f"{path[-1]!r} cannot stand beside 'run'",
        hint="'run' is short for type: shell with params.script; keep one of the two",
        at_key=True,
        place=path,
    )


def _bound(keyword: str, limit: Json) -> str:
    texts = {
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
        "minLength": "must not be empty",
        "maxLength": f"must be at most {limit} characters long",
        "minItems": "must not be empty",
        "minProperties": "must not be empty",
        "maxItems": f"must have at most {limit} entries",
        "uniqueItems": "holds an entry twice",
    }
    return texts.get(keyword, "is not allowed here")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def quoted(value: Json) -> str:
    """Returns a value from a file for a message, cut, on one line."""
    if isinstance(value, list | dict):
        return found_words(value)
    if not isinstance(value, str):
        return json.dumps(value)
    cut = value if len(value) <= _LONGEST_QUOTE else value[: _LONGEST_QUOTE - 1] + "…"
    return repr(cut)
