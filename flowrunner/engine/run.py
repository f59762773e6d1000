"""One execution from its first node to its end: walk the graph, try nodes, journal each end.

A node starts the moment its needs are done. The end of a node is written but not waited for
before the next begins: the journal keeps order, so a begin that is durable makes every end
before it durable too. The end of the execution waits for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime

from flowrunner.engine.attempt import AttemptOutcome, AttemptRunner
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.runtime import ExecutionRuntime
from flowrunner.engine.scope import (
    ContextScope,
    execution_context,
    flow_contexts,
    node_context,
    trigger_context,
)
from flowrunner.errors import ExecutionError, StorageError
from flowrunner.model.execution import Execution, Failure, NodeStatus
from flowrunner.model.expressions import truth, uses_status_function
from flowrunner.model.flow import NodeSpec
from flowrunner.model.ids import Json
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, Reason

_LOG = logging.getLogger(__name__)
_NODE_STATES = {
    AttemptState.SUCCEEDED: NodeState.SUCCEEDED,
    AttemptState.FAILED: NodeState.FAILED,
    AttemptState.CANCELLED: NodeState.CANCELLED,
    AttemptState.TIMED_OUT: NodeState.TIMED_OUT,
}


class ExecutionRun:
    """Carries one execution; made for it and thrown away after it."""

    def __init__(self, runtime: ExecutionRuntime) -> None:
        self.runtime = runtime
        self.walk = GraphWalk(runtime.spec)
        self._services = runtime.services
        self._attempts = AttemptRunner(runtime)
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._writes: set[asyncio.Future[None]] = set()
        self._storage_error: StorageError | None = None
        self._node_contexts: dict[str, Json] = {}
        self._contexts: dict[str, Json] = {
            **flow_contexts(runtime.spec),
            "inputs": dict(runtime.execution.inputs),
            "secrets": runtime.secrets,
            "trigger": trigger_context(runtime.execution.cause),
            "execution": execution_context(runtime.execution, runtime.directories),
            "nodes": self._node_contexts,
        }

    async def run(self) -> Execution:
        """Carries the execution to its end and returns it as it ended; journals the nodes.

        Raises:
            StorageError: The journal could not be written; processes are ended, the execution
                stays as it was last journaled.
        """
        self._start_ready(self.walk.first())
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._tasks.pop(task)
                task.result()
        if self._writes:
            await asyncio.gather(*self._writes, return_exceptions=True)
        if self._storage_error is not None:
            raise self._storage_error
        return self._ended()

    def cancel(self, reason: Reason) -> None:
        """Asks every node to end; `run` returns when they have. A second call changes nothing."""
        if self.runtime.cancel_reason is not None:
            return
        self.runtime.cancel_reason = reason
        for task in self._tasks:
            task.cancel()
        running = set(self._tasks.values())
        waiting = [name for name in self.walk.open_nodes() if name not in running]
        self._settle_all([self._status(name, NodeState.CANCELLED, str(reason)) for name in waiting])

    def _start_ready(self, ready: list[NodeSpec]) -> None:
        """Decides about each ready node; skips settle others, which join the queue."""
        queue = list(ready)
        while queue:
            spec = queue.pop(0)
            if self.runtime.cancel_reason is not None or self.walk.states[spec.id].is_final:
                continue
            status = self._skip_or_failure(spec)
            if status is None:
                self._start(spec)
            else:
                queue.extend(self._settle_all([status]))

    def _skip_or_failure(self, spec: NodeSpec) -> NodeStatus | None:
        """Returns the final status of a node that does not start, or None when it does."""
        condition = spec.condition
        asks = condition is not None and any(
            uses_status_function(expression) for expression in condition.expressions
        )
        if not asks and not self.walk.success(spec):
            return self._status(spec.id, NodeState.SKIPPED, Reason.NEEDS)
        if condition is None:
            return None
        try:
            wanted = truth(condition.evaluate(self._scope(spec)))
        except ExecutionError as error:
            failure = Failure(code=error.code, message=f"if: {error.message}")
            return replace(self._status(spec.id, NodeState.FAILED, error.code), error=failure)
        if not wanted:
            return self._status(spec.id, NodeState.SKIPPED, Reason.IF_FALSE)
        return None

    def _start(self, spec: NodeSpec) -> None:
        self.walk.states[spec.id] = NodeState.QUEUED
        name = f"node:{self.runtime.execution.id}:{spec.id}"
        task = asyncio.create_task(self._carry(spec), name=name)
        self._tasks[task] = spec.id

    async def _carry(self, spec: NodeSpec) -> None:
        """Tries a node until it is final, then settles it and starts what waited for it."""
        node_type = self._services.nodes.require(spec.type)
        try:
            if node_type.is_shell_like:
                async with self._services.node_slots:
                    status = await self._try(spec)
            else:
                status = await self._try(spec)
        except asyncio.CancelledError:
            reason = str(self.runtime.cancel_reason or Reason.CANCELLED)
            self._settle_all([self._status(spec.id, NodeState.CANCELLED, reason)])
            return
        except StorageError as error:
            self._give_up(error)
            return
        self._start_ready(self.walk.settle(status))

    async def _try(self, spec: NodeSpec) -> NodeStatus:
        self.walk.states[spec.id] = NodeState.RUNNING
        scope = self._scope(spec)
        started_at = self._services.clock.now()
        number = 1
        while True:
            outcome = await self._attempts.run(spec, number, scope)
            self._services.observer.attempt_ended(spec.type, outcome.attempt)
            again = outcome.may_retry and number < spec.retry.max_attempts
            if again and self.runtime.cancel_reason is None:
                self._write(self._services.journal.finish(outcome.attempt))
                await asyncio.sleep(spec.retry.delay_s)
                number += 1
                continue
            status = _node_status(outcome, started_at=started_at)
            self._node_contexts[spec.id] = node_context(status, outcome.attempt.exit_code)
            self._write(self._services.journal.finish(outcome.attempt, status))
            return status

    def _settle_all(self, statuses: list[NodeStatus]) -> list[NodeSpec]:
        """Settles nodes that had no attempt and returns those that are ready now."""
        if not statuses:
            return []
        ready: list[NodeSpec] = []
        for status in statuses:
            self._node_contexts[status.node] = node_context(status, None)
            ready.extend(self.walk.settle(status))
        self._write(self._services.journal.settle(statuses))
        return ready

    def _write(self, future: asyncio.Future[None]) -> None:
        """Leaves a write of the journal to itself; `run` waits for all at the end."""
        self._writes.add(future)
        future.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[None]) -> None:
        self._writes.discard(future)
        error = None if future.cancelled() else future.exception()
        if isinstance(error, StorageError):
            self._give_up(error)
        elif error is not None:
            raise error

    def _give_up(self, error: StorageError) -> None:
        """Ends what runs: nothing more may happen that cannot be journaled."""
        if self._storage_error is None:
            _LOG.error(
                "execution.journal_failed id=%s code=%s", self.runtime.execution.id, error.code
            )
            self._storage_error = error
            self.cancel(Reason.INTERRUPTED)

    def _status(self, name: str, state: NodeState, reason: str) -> NodeStatus:
        return NodeStatus(
            execution=self.runtime.execution.id,
            node=name,
            state=state,
            reason=str(reason),
            ended_at=self._services.clock.now(),
        )

    def _scope(self, spec: NodeSpec) -> ContextScope:
        def status(name: str) -> bool:
            match name:
                case "success":
                    return self.walk.success(spec)
                case "failure":
                    return self.walk.failure(spec)
                case "skipped":
                    return self.walk.skipped(spec)
                case "cancelled":
                    return self.runtime.cancel_reason is not None
                case _:
                    return True

        return ContextScope(self._contexts, status)

    def _ended(self) -> Execution:
        """Returns the execution in the final state its nodes decide."""
        execution, reason = self.runtime.execution, self.runtime.cancel_reason
        ended = replace(execution, ended_at=self._services.clock.now())
        if reason is Reason.INTERRUPTED:
            failure = Failure(code="interrupted", message="the daemon stopped before its end")
            return replace(
                ended, state=ExecutionState.FAILED, reason=Reason.INTERRUPTED, error=failure
            )
        if reason is not None:
            return replace(ended, state=ExecutionState.CANCELLED, reason=str(reason))
        failed = [status for status in self.walk.final.values() if status.state.is_failure]
        if not failed:
            return replace(ended, state=ExecutionState.SUCCEEDED)
        first = failed[0]
        cause = first.error or Failure(code="failed", message="failed")
        failure = replace(
            cause,
            message=f"node {first.node}: {cause.message}",
            details={**cause.details, "node": first.node},
        )
        return replace(ended, state=ExecutionState.FAILED, reason=first.reason, error=failure)


def _node_status(outcome: AttemptOutcome, *, started_at: datetime) -> NodeStatus:
    attempt = outcome.attempt
    return NodeStatus(
        execution=attempt.key.execution,
        node=attempt.key.node,
        state=_NODE_STATES[attempt.state],
        reason=attempt.reason,
        outputs=None if outcome.outputs is None else dict(outcome.outputs),
        error=attempt.error,
        started_at=started_at,
        ended_at=attempt.ended_at,
    )
