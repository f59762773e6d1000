"""One evaluation under way: what it may look up, how much it may still do, and its calls.

Whatever the data are, an evaluation ends soon: every operation is linear in what it handles, and
what they handle together is bounded here. Meanings stand in `evaluate` and in the functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.values import bounded, text_of
from flowrunner.model.ids import Json

MAX_WORK = 16 * 1_048_576
"""Characters that one evaluation may handle in all: a second or two of work at the worst.

An item that is compared or joined counts as 8, and so does a character of the layout of `format`;
one of the layout of `date` counts as 16, one that is matched against a pattern as 64.
"""


class Scope(Protocol):
    """What an expression is evaluated over."""

    def lookup(self, name: str) -> Json:
        """Returns a context, such as `inputs`; null where it is not offered.

        What is secret in it is a `SecretValue`; `secrets` as a whole is one.
        """
        ...

    def status(self, name: str) -> bool:
        """Returns the answer of a status function: `success failure always cancelled skipped`."""
        ...

    def now(self) -> datetime:
        """Returns the instant that `now()` stands for, aware: the same at every call."""
        ...


class Evaluation:
    """A scope and what is left of the work, for one expression or all of one template."""

    __slots__ = ("_left", "lookup", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.lookup = scope.lookup
        self._left = MAX_WORK

    @property
    def spent(self) -> int:
        """How much was done until now."""
        return MAX_WORK - self._left

    def spend(self, amount: int, offset: int) -> None:
        """Counts work.

        Raises:
            ExpressionError: ``expression`` when all of `MAX_WORK` is spent.
        """
        self._left -= amount
        if self._left < 0:
            raise ExpressionError(
                "the expression handles more than 16 MiB of data",
                offset=offset,
                hint="compute parts of it in a node of type set",
            )


class Given:
    """The arguments of one call; their kinds are those that the table of functions asks for.

    Attributes:
        values: The arguments.
        offsets: Where each of them stands.
        evaluation: What the call is part of.
    """

    __slots__ = ("evaluation", "offsets", "values")

    def __init__(
        self, values: Sequence[Json], offsets: Sequence[int], evaluation: Evaluation
    ) -> None:
        self.values = values
        self.offsets = offsets
        self.evaluation = evaluation

    def handled(self, index: int, each: int = 1) -> str:
        """Returns a text argument all of which is worked on, and counts that work."""
        text: str = self.values[index]
        self.evaluation.spend(len(text) * each, self.offsets[index])
        return text

    def written(self, value: Json, index: int) -> str:
        """Returns a value as it stands in mixed text; `index` is the argument it comes from.

        Raises:
            ExpressionError: ``expression`` as `text_of`, or when the work is spent.
        """
        text = text_of(value, self.offsets[index])
        if not isinstance(value, str):
            self.evaluation.spend(len(text), self.offsets[index])
        return text

    def bounded(self, pieces: Iterable[str]) -> str:
        """Returns the pieces joined, and counts the work.

        Raises:
            ExpressionError: ``expression`` above 1 MiB, or when the work is spent.
        """
        text = bounded(pieces, self.offsets[0])
        self.evaluation.spend(len(text), self.offsets[0])
        return text

    def error(self, index: int, problem: str, hint: str = "") -> ExpressionError:
        """Returns the error about an argument."""
        return ExpressionError(problem, offset=self.offsets[index], hint=hint)
