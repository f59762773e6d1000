"""What expressions mean: members, truth, null, equality, order, and where they fail."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.expressions import ExpressionError, parse_expression, truth
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from tests.fakes.scope import DictScope

DATA: dict[str, Json] = {
    "a": {"b": {"c": "s"}, "list": [1, [2]], "null": None, "text": "abc", "n": 5},
    "x": {"y": 11, "f": 1.0, "t": True, "zero": 0, "empty": ""},
    "frozen": MappingProxyType({"tuple": (1, 2)}),
    "secret": SecretValue({"token": "hidden", "layout": "{7}hidden", "json": '{"k": ["hidden"]}'}),
}


def _value(text: str) -> Json:
    return parse_expression(text).evaluate(DictScope(DATA, frozenset({"success", "always"})))


def _error(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        _value(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a.b.c", "s", id="nested"),
        pytest.param("a['b'].c", "s", id="quoted"),
        pytest.param("a.list[0]", 1, id="index"),
        pytest.param("a.list[1][0]", 2, id="index-of-index"),
        pytest.param("a.list", [1, [2]], id="whole-list"),
        pytest.param("a.missing", None, id="missing-key"),
        pytest.param("a.missing.more[3]", None, id="member-of-missing"),
        pytest.param("a.null.more", None, id="member-of-null"),
        pytest.param("a.list[9]", None, id="index-out-of-range"),
        pytest.param("a.list[99999999999999999999]", None, id="index-beyond-any-list"),
        pytest.param("a.list.name", None, id="key-of-a-list"),
        pytest.param("a.list['0']", None, id="text-index"),
        pytest.param("a.text[0]", None, id="index-of-a-string"),
        pytest.param("a.text.length", None, id="member-of-a-string"),
        pytest.param("a.n.real", None, id="member-of-a-number"),
        pytest.param("a.b[0]", None, id="index-of-a-map"),
        pytest.param("a.items", None, id="no-methods"),
        pytest.param("a.__class__", None, id="no-attributes"),
        pytest.param("nowhere.at.all", None, id="context-that-is-not-offered"),
        pytest.param("frozen.tuple[1]", 2, id="read-only-map-and-tuple"),
        pytest.param("from_json('{\"k\": [7]}').k[0]", 7, id="member-of-a-call"),
        pytest.param("(a.missing || a).n", 5, id="member-of-a-group"),
    ],
)
def test_members_are_found_or_null(text: str, value: Json) -> None:
    """What is not there is null; nothing of Python shows through."""
    assert _value(text) == value


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param(False, False, id="false"),
        pytest.param(None, False, id="null"),
        pytest.param(0, False, id="zero"),
        pytest.param(0.0, False, id="float-zero"),
        pytest.param(-0.0, False, id="negative-zero"),
        pytest.param("", False, id="empty-string"),
        pytest.param(True, True, id="true"),
        pytest.param(1, True, id="one"),
        pytest.param(-0.5, True, id="fraction"),
        pytest.param("0", True, id="digit-zero"),
        pytest.param("false", True, id="word-false"),
        pytest.param(" ", True, id="space"),
        pytest.param([], True, id="empty-list"),
        pytest.param({}, True, id="empty-map"),
        pytest.param([0], True, id="list"),
    ],
)
def test_truth(*, value: Json, wanted: bool) -> None:
    """Only false, null, 0 and the empty string are false."""
    scope = DictScope({"v": value})
    assert truth(value) is wanted
    assert parse_expression("!v").evaluate(scope) is not wanted
    assert parse_expression("v && 'then' || 'else'").evaluate(scope) == (
        "then" if wanted else "else"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1 && 's'", "s", id="and-gives-the-last"),
        pytest.param("0 && 's'", 0, id="and-gives-the-first-false"),
        pytest.param("1 && '' && 2", "", id="and-stops"),
        pytest.param("'' || 0", 0, id="or-gives-the-last"),
        pytest.param("'' || null || 'x' || 'y'", "x", id="or-gives-the-first-true"),
        pytest.param("null || false && true", False, id="and-before-or"),
    ],
)
def test_logical_operators_return_an_operand(text: str, value: Json) -> None:
    """`&&` and `||` give the operand that decides, with its type."""
    result = _value(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        pytest.param("a || b", ["a"], id="or"),
        pytest.param("z && b", ["z"], id="and"),
        pytest.param("z || a || b", ["z", "a"], id="chain"),
    ],
)
def test_logical_operators_stop_where_it_is_decided(text: str, asked: list[str]) -> None:
    """Operands after the one that decides are not evaluated."""
    scope = DictScope({"a": 1})
    parse_expression(text).evaluate(scope)
    assert scope.looked_up == asked


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        pytest.param(1, 1.0, True, id="integer-and-float"),
        pytest.param(0.0, -0.0, True, id="zeros"),
        pytest.param(10**400, 1.0, False, id="beyond-floats"),
        pytest.param("1", 1, False, id="no-coercion-of-strings"),
        pytest.param(True, 1, False, id="true-is-no-number"),
        pytest.param(False, 0, False, id="false-is-no-number"),
        pytest.param(False, None, False, id="false-is-not-null"),
        pytest.param("", None, False, id="empty-is-not-null"),
        pytest.param(None, None, True, id="null-is-null"),
        pytest.param(True, True, True, id="booleans"),
        pytest.param("a", "A", False, id="case-counts"),
        pytest.param("\u00e9", "e\u0301", False, id="code-points-count"),
        pytest.param([1, "a"], [1.0, "a"], True, id="lists"),
        pytest.param([1], [True], False, id="lists-without-coercion"),
        pytest.param([1], [1, 2], False, id="lists-of-other-length"),
        pytest.param({"a": [1]}, {"a": [1.0]}, True, id="maps"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, id="order-of-keys"),
        pytest.param({"a": None}, {}, False, id="null-member-and-none"),
        pytest.param({}, [], False, id="map-and-list"),
        pytest.param([], "", False, id="list-and-string"),
        pytest.param((1, 2), [1, 2], True, id="tuple-is-a-list"),
        pytest.param(MappingProxyType({"a": 1}), {"a": 1}, True, id="read-only-map-is-a-map"),
    ],
)
def test_equality(*, left: Json, right: Json, same: bool) -> None:
    """Values are equal when kind and content are; nothing is converted."""
    scope = DictScope({"left": left, "right": right})
    assert parse_expression("left == right").evaluate(scope) is same
    assert parse_expression("right == left").evaluate(scope) is same
    assert parse_expression("left != right").evaluate(scope) is not same


def test_equality_of_deep_data_needs_no_stack() -> None:
    """Data nested deeper than Python's stack are compared all the same."""
    one: Json = 1
    other: Json = 1.0
    for _ in range(20_000):
        one, other = [one], [other]
    scope = DictScope({"one": one, "other": other})
    assert parse_expression("one == other").evaluate(scope) is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1 < 2", True, id="less"),
        pytest.param("2 < 2", False, id="not-less"),
        pytest.param("2 <= 2", True, id="at-most"),
        pytest.param("2 > 1.5", True, id="greater-than-a-float"),
        pytest.param("1 >= 1.0", True, id="at-least"),
        pytest.param("'a' < 'b'", True, id="strings"),
        pytest.param("'Z' < 'a'", True, id="by-code-point"),
        pytest.param("'10' < '9'", True, id="digits-as-text"),
        pytest.param("'\uffff' < '\U0001f600'", True, id="beyond-the-basic-plane"),
        pytest.param("'' < 'a'", True, id="empty-string-first"),
        pytest.param("a.b.c == 's' && x.y > 10", True, id="in-a-condition"),
    ],
)
def test_order(*, text: str, value: bool) -> None:
    """Numbers are ordered as numbers, strings by code point."""
    assert _value(text) is value


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        pytest.param("1 < 'x'", "a number and a string have no order", 0, id="unlike"),
        pytest.param(
            "true && 'x' >= 1", "a string and a number have no order", 8, id="unlike-late"
        ),
        pytest.param("a.missing > 1", "null has no order", 0, id="null-left"),
        pytest.param("1 > a.missing", "null has no order", 4, id="null-right"),
        pytest.param("true < false", "a boolean has no order", 0, id="booleans"),
        pytest.param("1 < x.t", "a boolean has no order", 4, id="number-and-boolean"),
        pytest.param("a.list < a.list", "a list has no order", 0, id="lists"),
        pytest.param("1 <= a", "a map has no order", 5, id="map"),
        pytest.param("secret.token < 'x'", "a secret has no order", 0, id="secret"),
    ],
)
def test_what_has_no_order_is_an_error(text: str, message: str, offset: int) -> None:
    """Unlike kinds, null, booleans, lists and maps are refused where they stand."""
    error = _error(text)
    assert (error.problem, error.offset) == (message, offset)
    assert error.hint


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        pytest.param("secret.token == 'hidden'", 0, id="equality"),
        pytest.param("a && 'x' != secret.token", 5, id="inequality"),
        pytest.param("secret == secret", 0, id="all-of-them"),
        pytest.param("a == secret.token", 0, id="beside-a-map"),
        pytest.param("!to_json(secret.token)", 1, id="negation-of-a-result"),
        pytest.param("!secret.token", 1, id="negation"),
        pytest.param("false || secret.token && true", 9, id="condition"),
        pytest.param("contains(secret.token, 'h')", 9, id="search"),
        pytest.param("length(secret.token)", 7, id="length"),
        pytest.param("contains(a.list, secret.token)", 17, id="search-for-it"),
        pytest.param("starts_with('hidden', secret.token)", 22, id="beginning"),
    ],
)
def test_a_secret_decides_nothing(text: str, offset: int) -> None:
    """A secret is neither compared, nor tested, nor searched; the error tells where, not what."""
    error = _error(text)
    assert error.offset == offset
    assert "hidden" not in error.message.replace(text, "")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("secret.token", "hidden", id="itself"),
        pytest.param("secret.token.more", None, id="member"),
        pytest.param("default(secret.token, 'x')", "hidden", id="default"),
        pytest.param("default(a.missing, secret.token)", "hidden", id="fallback"),
        pytest.param("default(1, secret.token)", 1, id="fallback-that-is-not-taken"),
        pytest.param("format('Bearer {0}', secret.token)", "Bearer hidden", id="format"),
        pytest.param("to_json(secret.token)", '"hidden"', id="to-json"),
        pytest.param("from_json(secret.json).k[0]", "hidden", id="from-json"),
        pytest.param("format(to_json(secret.token), 1)", '"hidden"', id="call-in-call"),
        pytest.param("a && secret.token", "hidden", id="last-of-and"),
        pytest.param("a.missing || secret.token", "hidden", id="last-of-or"),
    ],
)
def test_what_is_made_of_a_secret_is_a_secret(text: str, secret: Json) -> None:
    """A computation goes on, and its result shows nothing but stars."""
    value = _value(text)
    assert isinstance(value, SecretValue)
    assert value.reveal() == secret
    assert str(value) == "***"


