"""Why an expression is null, for whoever has to be told that a value was needed."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.expressions.evaluation import Scope
from flowrunner.model.expressions.expression import Expression
from flowrunner.model.expressions.syntax import Key, Name, Path, render_node
from flowrunner.model.expressions.values import member
from flowrunner.model.ids import Json

_LONGEST_SHOWN = 80


def why_null(expression: Expression, scope: Scope) -> str:
    """Returns what is missing or null in an expression that is null, and how to do without it."""
    source = _shortened(expression.source.strip())
    return f"{_absent(expression, scope)}; default({source}, …) does without it"


def _absent(expression: Expression, scope: Scope) -> str:
    """Returns the first name on the way that is missing or null, else the whole expression."""
    tree = expression.tree
    if isinstance(tree, Path) and isinstance(tree.base, Name):
        value = scope.lookup(tree.base.name)
        for count, key in enumerate(tree.keys, 1):
            holder, value = value, member(value, key)
            if value is None:
                name = render_node(Path(base=tree.base, keys=tree.keys[:count]))
                return f"{_shortened(name)} is {'null' if _holds(holder, key) else 'missing'}"
    return f"{_shortened(expression.source.strip())} is null"


def _holds(holder: Json, key: Key) -> bool:
    """Whether a map or list has a member, which may be null."""
    if isinstance(holder, Mapping):
        return key in holder
    return isinstance(holder, list | tuple) and isinstance(key, int) and 0 <= key < len(holder)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
