"""What the functions over texts give and refuse."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import ExpressionError, ExpressionSyntaxError, parse_expression
from flowrunner.model.expressions.function_texts import MAX_MATCHED, MAX_PARTS
from flowrunner.model.expressions.values import MAX_RESULT
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from tests.fakes.scope import DictScope

DATA: dict[str, Json] = {
    "text": "Hello",
    "list": ["a", 1, 2.5, True, None, {"k": [1]}],
    "empty": "",
    "surrogate": "\ud800",
    "secrets": [SecretValue("s3cret")],
    "parts": ",".join("x" * MAX_PARTS),
    "more_parts": ",".join("x" * (MAX_PARTS + 1)),
    "matched": "x" * MAX_MATCHED,
    "too_long": "x" * (MAX_MATCHED + 1),
    "apostrophes": "\u0149" * (MAX_RESULT // 2),
    "many": ["x" * 1_000] * 1_100,
}


def value_of(text: str) -> Json:
    return parse_expression(text).evaluate(DictScope(DATA))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("ends_with(text, 'lo')", True, id="ends-with"),
        pytest.param("ends_with(text, 'LO')", False, id="ends-with-case-counts"),
        pytest.param("ends_with(text, '')", True, id="ends-with-empty"),
        pytest.param("lower('\u00c4B')", "\u00e4b", id="lower"),
        pytest.param("upper('stra\u00dfe')", "STRASSE", id="upper-may-grow"),
        pytest.param("trim(' \t a b\r\n')", "a b", id="trim"),
        pytest.param("trim(empty)", "", id="trim-empty"),
        pytest.param("split('a,b,,c', ',')", ["a", "b", "", "c"], id="split"),
        pytest.param("split('', ',')", [""], id="split-empty"),
        pytest.param("split('a', ', ')", ["a"], id="split-without-a-separator"),
        pytest.param("split('a::b', '::')[1]", "b", id="split-member"),
        pytest.param("join(list, '-')", 'a-1-2.5-true--{"k":[1]}', id="join-as-in-mixed-text"),
        pytest.param("join(split('', ','), ',')", "", id="join-of-one"),
        pytest.param("join(from_json('[]'), ',')", "", id="join-of-none"),
        pytest.param("basename('/srv/data/file.txt')", "file.txt", id="basename"),
        pytest.param("basename('/srv/data/')", "data", id="basename-trailing-slash"),
        pytest.param("basename('file')", "file", id="basename-of-a-name"),
        pytest.param("basename('//')", "/", id="basename-of-the-root"),
        pytest.param("basename(empty)", "", id="basename-of-nothing"),
        pytest.param("dirname('/srv/data/file.txt')", "/srv/data", id="dirname"),
        pytest.param("dirname('/srv//data//')", "/srv", id="dirname-trailing-slash"),
        pytest.param("dirname('file')", ".", id="dirname-of-a-name"),
        pytest.param("dirname('/file')", "/", id="dirname-below-the-root"),
        pytest.param("dirname('//')", "/", id="dirname-of-the-root"),
        pytest.param("dirname(empty)", ".", id="dirname-of-nothing"),
        pytest.param(
            "sha256('')",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            id="sha256-of-nothing",
        ),
        pytest.param(
            "sha256('\u00e4')",
            "33e6d73fee82904c8d7afb78de1154d1e8dc2a0edb08120e63df5b9385c2d9cc",
            id="sha256-of-utf-8",
        ),
        pytest.param("matches('refs/heads/main', '^refs/heads/[a-z]+$')", True, id="matches"),
        pytest.param("matches('refs/tags/v1', '^refs/heads/')", False, id="does-not-match"),
        pytest.param("matches('abc', 'b')", True, id="matches-anywhere"),
        pytest.param("matches(matched, '^x*$')", True, id="matches-at-the-bound"),
        pytest.param("matches(surrogate, '^.$')", True, id="matches-half-a-pair"),
        pytest.param("length(split(parts, ','))", MAX_PARTS, id="split-at-the-bound"),
    ],
)
def test_functions_over_texts_give(text: str, value: Json) -> None:
    """Each function gives what the documentation says."""
    result = value_of(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        pytest.param("split(text, empty)", "split takes a separator", 12, id="split-empty"),
        pytest.param("split(more_parts, ',')", "more than 10,000 parts", 6, id="split-too-many"),
        pytest.param("split(list, ',')", "takes a string here, not a list", 6, id="split-list"),
        pytest.param("join(text, ',')", "takes a list here, not a string", 5, id="join-a-text"),
        pytest.param("join(list, 1)", "takes a string here, not a number", 11, id="join-by-1"),
        pytest.param(
            "join(secrets, ',')", "cannot be written as JSON", 5, id="join-a-buried-secret"
        ),
        pytest.param("join(many, '')", "larger than 1 MiB", 5, id="join-too-large"),
        pytest.param("upper(apostrophes)", "larger than 1 MiB", 6, id="upper-grows-too-large"),
        pytest.param("sha256(surrogate)", "half a surrogate pair", 7, id="sha256-no-utf-8"),
        pytest.param("matches(too_long, 'x')", "at most 65,536 characters", 8, id="matches-long"),
        pytest.param("matches(list, 'x')", "takes a string here, not a list", 8, id="match-list"),
        pytest.param("basename(1)", "takes a string here, not a number", 9, id="basename"),
        pytest.param("dirname(null)", "dirname does not take null", 8, id="dirname-null"),
        pytest.param("ends_with(text, nothing)", "does not take null", 16, id="ends-with-null"),
    ],
)
def test_functions_over_texts_refuse(text: str, problem: str, offset: int) -> None:
    """What does not fit is refused at the argument, and never with its value."""
    with pytest.raises(ExpressionError) as caught:
        value_of(text)
    assert problem in caught.value.problem
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        pytest.param("matches(a, b)", "takes a literal pattern", 11, id="pattern-of-data"),
        pytest.param("matches(a, 1)", "takes a literal pattern", 11, id="pattern-of-a-number"),
        pytest.param("matches(a, lower('A'))", "takes a literal pattern", 11, id="computed"),
        pytest.param("matches(a, '[')", "not a regular expression", 11, id="broken"),
        pytest.param("matches(a, '(?!a)b')", "not a regular expression", 11, id="looks-ahead"),
        pytest.param("matches(a, '(a)\\1')", "not a regular expression", 11, id="looks-back"),
        pytest.param("a && split(b, '')", "separator that is not empty", 14, id="split"),
        pytest.param("format('{0}')", "format has too few arguments", 7, id="too-few"),
        pytest.param("format('{99999}')", "format met a single {", 7, id="absurd-number"),
        pytest.param("format('a{b')", "format met a single {", 7, id="single-opening"),
        pytest.param("format('a}b')", "format met a single }", 7, id="single-closing"),
        pytest.param("format('{-1}', 1)", "format met a single {", 7, id="negative"),
    ],
)
def test_literals_that_cannot_work_are_refused_when_read(
    text: str, problem: str, offset: int
) -> None:
    """A literal is judged with the expression, at its own column."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_expression(text)
    assert problem in caught.value.message
    assert caught.value.offset == offset
