"""What an expression speaks about, found without evaluating it: for the check at load.

Whether the names exist, and whether a node is upstream, is judged by whoever knows the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flowrunner.model.expressions.expression import Expression
from flowrunner.model.expressions.functions import STATUS_FUNCTIONS
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
)


class Reference(NamedTuple):
    """A use of a context.

    Attributes:
        root: The context, such as `inputs`.
        path: The keys after it, all literal; empty when the context is used as a whole.
        offset: Where it begins, in the text the expression was parsed from.
    """

    root: str
    path: tuple[Key, ...]
    offset: int


def references(expression: Expression) -> tuple[Reference, ...]:
    """Returns every use of a context, in the order of the text; repeated uses are repeated."""
    found: list[Reference] = []
    _collect_references(expression.tree, found)
    return tuple(found)


def _collect_references(node: Node, found: list[Reference]) -> None:
    if isinstance(node, Path) and isinstance(node.base, Name):
        found.append(Reference(node.base.name, node.keys, node.offset))
    elif isinstance(node, Name):
        found.append(Reference(node.name, (), node.offset))
    else:
        for part in parts_of(node):
            _collect_references(part, found)


def calls(expression: Expression) -> tuple[tuple[str, int], ...]:
    """Returns every called function and where the call begins, outer calls before inner ones."""
    return tuple((call.function, call.offset) for call in _calls(expression))


def uses_status_function(expression: Expression) -> bool:
    """Whether it calls `success failure always cancelled skipped`, so that nothing is implied."""
    return any(call.function in STATUS_FUNCTIONS for call in _calls(expression))


def _calls(expression: Expression) -> list[Call]:
    found: list[Call] = []
    if "(" in expression.source:  # else there is none
        _collect_calls(expression.tree, found)
    return found


def _collect_calls(node: Node, found: list[Call]) -> None:
    if isinstance(node, Call):
        found.append(node)
    for part in parts_of(node):
        _collect_calls(part, found)


def parts_of(node: Node) -> tuple[Node, ...]:
    """Returns the trees directly below a tree, in the order of the text."""
    return _PARTS[type(node)](node)


_PARTS: Mapping[type[Node], Callable[[Any], tuple[Node, ...]]] = {
    Literal: lambda _: (),
    Name: lambda _: (),
    Path: lambda node: (node.base,),
    Not: lambda node: (node.operand,),
    Comparison: lambda node: (node.left, node.right),
    Logical: lambda node: node.operands,
    Call: lambda node: node.arguments,
}
"""By the type of a tree: a `match` asks one type after the other, for each part of each tree."""
