"""Which concurrency group an execution belongs to: named when it is accepted, kept to its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flowrunner.engine.admission import Group, Ticket
from flowrunner.engine.scope import ContextScope, body_of, flow_contexts, trigger_context
from flowrunner.errors import ExecutionError, ValidationError
from flowrunner.model.execution import Cause, Execution
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json

_LIMITED = frozenset({"webhook", "flow", "file"})
"""Types of triggers whose starts `queue_limit` counts, together. Children are none of them."""

LONGEST_GROUP = 255
"""Characters of a group's name: it is kept with each execution, and shown."""


def group_named(
    spec: FlowSpec, cause: Cause, inputs: Mapping[str, Json], moment: datetime
) -> str | None:
    """Returns the name of the group of a new execution; None for the flow's own.

    Args:
        spec: The version it runs.
        cause: What asks for it.
        inputs: All of them.
        moment: What `now()` is.

    Raises:
        ValidationError: ``input.group``: the expression cannot be evaluated, or names nothing.
    """
    template = spec.concurrency.group
    if template is None:
        return None
    trigger = trigger_context(cause, body_of(cause))
    contexts = {**flow_contexts(spec), "inputs": inputs, "trigger": trigger}
    scope = ContextScope(contexts, lambda name: name in ("success", "always"), moment)
    try:
        value = template.evaluate(scope)
    except ExecutionError as error:
        raise _unnamed(error.message) from error
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise _unnamed("it is neither a text nor a whole number")
    name = str(value)
    if not 0 < len(name) <= LONGEST_GROUP:
        raise _unnamed(f"it has {len(name)} characters, not 1 to {LONGEST_GROUP}")
    if any("\ud800" <= char <= "\udfff" for char in name):  # JSON can write half of a character
        raise _unnamed("it is no text in UTF-8")
    return name


def ticket_of(execution: Execution) -> Ticket:
    """Returns an execution as admission sees it."""
    flow, name, parent = execution.flow, execution.group, execution.parent
    return Ticket(
        id=execution.id,
        flow=flow,
        group=Group(
            flow.account, is_shared=name is not None, name=flow.name if name is None else name
        ),
        trigger_id=execution.cause.trigger_id,
        trigger_type=execution.cause.trigger_type,
        is_forced=execution.is_forced,
        is_by_hand=execution.cause.is_by_hand,
        is_guest=parent is not None and parent.is_waited,
        is_limited=parent is None and execution.cause.trigger_type in _LIMITED,
    )


def _unnamed(why: str) -> ValidationError:
    return ValidationError(f"concurrency.group names no group: {why}", code="input.group")
