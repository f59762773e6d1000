"""What an expression may turn out to be before anything runs: true, false, or either.

Cautious: what depends on data may be either. Only literals, functions of literals and what the
caller knows of the status functions count, so an answer of one truth alone is certain. An
expression that may fail is one whose error is not foreseen here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import product
from typing import TypeAlias

from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.evaluate import compile_node
from flowrunner.model.expressions.evaluation import Evaluation
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
from flowrunner.model.expressions.values import truth
from flowrunner.model.ids import Json

Outlook: TypeAlias = frozenset[bool]
"""The truths that are possible; never empty."""

ALWAYS: Outlook = frozenset({True})
NEVER: Outlook = frozenset({False})
EITHER: Outlook = ALWAYS | NEVER

_CHANGING = frozenset({"now"})
"""Functions whose value depends on more than their arguments."""


def outlook_of(node: Node, status: Callable[[str], Outlook]) -> Outlook:
    """Returns the truths that a tree may have; `status` knows those of the status functions."""
    match node:
        case Not():
            return frozenset(not answer for answer in outlook_of(node.operand, status))
        case Logical():
            parts = [outlook_of(operand, status) for operand in node.operands]
            joined = all if node.operator == "&&" else any
            return frozenset(joined(answers) for answers in product(*_distinct(parts)))
        case Call() if FUNCTIONS[node.function].run is None:
            return status(node.function)
        case _:
            return _of_constant(node)


def _distinct(parts: list[Outlook]) -> list[Outlook]:
    """Returns each outlook once: what repeats adds no new answer."""
    return list(dict.fromkeys(parts))


def _of_constant(node: Node) -> Outlook:
    if not _is_constant(node):
        return EITHER
    try:
        return frozenset({truth(compile_node(node)(Evaluation(_Nothing())))})
    except ExpressionError:
        return EITHER


def _is_constant(node: Node) -> bool:
    match node:
        case Literal():
            return True
        case Name():
            return False
        case Path():
            return _is_constant(node.base)
        case Not():
            return _is_constant(node.operand)
        case Comparison():
            return _is_constant(node.left) and _is_constant(node.right)
        case Logical():
            return all(map(_is_constant, node.operands))
        case Call():
            is_function = FUNCTIONS[node.function].run is not None
            is_steady = node.function not in _CHANGING
            return is_function and is_steady and all(map(_is_constant, node.arguments))


class _Nothing:
    """The scope of constants: nobody asks it."""

    def lookup(self, name: str) -> Json:
        """Refuses."""
        raise LookupError(name)

    def status(self, name: str) -> bool:
        """Refuses."""
        raise LookupError(name)

    def now(self) -> datetime:
        """Refuses."""
        raise LookupError
