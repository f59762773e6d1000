"""What the conditions of the daemon say is wrong, in the few words of a status line."""

from __future__ import annotations

from collections.abc import Iterable

from flowrunner.model.conditions import Condition, ConditionType, Status

_WORDS = {
    (ConditionType.STATE_RESTORED, Status.TRUE): "state restored",
    (ConditionType.CHANNELS_WORKING, Status.FALSE): "a channel fails",
}


def trouble_of(conditions: Iterable[Condition]) -> str:
    """Returns the first thing that is wrong; empty where nothing is that a person must mend."""
    for condition in conditions:
        words = _WORDS.get((condition.type, condition.status))
        if words is not None:
            return f"{words}, see `flowrunner status`"
    return ""
