"""How expressions are written: precedence, literals, members, bounds, and what is refused."""

from __future__ import annotations

import pytest

from flowrunner.errors import ValidationError
from flowrunner.model.expressions import (
    ExpressionSyntaxError,
    parse_expression,
    render,
)
from flowrunner.model.expressions.syntax import (
    MAX_DEPTH,
    MAX_LENGTH,
    Call,
    Comparison,
    Literal,
    Logical,
    Name,
    Node,
    Not,
    Path,
)

A, B, C = Name(name="a"), Name(name="b"), Name(name="c")


def _and(*operands: Node) -> Node:
    return Logical(operator="&&", operands=operands)


def _or(*operands: Node) -> Node:
    return Logical(operator="||", operands=operands)


def _compare(operator: str, left: Node, right: Node) -> Node:
    return Comparison(operator=operator, left=left, right=right)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        pytest.param("a || b && c", _or(A, _and(B, C)), id="and-before-or"),
        pytest.param("a && b || c", _or(_and(A, B), C), id="and-before-or-on-the-left"),
        pytest.param("(a || b) && c", _and(_or(A, B), C), id="parentheses-first"),
        pytest.param("a && b == c", _and(A, _compare("==", B, C)), id="equality-before-and"),
        pytest.param("a == b < c", _compare("==", A, _compare("<", B, C)), id="order-before-equal"),
        pytest.param("a < b != c", _compare("!=", _compare("<", A, B), C), id="order-on-the-left"),
        pytest.param("!a == b", _compare("==", Not(operand=A), B), id="not-before-equality"),
        pytest.param("!a < b", _compare("<", Not(operand=A), B), id="not-before-order"),
        pytest.param("!(a == b)", Not(operand=_compare("==", A, B)), id="not-of-a-group"),
        pytest.param("!!a", Not(operand=Not(operand=A)), id="not-twice"),
        pytest.param("!a.b", Not(operand=Path(base=A, keys=("b",))), id="member-before-not"),
        pytest.param("a && b && c", _and(A, B, C), id="chain-of-and"),
        pytest.param("a && (b && c)", _and(A, _and(B, C)), id="nested-and"),
        pytest.param("a&&b||!c", _or(_and(A, B), Not(operand=C)), id="no-spaces"),
        pytest.param(" \n\ta\r\n||\nb ", _or(A, B), id="all-kinds-of-space"),
    ],
)
def test_operators_bind_by_precedence(text: str, tree: Node) -> None:
    """Members bind before `!`, then order, equality, `&&` and `||`."""
    assert parse_expression(text).tree == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        pytest.param("a.b.c", Path(base=A, keys=("b", "c")), id="dots"),
        pytest.param("a['b']", Path(base=A, keys=("b",)), id="quoted-key"),
        pytest.param("a['it''s'][0].x", Path(base=A, keys=("it's", 0, "x")), id="mixed"),
        pytest.param("a['']", Path(base=A, keys=("",)), id="empty-key"),
        pytest.param("a . b [ 0 ]", Path(base=A, keys=("b", 0)), id="spaces"),
        pytest.param("a.x-github-event", Path(base=A, keys=("x-github-event",)), id="hyphens"),
        pytest.param("a.true.null", Path(base=A, keys=("true", "null")), id="words-as-keys"),
        pytest.param("a.length", Path(base=A, keys=("length",)), id="function-as-key"),
        pytest.param("(a.b).c", Path(base=A, keys=("b", "c")), id="group-of-a-path"),
        pytest.param(
            "from_json(a)[0].b",
            Path(base=Call(function="from_json", arguments=(A,)), keys=(0, "b")),
            id="member-of-a-call",
        ),
        pytest.param("(a || b).c", Path(base=_or(A, B), keys=("c",)), id="member-of-a-group"),
        pytest.param("success()", Call(function="success", arguments=()), id="call-without"),
        pytest.param("default(a, b)", Call(function="default", arguments=(A, B)), id="call-with"),
    ],
)
def test_members_and_calls_are_read(text: str, tree: Node) -> None:
    """A path takes dots, quoted keys and indices after a name, a call or a group."""
    assert parse_expression(text).tree == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("'it''s'", "it's", id="doubled-quote"),
        pytest.param("''", "", id="empty-string"),
        pytest.param("''''", "'", id="only-a-quote"),
        pytest.param("'a\\n}}\n\u00e9'", "a\\n}}\n\u00e9", id="string-is-taken-as-it-is"),
        pytest.param("0", 0, id="zero"),
        pytest.param("-12", -12, id="negative"),
        pytest.param("1.0", 1.0, id="float"),
        pytest.param("-0.5", -0.5, id="negative-float"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param("2.5E-1", 0.25, id="signed-exponent"),
        pytest.param("1e+2", 100.0, id="plus-in-exponent"),
        pytest.param("true", True, id="true"),
        pytest.param("false", False, id="false"),
        pytest.param("null", None, id="null"),
    ],
)
def test_literals_mean_what_they_say(text: str, value: object) -> None:
    """Each literal has its value and its type."""
    tree = parse_expression(text).tree
    assert isinstance(tree, Literal)
    assert tree.value == value
    assert type(tree.value) is type(value)


