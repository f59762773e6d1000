"""What can be said about an expression without evaluating it."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import (
    Reference,
    calls,
    parse_expression,
    parse_template,
    references,
    uses_status_function,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("'a.b' == 1", [], id="none"),
        pytest.param("a", [("a", (), 0)], id="whole-context"),
        pytest.param("a.b['c d'][0]", [("a", ("b", "c d", 0), 0)], id="path"),
        pytest.param("a.x == b.y", [("a", ("x",), 0), ("b", ("y",), 7)], id="two"),
        pytest.param("a.x || !a.x", [("a", ("x",), 0), ("a", ("x",), 8)], id="repeated"),
        pytest.param("(a).b", [("a", ("b",), 0)], id="path-from-a-group"),
        pytest.param("(a || b).c", [("a", (), 1), ("b", (), 6)], id="member-of-a-group"),
        pytest.param("from_json(a.b).c", [("a", ("b",), 10)], id="member-of-a-call"),
        pytest.param(
            "a && (b < c || default(d, e.f))",
            [("a", (), 0), ("b", (), 6), ("c", (), 10), ("d", (), 23), ("e", ("f",), 26)],
            id="everywhere",
        ),
    ],
)
def test_references_are_found(
    text: str, found: list[tuple[str, tuple[str | int, ...], int]]
) -> None:
    """Every use of a context is found, with its path and place, in the order of the text."""
    assert list(references(parse_expression(text))) == [Reference(*item) for item in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a.success", [], id="none"),
        pytest.param("default(length(a), 0) > 1", [("default", 0), ("length", 8)], id="nested"),
        pytest.param(
            "!success() && from_json(a).b", [("success", 1), ("from_json", 14)], id="deep"
        ),
    ],
)
def test_calls_are_found(text: str, found: list[tuple[str, int]]) -> None:
    """Every call is found with its place, outer ones first."""
    assert list(calls(parse_expression(text))) == found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("success()", True, id="success"),
        pytest.param("a && !failure()", True, id="failure"),
        pytest.param("default(always(), a)", True, id="always"),
        pytest.param("(cancelled() || a) == b", True, id="cancelled"),
        pytest.param("(skipped()).x", True, id="skipped"),
        pytest.param("length(a) > 0", False, id="other-function"),
        pytest.param("a.success == 'always()'", False, id="words-only"),
    ],
)
def test_status_functions_are_seen(*, text: str, wanted: bool) -> None:
    """A condition that calls one implies nothing, so it must be seen anywhere."""
    assert uses_status_function(parse_expression(text)) is wanted


def test_offsets_count_from_the_template() -> None:
    """Facts about an expression in a text have their place in that text."""
    (expression,) = parse_template("ab ${{ length(a.b) }}").expressions
    assert references(expression) == (Reference("a", ("b",), 14),)
    assert calls(expression) == (("length", 7),)
