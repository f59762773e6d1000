"""An expression as a value: its text, its tree, and the one way to evaluate it."""

from __future__ import annotations

from dataclasses import field

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.evaluate import Evaluator, compile_node
from flowrunner.model.expressions.evaluation import Evaluation, Scope
from flowrunner.model.expressions.parser import parse_node
from flowrunner.model.expressions.syntax import Node, render_node
from flowrunner.model.ids import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed expression; equal to another with the same text at the same place.

    Attributes:
        source: The text as written, without the wrapper.
        start: Where `source` begins in the text it was parsed from; offsets in `tree` count
            from the beginning of that text.
    """

    source: str
    start: int = 0
    tree: Node = field(compare=False, repr=False)
    _evaluator: Evaluator | None = field(default=None, init=False, compare=False, repr=False)

    def evaluate(self, scope: Scope) -> Json:
        """Returns the value over the data of a scope.

        Raises:
            ExpressionError: ``expression``; its offset counts from the beginning of `source`.
        """
        return self.evaluate_in(Evaluation(scope))

    def evaluate_in(self, evaluation: Evaluation) -> Json:
        """Returns the value as a part of an evaluation, whose work it shares.

        The tree is compiled at the first call: most expressions of a large installation wait
        for long, and closures take memory.

        Raises:
            ExpressionError: ``expression``; its offset counts from the beginning of `source`.
        """
        evaluator = self._evaluator
        if evaluator is None:
            evaluator = compile_node(self.tree)
            object.__setattr__(self, "_evaluator", evaluator)
        try:
            return evaluator(evaluation)
        except ExpressionError as error:
            raise error.within(self.source, self.start) from None

    def evaluated_by(self, evaluator: Evaluator) -> Expression:
        """Returns the same expression with another way to its value."""
        other = Expression(source=self.source, start=self.start, tree=self.tree)
        object.__setattr__(other, "_evaluator", evaluator)
        return other


def parse_expression(text: str) -> Expression:
    """Returns the expression that a text is; the text has no wrapper.

    Raises:
        ExpressionSyntaxError: ``expression.syntax`` or ``expression.unknown_function``.
    """
    return parse_between(text, 0, len(text))


def parse_between(text: str, start: int, end: int) -> Expression:
    """Returns the expression between two offsets of a text.

    Raises:
        ExpressionSyntaxError: as `parse_expression`, with an offset in the whole text.
    """
    return Expression(
        source=text[start:end],
        start=start,
        tree=parse_node(text, start, end),
    )


def render(expression: Expression) -> str:
    """Returns text that parses to an equal tree, with single spaces and the fewest parentheses.

    It may be longer than the source, so the rendering of an expression close to the bound of
    the length may be beyond it.
    """
    return render_node(expression.tree)
