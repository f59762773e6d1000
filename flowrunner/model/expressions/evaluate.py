"""The meaning of a tree: each node becomes one closure over the closures of its parts.

Closures carry the offsets of their operands, so an error says where. Nothing loops but over
the data, so evaluation always ends.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Protocol, TypeAlias

from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.functions import FUNCTIONS
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
from flowrunner.model.expressions.values import NULL_HINT, check_order, equal, member, truth
from flowrunner.model.ids import Json


class Scope(Protocol):
    """What an expression is evaluated over."""

    def lookup(self, name: str) -> Json:
        """Returns a context, such as `inputs`; null where it is not offered."""
        ...

    def status(self, name: str) -> bool:
        """Returns the answer of a status function: `success failure always cancelled skipped`."""
        ...


Evaluator: TypeAlias = Callable[[Scope], Json]

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
    match node:
        case Literal():
            return _literal(node)
        case Name():
            return _path(node.name, ())
        case Path(base=Name(name=name)):
            return _path(name, node.keys)
        case Path():
            return _members(node)
        case Not():
            return _not(node)
        case Comparison():
            return _comparison(node)
        case Logical():
            return _logical(node)
        case Call():
            return _call(node)


def _literal(node: Literal) -> Evaluator:
    value = node.value
    return lambda _scope: value


def _path(name: str, keys: tuple[str | int, ...]) -> Evaluator:
    def run(scope: Scope) -> Json:
        value = scope.lookup(name)
        for key in keys:
            value = value.get(key) if type(value) is dict else member(value, key)
        return value

    return run


def _members(node: Path) -> Evaluator:
    base, keys = compile_node(node.base), node.keys

    def run(scope: Scope) -> Json:
        value = base(scope)
        for key in keys:
            value = member(value, key)
        return value

    return run


def _not(node: Not) -> Evaluator:
    operand, offset = compile_node(node.operand), node.operand.offset
    return lambda scope: not truth(operand(scope), offset)


def _comparison(node: Comparison) -> Evaluator:
    left, right = compile_node(node.left), compile_node(node.right)
    offset = node.offset
    if node.operator == "==":
        return lambda scope: equal(left(scope), right(scope), offset)
    if node.operator == "!=":
        return lambda scope: not equal(left(scope), right(scope), offset)
    test = _ORDER_TESTS[node.operator]
    offsets = node.left.offset, node.right.offset

    def run(scope: Scope) -> bool:
        one, other = left(scope), right(scope)
        kind = type(one)
        if kind is not type(other) or kind not in _ORDERED:
            check_order(one, other, offsets)
        return test(one, other)

    return run


def _logical(node: Logical) -> Evaluator:
    """Returns the operand that decides, else the last one."""
    decides = node.operator == "||"
    *first, final = [(compile_node(operand), operand.offset) for operand in node.operands]
    last = final[0]

    def run(scope: Scope) -> Json:
        for operand, offset in first:
            value = operand(scope)
            if truth(value, offset) is decides:
                return value
        return last(scope)

    return run


def _call(node: Call) -> Evaluator:
    name, function = node.function, FUNCTIONS[node.function]
    implementation, accepts_null = function.run, function.accepts_null
    if implementation is None:
        return lambda scope: scope.status(name)
    arguments = tuple(map(compile_node, node.arguments))
    offsets = tuple(argument.offset for argument in node.arguments)

    def run(scope: Scope) -> Json:
        values = [argument(scope) for argument in arguments]
        if not accepts_null:
            for value, offset in zip(values, offsets, strict=True):
                if value is None:
                    raise ExpressionError(
                        f"{name} does not take null", offset=offset, hint=NULL_HINT
                    )
        return implementation(values, offsets)

    return run
