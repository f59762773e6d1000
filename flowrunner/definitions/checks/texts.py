"""Texts with expressions, parsed once for all checks and all flows that share them."""

from __future__ import annotations

from functools import lru_cache

from flowrunner.definitions.templates import condition_of, template_of
from flowrunner.model.expressions import (
    EITHER,
    STATUS_FUNCTIONS,
    Expression,
    Outlook,
    Template,
    calls,
    outlook_of,
    references,
)
from flowrunner.model.expressions.function_table import Kinds
from flowrunner.model.expressions.secrecy import SECRETS
from flowrunner.model.expressions.syntax import Name, Path
from flowrunner.model.expressions.types import Misfit, infer

FEW_TEXTS = 1_024
"""For whoever stays: a text takes some kilobytes."""

_MOST_KINDS = 16
"""Of the names in a text: flows that share a text mostly declare the same."""

MANY_TEXTS = 8_192
"""For whoever compiles thousands of flows and ends: a fleet has a few texts for each kind of it."""


class Uses:
    """What an expression uses, whatever flow it stands in.

    Attributes:
        expression: The expression.
        references: Its uses of contexts.
        status_calls: Its calls of status functions, and where they begin.
        names_secret: Whether it uses a secret.
        is_name: Whether it is a name alone, in which nothing can be wrong.
    """

    __slots__ = (
        "_inferred",
        "expression",
        "is_name",
        "names_secret",
        "references",
        "status_calls",
    )

    def __init__(self, expression: Expression) -> None:
        tree = expression.tree
        self.expression = expression
        self.references = references(expression)
        self.status_calls = tuple(c for c in calls(expression) if c[0] in STATUS_FUNCTIONS)
        self.names_secret = any(reference.root == SECRETS for reference in self.references)
        self.is_name = isinstance(tree, Path) and isinstance(tree.base, Name)
        self._inferred: dict[tuple[Kinds, ...], tuple[Kinds, tuple[Misfit, ...]]] = {}

    def inferred(self, kinds: tuple[Kinds, ...]) -> tuple[Kinds, tuple[Misfit, ...]]:
        """Returns what `infer` does; `kinds` are those of the references, in their order."""
        found = self._inferred.get(kinds)
        if found is None:
            if len(self._inferred) >= _MOST_KINDS:
                self._inferred.clear()
            known = dict(zip(self.references, kinds, strict=True))
            found = self._inferred[kinds] = infer(self.expression.tree, known.__getitem__)
        return found


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
    return template, tuple(map(Uses, template.expressions))
