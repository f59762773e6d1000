"""Writes JSON values as YAML for people to read: block style, and quotes wherever in doubt.

What it writes reads back as the same value with our own strict reader and with any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowrunner.model.ids import Json

_INDENT = "  "
_LONGEST_KEY = 1_000
"""Characters as written; a longer one needs `?`. Source: YAML 1.2.2, section 7.4.2 (1,024)."""

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?:[ :][A-Za-z0-9_./@+-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""What some reader of YAML takes for something else than text."""

_ESCAPED = re.compile(
    '["\\\\]|[^ -\\[\\]-~\xa0-\u2027\u202f-\u2065\u206a-\ud7ff'
    "\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What stands as an escape: also marks of lines and directions, which a terminal obeys."""


def to_yaml(value: Json) -> str:
    """Returns a value as one YAML document, with a line break at its end."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Json) -> Iterator[str]:
    """Yields the lines of a value that stands at the left margin."""
    if isinstance(value, dict) and value:
        for key, content in value.items():
            yield from _entry(key, content)
    elif isinstance(value, list) and value:
        for item in value:
            first, *others = _lines(item)
            yield f"- {first}"
            yield from (_INDENT + line for line in others)
    else:
        yield _scalar(value)


def _entry(key: str, content: Json) -> Iterator[str]:
    name = _text(key)
    head = f"{name}:" if len(name) <= _LONGEST_KEY else f"? {name}\n:"
    if isinstance(content, dict | list) and content:
        yield from head.split("\n")
        yield from (_INDENT + line for line in _lines(content))
    else:
        yield from f"{head} {_scalar(content)}".split("\n")


def _scalar(value: Json) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value)  # numbers, {} and []


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # No YAML can hold half of a surrogate pair: it becomes the text of its escape.
    whole = text.encode("utf-8", "backslashreplace").decode()
    return '"' + _ESCAPED.sub(_escape, whole) + '"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in '"\\':
        return "\\" + char
    if char == "\n":
        return "\\n"
    return f"\\u{ord(char):04x}"
