"""What the check at load finds of secrets that would decide; evaluation refuses the same."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import (
    FUNCTIONS,
    ExpressionError,
    disclosures,
    parse_expression,
)
from flowrunner.model.expressions.functions import DECIDING_FUNCTIONS
from flowrunner.model.secret import SecretValue
from tests.fakes.scope import DictScope


def _found(text: str) -> list[tuple[str, int]]:
    return [(message, offset) for message, offset in disclosures(parse_expression(text))]


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        pytest.param("secrets.A == 'x'", "a secret cannot be compared", 0, id="equal"),
        pytest.param("'x' != secrets.A", "a secret cannot be compared", 7, id="unequal"),
        pytest.param("1 < secrets.A", "a secret cannot be compared", 4, id="order"),
        pytest.param("to_json(secrets.A) == 'x'", "a secret cannot be compared", 0, id="derived"),
        pytest.param(
            "from_json(secrets.A).k >= 1", "a secret cannot be compared", 0, id="member-of-derived"
        ),
        pytest.param("(x && secrets.A) == 1", "a secret cannot be compared", 1, id="group"),
        pytest.param("!secrets.A", "a secret cannot decide anything", 1, id="not"),
        pytest.param("secrets.A && 'x'", "a secret cannot decide anything", 0, id="and"),
        pytest.param("x || secrets.A || 'y'", "a secret cannot decide anything", 5, id="or"),
        pytest.param(
            "contains(secrets.A, 'x')", "contains would tell something about a secret", 9, id="in"
        ),
        pytest.param(
            "contains(x, secrets.A)", "contains would tell something about a secret", 12, id="for"
        ),
        pytest.param(
            "length(format('{0}', secrets.A))",
            "length would tell something about a secret",
            7,
            id="length",
        ),
        pytest.param(
            "starts_with(secrets['A'], 'x')",
            "starts_with would tell something about a secret",
            12,
            id="start",
        ),
        pytest.param(
            "default(to_json(!secrets.A), 1)", "a secret cannot decide anything", 17, id="deep"
        ),
    ],
)
def test_a_secret_that_would_decide_is_found(text: str, message: str, offset: int) -> None:
    """One finding for each operand, where it stands."""
    assert _found(text) == [(message, offset)]


def test_both_sides_are_found() -> None:
    """Two secrets compared are two findings; what hangs on the answer is not one more."""
    assert [offset for _, offset in _found("!(secrets.A == secrets.B) && 1")] == [2, 15]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("secrets.A", id="itself"),
        pytest.param("inputs.x == 'y' && secrets.A", id="last-of-and"),
        pytest.param("inputs.x || secrets.A", id="last-of-or"),
        pytest.param("default(secrets.A, 'x')", id="default"),
        pytest.param("format('{0}:{1}', inputs.x, secrets.A)", id="format"),
        pytest.param("from_json(secrets.A).password", id="member"),
        pytest.param("secret.A == 'x'", id="another-name"),
        pytest.param("inputs.secrets == 'x'", id="a-key-of-that-name"),
    ],
)
def test_a_secret_that_is_handed_on_is_no_finding(text: str) -> None:
    """It may be computed with, and chosen by what is no secret."""
    assert _found(text) == []


@pytest.mark.parametrize("name", sorted(DECIDING_FUNCTIONS & FUNCTIONS.keys()))
def test_functions_that_answer_a_question_are_refused_when_evaluated_too(name: str) -> None:
    """What the check at load says of a function, evaluation says too."""
    arguments = ["secrets.A", "'x'", "'y'"][: FUNCTIONS[name].least]
    text = f"{name}({', '.join(arguments)})"
    assert _found(text) == [(f"{name} would tell something about a secret", len(name) + 1)]
    with pytest.raises(ExpressionError, match="would tell something about a secret"):
        parse_expression(text).evaluate(DictScope({"secrets": SecretValue({"A": "hidden"})}))


def test_functions_that_answer_a_question_are_functions_of_the_format() -> None:
    """A renamed function must be renamed here too, or it would answer."""
    assert FUNCTIONS.keys() >= DECIDING_FUNCTIONS
