"""Expressions: one evaluation once it is parsed, and one parse, against the same in Python."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from flowrunner.model.expressions import parse_expression
from flowrunner.model.ids import Json

EXPRESSION = "a.b.c == 's' && x.y > 10"
_TIMES = 20_000
_DATA = {"a": {"b": {"c": "s"}}, "x": {"y": 11}}


class _Scope:
    """The least that a scope can be."""

    def lookup(self, name: str) -> Json:
        return _DATA.get(name)

    def status(self, name: str) -> bool:
        return name == "success"

    def now(self) -> datetime:
        return datetime(2026, 3, 30, tzinfo=UTC)


def evaluation_s() -> float:
    """Returns the seconds of one evaluation."""
    expression, scope = parse_expression(EXPRESSION), _Scope()
    assert expression.evaluate(scope) is True
    began = time.perf_counter()
    for _ in range(_TIMES):
        expression.evaluate(scope)
    return (time.perf_counter() - began) / _TIMES


def parse_s() -> float:
    """Returns the seconds of one parse, nothing of which is kept."""
    began = time.perf_counter()
    for _ in range(_TIMES // 10):
        parse_expression(EXPRESSION)
    return (time.perf_counter() - began) / (_TIMES // 10)


def python_s() -> float:
    """Returns the seconds of the same condition as a line of Python over dicts."""
    data: dict[str, Json] = _DATA
    began = time.perf_counter()
    for _ in range(_TIMES):
        _ = data["a"]["b"]["c"] == "s" and data["x"]["y"] > 10
    return (time.perf_counter() - began) / _TIMES
