"""Plain scalars: which of them are values and which are text.

The rules are YAML 1.2's core schema without octal, hexadecimal, infinity and not-a-number, so that
`on`, `NO`, `12:30`, `0755`, `0x1f`, `1_000` and dates stay the text that people meant.
Source: YAML 1.2.2, section 10.3; FLOW_FORMAT section 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

Scalar = str | int | float | bool | None

MAX_NUMBER_LENGTH = 400
"""Longest number in characters."""

_WORDS: Mapping[str, bool | None] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}

_NUMBER_STARTS = frozenset("+-.0123456789")

VALUE_STARTS = _NUMBER_STARTS | {word[:1] for word in _WORDS}
"""With what each scalar begins that may be more than a text; the empty one with nothing."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)",
    re.ASCII,
)
_INT64 = range(-(2**63), 2**63)

_TAGGED_TYPES: Mapping[str, type] = {
    "int": int,
    "float": float,
    "bool": bool,
    "null": type(None),
}


class NumberTooLargeError(ValueError):
    """A number that no 64-bit integer or double can hold."""


class TagMisfitError(ValueError):
    """A text that is no value of the type its tag names."""


def resolve_plain(text: str) -> Scalar:
    """Returns the value of a scalar without quotes.

    Raises:
        NumberTooLargeError: For a number beyond 64 bits, a double or `MAX_NUMBER_LENGTH`.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_STARTS:
        return _number_or_text(text)
    return text


def _number_or_text(text: str) -> int | float | str:
    is_integer = _INTEGER.fullmatch(text) is not None
    if not is_integer and _FLOAT.fullmatch(text) is None:
        return text
    # The length first: to convert digits costs the square of their number.
    if len(text) > MAX_NUMBER_LENGTH:
        raise NumberTooLargeError
    value = int(text) if is_integer else float(text)
    if (is_integer and value not in _INT64) or math.isinf(value):
        raise NumberTooLargeError
    return value


def resolve_tagged(name: str, text: str) -> Scalar:
    """Returns the value of a scalar with one of YAML's own tags, such as `str` for `!!str`.

    Raises:
        TagMisfitError: When the tag is none of a scalar or the text does not fit it.
        NumberTooLargeError: As `resolve_plain`.
    """
    if name == "str":
        return text
    value = resolve_plain(text)
    if name == "float" and type(value) is int:
        return float(value)
    if name not in _TAGGED_TYPES or type(value) is not _TAGGED_TYPES[name]:
        raise TagMisfitError
    return value
