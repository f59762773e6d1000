"""The engine of one host: accepts executions by unique key, admits, carries and ends them.

Accepted means durable: `submit` returns after the execution is on disk. What the engine of a
fleet would do by leases and claims is done by the kernel lock of the state directory here: one
process owns all executions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from flowrunner.engine.accepting import Leaving, Storing, entry_of, is_created, is_kept, pass_on
from flowrunner.engine.admission import Admission, Decision, Limits, RulesOf, Verdict, Wait
from flowrunner.engine.carrier import Carrier, Entry, count_of, started_by
from flowrunner.engine.children import refuse_deadlock, waited_for
from flowrunner.engine.ends import Ends
from flowrunner.engine.groups import ticket_of
from flowrunner.engine.history import NOTHING, History
from flowrunner.engine.making_way import departure, ended_in_line, refusal
from flowrunner.engine.requests import StartRequest
from flowrunner.engine.runtime import EngineServices
from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.execution import Execution, ItemCounts
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import AttemptKey, ExecutionId, FlowKey
from flowrunner.model.states import ExecutionState, NodeState, Reason
from flowrunner.storage.protocols import Submitted

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Engine:
    """Owns every queued and running execution of this host.

    What it begins for a caller it finishes, even if the caller is cancelled meanwhile: a write
    of the journal cannot be taken back.
    """

    def __init__(self, services: EngineServices, rules: RulesOf, limits: Limits) -> None:
        self._services = services
        self._rules = rules
        self.ends = Ends(services.executions, self.cancel)
        self._carrier = Carrier(services, self.ends, self.children)
        self.limits = limits
        self._admission = Admission(rules, limits)
        self._queued: dict[ExecutionId, Entry] = {}
        self._running: dict[ExecutionId, Entry] = {}
        self._ending: dict[ExecutionId, asyncio.Task[bool]] = {}
        self._tasks: set[asyncio.Future[Any]] = set()
        self._is_draining = False

    @property
    def running_count(self) -> int:
        """Executions under way."""
        return len(self._running)

    @property
    def queued_count(self) -> int:
        """Executions that wait for a limit, or for their flow to be lifted."""
        return len(self._queued)

    @property
    def is_crowded(self) -> bool:
        """Whether those who wait for a place of the host keep all places busy for a while."""
        return self._services.node_slots.has_long_line

    def counts(self, account: str) -> tuple[int, int]:
        """Returns how many executions of an account are under way, and how many wait."""
        return count_of(account, self._running), count_of(account, self._queued)

    async def submit(self, request: StartRequest) -> Submitted:
        """Accepts an execution durably; with a known `start_key` returns the one that has it.

        Raises:
            RefusedError: ``draining``, ``concurrency`` (`skip`), ``queue_full``, or for a child
                whose group an ancestor holds ``concurrency_deadlock``.
            ValidationError: ``input.group``: no group can be named for these inputs.
            StorageError: Nothing was accepted.
        """
        if self._is_draining:
            raise RefusedError("the daemon is stopping", code="draining")
        execution = request.execution(request.judged_at or self._services.clock.now())
        decision = self._decide(execution, request.spec)
        entry = entry_of(execution, request, decision, self._services.clock.now())
        if decision.verdict is not Verdict.START:
            self._queued[execution.id] = entry
        answer: Storing = asyncio.get_running_loop().create_future()
        storing = self._accept(request, entry, decision.leaving)
        storing.add_done_callback(partial(self._accepted, entry, answer))
        return await answer

    async def cancel(
        self,
        execution_id: ExecutionId,
        reason: Reason = Reason.CANCELLED,
        *,
        force: bool = False,
    ) -> bool:
        """Asks an execution to end; False when it is not queued or running here.

        A queued one has ended when this returns; a running one ends its nodes in its own time, and
        runs its `finally` unless `force` is set, which then reaches the children that it waits
        for. That it was asked to is on disk when this returns, so that a crash does not forget it.

        Raises:
            StorageError: The end of a queued one cannot be journaled: it stays in line. Or not
                what was asked of a running one: it ends all the same, unless a crash comes before
                the disk is back.
        """
        ending = self._ending.get(execution_id)
        if ending is None and execution_id in self._queued:
            work = self._end_queued(execution_id, reason)
            ending = self._ending[execution_id] = self._own(work, f"cancel:{execution_id}")
            ending.add_done_callback(lambda _: self._ending.pop(execution_id, None))
        if ending is not None and await asyncio.shield(ending):
            return True  # else it has begun meanwhile
        entry = self._running.get(execution_id)
        if entry is None or not await entry.stored:
            return False
        entry.cancel(reason, force=force)
        if force:
            for child in self.children(execution_id).values():
                await self.cancel(child, Reason.PARENT, force=True)
        if entry.run is not None:
            await entry.run.written()
        elif entry.takes_cancel or (force and not entry.is_ending):
            asked = entry.as_running(self._services.clock.now())
            await self._services.executions.update(asked)
        return True

    async def cancel_queued(self, flow: FlowKey, reason: Reason) -> tuple[ExecutionId, ...]:
        """Ends every waiting execution of a flow, as when its file is deleted.

        Returns those that have ended, oldest first; one whose end cannot be journaled stays.
        """
        ended = []
        for execution_id in self._admission.waiting(flow):
            ending = self._try_to_end(execution_id, reason)
            if await asyncio.shield(self._own(ending, f"cancel:{execution_id}")):
                ended.append(execution_id)
        return tuple(ended)

    def live(self, execution_id: ExecutionId) -> Execution | None:
        """Returns an execution that runs here, or None."""
        entry = self._running.get(execution_id)
        return None if entry is None else entry.execution

    def is_leaving(self, execution_id: ExecutionId) -> bool:
        """Whether an execution lies down, for a later life or until the store works again."""
        entry = self._running.get(execution_id)
        return entry is None or entry.run is None or entry.run.is_held

    def is_queued(self, execution_id: ExecutionId) -> bool:
        """Whether an execution waits here."""
        return execution_id in self._queued

    def started_by(self, flow: FlowKey, trigger_id: str) -> int:
        """Returns how many executions that a trigger of a flow has started wait or run here."""
        return started_by(flow, trigger_id, self._queued, self._running)

    def wait_of(self, execution_id: ExecutionId) -> Wait | None:
        """Returns what a queued execution waits for; None for one that does not wait here."""
        entry = self._queued.get(execution_id)
        return None if entry is None else self._admission.wait_of(ticket_of(entry.execution))

    def withstands_cancel(self, execution_id: ExecutionId) -> bool:
        """Whether a cancel without `force` would change nothing: its `finally` runs already."""
        entry = self._running.get(execution_id)
        return entry is not None and entry.run is not None and entry.run.withstands_cancel

    def live_states(self, execution_id: ExecutionId) -> Mapping[str, NodeState] | None:
        """Returns the states of the nodes of a running execution, or None."""
        entry = self._running.get(execution_id)
        return entry.run.states if entry and entry.run else None

    def live_items(self, execution_id: ExecutionId) -> Mapping[str, ItemCounts]:
        """Returns how far the nodes of a running execution are that go through items now."""
        entry = self._running.get(execution_id)
        return entry.run.items if entry and entry.run else {}

    def admit_waiting(self) -> None:
        """Starts what may start now: after a recovery, or when a limit has grown."""
        self._admit(self._admission.next_ready)

    def restore(self, execution: Execution, spec: FlowSpec, history: History = NOTHING) -> None:
        """Puts an accepted execution that has not begun back in line, after a restart.

        `history` is what it was accepted with.
        """
        entry = Entry(execution=execution, spec=spec, history=history)
        entry.stored.set_result(True)
        self._queue(entry)
        self._services.observer.execution_queued(execution)

    def resume(
        self, execution: Execution, spec: FlowSpec, history: History, asked: Reason | None = None
    ) -> None:
        """Goes on, after a restart, with one that had begun, in its place; `asked` cancels it."""
        entry = Entry(execution=execution, spec=spec, history=history, cancel_reason=asked)
        entry.is_resumed = True
        entry.stored.set_result(True)
        self._admission.take(ticket_of(execution), spec.concurrency)
        self._launch(entry)

    async def drain(self, timeout_s: float) -> None:
        """Takes no more, waits for attempts at work, then ends them as `interrupted`.

        All that is not at work stays in the journal where it stands, for the next start: queued
        executions, nodes to come, delays of retries and waits.
        """
        self._is_draining = True
        self.ends.stop()
        self.ends.leave(self._queued)
        for entry in self._running.values():
            entry.hold()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for entry in self._running.values():
            entry.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _decide(self, execution: Execution, spec: FlowSpec) -> Decision:
        rules = self._rules(execution.flow)
        concurrency = rules.concurrency if rules else spec.concurrency
        ticket = ticket_of(execution)
        if ticket.is_guest:
            held = chain(self._queued.values(), self._running.values())
            staying = (each.execution for each in held if each.cancel_reason is None)
            refuse_deadlock(execution, concurrency, self.live, self._admission, staying)
        decision = self._admission.request(ticket, concurrency)
        if decision.verdict is Verdict.REFUSE:
            raise refusal(execution, decision.reason, self._admission.wait_of(ticket).running)
        return decision

    def _accept(self, request: StartRequest, entry: Entry, leaving: Leaving) -> Storing:
        """Has an admitted execution made durable, which `drain` waits for."""
        if leaving:
            work = self._store_and_part(request, entry, leaving)
            return self._own(work, f"accept:{request.id}")
        storing = self._store(request, entry)
        self._tasks.add(storing)
        return storing

    def _accepted(self, entry: Entry, answer: Storing, storing: Storing) -> None:
        """Lets an execution run or wait that is durable, or forgets it, and answers who asked."""
        self._tasks.discard(storing)
        if not is_created(storing):
            self._drop(entry)
        else:
            entry.stored.set_result(True)
            if entry.execution.state is ExecutionState.RUNNING:
                self._launch(entry)
            else:
                self._services.observer.execution_queued(entry.execution)
        pass_on(storing, answer)

    async def _store_and_part(
        self, request: StartRequest, entry: Entry, leaving: Leaving
    ) -> Submitted:
        """Stores a newcomer and, in the same write, that others go for it, or nothing at all.

        What runs ends in its own time.
        """
        for each in leaving:
            known = self._queued.get(each) or self._running.get(each)
            if known is not None:
                await known.stored
        gone = departure(leaving, self._queued, self._running, self._services.clock.now())
        for waiting, _ in gone.waiting:
            del self._queued[waiting.execution.id]
            self._admission.release(ticket_of(waiting.execution))
        is_accepted = False
        try:
            answer = await self._store(request, entry, gone.changed)
            is_accepted = answer.created
        finally:
            for waiting, ended in gone.waiting:
                if is_accepted:
                    self._tell_end(ended)
                else:
                    self._queue(waiting)
            self.admit_waiting()
        for running, _, reason in gone.running if is_accepted else ():
            running.cancel(reason)
        return answer

    def _store(
        self, request: StartRequest, entry: Entry, also: Sequence[Execution] = ()
    ) -> Storing:
        """Writes an execution, right behind its definition if that is not kept yet."""
        defined = self._services.definitions.put(request.spec.digest, request.definition)
        return self._services.executions.create(
            entry.execution,
            cursor=request.moved_cursor,
            also=also,
            kept=request.kept,
            marks=self._services.marks_of(also, request.marks),
            delivery=request.delivery,
            former=request.former,
            needs_definition=not is_kept(defined),
        )

    def _drop(self, entry: Entry) -> None:
        """Forgets an execution that never came to be."""
        entry.stored.set_result(False)
        self._queued.pop(entry.execution.id, None)
        self._release(entry)

    def _queue(self, entry: Entry) -> None:
        self._queued[entry.execution.id] = entry
        self._admission.put_back(ticket_of(entry.execution))

    def _release(self, entry: Entry) -> None:
        """Frees the place of an execution and lets those start who waited for it.

        Others than those of its group can only have waited while host or account were full.
        """
        ticket = ticket_of(entry.execution)
        was_full = self._admission.is_full(ticket.flow.account)
        self._admission.release(ticket)
        self._admit(partial(self._admission.next_ready, None if was_full else ticket.group))

    def _admit(self, next_ready: Callable[[], ExecutionId | None]) -> None:
        while not self._is_draining and (execution_id := next_ready()) is not None:
            self._launch(self._queued.pop(execution_id))

    def _launch(self, entry: Entry) -> None:
        if self._is_draining:  # it is on disk, and for the next start to carry
            self._admission.release(ticket_of(entry.execution))
            return
        self._running[entry.execution.id] = entry
        self._own(self._carry(entry), f"execution:{entry.execution.id}")

    async def _carry(self, entry: Entry) -> None:
        """Carries one execution to its end and lets those start who waited for its place."""
        execution_id, ended = entry.execution.id, None
        try:
            if await entry.stored:
                ended = await self._carrier.carry(entry)
        finally:
            self._running.pop(execution_id, None)
            if ended is None:
                self.ends.leave([execution_id])
            else:
                self._tell_end(ended)
            self._release(entry)
        if ended is not None:
            await self._carrier.leave(entry)

    async def _try_to_end(self, execution_id: ExecutionId, reason: Reason) -> bool:
        try:
            return await self._end_queued(execution_id, reason)
        except StorageError as error:
            _LOG.error("execution.not_ended id=%s code=%s", execution_id, error.code)
            return False

    async def _end_queued(self, execution_id: ExecutionId, reason: Reason) -> bool:
        """Ends an execution that has not begun: cancelled, with the reason.

        Returns whether it did: meanwhile it may have begun, or never have come to be.
        """
        entry = self._queued.pop(execution_id, None)
        if entry is None:
            return False
        self._release(entry)
        if not await entry.stored:
            return False
        ended = ended_in_line(entry.execution, reason, self._services.clock.now())
        try:
            await self._services.keep(ended)
        except StorageError:
            self._queue(entry)
            self.admit_waiting()
            raise
        self._tell_end(ended)
        return True

    def children(self, execution_id: ExecutionId) -> Mapping[AttemptKey, ExecutionId]:
        """Returns the executions that one waits for, by the attempts that do."""
        held = (*self._queued.values(), *self._running.values())
        return waited_for(each.execution for each in held).get(execution_id, {})

    def _tell_end(self, ended: Execution) -> None:
        self._services.observer.execution_ended(ended)
        self.ends.tell(ended)

    def _own(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Runs work as a task that `drain` waits for."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
