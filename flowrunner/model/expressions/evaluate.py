"""The meaning of a tree: each node becomes one closure over the closures of its parts.

Closures carry the offsets of their operands, so an error says where. Nothing loops but over
the data, so evaluation always ends.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.evaluation import Evaluation, Given
from flowrunner.model.expressions.function_table import refusal
from flowrunner.model.expressions.functions import DECIDING_FUNCTIONS, FUNCTIONS
from flowrunner.model.expressions.syntax import (
    Call,
    Comparison,
    Literal,
    Logical,
    Name,
    Node,
    Not,
    Path,
)
from flowrunner.model.expressions.values import (
    NULL_HINT,
    UNDECIDED_HINT,
    Kind,
    check_order,
    equal,
    kind_of,
    member,
    no_answer,
    truth,
)
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue, revealed

Evaluator: TypeAlias = Callable[[Evaluation], Json]

CompilePart: TypeAlias = Callable[[Node], Evaluator]
"""Makes the evaluators of what stands below a node."""

Work: TypeAlias = Callable[[Sequence[Json]], Json]
"""A function over values of the kinds that it takes, or over others, which it refuses."""

OverSecrets: TypeAlias = Callable[[str, Work, Sequence[Json], Sequence[int]], SecretValue]
"""Answers a call with secrets among its arguments: name, work, arguments and their offsets."""

_ORDER_TESTS: dict[str, Callable[[Json, Json], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = frozenset({int, float, str})


def compile_node(node: Node) -> Evaluator:
    """Returns a function that evaluates the tree; it raises `ExpressionError`, nothing else.

    Offsets in its errors are those of the tree.
    """
    return compile_with(node, compile_node, call_over_secrets)


def compile_with(node: Node, part: CompilePart, over_secrets: OverSecrets) -> Evaluator:
    """Returns what `compile_node` does, for who wants to see the parts or to answer for secrets."""
    match node:
        case Literal():
            return _literal(node)
        case Name():
            return _path(node.name, ())
        case Path(base=Name(name=name)):
            return _path(name, node.keys)
        case Path():
            return _members(node, part)
        case Not():
            return _not(node, part)
        case Comparison():
            return _comparison(node, part)
        case Logical():
            return _logical(node, part)
        case Call():
            return _call(node, part, over_secrets)


def _literal(node: Literal) -> Evaluator:
    value = node.value
    return lambda _run: value


def _path(name: str, keys: tuple[str | int, ...]) -> Evaluator:
    def evaluate(run: Evaluation) -> Json:
        value = run.lookup(name)
        for key in keys:
            value = value.get(key) if type(value) is dict else member(value, key)
        return value

    return evaluate


def _members(node: Path, part: CompilePart) -> Evaluator:
    base, keys = part(node.base), node.keys

    def evaluate(run: Evaluation) -> Json:
        value = base(run)
        for key in keys:
            value = member(value, key)
        return value

    return evaluate


def _not(node: Not, part: CompilePart) -> Evaluator:
    operand, offset = part(node.operand), node.operand.offset
    return lambda run: not truth(operand(run), offset)


def _comparison(node: Comparison, part: CompilePart) -> Evaluator:
    left, right = part(node.left), part(node.right)
    offset = node.offset
    if node.operator == "==":
        return lambda run: equal(left(run), right(run), offset, run.spend)
    if node.operator == "!=":
        return lambda run: not equal(left(run), right(run), offset, run.spend)
    test = _ORDER_TESTS[node.operator]
    offsets = node.left.offset, node.right.offset

    def evaluate(run: Evaluation) -> bool:
        one, other = left(run), right(run)
        kind = type(one)
        if kind is not type(other) or kind not in _ORDERED:
            check_order(one, other, offsets)
        return test(one, other)

    return evaluate


def _logical(node: Logical, part: CompilePart) -> Evaluator:
    """Returns the operand that decides, else the last one."""
    decides = node.operator == "||"
    *first, final = [(part(operand), operand.offset) for operand in node.operands]
    last = final[0]

    def evaluate(run: Evaluation) -> Json:
        for operand, offset in first:
            value = operand(run)
            if truth(value, offset) is decides:
                return value
        return last(run)

    return evaluate


def _call(node: Call, part: CompilePart, over_secrets: OverSecrets) -> Evaluator:
    name, function = node.function, FUNCTIONS[node.function]
    implementation = function.run
    if implementation is None:
        return lambda run: run.scope.status(name)
    arguments = tuple(
        (part(argument), argument.offset, function.kinds_at(index))
        for index, argument in enumerate(node.arguments)
    )
    offsets = tuple(argument.offset for argument in node.arguments)

    def work(run: Evaluation, values: Sequence[Json]) -> Json:
        for value, (_, offset, wanted) in zip(values, arguments, strict=True):
            kind = kind_of(value)
            if kind not in wanted:
                hint = NULL_HINT if kind is Kind.NULL else ""
                raise ExpressionError(refusal(name, wanted, kind), offset=offset, hint=hint)
        return implementation(Given(values, offsets, run))

    def evaluate(run: Evaluation) -> Json:
        values = [argument(run) for argument, _, _ in arguments]
        if SecretValue in map(type, values):
            return over_secrets(name, partial(work, run), values, offsets)
        return work(run, values)

    return evaluate


def call_over_secrets(
    name: str, work: Work, values: Sequence[Json], offsets: Sequence[int]
) -> SecretValue:
    """Returns the result over the revealed values, which is a secret like them.

    This is the one place for all functions. Their own errors may quote what they met, so
    another is raised, and outside of the handler: it must not carry the first one along.
    """
    refuse_to_answer(name, values, offsets)
    try:
        return SecretValue(work(tuple(map(revealed, values))))
    except ExpressionError as error:
        at = error.offset
    raise ExpressionError(f"{name} cannot be computed over this secret", offset=at)


def refuse_to_answer(name: str, values: Sequence[Json], offsets: Sequence[int]) -> None:
    """Refuses what would answer a question about the secrets among some arguments.

    Raises:
        ExpressionError: ``expression``, where the first of them stands.
    """
    if name in DECIDING_FUNCTIONS:
        at = next(at for value, at in zip(values, offsets, strict=True) if _is_secret(value))
        raise ExpressionError(no_answer(name), offset=at, hint=UNDECIDED_HINT)


def _is_secret(value: Json) -> bool:
    return isinstance(value, SecretValue)
