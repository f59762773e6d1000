"""What an entry of the table of functions says, for the parser, the check at load and evaluation.

Kinds of arguments and results are declared here once: a call is refused by the same words when
the flow is read, if the kinds are known then, and otherwise when it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions.errors import ExpressionSyntaxError
from flowrunner.model.expressions.evaluation import Given
from flowrunner.model.expressions.syntax import Literal, Node
from flowrunner.model.expressions.values import Kind
from flowrunner.model.ids import Json

Kinds: TypeAlias = frozenset[Kind]

ANY: Kinds = frozenset(Kind)
NOT_NULL: Kinds = ANY - {Kind.NULL}
TEXT: Kinds = frozenset({Kind.STRING})
NUMBER: Kinds = frozenset({Kind.NUMBER})
BOOLEAN: Kinds = frozenset({Kind.BOOLEAN})
LIST: Kinds = frozenset({Kind.LIST})

Implementation: TypeAlias = Callable[[Given], Json]
"""Takes the arguments; raises `ExpressionError` at one of those."""

LiteralCheck: TypeAlias = Callable[[Sequence[Node]], None]
"""Judges the literal arguments of a call; raises `ExpressionSyntaxError` at one of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """An entry of the table.

    Attributes:
        run: What it does; None for a status function, which the scope answers.
        takes: The kinds of each argument; the last entry is also that of any further ones.
        gives: The kinds of what it gives.
        optional: How many of the arguments may be left out at the end.
        is_variadic: Whether there may be more arguments than entries in `takes`.
        check: What the parser asks about literal arguments.
    """

    run: Implementation | None
    takes: tuple[Kinds, ...] = ()
    gives: Kinds
    optional: int = 0
    is_variadic: bool = False
    check: LiteralCheck | None = None

    @property
    def least(self) -> int:
        """Fewest arguments."""
        return len(self.takes) - self.optional

    @property
    def most(self) -> int | None:
        """Most arguments; None means any number."""
        return None if self.is_variadic else len(self.takes)

    def kinds_at(self, index: int) -> Kinds:
        """Returns the kinds that the argument of an index may have."""
        return self.takes[min(index, len(self.takes) - 1)]


def refusal(function: str, wanted: Kinds, kind: Kind) -> str:
    """Returns what to say about an argument of a kind that a function does not take."""
    if kind is Kind.NULL:
        return f"{function} does not take null"
    names = [f"a {each}" for each in Kind if each in wanted]
    shown = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{function} takes {shown} here, not a {kind}"


def literal_text(arguments: Sequence[Node], index: int) -> str | None:
    """Returns the text of an argument that is a literal string; None for any other argument."""
    if index >= len(arguments):
        return None
    argument = arguments[index]
    if isinstance(argument, Literal) and isinstance(argument.value, str):
        return argument.value
    return None


def literal_error(node: Node, message: str, hint: str = "") -> ExpressionSyntaxError:
    """Returns the error about a literal argument."""
    return ExpressionSyntaxError(message, node.offset, hint)
