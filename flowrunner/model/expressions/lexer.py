"""From text to tokens, with a hint for what other languages would write.

It knows words and signs; what may follow what is the business of `parser`.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from flowrunner.model.expressions.errors import ExpressionSyntaxError
from flowrunner.model.expressions.syntax import MAX_LENGTH, NAME, NUMBER_TEXT

WORD = "word"
NUMBER = "number"
STRING = "string"
END = "end"
_SIGN = "sign"
_NEW = tuple.__new__
"""Makes a token without a call in Python: there are hundreds of thousands at a first start."""


class Token(NamedTuple):
    """A word of an expression.

    Attributes:
        kind: One of the constants above, or the sign itself, such as ``&&``.
        value: The name, the sign, or what a literal means. Names that nothing but dots stands
            between are one: ``inputs.day``.
        offset: Its first code point in the text, from 0.
        end: The code point after it.
    """

    kind: str
    value: str | float
    offset: int
    end: int


# Possessive, so that an unterminated string is refused where it begins and in linear time.
_TOKEN = re.compile(
    rf"""[ \t\r\n]*+(?:
    (?P<word>(?:true|false|null)(?![A-Za-z0-9_-])|{NAME.pattern}(?:\.{NAME.pattern})*+)
    |(?P<number>-?[0-9](?:[eE][+-]|[0-9A-Za-z_.])*+)
    |(?P<string>'[^']*+(?:''[^']*+)*+')
    |(?P<sign>==(?!=)|!=(?!=)|<=|>=|<(?!>)|>|&&|\|\||!(?!=)|[()\[\].,])
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_SPACE = re.compile(r"[ \t\r\n]*+")

_HINTS = (
    ("===", "write =="),
    ("!==", "write !="),
    ("=>", "write >="),
    ("=<", "write <="),
    ("=~", "there is no operator for patterns"),
    ("=", "write == to compare"),
    ("<>", "write !="),
    ("&", "write &&"),
    ("|", "write ||"),
    ('"', "write strings in single quotes: 'text'"),
    ("`", "write strings in single quotes: 'text'"),
    ("\u2018", "write strings in straight single quotes: 'text'"),
    ("\u2019", "write strings in straight single quotes: 'text'"),
    ("\u201c", "write strings in straight single quotes: 'text'"),
    ("\u201d", "write strings in straight single quotes: 'text'"),
    ("\u00a0", "write an ordinary space"),
    ("?", "there is no ?: operator; condition && a || b gives a or b"),
    ("${{", "the wrapper goes once around the whole expression"),
    ("$", "names are written without $"),
    ("}}", "there is one }} too many"),
    ("{{", "write ${{ … }}, or here the expression alone"),
    ("{", "there are no map literals"),
    ("*", "there is no arithmetic and no wildcard"),
    ("+", "there is no arithmetic; format('{0}{1}', a, b) joins texts"),
    ("-", "there is no arithmetic; a negative number has its sign right before it"),
    ("/", "there is no arithmetic"),
    ("%", "there is no arithmetic"),
    (";", "an expression is one value; there is nothing to separate"),
)


def tokens_of(text: str, start: int, end: int) -> list[Token]:
    """Returns the tokens of the expression between two offsets of a text, closed by an end token.

    Raises:
        ExpressionSyntaxError: with an offset in the whole text.
    """
    if end - start > MAX_LENGTH:
        raise ExpressionSyntaxError(
            f"the expression is longer than {MAX_LENGTH:,} characters",
            start,
            "compute parts of it in a node of type set",
        )
    tokens: list[Token] = []
    position = start
    for match in _TOKEN.finditer(text, start, end):
        kind = match.lastgroup or END
        value: str | float = match[kind]
        after = match.end()
        offset = after - len(match[kind])
        if match.start() != position:  # what stands between begins no token
            break
        if kind == _SIGN:
            kind = match[kind]
        elif kind == STRING:
            value = match[kind][1:-1].replace("''", "'")
        elif kind == NUMBER:
            value = _number(match[kind], offset)
        tokens.append(_NEW(Token, (kind, value, offset, after)))
        if kind == END:
            return tokens
        position = after
    raise _refusal(text, position, end)


def _number(text: str, offset: int) -> float:
    match = NUMBER_TEXT.fullmatch(text)
    if match is None:
        raise ExpressionSyntaxError(
            f"{_shown(text)} is not a number",
            offset,
            "numbers are written as in JSON: 15, -3, 0.5, 1e6; anything else goes in single quotes",
        )
    if not match["fraction"]:
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise ExpressionSyntaxError(f"{_shown(text)} is too large for a number", offset)
    return value


def _refusal(text: str, position: int, end: int) -> ExpressionSyntaxError:
    """Returns the error for the first thing from `position` on that begins no token."""
    space = _SPACE.match(text, position, end)
    offset = space.end() if space else position
    if text[offset] == "'":
        return ExpressionSyntaxError(
            "the string that begins here does not end",
            offset,
            "close it with a single quote; a quote inside is written twice: 'it''s'",
        )
    for wrong, hint in _HINTS:
        if text.startswith(wrong, offset, end):
            return ExpressionSyntaxError(f"unexpected {_shown(wrong)}", offset, hint)
    hint = "write other names as ['name']" if text[offset].isalpha() else ""
    return ExpressionSyntaxError(f"unexpected {_shown(text[offset])}", offset, hint)


def _shown(text: str) -> str:
    if not text.isprintable() or text.isspace():
        return f"U+{ord(text[0]):04X}"
    return f"`{text[:40]}`"
