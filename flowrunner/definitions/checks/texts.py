"""Texts with expressions, parsed once for all checks and all flows that share them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from flowrunner.definitions.templates import condition_of, template_of
from flowrunner.model.expressions import (
    EITHER,
    STATUS_FUNCTIONS,
    Expression,
    Outlook,
    Reference,
    Template,
    calls,
    outlook_of,
    references,
)

FEW_TEXTS = 1_024
"""For whoever stays: a text takes some kilobytes."""

MANY_TEXTS = 8_192
"""For whoever compiles thousands of flows and ends: a fleet has a few texts for each kind of it."""


class Uses(NamedTuple):
    """What an expression uses, whatever flow it stands in."""

    expression: Expression
    references: tuple[Reference, ...]
    status_calls: tuple[tuple[str, int], ...]


class Texts:
    """Parses texts; keeps so many of those that were asked for last."""

    def __init__(self, kept: int = FEW_TEXTS) -> None:
        self._parsed = lru_cache(maxsize=kept)(_parsed)
        self._outlooks = lru_cache(maxsize=kept)(self._outlook)

    def parsed(self, text: str, *, is_bare: bool) -> tuple[Template, tuple[Uses, ...]]:
        """Returns what a text is, and what each of its expressions uses.

        Raises:
            ExpressionSyntaxError: As `condition_of` for a bare one, and `template_of`.
        """
        return self._parsed(text, is_bare)

    def outlook(self, text: str) -> Outlook:
        """Returns the truths that a bare expression may have if nothing is known of any node.

        Raises:
            ExpressionSyntaxError: As `condition_of`.
        """
        return self._outlooks(text)

    def _outlook(self, text: str) -> Outlook:
        _, (uses,) = self._parsed(text, True)
        return outlook_of(uses.expression.tree, lambda _: EITHER)


def _parsed(
    text: str,
    is_bare: bool,  # noqa: FBT001 - a key of the cache
) -> tuple[Template, tuple[Uses, ...]]:
    template = condition_of(text) if is_bare else template_of(text)
    return template, tuple(map(_uses_of, template.expressions))


def _uses_of(expression: Expression) -> Uses:
    status_calls = tuple(call for call in calls(expression) if call[0] in STATUS_FUNCTIONS)
    return Uses(expression, references(expression), status_calls)
