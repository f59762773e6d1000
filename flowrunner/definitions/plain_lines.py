"""Lines of plain documents: a key of letters and digits, and a value that is whole on its line.

No tags, anchors and escapes. What a line says follows from its text alone, and the flows of a
folder have many lines in common, so those that were asked for last are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from string import ascii_letters, digits
from typing import Any, NamedTuple

from flowrunner.definitions.braced import Braced, braced_texts
from flowrunner.definitions.yaml_scalars import VALUE_STARTS, NumberTooLargeError, resolve_plain
from flowrunner.model.ids import Json

MOST_COLUMNS = 65_536
"""More than a plain line is long."""

NOTHING, BRACKETS = "nothing", "brackets"
"""What a line may hold instead of a value that is whole: see `Line.more`."""

_KEPT = 2_048
MOST_KEPT = 200
"""Characters of a line that is kept."""

_DEEPEST = 10
"""Brackets within each other."""

_LONGEST_KEY = 100
_STARTS = frozenset(ascii_letters + digits + "_/.$+(~<=^;")
"""With what most texts without quotes begin."""
_KEY = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
_QUOTED = r""""([^"\\]*+)"|'((?:[^']|'')*+)'"""
_TEXT = r"""
    (?:[A-Za-z0-9_/.$+(~<=^;\\]|[^\x00-\x7f]|-(?=[^\ ]))[^\ :#]*+
    (?:(?::(?=[^\ ])|(?<!\ )\#|\ +(?=[^\ #]))[^\ :#]*+)*+
"""
_END = r"\ *(?:(?<![^\ ])\#.*)?\Z"
"""What may stand behind a value: a comment, after a space."""
_LINE = re.compile(
    rf"""
    (-\ +)?(?:({_KEY}):(?:\ +|\Z))?
    (?:(?:({_TEXT})|{_QUOTED}|([|>]-?))?{_END}|(?=([\[{{])))
    """,
    re.VERBOSE,
)
_REST = re.compile(_END, re.VERBOSE)

_WORD = r"[A-Za-z0-9_./+@%$()<>=~^;*-]*+"
_INNER = rf"""
    (?:((?:[A-Za-z0-9_/.$]|-(?=[A-Za-z0-9.])){_WORD}
    (?:(?::(?=[A-Za-z0-9/])|\ +(?=[A-Za-z0-9_/.$])){_WORD})*+)|{_QUOTED}|(?=([\[{{])))
"""
_ENTRY = re.compile(rf"\ *({_KEY}):\ +{_INNER}", re.VERBOSE)
_ITEM = re.compile(rf"\ *{_INNER}", re.VERBOSE)
_NEXT = re.compile(r" *([,\]}])")
_EMPTY = re.compile(r". *([\]}])")
_PLAIN_WORD = re.compile(rf"[A-Za-z0-9_/.$]{_WORD}")
_WORDS = re.compile(rf"[A-Za-z0-9_/.$]{_WORD}(?:, [A-Za-z0-9_/.$]{_WORD})*+")
_NEW = tuple.__new__
_PLAIN_QUOTED = re.compile(r'"[^"\\]*+"')
_BRACKETS = frozenset("[{")
_OPENING = frozenset((" [", " {"))
_HEADERS = frozenset((" |", " |-", " >", " >-"))


class NotPlainError(Exception):
    """A text that only a parser can read."""


class Line(NamedTuple):
    """What a line says. Offsets count from its first character that is no space.

    Attributes:
        dash: How far behind the dash of an item that item begins; 0 without a dash.
        key: The key; empty for an item that is none of a mapping.
        key_at: Where that begins.
        value: Lists and mappings are for reading only, as in every document.
        value_at: Where that begins.
        more: `NOTHING`, `BRACKETS`, the header of a text on the lines below, or empty.
        braced: The texts in the value that hold a brace, by the way from the value to them; True
            for a value that is one.
    """

    dash: int
    key: str
    key_at: int
    value: Json
    value_at: int
    more: str
    braced: tuple[Braced, ...] | bool = False


def long_line_of(text: str) -> Line | None:
    """Returns what a line without its indentation says; None if that is nothing.

    Knows most by a few looks at them; the patterns take twice as long.

    Raises:
        NotPlainError: That takes a closer look.
    """
    dash = 2 if text.startswith("- ") else 0
    key, colon, rest = text[dash:].partition(":")
    if colon and _is_key(key):
        if not rest:
            return _NEW(Line, (dash, key, dash, None, 0, NOTHING, False))
        value, more = rest[1:], ""
        is_known = rest[0] == " " and _is_whole(value)
        if is_known:
            said: Json = _resolved(value)
        elif rest in _HEADERS:
            is_known, said, more = True, None, value
        elif rest[:2] in _OPENING and (said := _simple(value)) is not None:
            is_known, more = True, BRACKETS
        if is_known:
            at, braced = dash + len(key) + 2, _braced(said, value)
            return _NEW(Line, (dash, key, dash, said, at, more, braced))
    return _matched(text)


line_of = lru_cache(maxsize=_KEPT)(long_line_of)
"""Does the same for a line of up to `MOST_KEPT` characters, and keeps it."""


