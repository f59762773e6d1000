"""The engine of one host: accepts executions by unique key, admits, carries and ends them.

Accepted means durable: `submit` returns after the execution is on disk. What the engine of a
fleet would do by leases and claims is done by the kernel lock of the state directory here: one
process owns all executions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from flowrunner.engine.admission import Admission, Decision, Ticket, Verdict
from flowrunner.engine.run import ExecutionRun
from flowrunner.engine.runtime import EngineServices, ExecutionRuntime
from flowrunner.errors import ExecutionError, FlowError, RefusedError, StorageError
from flowrunner.model.execution import Cause, Execution, Failure, ScheduleKey
from flowrunner.model.flow import ConcurrencySpec, FlowSpec
from flowrunner.model.ids import ExecutionId, FlowKey, Json, Revision
from flowrunner.model.states import ExecutionState, NodeState, Reason
from flowrunner.nodes.context import Directories
from flowrunner.storage.protocols import Submitted

_LOG = logging.getLogger(__name__)

RulesOf = Callable[[FlowKey], ConcurrencySpec | None]
"""The concurrency of a flow's current version; None when the flow is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What a trigger asks of the engine; everything is pinned from here on.

    Attributes:
        definition: The effective definition the spec was compiled from, kept by its digest.
        start_key: At most one execution ever has it; None for starts by hand.
        cursor: The schedule whose cursor moves with this start, in one transaction.
    """

    id: ExecutionId
    spec: FlowSpec
    definition: Mapping[str, Json]
    revision: Revision
    cause: Cause
    inputs: dict[str, Json] = field(default_factory=dict)
    start_key: str | None = None
    cursor: ScheduleKey | None = None


@dataclass(slots=True, kw_only=True)
class _Entry:
    """An execution the engine holds; `stored` is done once it is on disk."""

    execution: Execution
    spec: FlowSpec
    stored: asyncio.Future[None]
    run: ExecutionRun | None = None
    cancel_reason: Reason | None = None


class Engine:
    """Owns every queued and running execution of this host."""

    def __init__(self, services: EngineServices, rules: RulesOf) -> None:
        self._services = services
        self._rules = rules
        self._admission = Admission()
        self._queued: dict[ExecutionId, _Entry] = {}
        self._running: dict[ExecutionId, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False

    @property
    def running_count(self) -> int:
        """Executions under way."""
        return len(self._running)

    @property
    def queued_count(self) -> int:
        """Executions that wait for their flow's limit."""
        return len(self._queued)

    async def submit(self, request: StartRequest) -> Submitted:
        """Accepts an execution durably; with a known `start_key` returns the one that has it.

        Raises:
            RefusedError: ``draining``, ``concurrency`` (under `skip`) or ``queue_full``.
            StorageError: Nothing was accepted.
        """
        if self._is_draining:
            raise RefusedError("the daemon is stopping", code="draining")
        flow = request.spec.key
        decision = self._decide(flow, request)
        entry = self._entry(request, decision)
        try:
            await self._services.definitions.put(request.spec.digest, request.definition)
            answer = await self._store(request, entry)
        except StorageError as error:
            self._drop(entry, error)
            raise
        if not answer.created:
            self._drop(entry, RefusedError("accepted before", code="duplicate"))
            return answer
        entry.stored.set_result(None)
        if decision.superseded is not None:
            await self._end_queued(decision.superseded, Reason.SUPERSEDED)
        if decision.verdict is Verdict.START:
            self._launch(entry)
        else:
            self._services.observer.execution_queued(entry.execution)
        return answer

    async def cancel(self, execution_id: ExecutionId, reason: Reason = Reason.CANCELLED) -> bool:
        """Asks an execution to end; False when it is not queued or running here.

        A queued one has ended when this returns; a running one ends its nodes in its own time.
        """
        if execution_id in self._queued:
            await self._end_queued(execution_id, reason)
            return True
        entry = self._running.get(execution_id)
        if entry is None:
            return False
        entry.cancel_reason = entry.cancel_reason or reason
        if entry.run is not None:
            entry.run.cancel(entry.cancel_reason)
        return True

    async def cancel_queued(self, flow: FlowKey, reason: Reason) -> None:
        """Ends every waiting execution of a flow, as when its file is deleted."""
        for execution_id in self._admission.waiting(flow):
            await self._end_queued(execution_id, reason)

    def live_states(self, execution_id: ExecutionId) -> Mapping[str, NodeState] | None:
        """Returns the states of the nodes of a running execution, or None."""
        entry = self._running.get(execution_id)
        return dict(entry.run.walk.states) if entry and entry.run else None

    def admit_waiting(self) -> None:
        """Starts what may start now: after a recovery, or when a limit has grown."""
        for flow in tuple(self._admission.flows_waiting()):
            self._admit_next(flow)

    def restore(self, execution: Execution, spec: FlowSpec) -> None:
        """Puts an accepted execution that has not begun back in line, after a restart."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stored.set_result(None)
        self._queued[execution.id] = _Entry(execution=execution, spec=spec, stored=stored)
        self._admission.restore_waiting(execution.flow, _ticket(execution))

    async def drain(self, timeout_s: float) -> None:
        """Takes no more, waits for what runs, then ends it as `interrupted`.

        Queued executions stay in the journal for the next start.
        """
        self._is_draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for entry in tuple(self._running.values()):
            await self.cancel(entry.execution.id, Reason.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _decide(self, flow: FlowKey, request: StartRequest) -> Decision:
        rules = self._rules(flow) or request.spec.concurrency
        ticket = Ticket(
            id=request.id,
            trigger_id=request.cause.trigger_id,
            trigger_type=request.cause.trigger_type,
        )
        decision = self._admission.request(flow, ticket, rules)
        if decision.verdict is Verdict.REFUSE:
            reason = decision.reason or Reason.CONCURRENCY
            raise RefusedError(f"flow {flow} takes no more: {reason}", code=str(reason))
        return decision

    def _entry(self, request: StartRequest, decision: Decision) -> _Entry:
        now = self._services.clock.now()
        starts = decision.verdict is Verdict.START
        execution = Execution(
            id=request.id,
            flow=request.spec.key,
            state=ExecutionState.RUNNING if starts else ExecutionState.QUEUED,
            cause=request.cause,
            start_key=request.start_key,
            revision=request.revision,
            digest=request.spec.digest,
            inputs=dict(request.inputs),
            created_at=now,
            started_at=now if starts else None,
        )
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = _Entry(execution=execution, spec=request.spec, stored=stored)
        if not starts:
            self._queued[execution.id] = entry
        return entry

    async def _store(self, request: StartRequest, entry: _Entry) -> Submitted:
        slot_at = request.cause.slot_at
        cursor = None
        if request.cursor is not None and slot_at is not None:
            cursor = (request.cursor, slot_at)
        return await self._services.executions.create(entry.execution, cursor=cursor)

    def _drop(self, entry: _Entry, why: FlowError) -> None:
        """Forgets an execution that never came to be."""
        entry.stored.set_exception(why)
        entry.stored.exception()  # read here, so that an unwaited future is not reported
        self._queued.pop(entry.execution.id, None)
        self._admission.release(entry.execution.flow, entry.execution.id)
        self._admit_next(entry.execution.flow)

    def _admit_next(self, flow: FlowKey) -> None:
        rules = self._rules(flow)
        while rules is not None and not self._is_draining:
            execution_id = self._admission.next_ready(flow, rules)
            if execution_id is None:
                return
            self._launch(self._queued.pop(execution_id))

    def _launch(self, entry: _Entry) -> None:
        self._running[entry.execution.id] = entry
        task = asyncio.create_task(self._carry(entry), name=f"execution:{entry.execution.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, entry: _Entry) -> None:
        """Carries one execution to its end, whatever happens in it."""
        flow, ended = entry.execution.flow, None
        try:
            await entry.stored
            await self._mark_running(entry)
            entry.run = await self._make_run(entry)
            if entry.cancel_reason is not None:
                entry.run.cancel(entry.cancel_reason)
            ended = await entry.run.run()
            await self._services.executions.update(ended)
        except StorageError as error:
            _LOG.error("execution.not_journaled id=%s code=%s", entry.execution.id, error.code)
            ended = _failed(entry.execution, error)
        except FlowError as error:
            ended = await self._fail(entry, error)
        except Exception as error:  # noqa: BLE001 - the loop that must survive: one execution is not the daemon
            _LOG.exception("execution.crashed id=%s", entry.execution.id)
            ended = await self._fail(entry, FlowError(f"{type(error).__name__}: {error}"))
        finally:
            await self._leave(entry)
            self._admission.release(flow, entry.execution.id)
            self._running.pop(entry.execution.id, None)
            if ended is not None:
                self._services.observer.execution_ended(ended)
            self._admit_next(flow)

    async def _mark_running(self, entry: _Entry) -> None:
        if entry.execution.state is ExecutionState.QUEUED:
            entry.execution = replace(
                entry.execution,
                state=ExecutionState.RUNNING,
                started_at=self._services.clock.now(),
            )
            await self._services.executions.update(entry.execution)
        self._services.observer.execution_started(entry.execution)

    async def _make_run(self, entry: _Entry) -> ExecutionRun:
        services, execution = self._services, entry.execution
        names, secrets = entry.spec.secrets, {}
        if names:
            account = execution.flow.account
            found = await asyncio.to_thread(
                lambda: {name: services.secrets.lookup(account, name) for name in names}
            )
            secrets = {name: value for name, value in found.items() if value is not None}
            missing = [name for name in names if name not in secrets]
            if missing:
                text = f"this host has no secret {', '.join(missing)}"
                raise ExecutionError(text, code="secret_missing", final=True)
        private = services.folders.work / execution.id
        directories = Directories(
            work=private / "files", flow=services.folders.flow(execution.flow), private=private
        )
        return ExecutionRun(
            ExecutionRuntime(
                services=services,
                execution=execution,
                spec=entry.spec,
                directories=directories,
                secrets=secrets,
            )
        )

    async def _leave(self, entry: _Entry) -> None:
        """Removes the work folder; what cannot be removed is logged and left."""
        folder = self._services.folders.work / entry.execution.id
        if not any(self._services.nodes.require(n.type).is_shell_like for n in entry.spec.nodes):
            return
        try:
            await asyncio.to_thread(self._services.files.remove_tree, folder)
        except OSError as error:
            _LOG.warning("execution.work_left id=%s: %s", entry.execution.id, error)

    async def _fail(self, entry: _Entry, error: FlowError) -> Execution:
        ended = replace(_failed(entry.execution, error), ended_at=self._services.clock.now())
        try:
            await self._services.executions.update(ended)
        except StorageError as storage_error:
            _LOG.error("execution.not_journaled id=%s: %s", ended.id, storage_error)
        return ended

    async def _end_queued(self, execution_id: ExecutionId, reason: Reason) -> None:
        """Ends an execution that has not begun: cancelled, with the reason."""
        entry = self._queued.pop(execution_id, None)
        if entry is None:
            return
        self._admission.release(entry.execution.flow, execution_id)
        try:
            await entry.stored
        except FlowError:
            return
        ended = replace(
            entry.execution,
            state=ExecutionState.CANCELLED,
            reason=str(reason),
            ended_at=self._services.clock.now(),
        )
        await self._services.executions.update(ended)
        self._services.observer.execution_ended(ended)


def _ticket(execution: Execution) -> Ticket:
    cause = execution.cause
    return Ticket(id=execution.id, trigger_id=cause.trigger_id, trigger_type=cause.trigger_type)


def _failed(execution: Execution, error: FlowError) -> Execution:
    failure = Failure(code=error.code, message=error.message, details=dict(error.details))
    return replace(execution, state=ExecutionState.FAILED, reason=error.code, error=failure)
