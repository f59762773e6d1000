"""Carries one accepted execution from the moment it may start to its journaled end.

Whatever happens in it becomes its final state here: one execution is not the daemon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field, replace
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.engine.ending import fail_on_paper
from flowrunner.engine.ends import Ends
from flowrunner.engine.history import NOTHING, History
from flowrunner.engine.run import ExecutionRun
from flowrunner.engine.runtime import EngineServices, ExecutionRuntime
from flowrunner.engine.sweeper import Sweeper
from flowrunner.errors import ExecutionError, FlowError, StorageError
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import AttemptKey, ExecutionId, FlowKey
from flowrunner.model.secret import SecretValue
from flowrunner.model.states import ExecutionState, Reason

_LOG = logging.getLogger(__name__)
_LONGEST_CRASH = 500
_AGAIN_S = 1.0
"""Seconds until a step that could not be journaled is tried again."""
_OWN_FAULT = "storage.conflict"
"""What the store refuses though it works: waiting would change nothing."""


ChildrenOf = Callable[[ExecutionId], Mapping[AttemptKey, ExecutionId]]


def _new_future() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, kw_only=True)
class Entry:
    """An execution that the engine holds.

    Attributes:
        stored: True once it is on disk, False when it never came to be.
        run: Set while its nodes are carried.
        history: What the journal had of it when it was last taken up.
        told: Attempts of whose ends the observer has been told.
        is_resumed: Whether an earlier life has started it.
        is_forced: Whether its `finally` shall not run.
        is_held: Whether nothing more of it may start.
        is_stopping: Whether the daemon stops: what cannot be ended now is left.
        is_ending: Whether its end is decided, and only to be journaled.
    """

    execution: Execution
    spec: FlowSpec
    stored: asyncio.Future[bool] = field(default_factory=_new_future)
    history: History = NOTHING
    told: set[AttemptKey] = field(default_factory=set)
    is_resumed: bool = False
    run: ExecutionRun | None = None
    cancel_reason: Reason | None = None
    is_forced: bool = False
    is_held: bool = False
    is_stopping: bool = False
    is_ending: bool = False

    @property
    def takes_cancel(self) -> bool:
        """Whether a cancel without `force` would change anything."""
        if self.is_ending:
            return False
        return self.run.takes_cancel if self.run else self._has_nodes_left

    @property
    def is_asked_in_vain(self) -> bool:
        """Whether it was asked to end, without `force`, when only its `finally` was left."""
        is_asked = self.cancel_reason is not None and not self.execution.reason
        return is_asked and not self.is_forced and not self._has_nodes_left

    @property
    def _has_nodes_left(self) -> bool:
        """Whether any node has not ended but for those of `finally`, as the journal had it."""
        ended = {status.node for status in self.history.nodes}
        return any(node.id not in ended for node in self.spec.nodes)

    def as_running(self, at: datetime, asked: Reason | None = None) -> Execution:
        """Returns the execution as it is journaled while it runs, also if it is asked to end.

        Args:
            at: When it began, if it has not.
            asked: Why it is asked to end now; a reason that it was asked for before stays.
        """
        running = self.execution
        if running.state is ExecutionState.QUEUED:
            running = replace(running, state=ExecutionState.RUNNING, started_at=at)
        if self.is_forced and self.spec.finals:
            return replace(running, reason=str(Reason.FORCED))
        reason = running.reason or str(self.cancel_reason or asked or "")
        return running if reason == running.reason else replace(running, reason=reason)

    def cancel(self, reason: Reason, *, force: bool = False) -> None:
        """Asks the execution to end, now or as soon as its run is made; the first reason stays.

        With `force` its `finally` does not run.
        """
        if not (force or self.run or self.takes_cancel) or self.is_ending:
            return
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

    def forget(self) -> None:
        """Lets go of what only its run needs, which has ended."""
        self.told.clear()
        run, self.run = self.run, None
        if run is not None:
            run.forget()


def count_of(account: str, entries: Mapping[ExecutionId, Entry]) -> int:
    """Returns how many of some executions belong to an account."""
    return sum(each.execution.flow.account == account for each in entries.values())


def started_by(flow: FlowKey, trigger_id: str, *held: Mapping[ExecutionId, Entry]) -> int:
    """Returns how many of some executions were started by a trigger of a flow."""
    found = (each.execution for entries in held for each in entries.values())
    return sum(each.flow == flow and each.cause.trigger_id == trigger_id for each in found)


class Carrier:
    """Carries executions; one object serves all of them.

    `children` tells which executions one waits for, and with which attempts.
    """

    def __init__(self, services: EngineServices, ends: Ends, children: ChildrenOf) -> None:
        self._services = services
        self._ends = ends
        self._children = children
        self._sweeper = Sweeper(
            services.files,
            services.folders.work,
            services.clock,
            lambda: services.node_slots.is_crowded,
        )

    async def carry(self, entry: Entry) -> Execution | None:
        """Returns the execution as it ended on disk, or None when it is left for the next start."""
        try:
            if not await self._mark_running(entry):
                return None
            ended = await self._run(entry)
        except FlowError as error:
            return await self._fail(entry, error)
        except Exception as error:  # noqa: BLE001 - survival: one execution is not the daemon
            _LOG.exception("execution.crashed id=%s", entry.execution.id)
            return await self._fail(entry, _crash(error))
        if ended is None:
            return None
        entry.is_ending = True
        written = await self._written(entry, lambda: self._store(ended))
        entry.forget()
        return written

    async def leave(self, entry: Entry) -> None:
        """Removes the work folder; what cannot be removed is logged and left."""
        nodes = self._services.nodes
        kinds = (nodes.get(each.type, each.params) for each in entry.spec.all_nodes)
        if any(node is not None and node.is_shell_like for node in kinds):
            await self._sweeper.remove(entry.execution.id)

    async def _run(self, entry: Entry) -> Execution | None:
        """Carries the nodes; when the store fails meanwhile, goes on once it works again.

        What was at work has been ended by then. It goes on from what the journal has, as after a
        restart.
        """
        while True:
            run = entry.run = await self._make_run(entry)
            if entry.is_held:
                run.hold()
            if entry.cancel_reason is not None:
                run.cancel(entry.cancel_reason, force=entry.is_forced)
            try:
                return await run.run()
            except StorageError as error:
                if error.code == _OWN_FAULT:
                    raise
            entry.run, entry.execution = None, run.asked_to_end
            if not await self._read_again(entry):
                return None
            for child in entry.history.orphans:
                await self._ends.bring_about(child)

    async def _read_again(self, entry: Entry) -> bool:
        """Takes over what the journal has, once it is written again; False at a stop of the daemon.

        Only a write that is kept tells that what is read will stay. A cancel that came meanwhile
        has been written as if there were something left to end, which only the journal can tell.
        """
        journal, execution_id = self._services.journal, entry.execution.id
        while not entry.is_held:
            await asyncio.sleep(_AGAIN_S)
            try:
                await self._store(self._running(entry))
                entry.history = History(
                    nodes=await journal.nodes(execution_id),
                    attempts=await journal.attempts(execution_id),
                    children=self._children(execution_id),
                )
                if entry.is_asked_in_vain:
                    entry.cancel_reason = None
                    await self._store(self._running(entry))
            except StorageError as error:
                if error.code == _OWN_FAULT:
                    raise
            else:
                return True
        return False

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
        return entry.as_running(self._services.clock.now())

    async def _make_run(self, entry: Entry) -> ExecutionRun:
        services, execution = self._services, entry.execution
        return ExecutionRun(
            ExecutionRuntime(
                services=services,
                ends=self._ends,
                execution=execution,
                spec=entry.spec,
                directories=services.folders.of_execution(execution),
                secrets=await self._secrets(entry),
                told=entry.told,
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
        entry.is_ending = True
        return await self._written(
            entry, lambda: fail_on_paper(services, execution, entry.spec, failure)
        )

    async def _store(self, execution: Execution) -> Execution:
        await self._services.keep(execution)
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
