"""Promises of the expression language over all texts, trees and data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowrunner.model.expressions import (
    FUNCTIONS,
    STATUS_FUNCTIONS,
    Expression,
    ExpressionError,
    ExpressionSyntaxError,
    Reference,
    Template,
    calls,
    condition,
    parse_expression,
    parse_template,
    references,
    render,
    uses_status_function,
)
from flowrunner.model.expressions.function_table import ANY, Kinds
from flowrunner.model.expressions.syntax import (
    Call,
    Comparison,
    Key,
    Literal,
    Logical,
    Name,
    Node,
    Not,
    Path,
    render_node,
)
from flowrunner.model.expressions.types import infer
from flowrunner.model.expressions.values import MAX_RESULT, kind_of
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from tests.fakes.scope import DictScope
from tests.profile import examples

Given = TypeVar("Given")
Result = TypeVar("Result")

WORDS = [
    *"abx", "true", "false", "null", "and", "not", "'s'", "''", "'", '"', "0", "-1", "1.5", "1e9",
    *"()[].,!<>=&|{}$?*+-", "==", "!=", "<=", ">=", "&&", "||", "${{", "}}", "$${{", "['k']", "[0]",
    " ", "\n", "\u00e9", "\U0001f600", "\x00", "\ud800", *FUNCTIONS, "startsWith", "'%F'",
]  # fmt: skip
"""Pieces of which texts near the grammar are made."""

texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(WORDS), max_size=30).map("".join),
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
)
NAMES = ["a", "b", "x-y", "_z"]
names = st.sampled_from(NAMES)
keys: st.SearchStrategy[Key] = st.one_of(
    st.sampled_from(["k", "a", "true", "it's", ""]), st.integers(min_value=0, max_value=3)
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
json_values: st.SearchStrategy[Json] = st.recursive(
    scalars | scalars.map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["k", "a", "true", "it's", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)
scopes = st.builds(
    DictScope,
    st.dictionaries(names, json_values),
    st.frozensets(st.sampled_from(sorted(STATUS_FUNCTIONS))),
)


def _paths(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    bases = inner.filter(lambda node: not isinstance(node, Path))
    some_keys = st.lists(keys, min_size=1, max_size=3).map(tuple)
    return st.builds(lambda base, path: Path(base=base, keys=path), bases, some_keys)


JUDGED = [
    parse_expression(text).tree
    for text in (
        "matches(a, '^[a-z]+$')", "matches(default(a, b), 'x|1')", "date('%F %j', a)",
        "date(b, now(), 'Asia/Tokyo')", "date('%s', add(now(), b))", "add(a, '-1w')",
        "add(now(), '36524d')", "split(a, 's')", "split(string(b), ',')",
        "format('{0}{{{1}', a, b)", "format(a, b)", "date('%z', '0001-01-01T00:00:00+14:00')",
    )
]  # fmt: skip
"""Calls with literals that are judged when they are read."""


@st.composite
def _called(draw: st.DrawFn, inner: st.SearchStrategy[Node]) -> Node:
    name = draw(st.sampled_from(sorted(FUNCTIONS)))
    function = FUNCTIONS[name]
    most = function.least + 3 if function.most is None else function.most
    if function.check is not None:
        return draw(st.sampled_from(JUDGED))
    arguments = draw(st.lists(inner, min_size=function.least, max_size=most))
    return Call(function=name, arguments=tuple(arguments))


def _larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    parts = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        _paths(inner),
        st.builds(lambda node: Not(operand=node), inner),
        st.builds(
            lambda operator, left, right: Comparison(operator=operator, left=left, right=right),
            operators,
            inner,
            inner,
        ),
        st.builds(
            lambda operator, operands: Logical(operator=operator, operands=operands),
            st.sampled_from(["&&", "||"]),
            parts,
        ),
        _called(inner),
    )


leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(lambda value: Literal(value=value), scalars),
    st.builds(lambda name: Name(name=name), names),
)
trees: st.SearchStrategy[Node] = st.recursive(leaves, _larger, max_leaves=15)


def _outcome(
    act: Callable[[Given], Result], given_value: Given
) -> Result | ExpressionSyntaxError | ExpressionError:
    """Returns the result, or the error if it is one of the two that are promised."""
    try:
        return act(given_value)
    except (ExpressionSyntaxError, ExpressionError) as error:
        return error


@given(texts)
@settings(max_examples=examples(150))
def test_any_text_is_an_expression_or_an_error_with_a_place(text: str) -> None:
    """Reading ends in a tree or in one error within the text; reading its print gives the tree."""
    expression = _outcome(parse_expression, text)
    if isinstance(expression, ExpressionSyntaxError):
        assert 0 <= expression.offset <= len(text)
        return
    assert isinstance(expression, Expression)
    assert 0 <= expression.tree.offset < expression.tree.end <= len(text)
    again = parse_expression(render(expression))
    assert again.tree == expression.tree
    assert render(again) == render(expression)


@given(texts)
@settings(max_examples=examples(150))
def test_any_text_is_a_template_or_an_error_with_a_place(text: str) -> None:
    """The same holds for templates and conditions, whose expressions lie within the text."""
    for parse in (parse_template, condition):
        template = _outcome(parse, text)
        if isinstance(template, ExpressionSyntaxError):
            assert 0 <= template.offset <= len(text)
            continue
        assert isinstance(template, Template)
        for expression in template.expressions:
            end = expression.start + len(expression.source)
            assert text[expression.start : end] == expression.source
            for reference in references(expression):
                assert expression.start <= reference.offset < end


@given(st.text(alphabet=st.characters(exclude_characters="$"), max_size=40), json_values)
def test_text_without_wrappers_is_itself(text: str, value: Json) -> None:
    """Literal text comes out as it went in, and data never become expressions."""
    assert parse_template(text).evaluate(DictScope()) == text
    assert parse_template(f"{text}${{{{ a }}}}").evaluate(DictScope({"a": text})) == text + text
    assert parse_template("${{ a }}").evaluate(DictScope({"a": value})) is value


@given(trees)
@settings(max_examples=examples(120))
def test_printing_a_tree_and_reading_it_gives_the_tree(tree: Node) -> None:
    """Whatever a tree is made of, its text means that tree."""
    text = render_node(tree)
    expression = parse_expression(text)
    assert expression.tree == tree
    assert render(expression) == text


@given(trees)
def test_calls_are_those_of_the_tree(tree: Node) -> None:
    """Every call is found, outer ones first, however the text that holds them is searched."""
    expression = parse_expression(_parsable(tree))
    found = [call.function for call in _calls_in(expression.tree)]
    assert [name for name, _ in calls(expression)] == found
    assert uses_status_function(expression) == any(name in STATUS_FUNCTIONS for name in found)


def _parsable(tree: Node) -> str:
    """Returns the text of a tree that the bounds of the language allow."""
    text = render_node(tree)
    try:
        parse_expression(text)
    except ExpressionSyntaxError:
        assume(False)
    return text


def _calls_in(node: Node) -> list[Call]:
    match node:
        case Call(arguments=arguments):
            return [node, *(call for part in arguments for call in _calls_in(part))]
        case Path(base=base):
            return _calls_in(base)
        case Not(operand=operand):
            return _calls_in(operand)
        case Comparison(left=left, right=right):
            return [*_calls_in(left), *_calls_in(right)]
        case Logical(operands=operands):
            return [call for part in operands for call in _calls_in(part)]
    return []


@given(trees, scopes)
@settings(max_examples=examples(150))
def test_evaluation_gives_a_value_or_an_expression_error(tree: Node, scope: DictScope) -> None:
    """Over any data evaluation ends in JSON or in one error within the expression."""
    expression = parse_expression(render_node(tree))
    value = _outcome(expression.evaluate, scope)
    if isinstance(value, ExpressionError):
        assert 0 <= value.offset < len(expression.source)
        assert value.expression == expression.source
    else:
        assert len(json.dumps(value, allow_nan=False, ensure_ascii=False)) <= MAX_RESULT


typed_scopes = st.fixed_dictionaries(dict.fromkeys(NAMES, json_values)).map(DictScope)


def _kinds_over(scopes: list[DictScope]) -> Callable[[Reference], Kinds]:
    """Returns declarations that just these data fit; members are not declared."""

    def kinds_of(reference: Reference) -> Kinds:
        if reference.path:
            return ANY
        return frozenset(kind_of(scope.lookup(reference.root)) for scope in scopes)

    return kinds_of


@given(trees, st.lists(typed_scopes, min_size=1, max_size=3))
@settings(max_examples=examples(150))
def test_value_is_of_the_kinds_that_were_inferred(tree: Node, scopes: list[DictScope]) -> None:
    """Whatever data fit the declarations, the value is of an inferred kind."""
    expression = parse_expression(render_node(tree))
    kinds, _ = infer(expression.tree, _kinds_over(scopes))
    for scope in scopes:
        value = _outcome(expression.evaluate, scope)
        assert isinstance(value, ExpressionError) or kind_of(value) in kinds


@given(trees, st.lists(typed_scopes, min_size=1, max_size=3))
@settings(max_examples=examples(150))
def test_what_is_complained_of_never_works(tree: Node, scopes: list[DictScope]) -> None:
    """What is rejected fails, or gives the same, over all data that fit the declarations."""
    expression = parse_expression(render_node(tree))
    _, misfits = infer(expression.tree, _kinds_over(scopes))
    for misfit in misfits:
        part = parse_expression(render_node(misfit.node))
        for scope in scopes:
            value = _outcome(part.evaluate, scope)
            if not isinstance(value, ExpressionError):
                assert isinstance(part.tree, Comparison)
                assert value is {"==": False, "!=": True}[part.tree.operator]


SECRET = "7373"
"""Also a number and a place of `format`, which errors quote."""

secrets: st.SearchStrategy[Json] = st.sampled_from(
    [
        SECRET,
        {"k": SECRET, "a": f"{{0}} {{{SECRET}}}"},
        {"a": [SECRET], "k": f'["{SECRET}"]', "true": None},
    ]
)
secret_scopes = st.builds(
    lambda contexts, secret: DictScope({**contexts, "b": SecretValue(secret)}),
    st.dictionaries(st.sampled_from(["a", "x-y", "_z"]), json_values),
    secrets,
)


@given(trees, secret_scopes)
@settings(max_examples=examples(1_000))
def test_nothing_that_comes_of_a_secret_shows_it(tree: Node, scope: DictScope) -> None:
    """Whatever is computed over a secret, neither the result nor an error has its text."""
    source = render_node(tree)
    assume(SECRET not in source + json.dumps(scope.contexts, default=str))
    for template in (condition(source), parse_template(f"x ${{{{ {source} }}}}")):
        value = _outcome(template.evaluate, scope)
        told = f"{value} {value!r} {json.dumps(value, default=str, ensure_ascii=False)}"
        if isinstance(value, ExpressionError):
            told = f"{value} {value!r} {value.details} {value.__context__!r}"
        assert SECRET not in told


@given(json_values)
def test_equality_is_that_of_json(value: Json) -> None:
    """A value equals itself written as JSON and read again."""
    scope = DictScope({"a": value, "b": json.loads(json.dumps(value))})
    assert parse_expression("a == b").evaluate(scope) is True
    assert parse_expression("a != b").evaluate(scope) is False
