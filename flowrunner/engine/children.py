"""Children: executions that a node of another one has asked for, as the engine sees them.

Who waits for a child holds its own group meanwhile, so the child must not need it. How a child is
started belongs to `flowrunner.triggers.children`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flowrunner.engine.admission import Admission, Ticket
from flowrunner.errors import RefusedError
from flowrunner.model.execution import Execution
from flowrunner.model.flow import ConcurrencySpec, OnConflict
from flowrunner.model.ids import AttemptKey, ExecutionId

MOST_DEPTH = 16
"""Executions that may stand above one; deeper, flows most likely start each other without end."""


def waiting_ancestors(
    execution: Execution, find: Callable[[ExecutionId], Execution | None]
) -> Iterator[Execution]:
    """Yields who waits for an execution, and who waits for that, as far as `find` knows them."""
    while (parent := execution.parent) is not None and parent.is_waited:
        found = find(parent.attempt.execution)
        if found is None:
            return
        yield found
        execution = found


def refuse_deadlock(
    ticket: Ticket,
    rules: ConcurrencySpec,
    ancestors: Iterable[Execution],
    admission: Admission,
) -> None:
    """Raises `RefusedError` (``concurrency_deadlock``) when an ancestor holds the child's group.

    Whatever the limit: with as many parents as it allows, each child would wait for ever. One that
    needs no room (`allow`) waits for nobody. Source: FLOW_FORMAT 2, `concurrency`.
    """
    if rules.on_conflict is OnConflict.ALLOW:
        return
    for each in ancestors:
        if admission.holds(ticket.group, each.id):
            text = (
                f"the flow {ticket.flow.name!r} is in the concurrency group "
                f"{ticket.group.name!r}, which the execution {each.id} of {each.flow.name!r} "
                "holds while it waits for it"
            )
            raise RefusedError(text, code="concurrency_deadlock", details={"ancestor_id": each.id})


def waited_for(
    unfinished: Iterable[Execution],
) -> dict[ExecutionId, dict[AttemptKey, ExecutionId]]:
    """Returns the executions whose ends others wait for, by who does and with which attempt."""
    found: dict[ExecutionId, dict[AttemptKey, ExecutionId]] = {}
    for each in unfinished:
        if each.parent is not None and each.parent.is_waited:
            key = each.parent.attempt
            found.setdefault(key.execution, {})[key] = each.id
    return found
