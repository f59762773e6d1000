"""Text with expressions in it: where they begin and end, and what comes out."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import (
    ExpressionError,
    ExpressionSyntaxError,
    Template,
    condition,
    parse_template,
)
from flowrunner.model.expressions.values import MAX_RESULT
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from tests.fakes.scope import DictScope

DATA: dict[str, Json] = {
    "n": 5,
    "f": 1.5,
    "yes": True,
    "no": False,
    "s": "text",
    "list": [1, "\u00e9"],
    "map": {"k": None},
    "expr": "${{ n }}",
    "secret": SecretValue("hidden"),
    "mib": "x" * MAX_RESULT,
}
SCOPE = DictScope(DATA)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("${{ n }}", 5, id="number"),
        pytest.param("${{n}}", 5, id="no-spaces"),
        pytest.param("${{ yes }}", True, id="boolean"),
        pytest.param("${{ list }}", [1, "\u00e9"], id="list"),
        pytest.param("${{ map }}", {"k": None}, id="map"),
        pytest.param("${{ missing }}", None, id="null"),
        pytest.param("${{\n  n\n}}", 5, id="several-lines"),
        pytest.param("${{ '}}' }}", "}}", id="braces-in-a-string"),
        pytest.param("${{ 'it''s }}' }}", "it's }}", id="braces-after-a-doubled-quote"),
        pytest.param("${{ '${{ n }}' }}", "${{ n }}", id="wrapper-in-a-string"),
        pytest.param("${{ expr }}", "${{ n }}", id="never-evaluated-again"),
    ],
)
def test_exactly_one_expression_keeps_its_type(text: str, value: Json) -> None:
    """A text that is one expression gives its value as it is."""
    result = parse_template(text).evaluate(SCOPE)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a ${{ s }} b", "a text b", id="in-the-middle"),
        pytest.param("${{ n }}${{ n }}", "55", id="side-by-side"),
        pytest.param(" ${{ n }}", " 5", id="space-counts"),
        pytest.param("${{ n }}\n", "5\n", id="line-end-counts"),
        pytest.param("<${{ missing }}>", "<>", id="null-is-empty"),
        pytest.param("<${{ yes }}${{ no }}>", "<truefalse>", id="booleans"),
        pytest.param("<${{ f }}>", "<1.5>", id="float"),
        pytest.param("<${{ 1.0 }}>", "<1.0>", id="whole-float"),
        pytest.param("<${{ list }}>", '<[1,"\u00e9"]>', id="list"),
        pytest.param("<${{ map }}>", '<{"k":null}>', id="map"),
        pytest.param("<${{ '}}' }}>", "<}}>", id="braces-in-a-string"),
        pytest.param("<${{ expr }}>", "<${{ n }}>", id="never-evaluated-again"),
    ],
)
def test_mixed_text_becomes_a_string(text: str, value: str) -> None:
    """Values take their plain text between the literal parts."""
    assert parse_template(text).evaluate(SCOPE) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("plain", "plain", id="plain"),
        pytest.param("$HOME ${x} {{ y }} }}", "$HOME ${x} {{ y }} }}", id="other-braces"),
        pytest.param("$${{ n }}", "${{ n }}", id="escape"),
        pytest.param("$$${{ n }}", "$${{ n }}", id="dollar-before-an-escape"),
        pytest.param("a $${{ b $${{ c", "a ${{ b ${{ c", id="two-escapes"),
        pytest.param("$${{", "${{", id="escape-at-the-end"),
        pytest.param("$$", "$$", id="dollars"),
    ],
)
def test_literal_text_is_given_as_meant(text: str, value: str) -> None:
    """`$${{` stands for `${{`; all else without a wrapper is itself."""
    template = parse_template(text)
    assert template.is_literal
    assert template.expressions == ()
    assert template.sole_expression is None
    assert template.evaluate(SCOPE) == value


def test_escape_and_expression_stand_together() -> None:
    """An escape ends at its braces; what follows is read as usual."""
    template = parse_template("$${{ n }} is ${{ n }}$${{")
    assert template.evaluate(SCOPE) == "${{ n }} is 5${{"
    assert not template.is_literal


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        pytest.param("ab ${{ n", "the `${{` is not closed", 3, id="unclosed"),
        pytest.param("ab ${{ n }", "the `${{` is not closed", 3, id="half-closed"),
        pytest.param("${{ n }} ${{", "the `${{` is not closed", 9, id="second-unclosed"),
        pytest.param("x ${{ 'a }}", "the string that begins here does not end", 6, id="string"),
        pytest.param("x ${{ ' }}", "the string that begins here does not end", 6, id="quote"),
        pytest.param("x ${{ a '", "the string that begins here does not end", 8, id="last-quote"),
        pytest.param("x ${{ }}", "the expression is empty", 6, id="empty"),
        pytest.param("x ${{ n = 1 }}", "unexpected `=`", 8, id="inside"),
        pytest.param("\U0001f600 ${{ n = 1 }}", "unexpected `=`", 8, id="code-points"),
        pytest.param("${{ n }} ${{ n == }}", "a value is missing at the end", 18, id="at-its-end"),
        pytest.param("${{ a ${{ n }} }}", "unexpected `${{`", 6, id="nested"),
        pytest.param("${{ low(n) }}", "there is no function low", 4, id="function"),
    ],
)
def test_mistakes_have_their_place_in_the_text(text: str, message: str, offset: int) -> None:
    """Offsets count from the beginning of the template, not of the expression."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_template(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


