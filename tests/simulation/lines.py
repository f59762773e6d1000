"""Judges who goes first: in a group by hand before the others, then by age.

Who is held is passed, and so is everybody by those that need no room. A child for which somebody
waits needs no place on the host, and hurries like the one at its top.
Source: FLOW_FORMAT 2, `concurrency`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowrunner.model.execution import BY_HAND, Execution
from flowrunner.model.flow import OnConflict, StartRules
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.states import ExecutionState

_GRACE_S = 5.0
"""How long a decision may take until it is seen here."""


def group_of(execution: Execution) -> tuple[str, str]:
    """Returns who shares a limit: the members of a named group, or one flow's executions."""
    if execution.group is not None:
        return ("group", execution.group)
    return ("flow", execution.flow.name)


class Lines:
    """All who wait.

    Attributes:
        rules_of: The rules in force of the living daemon.
    """

    def __init__(self, tables: Any, now: Callable[[], float], fail: Callable[[str], None]) -> None:
        self.rules_of: Callable[[FlowKey], StartRules | None] = lambda _: None
        self._tables = tables
        self._now = now
        self._fail = fail
        self._since: dict[ExecutionId, float] = {}
        self._changed: dict[FlowKey, float] = {}
        self._suspects: dict[ExecutionId, tuple[float, str]] = {}
        self._calm_since = 0.0

    def disturb(self) -> None:
        """Learns of a crash or a disk that fails: for a while all may stand elsewhere."""
        self._calm_since = self._now()
        self._suspects.clear()

    @property
    def is_calm(self) -> bool:
        """Whether the last of these is a while ago."""
        return self._is_old(self._calm_since)

    def change(self, flow: FlowKey) -> None:
        """Learns that a flow has other rules, or is held or lifted."""
        self._changed[flow] = self._now()
        for id_ in [id_ for id_ in self._suspects if self._tables.executions[id_].flow == flow]:
            del self._suspects[id_]

    def waits(self, execution: Execution) -> None:
        """Learns that one is in line, durably."""
        self._since[execution.id] = self._now()

    def starts(self, execution: Execution) -> None:
        """Suspects that those were passed whose turn it was."""
        self.look()
        if not self.needs_room(execution.flow) or not self._is_old(self._calm_since):
            return
        for other in self._tables.executions.values():
            if self._is_first(other, execution) and self.may_go(other):
                told = f"{execution.id} has passed {other.id}, whose turn it was"
                self._suspects.setdefault(other.id, (self._now(), told))

    def look(self) -> None:
        """Judges suspicions: who still waits after a while was not about to leave the line."""
        for id_, (at, told) in list(self._suspects.items()):
            if self._tables.executions[id_].state is not ExecutionState.QUEUED:
                del self._suspects[id_]
            elif self._is_old(at):
                self._fail(told)

    def _is_first(self, other: Execution, execution: Execution) -> bool:
        return (
            other.state is ExecutionState.QUEUED
            and (is_guest(other) or not is_guest(execution))  # else the host may lack a place
            and group_of(other) == group_of(execution)
            and self._rank(other) < self._rank(execution)
            and self._is_old(self._since.get(other.id, self._now()))
        )

    def may_go(self, execution: Execution) -> bool:
        """Whether its flow lets it go, and has for a while."""
        rules = self.rules_of(execution.flow)
        is_held = rules is None or (rules.is_held and not execution.is_forced)
        return not is_held and self._is_old(self._changed.get(execution.flow, -_GRACE_S))

    def needs_room(self, flow: FlowKey) -> bool:
        """Whether executions of a flow need room in their group, and have for a while."""
        rules = self.rules_of(flow)
        is_free = rules is None or rules.concurrency.on_conflict is OnConflict.ALLOW
        return not is_free and self._is_old(self._changed.get(flow, -_GRACE_S))

    def _rank(self, execution: Execution) -> tuple[bool, ExecutionId]:
        return (not self._is_by_hand(execution), execution.id)

    def _is_by_hand(self, execution: Execution) -> bool:
        """Whether a person has started it, or whoever stands above it."""
        while execution.parent is not None:
            execution = self._tables.executions[execution.parent.attempt.execution]
        return execution.cause.trigger_type in BY_HAND

    def _is_old(self, at: float) -> bool:
        return self._now() - at >= _GRACE_S


def is_guest(execution: Execution) -> bool:
    """Whether it has part in the place of its parent on the host."""
    return execution.parent is not None and execution.parent.is_waited
