"""Those who go for a newcomer: a newer slot, or a start under `replace`.

That the newcomer is accepted and that the others go is one write, so that no crash can come
between. It is worked out at the moment of that write: who waits ends with it, who runs is asked to
end with it, and whom a cancel could not change any more is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.engine.carrier import Entry
from flowrunner.errors import RefusedError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import ExecutionState, Reason

_MOST_NAMED = 5
"""Executions that a refusal names."""


def refusal(
    execution: Execution, reason: Reason | None, running: Sequence[ExecutionId]
) -> RefusedError:
    """Returns the error for a newcomer that nobody makes way for; it names who is there."""
    code = str(reason or Reason.CONCURRENCY)
    named: list[Json] = [*running[:_MOST_NAMED]]
    text = f"flow {execution.flow} takes no more: {code}"
    return RefusedError(text, code=code, details={"executions": named})


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Who goes.

    Attributes:
        waiting: Who waited, each with the end that is written.
        running: Who runs, each with the wish that is written, and its reason.
    """

    waiting: tuple[tuple[Entry, Execution], ...] = ()
    running: tuple[tuple[Entry, Execution, Reason], ...] = ()

    @property
    def changed(self) -> tuple[Execution, ...]:
        """All of them as they are written with the newcomer."""
        return (
            *(ended for _, ended in self.waiting),
            *(asked for _, asked, _ in self.running),
        )


def departure(
    reasons: Mapping[ExecutionId, Reason],
    queued: Mapping[ExecutionId, Entry],
    running: Mapping[ExecutionId, Entry],
    now: datetime,
) -> Departure:
    """Returns what becomes of those who go, as they stand now.

    A slot that runs meanwhile is not superseded: it goes on.
    """
    waiting, asked = [], []
    for execution_id, reason in reasons.items():
        waits, runs = queued.get(execution_id), running.get(execution_id)
        if waits is not None and _is_stored(waits):
            waiting.append((waits, ended_in_line(waits.execution, reason, now)))
        elif runs is not None and reason is Reason.REPLACED and _may_be_asked(runs):
            asked.append((runs, runs.as_running(now, reason), reason))
    return Departure(waiting=tuple(waiting), running=tuple(asked))


def _is_stored(entry: Entry) -> bool:
    return entry.stored.done() and entry.stored.result()


def _may_be_asked(entry: Entry) -> bool:
    return _is_stored(entry) and entry.takes_cancel


def ended_in_line(execution: Execution, reason: Reason, at: datetime) -> Execution:
    """Returns an execution that ends before it has begun: cancelled, with the reason."""
    return replace(execution, state=ExecutionState.CANCELLED, reason=str(reason), ended_at=at)