def test_expressions_know_their_place() -> None:
    """Offsets in the trees count from the beginning of the template."""
    first, second = parse_template("ab ${{ n }} ${{list}}").expressions
    assert (first.source, first.start, first.tree.offset) == (" n ", 6, 7)
    assert (second.source, second.start, second.tree.offset) == ("list", 15, 15)


def test_an_error_at_run_time_speaks_of_its_expression() -> None:
    """The offset counts from the beginning of the expression that is shown with it."""
    with pytest.raises(ExpressionError) as caught:
        parse_template("ab ${{ s }} ${{n > s}}").evaluate(SCOPE)
    assert caught.value.details["expression"] == "n > s"
    assert caught.value.offset == 0


def test_text_with_a_secret_in_it_is_a_secret() -> None:
    """Alone it passes as it is; a text that it is part of shows stars."""
    assert parse_template("${{ secret }}").evaluate(SCOPE) is DATA["secret"]
    value = parse_template("Bearer ${{ secret }} ${{ n }}").evaluate(SCOPE)
    assert isinstance(value, SecretValue)
    assert value.reveal() == "Bearer hidden 5"
    assert str(value) == "***"


def test_text_that_grows_too_large_with_a_secret_is_refused_without_it() -> None:
    """The bound holds for secret texts too, and the error holds nothing of them."""
    with pytest.raises(ExpressionError, match="larger than 1 MiB") as caught:
        parse_template("${{ secret }}${{ mib }}").evaluate(SCOPE)
    assert "hidden" not in str(caught.value.details)


def test_mixed_text_is_bounded() -> None:
    """1 MiB is given, one byte more is refused with the template cut to a bound."""
    assert parse_template("${{ mib }}${{ '' }}").evaluate(SCOPE) == DATA["mib"]
    with pytest.raises(ExpressionError, match="larger than 1 MiB") as caught:
        parse_template("${{ mib }}!" + " " * 10_000).evaluate(SCOPE)
    assert len(caught.value.expression) == 4_096


def test_templates_are_values() -> None:
    """Equal texts give equal, hashable templates; a condition is not a text."""
    assert parse_template("a ${{ n }}") == parse_template("a ${{ n }}")
    assert len({parse_template("n"), parse_template("n"), condition("n")}) == 2


@pytest.mark.parametrize(
    ("text", "start"),
    [
        pytest.param("n > 4", 0, id="bare"),
        pytest.param("  n > 4\n", 0, id="bare-with-space"),
        pytest.param("${{ n > 4 }}", 3, id="wrapped"),
        pytest.param(" ${{ n > 4 }}\n", 4, id="wrapped-with-space"),
        pytest.param("n > 4 && '}}' != '${{'", 0, id="braces-in-strings"),
    ],
)
def test_a_condition_is_taken_with_or_without_wrapper(text: str, start: int) -> None:
    """Both ways of writing give the same one expression."""
    template = condition(text)
    assert isinstance(template, Template)
    assert template.evaluate(SCOPE) is True
    assert not template.is_literal
    assert template.sole_expression is not None
    assert template.sole_expression.start == start
    assert template.source == text


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        pytest.param("${{ n }} && ${{ s }}", 9, id="two-wrappers"),
        pytest.param("${{ n }} == 5", 9, id="text-after"),
        pytest.param("n == ${{ s }}", 5, id="text-before"),
        pytest.param("$${{ n }}", 0, id="escape"),
        pytest.param("${{ n", 0, id="unclosed"),
        pytest.param(" ${{ n == }}", 10, id="inside"),
        pytest.param("n ==", 4, id="bare-inside"),
        pytest.param("", 0, id="empty"),
        pytest.param("${{ }}", 4, id="empty-wrapper"),
    ],
)
def test_a_condition_is_exactly_one_expression(text: str, offset: int) -> None:
    """Anything beside the one expression is refused where it stands."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        condition(text)
    assert caught.value.offset == offset
