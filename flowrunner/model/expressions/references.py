"""What an expression speaks about, found without evaluating it: for the check at load.

Whether the names exist, and whether a node is upstream, is judged by whoever knows the flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
    return tuple(_references(expression.tree))


def _references(node: Node) -> Iterator[Reference]:
    if isinstance(node, Path) and isinstance(node.base, Name):
        yield Reference(node.base.name, node.keys, node.offset)
    elif isinstance(node, Name):
        yield Reference(node.name, (), node.offset)
    else:
        for part in parts_of(node):
            yield from _references(part)


def calls(expression: Expression) -> tuple[tuple[str, int], ...]:
    """Returns every called function and where the call begins, outer calls before inner ones."""
    return tuple((call.function, call.offset) for call in _calls(expression.tree))


def uses_status_function(expression: Expression) -> bool:
    """Whether it calls `success failure always cancelled skipped`, so that nothing is implied."""
    return any(call.function in STATUS_FUNCTIONS for call in _calls(expression.tree))


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
    for part in parts_of(node):
        yield from _calls(part)


def parts_of(node: Node) -> tuple[Node, ...]:
    """Returns the trees directly below a tree, in the order of the text."""
    match node:
        case Literal() | Name():
            return ()
        case Path():
            return (node.base,)
        case Not():
            return (node.operand,)
        case Comparison():
            return (node.left, node.right)
        case Logical():
            return node.operands
        case Call():
            return node.arguments