def _is_key(text: str) -> bool:
    return text.isidentifier() and text.isascii() and len(text) <= _LONGEST_KEY


def _is_whole(text: str) -> bool:
    """Whether a value is all of its line, and without quotes."""
    if text[:1] not in _STARTS:
        return False
    return not (text[-1] in ": " or ": " in text or " #" in text)


def _simple(text: str, depth: int = 0) -> Json:
    """Returns a list or mapping of words and texts in quotes; None: that takes a closer look.

    A comma may stand in a text, but what is before or behind it is no text in quotes then.
    """
    inner = text[1:-1]
    if text[-1] == "]" and text[0] == "[" and _WORDS.fullmatch(inner):
        return [_resolved(each) for each in inner.split(", ")]
    if text[-1] != "}" or text[0] != "{" or depth == _DEEPEST:
        return None
    found: dict[str, Json] = {}
    for part in inner.split(", "):
        key, _, value = part.partition(": ")
        if key in found or not _is_key(key):
            return None
        if _PLAIN_WORD.fullmatch(value):
            found[key] = _resolved(value)
        elif _PLAIN_QUOTED.fullmatch(value):
            found[key] = value[1:-1]
        elif value[:1] in _BRACKETS and (inside := _simple(value, depth + 1)) is not None:
            found[key] = inside
        else:
            return None
    return found


def _matched(text: str) -> Line | None:
    match = _LINE.match(text)
    if match is None:
        raise NotPlainError
    dash, key, *values = match.groups()
    if dash is key is None:
        if any(value is not None for value in values):
            raise NotPlainError
        return None  # space, or a comment
    value, at, more = _value_of(match)
    if key is None and more == NOTHING:
        raise NotPlainError
    braced = _braced(value, text)
    return Line(len(dash or ""), key or "", match.start(2), value, at, more, braced)


def _braced(value: Json, text: str) -> tuple[Braced, ...] | bool:
    """Returns the texts with a brace in the value of a line."""
    if "{" not in text:
        return False
    if isinstance(value, str):
        return "{" in value
    return tuple(braced_texts(value)) if isinstance(value, dict | list) else False


def _value_of(match: re.Match[str]) -> tuple[Json, int, str]:
    """Returns the value of a line, where it begins, and `Line.more`."""
    _, _, plain, double, single, header, bracket = match.groups()
    if plain is not None:
        return _resolved(plain), match.start(3), ""
    if bracket is not None:
        value, end = _in_brackets(match.string, match.end(), 0)
        if _REST.match(match.string, end) is None:
            raise NotPlainError
        return value, match.end(), BRACKETS
    if header is not None:
        return None, match.start(6), header
    if double is single is None:
        return None, 0, NOTHING
    return _unquoted(double, single), match.start(5 if double is None else 4) - 1, ""


def _resolved(text: str) -> Json:
    """Returns what a text without quotes stands for."""
    if text[:1] not in VALUE_STARTS:
        return text
    try:
        return resolve_plain(text)
    except NumberTooLargeError as error:
        raise NotPlainError from error


def _unquoted(double: str | None, single: str) -> str:
    return single.replace("''", "'") if double is None else double


def _in_brackets(text: str, at: int, depth: int) -> tuple[Json, int]:
    """Returns the list or mapping whose bracket stands there, and where the text goes on."""
    if depth == _DEEPEST:
        raise NotPlainError
    closing = "}" if text[at] == "{" else "]"
    empty = _EMPTY.match(text, at)
    if empty and empty[1] == closing:
        return ({} if closing == "}" else []), empty.end()
    return (_mapping if closing == "}" else _list)(text, at, depth)


def _mapping(text: str, at: int, depth: int) -> tuple[Json, int]:
    found: dict[str, Json] = {}
    while text[at] != "}":
        match = _ENTRY.match(text, at + 1)
        if match is None or match[1] in found:
            raise NotPlainError
        value, end = _inner(match, match.groups()[1:], depth)
        found[match[1]] = value
        at = _next(text, end, "}")
    return found, at + 1


def _list(text: str, at: int, depth: int) -> tuple[Json, int]:
    found: list[Json] = []
    while text[at] != "]":
        match = _ITEM.match(text, at + 1)
        if match is None:
            raise NotPlainError
        value, end = _inner(match, match.groups(), depth)
        found.append(value)
        at = _next(text, end, "]")
    return found, at + 1


def _inner(match: re.Match[str], groups: Sequence[Any], depth: int) -> tuple[Json, int]:
    """Returns a value within brackets, and where the text goes on."""
    plain, double, single, bracket = groups
    if plain is not None:
        return _resolved(plain), match.end()
    if bracket is not None:
        return _in_brackets(match.string, match.end(), depth + 1)
    return _unquoted(double, single), match.end()


def _next(text: str, at: int, closing: str) -> int:
    """Returns where the comma or the bracket stands that ends a value."""
    match = _NEXT.match(text, at)
    if match is None or match[1] not in {",", closing}:
        raise NotPlainError
    return match.end() - 1
