"""What an expression came to, part by part; and values without the secrets in them.

Meanings are those of `evaluate`: each part is compiled by the same code and watched. A secret is
not needed for it: over a stand-in everything that is made of one is a `SecretValue`, of nothing.
So it can be told of whoever reads this that no secret was at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.evaluate import (
    Evaluator,
    Work,
    compile_with,
    refuse_to_answer,
)
from flowrunner.model.expressions.evaluation import Evaluation
from flowrunner.model.expressions.expression import Expression
from flowrunner.model.expressions.references import parts_of
from flowrunner.model.expressions.syntax import Literal, Name, Node, Path
from flowrunner.model.expressions.template import Template
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue

UNKNOWN_SECRET = SecretValue(None)
"""Stands for every secret, and for the context `secrets`."""


class Came(StrEnum):
    """What became of a part of an expression."""

    EVALUATED = "evaluated"
    FAILED = "failed"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A part of an expression, or all of it.

    Attributes:
        text: As it was written, without the parentheses around it.
        came: Whether it has a value.
        value: None unless it has one; a `SecretValue` for whatever is made of a secret.
        error: Why it has none, where that began; empty where the error only passed.
        parts: What stands below it, literals left out.
    """

    text: str
    came: Came
    value: Json = None
    error: str = ""
    parts: tuple[Explanation, ...] = ()


def unevaluated(expression: Expression) -> Explanation:
    """Returns the parts of an expression that nobody asked for."""
    return _Watch(expression).told()


def explain(expression: Expression, evaluation: Evaluation) -> Explanation:
    """Evaluates an expression and returns what each part of it came to; raises nothing.

    `secrets` must be `UNKNOWN_SECRET` in the scope of the evaluation.
    """
    watch = _Watch(expression)
    try:
        expression.evaluated_by(watch.compile(expression.tree)).evaluate_in(evaluation)
    except ExpressionError:
        return watch.told()  # which has noted it where it began
    return watch.told()


def masked_value(template: Template, evaluation: Evaluation) -> Json:
    """Returns the value of a template; a `SecretValue` for whatever is made of a secret.

    `secrets` must be `UNKNOWN_SECRET` in the scope of the evaluation.

    Raises:
        ExpressionError: ``expression``.
    """
    parts = tuple(
        each if isinstance(each, str) else each.evaluated_by(_compile(each.tree))
        for each in template.parts
    )
    return Template(source=template.source, parts=parts).evaluate_in(evaluation)


def _compile(node: Node) -> Evaluator:
    return compile_with(node, _compile, _unknown)


def _unknown(name: str, _work: Work, values: Sequence[Json], offsets: Sequence[int]) -> SecretValue:
    """Answers a call with secrets among its arguments: nothing is computed."""
    refuse_to_answer(name, values, offsets)
    return UNKNOWN_SECRET


class _Watch:
    """Notes what the parts of one expression come to; each is evaluated once at most."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._values: dict[int, Json] = {}
        self._failed: dict[int, str] = {}
        self._error: ExpressionError | None = None

    def compile(self, node: Node) -> Evaluator:
        """Returns an evaluator that notes what comes of it."""
        inner = compile_with(node, self.compile, _unknown)
        if isinstance(node, Literal):
            return inner
        place = id(node)

        def evaluate(run: Evaluation) -> Json:
            try:
                value = inner(run)
            except ExpressionError as error:
                self._failed[place] = "" if error is self._error else error.problem
                self._error = error
                raise
            self._values[place] = value
            return value

        return evaluate

    def told(self) -> Explanation:
        """Returns what was noted of the whole expression."""
        return self._told(self._expression.tree)

    def _told(self, node: Node) -> Explanation:
        came, place, start = Came.NOT_EVALUATED, id(node), self._expression.start
        text = self._expression.source[node.offset - start : node.end - start]
        if isinstance(node, Literal):
            return Explanation(text=text, came=Came.EVALUATED, value=node.value)
        if place in self._values:
            came = Came.EVALUATED
        elif place in self._failed:
            came = Came.FAILED
        # A member of a context says as much as the context, which may be large.
        is_member = isinstance(node, Path) and isinstance(node.base, Name)
        below = [] if is_member else [each for each in parts_of(node) if type(each) is not Literal]
        return Explanation(
            text=text,
            came=came,
            value=self._values.get(place),
            error=self._failed.get(place, ""),
            parts=tuple(map(self._told, below)),
        )
