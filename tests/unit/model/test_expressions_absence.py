"""Promises of `flowrunner.model.expressions.absence`: what is said of a null."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import parse_expression, why_null
from tests.fakes.scope import DictScope

BODY = {"after": None, "commits": [{"id": None}], "text": "plain"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trigger.body.ref", "trigger.body.ref is missing"),
        ("trigger.body.after", "trigger.body.after is null"),
        ("trigger.body.after.id", "trigger.body.after is null"),
        ("trigger.body.head.id", "trigger.body.head is missing"),
        ("trigger.body['a key'].id", "trigger.body['a key'] is missing"),
        ("trigger.body.commits[0].id", "trigger.body.commits[0].id is null"),
        ("trigger.body.commits[1].id", "trigger.body.commits[1] is missing"),
        ("trigger.body.text.id", "trigger.body.text.id is missing"),
        ("inputs.x", "inputs.x is missing"),
        ("inputs", "inputs is null"),
        (" coalesce(null, trigger.body.ref) ", "coalesce(null, trigger.body.ref) is null"),
        ("trigger.body.after || null", "trigger.body.after || null is null"),
    ],
)
def test_first_name_without_a_value_is_said(text: str, said: str) -> None:
    """A key that is not there is told from one that holds null, and the hint stands behind it."""
    expression = parse_expression(text)
    scope = DictScope({"trigger": {"body": BODY}})
    assert expression.evaluate(scope) is None
    assert why_null(expression, scope) == f"{said}; default({text.strip()}, …) does without it"


def test_what_is_said_is_bounded() -> None:
    """A long expression is shortened at each place."""
    text = "trigger.body." + "x" * 4_000
    said = why_null(parse_expression(text), DictScope({}))
    assert len(said) < 250
    assert said.endswith("x…, …) does without it")