def test_a_secret_that_takes_no_part_spoils_nothing() -> None:
    """An operand that is not reached makes no secret of the result."""
    assert _value("a.n || secret.token") == 5
    assert _value("a.missing && secret.token") is None


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        pytest.param("format(secret.layout, 1)", 7, id="layout"),
        pytest.param("from_json(secret.token)", 10, id="not-json"),
        pytest.param("to_json(default(secret.missing, a.missing))", 8, id="null"),
    ],
)
def test_the_error_of_a_function_over_a_secret_quotes_nothing(text: str, offset: int) -> None:
    """It names the function and the place; what the function itself would say may be secret."""
    error = _error(text)
    assert error.problem == f"{text.partition('(')[0]} cannot be computed over this secret"
    assert error.offset == offset
    assert error.__context__ is None or "{7}" not in str(error.__context__)


def test_status_functions_ask_the_scope() -> None:
    """`success() failure() always() cancelled() skipped()` are answered by the scope."""
    names = ["success", "failure", "always", "cancelled", "skipped"]
    assert [_value(f"{name}()") for name in names] == [True, False, True, False, False]


def test_an_error_at_run_time_says_all() -> None:
    """It is an execution error with its code, place, hint and expression, and is final."""
    error = _error("x.y > 1 && a.missing > 1")
    assert isinstance(error, ExecutionError)
    assert error.code == "expression"
    assert error.final
    assert error.message == "null has no order: x.y > 1 && a.missing > 1"
    assert error.details == {
        "offset": 11,
        "hint": "give a value for null: default(value, fallback)",
        "expression": "x.y > 1 && a.missing > 1",
    }


def test_an_expression_can_be_evaluated_again() -> None:
    """Nothing of one evaluation is left for the next."""
    expression = parse_expression("a > 1")
    assert expression.evaluate(DictScope({"a": 2})) is True
    assert expression.evaluate(DictScope({"a": 1})) is False
    with pytest.raises(ExpressionError):
        expression.evaluate(DictScope())
    assert expression.evaluate(DictScope({"a": 2})) is True


def test_the_deepest_and_widest_expressions_are_evaluated() -> None:
    """What the bounds of the syntax allow, evaluation can do."""
    deep = "(1 && " * 32 + "1" + ")" * 32
    assert _value(deep) == 1
    assert _value(" || ".join(["0"] * 800)) == 0
    assert _value("a" + ".b" * 2000) is None
