"""An evaluation ends soon, whatever the expression and the data are."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import ExpressionError, parse_expression, parse_template
from flowrunner.model.expressions.evaluation import MAX_WORK
from flowrunner.model.expressions.syntax import MAX_LENGTH
from flowrunner.model.expressions.values import MAX_RESULT
from flowrunner.model.ids import Json
from tests.fakes.scope import DictScope

pytestmark = pytest.mark.heavy

DATA: dict[str, Json] = {
    "t": "x" * MAX_RESULT,
    "w": "\u00e9" * (MAX_RESULT // 2),
    "c": ",".join("ab" * 4_000),
    "j": "[" + "1," * (MAX_RESULT // 2 - 2) + "1]",
    "l": [1] * 500_000,
    "k": [1] * 500_000,
    "m": ["ab"] * 500_000,
    "o": {str(key): 1 for key in range(100_000)},
    "q": {str(key): 1 for key in range(100_000)},
    "s": [1, "a"] * 1_000,
    "h": "{{" * (MAX_RESULT // 2),
    "d": "%%" * (MAX_RESULT // 2),
    "p": "01" * 32_768,
}


def nested(before: str, inside: str, after: str, depth: int = 31) -> str:
    return before * depth + inside + after * depth


def repeated(part: str) -> str:
    """As many of a part as an expression holds, each evaluated: all are false."""
    count = MAX_LENGTH // (len(part) + 4)
    return " || ".join([part] * count)


WORK = "the expression handles more than 16 MiB of data"
RESULT = "the result is larger than 1 MiB"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(nested("format('{0}{0}', ", "'x'", ")"), RESULT, id="doubling"),
        pytest.param("format('" + "{0}" * 1_300 + "', t)", RESULT, id="many-places"),
        pytest.param("format('', " + ", ".join(["l"] * 1_300) + ")", WORK, id="unused"),
        pytest.param(repeated("to_json(l)=='x'"), WORK, id="writing"),
        pytest.param(repeated("string(l)=='x'"), WORK, id="writing-as-text"),
        pytest.param(repeated("join(m,'')=='x'"), WORK, id="joining"),
        pytest.param(repeated("from_json(j)==1"), WORK, id="reading"),
        pytest.param(repeated("!(l==k)"), WORK, id="comparing-lists"),
        pytest.param(repeated("!(o==q)"), WORK, id="comparing-maps"),
        pytest.param(repeated("contains(t,'y')"), WORK, id="searching"),
        pytest.param(repeated("contains(l,2)"), WORK, id="searching-lists"),
        pytest.param(repeated("sha256(t)=='x'"), WORK, id="hashing"),
        pytest.param(repeated("lower(w)==''"), WORK, id="lower"),
        pytest.param(repeated("upper(w)==''"), WORK, id="upper"),
        pytest.param(repeated("trim(t)==''"), WORK, id="trimming"),
        pytest.param(repeated("basename(t)==''"), WORK, id="basename"),
        pytest.param(repeated("dirname(t)==''"), WORK, id="dirname"),
        pytest.param(repeated("split(t,',')==1"), WORK, id="splitting"),
        pytest.param(repeated("date(d,now())==''"), WORK, id="layouts-of-dates"),
        pytest.param(repeated("format(h)==''"), WORK, id="layouts"),
        pytest.param(repeated("matches(p,'1[01]{999}x')"), WORK, id="matching"),
    ],
)
def test_adversarial_expression_is_refused(text: str, problem: str) -> None:
    """What the longest expressions do to 1 MiB of data is bounded, as a whole and in its result."""
    assert len(text) <= MAX_LENGTH
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text).evaluate(DictScope(DATA))
    assert caught.value.problem == problem
    assert caught.value.offset > 0


def test_refusal_says_what_to_do() -> None:
    """Work may be spread over nodes."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(repeated("sha256(t)=='x'")).evaluate(DictScope(DATA))
    assert caught.value.hint == "compute parts of it in a node of type set"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(nested("from_json(to_json(", "s", "))", 15), id="json"),
        pytest.param(nested("join(split(", "c", ", ','), ',')", 15), id="split-and-join"),
        pytest.param(nested("lower(upper(", "c", "))", 15), id="case"),
    ],
)
def test_deep_chain_over_ordinary_data_is_evaluated(text: str) -> None:
    """The bound is far from what an expression over some kilobytes needs."""
    assert parse_expression(text).evaluate(DictScope(DATA)) in (DATA["s"], DATA["c"])


def test_work_is_counted_over_a_whole_template() -> None:
    """Many small expressions in one text share what one large one may do."""
    one = "${{ length(upper(t)) }}"
    assert parse_template(one * 2).evaluate(DictScope(DATA)) == f"{MAX_RESULT}" * 2
    with pytest.raises(ExpressionError, match="more than 16 MiB"):
        parse_template(one * 20).evaluate(DictScope(DATA))


def test_each_evaluation_begins_anew() -> None:
    """What one evaluation has done is no burden for the next."""
    expression = parse_expression("length(lower(t))")
    for _ in range(2 * MAX_WORK // MAX_RESULT):
        assert expression.evaluate(DictScope(DATA)) == MAX_RESULT


def test_looking_is_no_work() -> None:
    """What does not depend on the size of the data may be done as often as the length allows."""
    text = repeated("starts_with(t,'y')||length(l)==1||t==w")
    assert parse_expression(text).evaluate(DictScope(DATA)) is False
