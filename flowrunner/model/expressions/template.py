"""Text with `${{ … }}` parts, as values of a flow are written.

A text that is exactly one expression keeps the type of its value; mixed text becomes a string.
`$${{` stands for a literal `${{`. What comes out is never evaluated again. Text with a secret in it
is a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions.errors import ExpressionError, ExpressionSyntaxError
from flowrunner.model.expressions.evaluation import Evaluation, Scope
from flowrunner.model.expressions.expression import Expression, parse_between
from flowrunner.model.expressions.values import bounded, text_of, truth
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue, revealed

_OPEN = "${{"
_CLOSE = "}}"
_CLOSE_OR_STRING = re.compile(r"'[^']*+'?|\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A parsed text.

    Attributes:
        source: The text as written.
        parts: Literal texts, with escapes resolved, and expressions, in order. Offsets in the
            expressions count from the beginning of `source`.
    """

    source: str
    parts: tuple[str | Expression, ...]

    @property
    def is_literal(self) -> bool:
        """Whether it holds no expression, so that its value is the same in every scope."""
        return not self.expressions

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in order."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def sole_expression(self) -> Expression | None:
        """The expression that is the whole template; None for literal and mixed text."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0]
        return None

    def evaluate(self, scope: Scope) -> Json:
        """Returns the value of the sole expression, or the text; a secret one when a part is.

        Raises:
            ExpressionError: ``expression``.
        """
        sole = self.sole_expression
        if sole is not None:
            return sole.evaluate(scope)
        return self._mixed(Evaluation(scope))

    def evaluate_in(self, evaluation: Evaluation) -> Json:
        """Returns the value as a part of an evaluation, whose work it shares.

        Raises:
            ExpressionError: ``expression``.
        """
        sole = self.sole_expression
        return self._mixed(evaluation) if sole is None else sole.evaluate_in(evaluation)

    def _mixed(self, evaluation: Evaluation) -> Json:
        secrets: list[SecretValue] = []
        try:
            text = bounded(self._texts(evaluation, secrets), 0)
        except ExpressionError as error:
            raise error.within(self.source, 0) from None
        return SecretValue(text) if secrets else text

    def _texts(self, evaluation: Evaluation, secrets: list[SecretValue]) -> Iterator[str]:
        """Yields the texts of the parts; adds to `secrets` those that are some."""
        for part in self.parts:
            if isinstance(part, str):
                yield part
                continue
            value = part.evaluate_in(evaluation)
            if isinstance(value, SecretValue):
                secrets.append(value)
            try:
                yield text_of(revealed(value), part.start)
            except ExpressionError as error:
                raise error.within(part.source, part.start) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """An expression whose truth is asked for only when somebody wants to know."""

    template: Template

    def holds(self, scope: Scope) -> bool:
        """Returns its truth.

        Raises:
            ExpressionError: ``expression``.
        """
        return truth(self.template.evaluate(scope))


def parse_template(text: str) -> Template:
    """Returns the template that a text is.

    Raises:
        ExpressionSyntaxError: ``expression.syntax`` or ``expression.unknown_function``, with
            an offset in the text.
    """
    if _OPEN not in text:
        return Template(source=text, parts=(text,))
    parts: list[str | Expression] = []
    literal = ""
    position = 0
    while (opening := text.find(_OPEN, position)) >= 0:
        if opening > position and text[opening - 1] == "$":
            literal += text[position : opening - 1] + _OPEN
            position = opening + len(_OPEN)
            continue
        literal += text[position:opening]
        closing = _end_of_expression(text, opening)
        if literal:
            parts.append(literal)
            literal = ""
        parts.append(parse_between(text, opening + len(_OPEN), closing))
        position = closing + len(_CLOSE)
    literal += text[position:]
    if literal:
        parts.append(literal)
    return Template(source=text, parts=tuple(parts))


def condition(text: str) -> Template:
    """Returns the template of a place that takes an expression with or without the wrapper.

    Its `expressions` are always exactly one.

    Raises:
        ExpressionSyntaxError: as `parse_template`, or when the text is not exactly one expression.
    """
    stripped = text.strip()
    if not stripped.startswith(_OPEN):
        return Template(source=text, parts=(parse_between(text, 0, len(text)),))
    opening = text.index(_OPEN)
    closing = _end_of_expression(text, opening)
    expression = parse_between(text, opening + len(_OPEN), closing)
    rest = text[closing + len(_CLOSE) :]
    if rest.strip():
        raise ExpressionSyntaxError(
            "text after the expression",
            len(text) - len(rest.lstrip()),
            "the wrapper goes once around the whole expression, or is left out",
        )
    return Template(source=text, parts=(expression,))


def _end_of_expression(text: str, opening: int) -> int:
    """Returns where the `}}` stands that closes a `${{`; one inside a string does not."""
    for found in _CLOSE_OR_STRING.finditer(text, opening + len(_OPEN)):
        if found[0] == _CLOSE:
            return found.start()
        if len(found[0]) == 1 or not found[0].endswith("'"):
            raise ExpressionSyntaxError(
                "the string that begins here does not end",
                found.start(),
                "close it with a single quote; a quote inside is written twice: 'it''s'",
            )
    raise ExpressionSyntaxError("the `${{` is not closed", opening, "add }}")