def test_every_part_knows_where_it_stands() -> None:
    """Offsets are code points, also after characters outside the basic plane."""
    tree = parse_expression("'\U0001f600' == a.b && !(c)").tree
    assert isinstance(tree, Logical)
    comparison, negation = tree.operands
    assert (tree.offset, tree.end) == (0, 18)
    assert isinstance(comparison, Comparison)
    assert (comparison.left.offset, comparison.left.end) == (0, 3)
    assert (comparison.right.offset, comparison.right.end) == (7, 10)
    assert isinstance(negation, Not)
    assert (negation.offset, negation.operand.offset) == (14, 16)


@pytest.mark.parametrize(
    ("text", "offset", "hint"),
    [
        pytest.param("a = 1", 2, "write == to compare", id="single-equals"),
        pytest.param("a === b", 2, "write ==", id="triple-equals"),
        pytest.param("a !== b", 2, "write !=", id="strict-unequal"),
        pytest.param("a <> b", 2, "write !=", id="angle-brackets"),
        pytest.param("a =< b", 2, "write <=", id="reversed-order"),
        pytest.param("a => b", 2, "write >=", id="arrow"),
        pytest.param("a & b", 2, "write &&", id="single-and"),
        pytest.param("a | b", 2, "write ||", id="single-or"),
        pytest.param("a and b", 2, "write &&", id="word-and"),
        pytest.param("a OR b", 2, "write ||", id="word-or"),
        pytest.param("not a", 0, "write !", id="word-not"),
        pytest.param("a == None", 5, "write null", id="python-none"),
        pytest.param("a == True", 5, "write true", id="python-true"),
        pytest.param("'x' in a", 4, "write contains(list, item)", id="word-in"),
        pytest.param('a == "x"', 5, "single quotes", id="double-quotes"),
        pytest.param("a == \u201cx\u201d", 5, "straight single quotes", id="curly-quotes"),
        pytest.param("a\u00a0== b", 1, "ordinary space", id="no-break-space"),
        pytest.param("a ? b : c", 2, "condition && a || b", id="ternary"),
        pytest.param("a + 1", 2, "no arithmetic", id="plus"),
        pytest.param("a - 1", 2, "no arithmetic", id="minus"),
        pytest.param("a -1", 2, "no arithmetic", id="minus-before-a-number"),
        pytest.param("a / 2", 2, "no arithmetic", id="divide"),
        pytest.param("a.*", 2, "no wildcard", id="wildcard"),
        pytest.param("{a: 1}", 0, "no map literals", id="map"),
        pytest.param("$a", 0, "without $", id="dollar"),
        pytest.param("a == ${{ b }}", 5, "once around", id="wrapper-inside"),
        pytest.param("a }}", 2, "too many", id="closing-wrapper"),
        pytest.param("a; b", 1, "one value", id="semicolon"),
        pytest.param("\u00e9", 0, "['name']", id="name-that-is-not-ascii"),
        pytest.param("a b", 2, "join two values", id="two-values"),
        pytest.param("a 'b'", 2, "join two values", id="value-and-string"),
        pytest.param("a !b", 2, "write != to compare", id="not-after-a-value"),
        pytest.param("a)", 1, "nothing opens it", id="unopened-parenthesis"),
        pytest.param("a]", 1, "nothing opens it", id="unopened-bracket"),
        pytest.param("a, b", 1, "arguments", id="comma"),
        pytest.param("'x'.y", 3, "a literal has no members", id="member-of-a-literal"),
        pytest.param("(a && b", 0, "add `)`", id="unclosed-parenthesis"),
        pytest.param("length(a", 6, "add `)`", id="unclosed-call"),
        pytest.param("a['b'", 1, "add `]`", id="unclosed-bracket"),
        pytest.param("default(a 'b')", 10, "close the `(`", id="missing-comma"),
        pytest.param("a[0 1]", 4, "close the `[`", id="two-indices"),
        pytest.param("a[b]", 2, "a key in single quotes", id="computed-index"),
        pytest.param("a[-1]", 2, "an index from 0", id="negative-index"),
        pytest.param("a[1.5]", 2, "an index from 0", id="fractional-index"),
        pytest.param("a.0", 2, "[0]", id="index-after-a-dot"),
        pytest.param("a.'b'", 2, "['name']", id="string-after-a-dot"),
        pytest.param("a.", 2, "a name", id="nothing-after-a-dot"),
        pytest.param("a.b(c)", 3, "functions stand before", id="method"),
        pytest.param("(length)(a)", 1, "call it", id="function-in-a-group"),
        pytest.param("success && a", 0, "call it", id="function-without-call"),
        pytest.param("'abc", 0, "it''s", id="unterminated-string"),
        pytest.param("a == 'b''", 5, "it''s", id="string-that-ends-in-an-escape"),
        pytest.param("007", 0, "as in JSON", id="leading-zeros"),
        pytest.param("0x1f", 0, "as in JSON", id="hexadecimal"),
        pytest.param("1_000", 0, "as in JSON", id="underscores"),
        pytest.param("12:30", 2, "", id="time-of-day"),
        pytest.param("1.", 0, "as in JSON", id="no-digits-after-the-point"),
        pytest.param("1e999", 0, "", id="too-large-a-number"),
        pytest.param("a\x00", 1, "", id="control-character"),
        pytest.param("a && ", 5, "", id="nothing-after-and"),
        pytest.param("&& a", 0, "", id="nothing-before-and"),
        pytest.param("format('x',)", 11, "", id="trailing-comma"),
        pytest.param("()", 1, "", id="empty-group"),
        pytest.param("", 0, "", id="empty"),
        pytest.param("  ", 2, "", id="blank"),
    ],
)
def test_mistakes_have_a_place_and_a_hint(text: str, offset: int, hint: str) -> None:
    """What is refused says where, and what to write instead where that can be known."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_expression(text)
    assert caught.value.offset == offset
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)
    assert caught.value.code == "expression.syntax"
    assert caught.value.details == {"offset": offset, "hint": caught.value.hint}


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        pytest.param("a < b < c", 6, id="order"),
        pytest.param("a == b == c", 7, id="equality"),
        pytest.param("a != b == c", 7, id="mixed-equality"),
        pytest.param("1 <= a < 10", 7, id="range"),
    ],
)
def test_comparisons_do_not_chain(text: str, offset: int) -> None:
    """A second comparison of the same level is refused where it stands."""
    with pytest.raises(ExpressionSyntaxError, match="do not chain") as caught:
        parse_expression(text)
    assert caught.value.offset == offset
    assert "&&" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("startsWith", "write starts_with", id="github-starts-with"),
        pytest.param("toJSON", "write to_json", id="github-to-json"),
        pytest.param("fromJson", "write from_json", id="github-from-json"),
        pytest.param("CONTAINS", "write contains", id="upper-case"),
        pytest.param("endsWith", "write ends_with", id="github-ends-with"),
        pytest.param("lenght", "did you mean length?", id="typing-mistake"),
        pytest.param("hashFiles", "there are add, always, basename", id="like-nothing"),
    ],
)
def test_unknown_functions_are_refused_with_the_nearest(name: str, hint: str) -> None:
    """A call of a name outside the table says which name is meant."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_expression(f"a && {name}(b)")
    assert caught.value.offset == 5
    assert caught.value.code == "expression.unknown_function"
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("length()", "length takes 1 argument, not 0", id="too-few"),
        pytest.param("length(a, b)", "length takes 1 argument, not 2", id="too-many"),
        pytest.param("default(a)", "default takes 2 arguments, not 1", id="two-wanted"),
        pytest.param("format()", "format takes 1 or more arguments, not 0", id="open-end"),
        pytest.param("always(a)", "always takes no arguments, not 1", id="none-wanted"),
    ],
)
def test_calls_with_the_wrong_number_of_arguments_are_refused(text: str, message: str) -> None:
    """The number of arguments is checked when the text is read."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_expression(text)
    assert (caught.value.message, caught.value.offset) == (message, 0)


def test_a_syntax_error_is_a_validation_error() -> None:
    """Callers that collect what people wrote wrongly catch it with the rest."""
    with pytest.raises(ValidationError):
        parse_expression("a ==")


def test_length_is_bounded() -> None:
    """The longest text is taken, one character more is refused."""
    longest = "'" + "x" * (MAX_LENGTH - 2) + "'"
    assert parse_expression(longest).source == longest
    with pytest.raises(ExpressionSyntaxError, match="longer than 4,096"):
        parse_expression(longest + " ")


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        pytest.param("(", ")", id="parentheses"),
        pytest.param("!", "", id="not"),
        pytest.param("length(", ")", id="calls"),
    ],
)
def test_depth_is_bounded(opening: str, closing: str) -> None:
    """The deepest nesting is taken, one level more is refused where it begins."""
    parse_expression(opening * MAX_DEPTH + "a" + closing * MAX_DEPTH)
    with pytest.raises(ExpressionSyntaxError, match="deeper than 32") as caught:
        parse_expression(opening * (MAX_DEPTH + 1) + "a" + closing * (MAX_DEPTH + 1))
    assert caught.value.offset == (MAX_DEPTH + 1) * len(opening) - 1 or opening == "!"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" || ".join(["a"] * 800), id="alternatives"),
        pytest.param("a" + ".b" * 2000, id="members"),
        pytest.param("format('x', " + ", ".join(["a"] * 1000) + ")", id="arguments"),
        pytest.param(" && ".join(["!(a)"] * 400), id="groups-side-by-side"),
    ],
)
def test_width_is_not_depth(text: str) -> None:
    """Many parts side by side are not nested."""
    assert parse_expression(text).source == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(" * 4_096, id="parentheses"),
        pytest.param("[" * 4_096, id="brackets"),
        pytest.param("!" * 4_096, id="not"),
        pytest.param("'" * 4_095, id="quotes"),
        pytest.param("a(" * 2_048, id="unknown-calls"),
        pytest.param("1" * 4_097, id="digits"),
    ],
)
def test_hostile_texts_are_refused(text: str) -> None:
    """Texts made to exhaust a parser end in an error with a place."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_expression(text)
    assert 0 <= caught.value.offset <= len(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        pytest.param("a&&b||c", "a && b || c", id="spaces"),
        pytest.param("((a)||(b))&&(c)", "(a || b) && c", id="fewest-parentheses"),
        pytest.param("a || (b || c)", "a || (b || c)", id="nesting-is-kept"),
        pytest.param("!(a==b)", "!(a == b)", id="not-of-a-comparison"),
        pytest.param("!(!a)", "!!a", id="not-of-not"),
        pytest.param("(a<b)<c", "(a < b) < c", id="order-of-an-order"),
        pytest.param("(a<b)==c", "a < b == c", id="order-in-an-equality"),
        pytest.param("a['b']['c d'][0]", "a.b['c d'][0]", id="plain-keys-get-dots"),
        pytest.param("(a||b).c", "(a || b).c", id="member-of-a-group"),
        pytest.param("('x').c", "('x').c", id="member-of-a-literal-group"),
        pytest.param("from_json( a ).b", "from_json(a).b", id="member-of-a-call"),
        pytest.param(
            "format('it''s',-1,1.50,true,null)",
            "format('it''s', -1, 1.5, true, null)",
            id="literals",
        ),
        pytest.param("1e400==2".replace("400", "300"), "1e+300 == 2", id="large-numbers"),
    ],
)
def test_an_expression_prints_with_the_fewest_signs(text: str, printed: str) -> None:
    """Rendering spaces evenly, drops idle parentheses, and means the same."""
    expression = parse_expression(text)
    assert render(expression) == printed
    assert parse_expression(printed).tree == expression.tree


def test_an_expression_keeps_its_source() -> None:
    """The text as written is kept, for messages."""
    assert parse_expression(" a==b ").source == " a==b "


def test_expressions_are_values() -> None:
    """Equal texts give equal, hashable expressions."""
    assert parse_expression("a.b") == parse_expression("a.b")
    assert len({parse_expression("a.b"), parse_expression("a.b"), parse_expression("a.c")}) == 2
