"""Carries one accepted execution from the moment it may start to its journaled end.

Whatever happens in it becomes its final state here: one execution is not the daemon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from flowrunner.engine.ending import fail_on_paper
from flowrunner.engine.history import NOTHING, History
from flowrunner.engine.run import ExecutionRun
from flowrunner.engine.runtime import EngineServices, ExecutionRuntime
from flowrunner.errors import ExecutionError, FlowError, StorageError
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.flow import FlowSpec
from flowrunner.model.secret import SecretValue
from flowrunner.model.states import ExecutionState, Reason

_LOG = logging.getLogger(__name__)
_LONGEST_CRASH = 500
_AGAIN_S = 1.0
"""Seconds until a step that could not be journaled is tried again."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """An execution that the engine holds.

    Attributes:
        stored: True once it is on disk, False when it never came to be.
        run: Set while its nodes are carried.
        history: What an earlier life of the daemon journaled of it.
        is_resumed: Whether an earlier life has started it.
        is_forced: Whether its `finally` shall not run.
        is_held: Whether nothing more of it may start.
        is_stopping: Whether the daemon stops: what cannot be ended now is left.
    """

    execution: Execution
    spec: FlowSpec
    stored: asyncio.Future[bool]
    history: History = NOTHING
    is_resumed: bool = False
    run: ExecutionRun | None = None
    cancel_reason: Reason | None = None
    is_forced: bool = False
    is_held: bool = False
    is_stopping: bool = False

    def cancel(self, reason: Reason, *, force: bool = False) -> None:
        """Asks the execution to end, now or as soon as its run is made; the first reason stays.

        With `force` its `finally` does not run.
        """
        self.cancel_reason = self.cancel_reason or reason
        self.is_forced = self.is_forced or force
        if self.run is not None:
            self.run.cancel(self.cancel_reason, force=self.is_forced)

    def hold(self) -> None:
        """Starts nothing any more; what is at work may go on."""
        self.is_held = True
        if self.run is not None:
            self.run.hold()

    def stop(self) -> None:
        """Ends what is at work, and leaves the rest for the next start."""
        self.is_stopping = True
        if self.run is not None:
            self.run.stop()


class Carrier:
    """Carries executions; one object serves all of them."""

    def __init__(self, services: EngineServices) -> None:
        self._services = services

    async def carry(self, entry: Entry) -> Execution | None:
        """Returns the execution as it ended on disk, or None when it is left for the next start."""
        try:
            if not await self._mark_running(entry):
                return None
            entry.run = await self._make_run(entry)
            if entry.is_held:
                entry.run.hold()
            if entry.cancel_reason is not None:
                entry.run.cancel(entry.cancel_reason, force=entry.is_forced)
            ended = await entry.run.run()
        except FlowError as error:
            return await self._fail(entry, error)
        except Exception as error:  # noqa: BLE001 - survival: one execution is not the daemon
            _LOG.exception("execution.crashed id=%s", entry.execution.id)
            return await self._fail(entry, _crash(error))
        return None if ended is None else await self._written(entry, lambda: self._store(ended))

    async def leave(self, entry: Entry) -> None:
        """Removes the work folder; what cannot be removed is logged and left."""
        nodes = self._services.nodes
        kinds = (nodes.get(each.type, each.params) for each in entry.spec.all_nodes)
        if not any(node is not None and node.is_shell_like for node in kinds):
            return
        folder = self._services.folders.work / entry.execution.id
        try:
            await asyncio.to_thread(self._services.files.remove_tree, folder)
        except OSError as error:
            _LOG.warning("execution.work_left id=%s: %s", entry.execution.id, error)

    async def _mark_running(self, entry: Entry) -> bool:
        """Journals that a waiting execution begins; False when a stop came before the disk."""
        if entry.execution.state is ExecutionState.QUEUED:
            running = await self._written(entry, lambda: self._store(self._running(entry)))
            if running is None:
                return False
            entry.execution = running
        observer = self._services.observer
        if entry.is_resumed:
            observer.execution_resumed(entry.execution)
        else:
            observer.execution_started(entry.execution)
        return True

    def _running(self, entry: Entry) -> Execution:
        now = self._services.clock.now()
        return replace(entry.execution, state=ExecutionState.RUNNING, started_at=now)

    async def _make_run(self, entry: Entry) -> ExecutionRun:
        services, execution = self._services, entry.execution
        return ExecutionRun(
            ExecutionRuntime(
                services=services,
                execution=execution,
                spec=entry.spec,
                directories=services.folders.of_execution(execution),
                secrets=await self._secrets(entry),
            ),
            entry.history,
        )

    async def _secrets(self, entry: Entry) -> dict[str, SecretValue]:
        names, account = entry.spec.secrets, entry.execution.flow.account
        if not names:
            return {}
        lookup = self._services.secrets.lookup
        found = await asyncio.to_thread(lambda: {name: lookup(account, name) for name in names})
        missing = [name for name, value in found.items() if value is None]
        if missing:
            text = f"this host has no secret {', '.join(missing)}"
            raise ExecutionError(text, code="secret_missing", final=True)
        return {name: value for name, value in found.items() if value is not None}

    async def _fail(self, entry: Entry, error: FlowError) -> Execution | None:
        failure = Failure(
            code=error.code,
            message=error.message,
            details=dict(error.details),
            quotes_data=isinstance(error, ExecutionError) and error.quotes_data,
        )
        services, execution = self._services, entry.execution
        return await self._written(
            entry, lambda: fail_on_paper(services, execution, entry.spec, failure)
        )

    async def _store(self, execution: Execution) -> Execution:
        await self._services.executions.update(execution)
        return execution

    async def _written(
        self, entry: Entry, write: Callable[[], Awaitable[Execution]]
    ) -> Execution | None:
        """Journals a step of an execution; while the store cannot take it, it has not happened.

        None at a stop of the daemon, which leaves the step to the next start.
        """
        is_told = False
        while True:
            try:
                return await write()
            except StorageError as error:
                if not is_told:
                    _LOG.error(
                        "execution.not_journaled id=%s code=%s", entry.execution.id, error.code
                    )
                is_told = True
            if entry.is_stopping:
                return None
            await asyncio.sleep(_AGAIN_S)


def _crash(error: Exception) -> FlowError:
    return FlowError(f"{type(error).__name__}: {error}"[:_LONGEST_CRASH])
