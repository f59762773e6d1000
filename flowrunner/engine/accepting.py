"""An execution on its way to the disk: what it is until then, and how those hear of it who asked.

Most executions only have to be stored, which is one write: that takes no task of its own, and who
asked waits for what the write tells. He may leave meanwhile; the write is not taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias, TypeVar

from flowrunner.engine.admission import Decision, Verdict
from flowrunner.engine.carrier import Entry
from flowrunner.engine.history import NOTHING, History
from flowrunner.engine.requests import StartRequest
from flowrunner.model.execution import NOTHING_KEPT, Execution
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState, Reason
from flowrunner.storage.protocols import Submitted

T = TypeVar("T")

Storing: TypeAlias = "asyncio.Future[Submitted]"
"""A write that shall make an execution durable, and what it is answered."""

Leaving: TypeAlias = Mapping[ExecutionId, Reason]
"""Who goes for an execution, each with its reason."""


def entry_of(
    execution: Execution, request: StartRequest, decision: Decision, now: datetime
) -> Entry:
    """Returns an admitted execution as the engine holds it: running, if it may start now."""
    if decision.verdict is Verdict.START:
        execution = replace(execution, state=ExecutionState.RUNNING, started_at=now)
    history, kept = NOTHING, request.kept
    if kept is not NOTHING_KEPT:
        history = History(nodes=kept.nodes, attempts=kept.attempts)
    return Entry(execution=execution, spec=request.spec, history=history)


def is_kept(write: asyncio.Future[None]) -> bool:
    """Whether a write is kept already; what becomes of it later, those behind it are told."""
    if write.done():
        return not write.cancelled() and write.exception() is None
    write.add_done_callback(_take_note)
    return False


def is_created(storing: Storing) -> bool:
    """Whether a write that has ended has made an execution durable."""
    if storing.cancelled() or storing.exception() is not None:
        return False
    return storing.result().created


def _take_note(write: asyncio.Future[None]) -> None:
    """Looks at a failure, which asyncio would report as one that nobody has heard of."""
    if not write.cancelled():
        write.exception()


def pass_on(done: asyncio.Future[T], waiter: asyncio.Future[T]) -> None:
    """Tells a waiter what came of something, unless he is gone."""
    if waiter.done():
        return
    if done.cancelled():
        waiter.cancel()
    elif (error := done.exception()) is not None:
        waiter.set_exception(error)
    else:
        waiter.set_result(done.result())
