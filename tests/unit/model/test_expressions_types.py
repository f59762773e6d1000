"""What is known of an expression before there are data, and what is never complained of."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import Reference, parse_expression
from flowrunner.model.expressions.function_table import ANY, BOOLEAN, LIST, NUMBER, TEXT, Kinds
from flowrunner.model.expressions.types import NULL, infer

KNOWN: dict[str, Kinds] = {
    "n": NUMBER,
    "s": TEXT,
    "f": BOOLEAN,
    "l": LIST,
    "no": NULL,
    "maybe": TEXT | NULL,
    "count": NUMBER | NULL,
}


def kinds_of(reference: Reference) -> Kinds:
    return ANY if reference.path else KNOWN.get(reference.root, ANY)


def misfits_of(text: str) -> list[tuple[str, int, bool]]:
    _, found = infer(parse_expression(text).tree, kinds_of)
    return [(misfit.message, misfit.offset, misfit.is_error) for misfit in found]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param("1", NUMBER, id="number"),
        pytest.param("'x'", TEXT, id="string"),
        pytest.param("null", NULL, id="null"),
        pytest.param("unknown", ANY, id="unknown"),
        pytest.param("!s", BOOLEAN, id="not"),
        pytest.param("n < 1", BOOLEAN, id="comparison"),
        pytest.param("s && n", TEXT | NUMBER, id="and"),
        pytest.param("l && n", NUMBER, id="and-of-what-is-always-true"),
        pytest.param("count || 'none'", NUMBER | TEXT, id="or"),
        pytest.param("default(maybe, 5)", TEXT | NUMBER, id="default-is-the-union"),
        pytest.param("default(s, 5)", TEXT, id="default-of-what-is-never-null"),
        pytest.param("default(maybe, null)", TEXT | NULL, id="default-of-null"),
        pytest.param("coalesce(maybe, count)", TEXT | NUMBER | NULL, id="coalesce"),
        pytest.param("coalesce(maybe, n, f)", TEXT | NUMBER, id="coalesce-ends-early"),
        pytest.param("length(s)", NUMBER, id="function"),
        pytest.param("success()", BOOLEAN, id="status-function"),
        pytest.param("now()", TEXT, id="now"),
        pytest.param("split(s, ',')[0]", ANY, id="member-of-a-list"),
        pytest.param("lower(s).x", NULL, id="member-of-a-text"),
    ],
)
def test_kinds_of_a_value_are_inferred(text: str, kinds: Kinds) -> None:
    """The kinds follow from the names, the operators and the table of functions."""
    assert infer(parse_expression(text).tree, kinds_of)[0] == kinds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("n < s", [("a number and a string have no order", 0, True)], id="order"),
        pytest.param(
            "maybe < 1", [("a string and a number have no order", 0, True)], id="nullable"
        ),
        pytest.param("n < f", [("a boolean has no order", 4, True)], id="boolean"),
        pytest.param("no < n", [("null has no order", 0, True)], id="null"),
        pytest.param(
            "n == s",
            [("a number never equals a string, so this is always false", 0, True)],
            id="equality",
        ),
        pytest.param(
            "count != 'x'",
            [("a number never equals a string, so this is always true", 0, True)],
            id="nullable-equality",
        ),
        pytest.param(
            "null == s", [("a string is never null, so this is always false", 0, False)], id="guard"
        ),
        pytest.param("lower(n)", [("lower takes a string here, not a number", 6, True)], id="call"),
        pytest.param("lower(no)", [("lower does not take null", 6, True)], id="call-with-null"),
        pytest.param(
            "contains(s, n)", [("contains takes a string here, not a number", 12, True)], id="part"
        ),
        pytest.param("x && number('x')", [("the string is not a number", 12, True)], id="literal"),
        pytest.param(
            "lower(length(f))",
            [
                ("length takes a string, a list or a map here, not a boolean", 13, True),
                ("lower takes a string here, not a number", 6, True),
            ],
            id="both",
        ),
    ],
)
def test_what_never_works_is_told_with_its_place(
    text: str, expected: list[tuple[str, int, bool]]
) -> None:
    """Each complaint names kinds and points at the operand; a guard against null only warns."""
    assert misfits_of(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x < 1",
        "x == 'a'",
        "lower(x)",
        "x.y.z > 'a'",
        "maybe < 'a'",
        "maybe == count",
        "maybe == null",
        "lower(maybe)",
        "contains(x, 1)",
        "contains(l, n)",
        "default(count, 'x') == 'x'",
        "(n || s) < 'a'",
        "l[0] == 1",
        "number(s) == n",
        "string(n) == s",
        "from_json(s) < 3",
        "number('5')",
        "matches(s, '5')",
        "n == 1.5",
    ],
)
def test_what_may_work_is_never_complained_of(text: str) -> None:
    """One possible kind is enough."""
    assert misfits_of(text) == []
