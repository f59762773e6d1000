"""An observer of the engine that remembers, and that can be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flowrunner.daemon.observer import KeepsPromises
from flowrunner.model.execution import Attempt, Execution
from flowrunner.model.ids import ExecutionId


class RecordingObserver:
    """Meets `EngineObserver`.

    Attributes:
        listeners: Told of each end, too.
        others: Told of executions, too.
        ended: The executions told as ended, in order.
        fails_on: Name of a node at whose end the observer breaks its promise and raises.
    """

    def __init__(self) -> None:
        self.fails_on = ""
        self.queued: list[ExecutionId] = []
        self.started: list[ExecutionId] = []
        self.resumed: list[ExecutionId] = []
        self.ended: list[Execution] = []
        self.listeners: list[Callable[[Execution], None]] = []
        self.others: list[KeepsPromises] = []
        self.attempts: list[tuple[str, Attempt]] = []
        self._waiters: dict[ExecutionId, asyncio.Event] = {}

    def execution_queued(self, execution: Execution) -> None:
        self.queued.append(execution.id)
        for other in self.others:
            other.execution_queued(execution)

    def execution_started(self, execution: Execution) -> None:
        self.started.append(execution.id)
        for other in self.others:
            other.execution_started(execution)

    def execution_resumed(self, execution: Execution) -> None:
        self.resumed.append(execution.id)
        for other in self.others:
            other.execution_resumed(execution)

    def execution_ended(self, execution: Execution) -> None:
        self.ended.append(execution)
        for other in self.others:
            other.execution_ended(execution)
        for listener in self.listeners:
            listener(execution)
        self._event(execution.id).set()

    def attempt_ended(self, node_type: str, attempt: Attempt) -> None:
        if attempt.key.node == self.fails_on:
            raise RuntimeError("the observer failed")
        self.attempts.append((node_type, attempt))

    async def wait(self, execution_id: ExecutionId) -> None:
        """Returns when an execution has ended."""
        await self._event(execution_id).wait()

    def _event(self, execution_id: ExecutionId) -> asyncio.Event:
        return self._waiters.setdefault(execution_id, asyncio.Event())
