"""Promises of `flowrunner.model.expressions.outlook`: what is certain before anything runs."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import (
    ALWAYS,
    EITHER,
    NEVER,
    Outlook,
    outlook_of,
    parse_expression,
)


def outlook(text: str, **status: Outlook) -> Outlook:
    return outlook_of(parse_expression(text).tree, lambda name: status.get(name, EITHER))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(text, ALWAYS) for text in ("true", "1", "'x'", "1 == 1.0", "!null", "length('a') > 0")],
        *[(text, NEVER) for text in ("false", "0", "''", "null", "'1' == 1", "!(2 > 1)")],
        *[(text, EITHER) for text in ("inputs", "inputs.x", "inputs['x'] == 1", "!inputs.x")],
        ("false && inputs.x", NEVER),
        ("inputs.x && 0", NEVER),
        ("inputs.x || 'y'", ALWAYS),
        ("inputs.x && inputs.y", EITHER),
        ("length(inputs.x) > 0", EITHER),
        ("from_json('[1]')", ALWAYS),
        ("(true && false) == false", ALWAYS),
        ("(inputs.x || true) == true", EITHER),
    ],
)
def test_outlook_of_constants_and_data(text: str, expected: Outlook) -> None:
    """Literals and what is made of them are certain, data may be either."""
    assert outlook(text) == expected


@pytest.mark.parametrize("text", ["1 < 'x'", "from_json('{')", "length(null)"])
def test_error_is_not_foreseen(text: str) -> None:
    """A constant that cannot be evaluated is called either: the error belongs to someone else."""
    assert outlook(text) == EITHER


def test_status_functions_are_the_callers() -> None:
    """What a status function may say is what the caller knows, also inside of operators."""
    assert outlook("failure()", failure=NEVER) == NEVER
    assert outlook("!failure() && success()", failure=NEVER, success=ALWAYS) == ALWAYS
    assert outlook("failure() || success()", failure=NEVER) == EITHER
    assert outlook("failure() == true", failure=NEVER) == EITHER
