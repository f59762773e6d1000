"""The closed table of functions: how many arguments each takes and what it does with them.

Null is refused before a function is asked, unless its entry says that it accepts null. The
status functions stand in the table for their names; the scope answers them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from flowrunner.model.depth import TOO_DEEP, is_deeper
from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.values import Kind, bounded, equal, json_text, kind_of, text_of
from flowrunner.model.ids import Json

Implementation: TypeAlias = Callable[[Sequence[Json], Sequence[int]], Json]
"""Takes the arguments and where each stands; raises `ExpressionError` at one of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """An entry of the table.

    Attributes:
        least: Fewest arguments.
        most: Most arguments; None means any number.
        run: What it does; None for a status function, which the scope answers.
        accepts_null: Whether an argument may be null.
    """

    least: int
    most: int | None
    run: Implementation | None
    accepts_null: bool = False


def _default(values: Sequence[Json], _offsets: Sequence[int]) -> Json:
    value, fallback = values
    return fallback if value is None else value


def _contains(values: Sequence[Json], offsets: Sequence[int]) -> bool:
    where, what = values
    match kind_of(where):
        case Kind.LIST:
            return any(equal(item, what, offsets[1]) for item in where)
        case Kind.STRING:
            return _string("contains", what, offsets[1]) in where
        case kind:
            raise _refusal("contains", "a string or a list", kind, offsets[0])


def _starts_with(values: Sequence[Json], offsets: Sequence[int]) -> bool:
    text = _string("starts_with", values[0], offsets[0])
    return text.startswith(_string("starts_with", values[1], offsets[1]))


def _length(values: Sequence[Json], offsets: Sequence[int]) -> int:
    kind = kind_of(values[0])
    if kind not in {Kind.STRING, Kind.LIST, Kind.MAP}:
        raise _refusal("length", "a string, a list or a map", kind, offsets[0])
    return len(values[0])


def _to_json(values: Sequence[Json], offsets: Sequence[int]) -> str:
    return json_text(values[0], offsets[0])


def _from_json(values: Sequence[Json], offsets: Sequence[int]) -> Json:
    text = _string("from_json", values[0], offsets[0])
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ExpressionError("the string is not JSON", offset=offsets[0]) from None
    if is_deeper(value):
        raise ExpressionError(f"the JSON {TOO_DEEP}", offset=offsets[0])
    return value


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


_PLACES = re.compile(r"\{\{|\}\}|\{([0-9]{1,4})\}|[{}]")


def _format(values: Sequence[Json], offsets: Sequence[int]) -> str:
    layout = _string("format", values[0], offsets[0])
    texts = [text_of(value, at) for value, at in zip(values[1:], offsets[1:], strict=True)]
    return bounded(_filled(layout, texts, offsets[0]), offsets[0])


def _filled(layout: str, texts: Sequence[str], offset: int) -> Iterator[str]:
    position = 0
    for place in _PLACES.finditer(layout):
        yield layout[position : place.start()]
        position = place.end()
        number, sign = place[1], place[0]
        if number is not None:
            if int(number) >= len(texts):
                raise ExpressionError(
                    "format has too few arguments",
                    offset=offset,
                    hint=f"there is none for {sign}; they count from {{0}}",
                )
            yield texts[int(number)]
        elif len(sign) == 1:
            raise ExpressionError(
                f"format met a single {sign}", offset=offset, hint=f"write {sign}{sign} for one"
            )
        else:
            yield sign[0]
    yield layout[position:]


def _string(function: str, value: Json, offset: int) -> str:
    if isinstance(value, str):
        return value
    raise _refusal(function, "a string", kind_of(value), offset)


def _refusal(function: str, wanted: str, kind: Kind, offset: int) -> ExpressionError:
    return ExpressionError(f"{function} takes {wanted} here, not a {kind}", offset=offset)


STATUS_FUNCTIONS = frozenset({"success", "failure", "always", "cancelled", "skipped"})
"""Functions about the nodes that went before; an `if` that calls one implies nothing."""

FUNCTIONS: dict[str, Function] = {
    "contains": Function(least=2, most=2, run=_contains),
    "default": Function(least=2, most=2, run=_default, accepts_null=True),
    "format": Function(least=1, most=None, run=_format),
    "from_json": Function(least=1, most=1, run=_from_json),
    "length": Function(least=1, most=1, run=_length),
    "starts_with": Function(least=2, most=2, run=_starts_with),
    "to_json": Function(least=1, most=1, run=_to_json),
} | {name: Function(least=0, most=0, run=None) for name in sorted(STATUS_FUNCTIONS)}

PLANNED_FUNCTIONS = frozenset(
    {
        "add",
        "basename",
        "coalesce",
        "date",
        "dirname",
        "ends_with",
        "join",
        "lower",
        "matches",
        "now",
        "number",
        "sha256",
        "split",
        "string",
        "trim",
        "upper",
    }
)
"""Functions of the flow format that do not work yet; calling one is refused."""


def hint_for_function(name: str) -> str:
    """Returns what to say about a name that is not in the table."""
    if name in PLANNED_FUNCTIONS:
        return "planned"
    folded = _folded(name)
    for known in FUNCTIONS.keys() | PLANNED_FUNCTIONS:
        if _folded(known) == folded:
            return f"write {known}" + (", which is planned" if known in PLANNED_FUNCTIONS else "")
    import difflib  # costs start-up time and is needed for mistakes only

    near = difflib.get_close_matches(name, FUNCTIONS, n=1)
    known_names = ", ".join(FUNCTIONS)
    return f"did you mean {near[0]}?" if near else f"there are {known_names}"


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
