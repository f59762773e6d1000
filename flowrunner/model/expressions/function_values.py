"""Functions over values of any kind: members, null, JSON, and from one kind to another."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from flowrunner.model.depth import TOO_DEEP, is_deeper
from flowrunner.model.expressions.evaluation import Given
from flowrunner.model.expressions.function_table import (
    ANY,
    BOOLEAN,
    LIST,
    NOT_NULL,
    NUMBER,
    TEXT,
    Function,
)
from flowrunner.model.expressions.syntax import NUMBER_TEXT
from flowrunner.model.expressions.values import ITEM_WORK, Kind, equal, json_text
from flowrunner.model.ids import Json

MAX_NUMBER = 400
"""Longest text of a number in characters, as in the file of a flow."""

_NUMBER_HINT = "numbers are written as in JSON: 15, -3, 0.5, 1e6"


def _contains(given: Given) -> bool:
    where, what = given.values
    if isinstance(where, str):
        if not isinstance(what, str):
            raise given.error(1, "contains takes a string here: what to look for in a string")
        return what in given.handled(0)
    spend = given.evaluation.spend
    spend(len(where) * ITEM_WORK, given.offsets[0])
    return any(equal(item, what, given.offsets[1], spend) for item in where)


def _length(given: Given) -> int:
    return len(given.values[0])


def _default(given: Given) -> Json:
    value, fallback = given.values
    return fallback if value is None else value


def _coalesce(given: Given) -> Json:
    return next((value for value in given.values if value is not None), None)


def _to_json(given: Given) -> str:
    text = json_text(given.values[0], given.offsets[0])
    given.evaluation.spend(len(text), given.offsets[0])
    return text


def _from_json(given: Given) -> Json:
    text = given.handled(0)
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise given.error(0, "the string is not JSON") from None
    if is_deeper(value):
        raise given.error(0, f"the JSON {TOO_DEEP}")
    return value


def _number(given: Given) -> Json:
    value = given.values[0]
    if not isinstance(value, str):
        return value
    match = NUMBER_TEXT.fullmatch(value) if len(value) <= MAX_NUMBER else None
    if match is None:
        raise given.error(0, "the string is not a number", _NUMBER_HINT)
    number = float(value) if match["fraction"] else int(value)
    if not math.isfinite(number):
        raise given.error(0, "the number is too large")
    return number


def _string(given: Given) -> str:
    return given.written(given.values[0], 0)


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


VALUE_FUNCTIONS: dict[str, Function] = {
    "coalesce": Function(takes=(ANY, ANY), is_variadic=True, gives=ANY, run=_coalesce),
    "contains": Function(takes=(TEXT | LIST, NOT_NULL), gives=BOOLEAN, run=_contains),
    "default": Function(takes=(ANY, ANY), gives=ANY, run=_default),
    "from_json": Function(takes=(TEXT,), gives=ANY - {Kind.OPAQUE}, run=_from_json),
    "length": Function(takes=(TEXT | LIST | {Kind.MAP},), gives=NUMBER, run=_length),
    "number": Function(takes=(TEXT | NUMBER,), gives=NUMBER, run=_number),
    "string": Function(takes=(NOT_NULL,), gives=TEXT, run=_string),
    "to_json": Function(takes=(NOT_NULL,), gives=TEXT, run=_to_json),
}
