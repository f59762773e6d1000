"""The check at load that no secret decides anything: found without evaluating.

An expression over a secret is a secret. It may be handed on and computed with, but not compared,
not tested for truth, and not given to a function that answers a question about it. Evaluation
refuses the same (`evaluate`, `values`). Source: FLOW_FORMAT 5. Where a secret may stand is the
business of `flowrunner.definitions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flowrunner.model.expressions.expression import Expression
from flowrunner.model.expressions.functions import DECIDING_FUNCTIONS
from flowrunner.model.expressions.references import parts_of
from flowrunner.model.expressions.syntax import Call, Comparison, Logical, Name, Node, Not
from flowrunner.model.expressions.values import (
    NO_COMPARISON,
    NO_DECISION,
    no_answer,
)

SECRETS = "secrets"
"""The context whose members are secret."""


class Disclosure(NamedTuple):
    """A place in an expression that would tell something about a secret.

    Attributes:
        message: What is refused there.
        offset: Where the secret operand begins, in the text the expression was parsed from.
    """

    message: str
    offset: int


def disclosures(expression: Expression) -> tuple[Disclosure, ...]:
    """Returns every operand that lets a secret decide, in the order of the tree."""
    return tuple(_disclosures(expression.tree))


def _disclosures(node: Node) -> Iterator[Disclosure]:
    match node:
        case Not():
            yield from _secret_ones((node.operand,), NO_DECISION)
        case Logical():
            yield from _secret_ones(node.operands[:-1], NO_DECISION)
        case Comparison():
            yield from _secret_ones((node.left, node.right), NO_COMPARISON)
        case Call() if node.function in DECIDING_FUNCTIONS:
            yield from _secret_ones(node.arguments, no_answer(node.function))
    for part in parts_of(node):
        yield from _disclosures(part)


def _secret_ones(operands: Iterable[Node], message: str) -> Iterator[Disclosure]:
    return (Disclosure(message, each.offset) for each in operands if _is_secret(each))


def _is_secret(node: Node) -> bool:
    """Whether the value of a tree is a secret; an answer, refused where it is asked, is none."""
    match node:
        case Name():
            return node.name == SECRETS
        case Not() | Comparison():
            return False
        case Call() if node.function in DECIDING_FUNCTIONS:
            return False
        case _:
            return any(map(_is_secret, parts_of(node)))
