"""Evaluates for a trace: expressions part by part, and values with their secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flowrunner.dataclass import dataclass
from flowrunner.engine.scope import ContextScope
from flowrunner.engine.tracing.values import Budget, Shelf
from flowrunner.errors import ExecutionError
from flowrunner.model.expressions import Condition, Template, truth
from flowrunner.model.expressions.evaluation import Evaluation
from flowrunner.model.expressions.explain import (
    Came,
    Explanation,
    explain,
    masked_value,
    unevaluated,
)
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue, revealed
from flowrunner.model.trace import Shown, TracedExpression
from flowrunner.model.values import text_of

TOO_MUCH = "not worked out: the expressions before it took all the work of one answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A condition.

    Attributes:
        holds: None if it could not be evaluated, or was not.
    """

    told: TracedExpression
    holds: bool | None = None


class Teller:
    """Evaluates what belongs to one node, over the scope that the node saw."""

    def __init__(self, scope: ContextScope, shelf: Shelf, budget: Budget) -> None:
        self._scope = scope
        self._shelf = shelf
        self._budget = budget

    def within(self, name: str, value: Json) -> Teller:
        """Returns the same with one context more."""
        return Teller(self._scope.with_context(name, value), self._shelf, self._budget)

    def condition(self, template: Template) -> Answer:
        """Returns what a condition came to; it is exactly one expression."""
        expression = template.expressions[0]
        if not self._budget.may_work:
            return Answer(told=self.unasked(template, error=TOO_MUCH))
        run = Evaluation(self._scope)
        explanation = explain(expression, run)
        self._budget.spend(work=run.spent)
        told = self._told(explanation)
        if explanation.came is not Came.EVALUATED:
            return Answer(told=told)
        try:
            return Answer(told=told, holds=truth(explanation.value))
        except ExecutionError as error:
            return Answer(told=replace(told, error=self._shelf.note(error.message)))

    def unasked(self, template: Template, *, error: str = "") -> TracedExpression:
        """Returns a condition that nobody asked for, or that cannot be asked again."""
        told = self._told(unevaluated(template.expressions[0]))
        return replace(told, error=self._shelf.note(error))

    def values(self, given: Mapping[str, Json]) -> dict[str, Shown]:
        """Returns values with the expressions in them evaluated, at any depth."""
        return {name: self.value(each) for name, each in given.items()}

    def value(self, given: Json) -> Shown:
        """Returns one value; with an error in its place if it has none."""
        try:
            return self._shelf.show(self.resolved(given))
        except ExecutionError as error:
            return Shown(error=self._shelf.note(error.message))

    def text(self, given: Json) -> Shown:
        """Returns a value as a process gets it: as text; None stays nothing."""
        try:
            value = self.resolved(given)
            if isinstance(given, Template):
                value = value if isinstance(value, SecretValue) else text_of(revealed(value))
            return self._shelf.show(value)
        except ExecutionError as error:
            return Shown(error=self._shelf.note(error.message))

    def resolved(self, value: Json) -> Json:
        """Returns a value with its expressions evaluated; raises `ExecutionError`."""
        if isinstance(value, Template):
            return self._evaluated(value)
        if isinstance(value, Condition):
            return value.template.source
        if isinstance(value, Mapping):
            return {key: self.resolved(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolved(item) for item in value]
        return value

    def _evaluated(self, template: Template) -> Json:
        if not self._budget.may_work:
            raise ExecutionError(TOO_MUCH)
        run = Evaluation(self._scope)
        try:
            return masked_value(template, run)
        finally:
            self._budget.spend(work=run.spent)

    def _told(self, explanation: Explanation) -> TracedExpression:
        has_value = explanation.came is Came.EVALUATED
        return TracedExpression(
            text=self._shelf.note(explanation.text),
            came=explanation.came,
            value=self._shelf.show(explanation.value) if has_value else None,
            error=self._shelf.note(explanation.error),
            parts=tuple(map(self._told, explanation.parts)),
        )
