"""Children: executions that a node of another one has asked for, as the engine sees them.

Who waits for a child holds its own group meanwhile, so the child must not need it. How a child is
started belongs to `flowrunner.triggers.children`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flowrunner.engine.admission import Admission, Ticket
from flowrunner.engine.groups import ticket_of
from flowrunner.errors import RefusedError
from flowrunner.model.execution import Execution
from flowrunner.model.flow import ConcurrencySpec, OnConflict
from flowrunner.model.ids import AttemptKey, ExecutionId
from flowrunner.model.states import ExecutionState

MOST_DEPTH = 16
"""Executions that may stand above one; deeper, flows most likely start each other without end."""

_MOST_LINKS = 100
"""How far a circle of waits is followed; in a longer one timeouts have the last word."""


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
    execution: Execution,
    rules: ConcurrencySpec,
    find: Callable[[ExecutionId], Execution | None],
    admission: Admission,
    staying: Iterable[Execution],
) -> None:
    """Raises `RefusedError` (``concurrency_deadlock``) for a child that could never start.

    An ancestor holds its group: whatever the limit, since with as many parents as it allows, each
    child would wait for ever. Or its wait would close a circle: all who hold its group wait, by
    children of theirs, for groups that its ancestors hold. Then those who came first go on, since
    this one can still fail. Who needs no room (`allow`) waits for nobody.
    Source: FLOW_FORMAT 2, `concurrency`; circles are ours.

    Args:
        execution: The child.
        rules: Of its flow.
        find: Returns an execution that runs, or None.
        admission: Who holds what.
        staying: All executions but those that are asked to end; looked at only where an ancestor
            holds a group for which a child of somebody waits.
    """
    if rules.on_conflict is OnConflict.ALLOW:
        return
    ticket, ancestors = ticket_of(execution), [*waiting_ancestors(execution, find)]
    for each in ancestors:
        if admission.holds(ticket.group, each.id):
            text = (
                f"the flow {ticket.flow.name!r} is in the concurrency group "
                f"{ticket.group.name!r}, which the execution {each.id} of {each.flow.name!r} "
                "holds while it waits for it"
            )
            raise RefusedError(text, code="concurrency_deadlock", details={"ancestor_id": each.id})
    if rules.on_conflict is OnConflict.QUEUE and any(
        admission.has_guests_waiting(ticket_of(each).group) for each in ancestors
    ):
        _refuse_circle(ticket, admission, _Waits(admission, staying, ancestors))


def _refuse_circle(ticket: Ticket, admission: Admission, waits: _Waits) -> None:
    holders = admission.wait_of(ticket).running
    if holders and all(map(waits.is_stuck, holders)):
        text = (
            f"the flow {ticket.flow.name!r} would wait for the concurrency group "
            f"{ticket.group.name!r}, which the execution {holders[0]} holds, and that one waits "
            "for a group which is held above this one"
        )
        raise RefusedError(text, code="concurrency_deadlock", details={"holder_id": holders[0]})


class _Waits:
    """Which executions cannot end before some others have, whose ends are out of question.

    An execution is stuck with any of its children, and one in line with all who hold its group.
    """

    def __init__(
        self, admission: Admission, staying: Iterable[Execution], stuck: Iterable[Execution]
    ) -> None:
        self._admission = admission
        self._executions = {each.id: each for each in staying}
        self._children = waited_for(self._executions.values())
        self._known = {each.id: True for each in stuck}

    def is_stuck(self, execution_id: ExecutionId, links: int = 0) -> bool:
        """Whether an execution is; one that is reached again on the way, or far away, is not."""
        if execution_id not in self._known:
            self._known[execution_id] = False
            if execution_id in self._executions and links < _MOST_LINKS:
                children = self._children.get(execution_id, {}).values()
                is_stuck = any(self._holds_up(child, links + 1) for child in children)
                self._known[execution_id] = is_stuck
        return self._known[execution_id]

    def _holds_up(self, child: ExecutionId, links: int) -> bool:
        execution = self._executions.get(child)
        if execution is None:
            return False
        if execution.state is ExecutionState.RUNNING:
            return self.is_stuck(child, links)
        holders = self._admission.wait_of(ticket_of(execution)).running
        return bool(holders) and all(self.is_stuck(each, links) for each in holders)


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
