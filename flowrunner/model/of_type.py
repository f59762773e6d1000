"""The triggers of one type, out of all that a flow has.

Everybody who arms something asks for them, of ten thousand flows at a start.
"""

from __future__ import annotations

from typing import Any, TypeVar

from flowrunner.model.event_triggers import FileTrigger, FlowTrigger, StartTrigger

T = TypeVar("T")
E = TypeVar("E", StartTrigger, FlowTrigger, FileTrigger)


def of_type(triggers: tuple[object, ...], kind: type[T]) -> tuple[T, ...]:
    """Returns the triggers of one type; makes nothing where there is one, as most flows have."""
    if len(triggers) == 1:
        found: Any = triggers
        return found if isinstance(triggers[0], kind) else ()
    return tuple([trigger for trigger in triggers if isinstance(trigger, kind)])


def enabled(triggers: tuple[object, ...], kind: type[E]) -> tuple[E, ...]:
    """Returns the triggers of one type that are enabled."""
    found = of_type(triggers, kind)
    return tuple([trigger for trigger in found if trigger.is_enabled]) if found else ()
