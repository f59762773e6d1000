"""Functions over texts: look, take apart, put together, rewrite.

Texts are compared by code point and with regard to case. What is linear in a text counts as
work; what only looks at one of its ends does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

from flowrunner.errors import ValidationError
from flowrunner.model.expressions.evaluation import Given
from flowrunner.model.expressions.function_table import (
    BOOLEAN,
    LIST,
    NOT_NULL,
    TEXT,
    Function,
    literal_error,
    literal_text,
)
from flowrunner.model.expressions.syntax import Node
from flowrunner.model.expressions.values import ITEM_WORK
from flowrunner.model.patterns import parse_pattern

MAX_PARTS = 10_000
"""Most parts that `split` gives: as many as a list may have items that a node is repeated over."""

MAX_MATCHED = 65_536
"""Longest text that is matched against a pattern, in characters: the worst pattern that is
compiled takes about 8 microseconds for each."""

_MATCH_WORK = 64
_LAYOUT_WORK = 8
_PLACES = re.compile(r"\{\{|\}\}|\{([0-9]{1,4})\}|[{}]")


def _starts_with(given: Given) -> bool:
    text, beginning = given.values
    return bool(text.startswith(beginning))


def _ends_with(given: Given) -> bool:
    text, ending = given.values
    return bool(text.endswith(ending))


def _lower(given: Given) -> str:
    return given.bounded((given.handled(0).lower(),))


def _upper(given: Given) -> str:
    return given.bounded((given.handled(0).upper(),))


def _trim(given: Given) -> str:
    return given.handled(0).strip()


def _split(given: Given) -> list[str]:
    text, separator = given.handled(0), given.values[1]
    if not separator:
        raise given.error(1, "split takes a separator that is not empty")
    parts = text.split(separator, MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise given.error(0, f"the text has more than {MAX_PARTS:,} parts")
    return parts


def _check_split(arguments: Sequence[Node]) -> None:
    if literal_text(arguments, 1) == "":
        raise literal_error(arguments[1], "split takes a separator that is not empty")


def _join(given: Given) -> str:
    items, separator = given.values
    given.evaluation.spend(len(items) * ITEM_WORK, given.offsets[0])

    def pieces() -> Iterator[str]:
        for index, item in enumerate(items):
            yield (separator if index else "") + given.written(item, 0)

    return given.bounded(pieces())


def _format(given: Given) -> str:
    texts = [given.written(value, at) for at, value in enumerate(given.values[1:], start=1)]
    layout = given.handled(0, _LAYOUT_WORK)
    problem = _layout_problem(layout, len(texts))
    if problem:
        raise given.error(0, *problem)
    return given.bounded(_filled(layout, texts))


def _check_format(arguments: Sequence[Node]) -> None:
    layout = literal_text(arguments, 0)
    problem = None if layout is None else _layout_problem(layout, len(arguments) - 1)
    if problem:
        raise literal_error(arguments[0], *problem)


def _layout_problem(layout: str, count: int) -> tuple[str, str] | None:
    """Returns what is wrong with a layout for so many arguments, and a hint."""
    for place in _PLACES.finditer(layout):
        number, sign = place[1], place[0]
        if number is None and len(sign) == 1:
            return f"format met a single {sign}", f"write {sign}{sign} for one"
        if number is not None and int(number) >= count:
            return (
                "format has too few arguments",
                f"there is none for {sign}; they count from {{0}}",
            )
    return None


def _filled(layout: str, texts: Sequence[str]) -> Iterator[str]:
    position = 0
    for place in _PLACES.finditer(layout):
        yield layout[position : place.start()]
        position = place.end()
        yield place[0][0] if place[1] is None else texts[int(place[1])]
    yield layout[position:]


def _basename(given: Given) -> str:
    """Returns the last name of a path. Source: POSIX, the utility `basename`."""
    text = given.handled(0)
    path = text.rstrip("/")
    return path.rpartition("/")[2] if path else text[:1]


def _dirname(given: Given) -> str:
    """Returns a path without its last name. Source: POSIX, the utility `dirname`."""
    text = given.handled(0)
    path = text.rstrip("/")
    if not path:
        return "/" if text else "."
    folder, slash, _ = path.rpartition("/")
    return folder.rstrip("/") or slash or "."


def _sha256(given: Given) -> str:
    try:
        data = given.handled(0).encode()
    except UnicodeEncodeError:
        raise given.error(0, "the text holds half a surrogate pair, which is no UTF-8") from None
    return sha256(data).hexdigest()


def _matches(given: Given) -> bool:
    text, pattern = given.values
    if len(text) > MAX_MATCHED:
        raise given.error(0, f"matches takes a text of at most {MAX_MATCHED:,} characters")
    return parse_pattern(pattern).is_in(given.handled(0, _MATCH_WORK))


def _check_matches(arguments: Sequence[Node]) -> None:
    """Compiles the pattern: it is the author's and never data, so that its cost is known."""
    pattern = literal_text(arguments, 1)
    if pattern is None:
        raise literal_error(
            arguments[1],
            "matches takes a literal pattern",
            "write it in single quotes; for data there are contains, starts_with and ends_with",
        )
    try:
        parse_pattern(pattern)
    except ValidationError as error:
        hint = str(error.details.get("hint", ""))
        raise literal_error(arguments[1], error.message, hint) from error


TEXT_FUNCTIONS: dict[str, Function] = {
    "basename": Function(takes=(TEXT,), gives=TEXT, run=_basename),
    "dirname": Function(takes=(TEXT,), gives=TEXT, run=_dirname),
    "ends_with": Function(takes=(TEXT, TEXT), gives=BOOLEAN, run=_ends_with),
    "format": Function(
        takes=(TEXT, NOT_NULL),
        optional=1,
        is_variadic=True,
        gives=TEXT,
        run=_format,
        check=_check_format,
    ),
    "join": Function(takes=(LIST, TEXT), gives=TEXT, run=_join),
    "lower": Function(takes=(TEXT,), gives=TEXT, run=_lower),
    "matches": Function(takes=(TEXT, TEXT), gives=BOOLEAN, run=_matches, check=_check_matches),
    "sha256": Function(takes=(TEXT,), gives=TEXT, run=_sha256),
    "split": Function(takes=(TEXT, TEXT), gives=LIST, run=_split, check=_check_split),
    "starts_with": Function(takes=(TEXT, TEXT), gives=BOOLEAN, run=_starts_with),
    "trim": Function(takes=(TEXT,), gives=TEXT, run=_trim),
    "upper": Function(takes=(TEXT,), gives=TEXT, run=_upper),
}
