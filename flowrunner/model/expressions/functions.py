"""The closed table of functions, put together from its parts.

The status functions stand in it for their names; the scope answers them.
"""

from __future__ import annotations

from flowrunner.model.expressions.function_table import BOOLEAN, Function
from flowrunner.model.expressions.function_texts import TEXT_FUNCTIONS
from flowrunner.model.expressions.function_times import TIME_FUNCTIONS
from flowrunner.model.expressions.function_values import VALUE_FUNCTIONS

STATUS_FUNCTIONS = frozenset({"success", "failure", "always", "cancelled", "skipped"})
"""Functions about the nodes that went before; an `if` that calls one implies nothing."""

_STATUS = {name: Function(gives=BOOLEAN, run=None) for name in STATUS_FUNCTIONS}

DECIDING_FUNCTIONS = frozenset({"contains", "ends_with", "length", "matches", "starts_with"})
"""Functions that answer a question about an argument; a secret is not asked. Every other function
of a secret gives a secret."""

FUNCTIONS: dict[str, Function] = dict(
    sorted({**TEXT_FUNCTIONS, **VALUE_FUNCTIONS, **TIME_FUNCTIONS, **_STATUS}.items())
)


def hint_for_function(name: str) -> str:
    """Returns what to say about a name that is not in the table."""
    folded = _folded(name)
    for known in FUNCTIONS:
        if _folded(known) == folded:
            return f"write {known}"
    import difflib  # costs start-up time and is needed for mistakes only

    near = difflib.get_close_matches(name[:100], FUNCTIONS, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}"


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
