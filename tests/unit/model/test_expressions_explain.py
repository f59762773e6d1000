"""What an expression came to, part by part, is what evaluating it comes to."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import ExpressionError, parse_expression, parse_template
from flowrunner.model.expressions.evaluation import Evaluation
from flowrunner.model.expressions.explain import (
    UNKNOWN_SECRET,
    Came,
    Explanation,
    explain,
    masked_value,
    unevaluated,
)
from flowrunner.model.expressions.references import parts_of
from flowrunner.model.expressions.syntax import Node
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from tests.fakes.scope import DictScope

CONTEXTS = {"a": {"n": 3, "s": "x", "list": [1, {"k": "v"}]}, "secrets": UNKNOWN_SECRET}

TEXTS = [
    "a.n == 3 && (a.s == 'y' || !(a.n < 2))",
    "( a.n ) == 3",
    "((a.n == 3) || (a.s == 'x')) && a.list[1].k == 'v'",
    "!!(a.n)",
    "join(split('p,q', ','), (a.s)) == 'pxq'",
    "from_json('[1,2]')[1] <= (2)",
    "default(a.missing, (a.n == 3 && a.s))",
    "success() || failure()",
    "null",
    "a",
]


def evaluation() -> Evaluation:
    return Evaluation(DictScope(CONTEXTS, frozenset({"success"})))


def all_parts(told: Explanation) -> list[Explanation]:
    return [told, *(each for part in told.parts for each in all_parts(part))]


def all_nodes(node: Node) -> list[Node]:
    return [node, *(each for part in parts_of(node) for each in all_nodes(part))]


@pytest.mark.parametrize("text", TEXTS)
def test_text_of_a_part_means_that_part(text: str) -> None:
    """What stands between the offsets of a part parses to the same tree."""
    for node in all_nodes(parse_expression(text).tree):
        assert parse_expression(text[node.offset : node.end]).tree == node


@pytest.mark.parametrize("text", TEXTS)
def test_every_part_has_the_value_of_its_text(text: str) -> None:
    """Each part that was evaluated has the value that its text alone has; so has the whole."""
    told = explain(parse_expression(text), evaluation())

    assert told.came is Came.EVALUATED
    for part in all_parts(told):
        if part.came is Came.EVALUATED:
            alone = parse_expression(part.text).evaluate_in(evaluation())
            assert part.value == alone


@pytest.mark.parametrize(
    ("text", "untouched"),
    [
        ("a.n == 2 && a.s == 'x' && a.n", ["a.s == 'x'", "a.s", "a.n"]),
        ("a.n == 3 || number(a.s)", ["number(a.s)", "a.s"]),
        ("number(a.s) > a.n", ["a.n"]),
    ],
)
def test_what_was_not_reached_says_so(text: str, untouched: list[str]) -> None:
    """`&&` and `||` stop at the operand that decides, an error where it is."""
    told = explain(parse_expression(text), evaluation())
    left = [part.text for part in all_parts(told) if part.came is Came.NOT_EVALUATED]

    assert left == untouched


def test_error_stands_where_it_began() -> None:
    """The innermost part has the message; those around it failed without one of their own."""
    told = explain(parse_expression("!(a.n == 3 && number(a.s) > 1)"), evaluation())

    failed = [part for part in all_parts(told) if part.came is Came.FAILED]
    assert [(part.text, bool(part.error)) for part in failed] == [
        ("!(a.n == 3 && number(a.s) > 1)", False),
        ("a.n == 3 && number(a.s) > 1", False),
        ("number(a.s) > 1", False),
        ("number(a.s)", True),
    ]  # fmt: skip


def test_explaining_spends_the_same_work() -> None:
    """What an expression handles is counted, so whoever explains many can stop."""
    expression = parse_expression("upper(a.s) == lower(a.s)")
    plain, watched = evaluation(), evaluation()
    expression.evaluate_in(plain)
    explain(expression, watched)

    assert watched.spent == plain.spent > 0


def test_explaining_leaves_the_expression_as_it_was() -> None:
    """The expression that was explained is evaluated by its own code afterwards."""
    expression = parse_expression("upper(secrets.TOKEN)")
    explain(expression, evaluation())
    found = expression.evaluate(DictScope({"secrets": SecretValue({"TOKEN": "abc"})}))

    assert isinstance(found, SecretValue)
    assert found.reveal() == "ABC"


def test_unevaluated_expression_has_its_parts() -> None:
    """What nobody asked for still tells how it is built."""
    told = unevaluated(parse_expression("a.n == 3 && success()"))

    assert [part.text for part in all_parts(told)] == [
        "a.n == 3 && success()", "a.n == 3", "a.n", "success()",
    ]  # fmt: skip
    assert {part.came for part in all_parts(told)} == {Came.NOT_EVALUATED}


def test_template_keeps_its_offsets_in_mixed_text() -> None:
    """An expression in the middle of a text is quoted from its own text."""
    template = parse_template("x ${{ a.n == 3 && (a.s) }} y")
    told = explain(template.expressions[0], evaluation())

    texts = [part.text for part in all_parts(told)]
    assert texts == ["a.n == 3 && (a.s)", "a.n == 3", "a.n", "a.s"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ a.n }}", 3),
        ("n=${{ a.n }} ${{ a.s }}", "n=3 x"),
        ("$${{ a.n }}", "${{ a.n }}"),
    ],
)
def test_masked_value_without_a_secret_is_the_value(text: str, value: Json) -> None:
    """Templates that have no secret in them keep value and type."""
    assert masked_value(parse_template(text), evaluation()) == value


@pytest.mark.parametrize(
    "text",
    [
        "${{ secrets.TOKEN }}",
        "${{ from_json(secrets.TOKEN).user }}",
        "x ${{ number(secrets.TOKEN) }}",
        "${{ date('%Y', secrets.TOKEN) }}",
        "${{ coalesce(a.missing, secrets.TOKEN) }}",
        "${{ a.n == 3 && secrets.TOKEN }}",
    ],
)
def test_masked_value_of_a_secret_is_a_secret_of_nothing(text: str) -> None:
    """Whatever function is asked over a secret, nothing is computed, and the result is one."""
    found = masked_value(parse_template(text), evaluation())

    assert isinstance(found, SecretValue)
    assert found.reveal() in (None, "", "x ")


def test_secret_that_would_decide_is_refused() -> None:
    """A function that answers a question about a secret is refused, as in a run."""
    with pytest.raises(ExpressionError, match="secret"):
        masked_value(parse_template("${{ contains(secrets.TOKEN, 'x') }}"), evaluation())
