"""What the conditions of the daemon say is wrong, in the few words of a status line."""

from __future__ import annotations

from collections.abc import Iterable

from flowrunner.model.conditions import Condition, ConditionType, Status

_SEE = "see `flowrunner status`"


def trouble_of(conditions: Iterable[Condition]) -> str:
    """Returns the first thing that is wrong; empty where nothing is."""
    for condition in conditions:
        if condition.type is ConditionType.STATE_RESTORED:
            return f"state restored, {_SEE}"
        if condition.status is Status.FALSE:
            return f"a channel fails, {_SEE}"
    return ""
