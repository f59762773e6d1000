"""One execution from its first node to its end: walk the graph, try nodes, journal each end.

A node starts the moment its needs are done. The end of a node is written but not waited for
before the next begins: the journal keeps order, so a begin that is durable makes every end
before it durable too. The end of the execution waits for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from flowrunner.engine.attempt import AttemptOutcome, AttemptRunner
from flowrunner.engine.ending import end_by_nodes
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.result import with_outputs
from flowrunner.engine.retries import judged
from flowrunner.engine.runtime import ExecutionRuntime
from flowrunner.engine.scope import (
    ContextScope,
    execution_contexts,
    node_context,
)
from flowrunner.errors import ExecutionError, FlowError
from flowrunner.model.execution import Execution, Failure, NodeStatus
from flowrunner.model.expressions import truth, uses_status_function
from flowrunner.model.flow import NodeSpec
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from flowrunner.model.states import AttemptState, NodeState, Reason

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
        self._all_ended = asyncio.Event()
        self._writes: set[asyncio.Future[None]] = set()
        self._error: BaseException | None = None
        self._node_contexts: dict[str, Json] = {}
        self._contexts = self._make_contexts()

    async def run(self) -> Execution | None:
        """Carries the execution to its end and returns it as it ended; journals the nodes.

        None means that it was left as it was accepted, for the next start of the daemon.

        Raises:
            StorageError: The journal could not be written; processes are ended, the execution
                stays as it was last journaled.
        """
        self._start_ready(self.walk.first())
        if self._tasks:
            await self._all_ended.wait()
        while self._writes:
            await asyncio.wait(self._writes)
        if self._error is not None:
            raise self._error
        if self.runtime.is_left:
            return None
        now = self._services.clock.now()
        ended = end_by_nodes(
            self.runtime.execution, self.runtime.spec, self.walk.final.values(), now
        )
        return with_outputs(ended, self.runtime.spec, self._contexts)

    def cancel(self, reason: Reason) -> None:
        """Asks every node to end; `run` returns when they have. A second call changes nothing.

        When the daemon stops (`INTERRUPTED`), an execution that has begun nothing is left.
        """
        if self.runtime.cancel_reason is not None:
            return
        self.runtime.cancel_reason = reason
        self.runtime.is_left = reason is Reason.INTERRUPTED and not self.runtime.has_begun
        for task in self._tasks:
            task.cancel()
        running = set(self._tasks.values())
        self._settle_cancelled([name for name in self.walk.open_nodes() if name not in running])

    def _start_ready(self, ready: Iterable[NodeSpec]) -> None:
        """Decides about each ready node; a skip settles it and may make others ready."""
        queue, decided = deque(ready), list[NodeStatus]()
        while queue:
            spec = queue.popleft()
            if self.runtime.cancel_reason is not None:
                break
            scope = self._scope(spec)
            status = self._skip_or_failure(spec, scope)
            if status is None:
                self._start(spec, scope)
                continue
            decided.append(status)
            self._node_contexts[spec.id] = node_context(status, None)
            queue.extend(self.walk.settle(status))
        self._write_settled(decided)

    def _skip_or_failure(self, spec: NodeSpec, scope: ContextScope) -> NodeStatus | None:
        """Returns the final status of a node that does not start, or None when it does."""
        condition = spec.condition
        asks = condition is not None and any(
            uses_status_function(expression) for expression in condition.expressions
        )
        if self.walk.is_left_out(spec):
            return self._status(spec.id, NodeState.SKIPPED, Reason.NOT_CHOSEN)
        if not asks and (obstacle := self.walk.obstacle(spec)) is not None:
            return self._status(spec.id, NodeState.SKIPPED, obstacle)
        if condition is None:
            return None
        try:
            wanted = truth(condition.evaluate(scope))
        except ExecutionError as error:
            details = dict(error.details)
            failure = Failure(code=error.code, message=f"if: {error.message}", details=details)
            return self._status(spec.id, NodeState.FAILED, error.code, failure)
        if not wanted:
            return self._status(spec.id, NodeState.SKIPPED, Reason.IF_FALSE)
        return None

    def _start(self, spec: NodeSpec, scope: ContextScope) -> None:
        self.walk.states[spec.id] = NodeState.QUEUED
        name = f"node:{self.runtime.execution.id}:{spec.id}"
        task = asyncio.create_task(self._carry(spec, scope), name=name)
        self._tasks[task] = spec.id
        task.add_done_callback(self._node_ended)

    def _node_ended(self, task: asyncio.Task[None]) -> None:
        """Settles a node that was cancelled between its attempts, or before the first."""
        name = self._tasks.pop(task)
        if task.cancelled():
            self._settle_cancelled([name])
        elif (error := task.exception()) is not None:
            self._give_up(error)
        if not self._tasks:
            self._all_ended.set()

    async def _carry(self, spec: NodeSpec, scope: ContextScope) -> None:
        """Tries a node until it is final, then settles it and starts what waited for it.

        `now()` is journaled as the start of the node: the instant at which its `if` held.
        """
        outcome = await self._attempt(spec, 1, scope)
        while outcome.may_retry:
            number = outcome.attempt.key.number
            self._write(self._services.journal.finish(outcome.attempt))
            await asyncio.sleep(spec.retry.delay_after(number, self._services.chance()))
            outcome = await self._attempt(spec, number + 1, scope)
        status = _node_status(outcome, started_at=scope.now())
        self._node_contexts[spec.id] = node_context(status, outcome.attempt.exit_code)
        self._write(self._services.journal.finish(outcome.attempt, status))
        self._start_ready(self.walk.settle(status))

    async def _attempt(self, spec: NodeSpec, number: int, scope: ContextScope) -> AttemptOutcome:
        """Carries out one attempt; a process waits for its place among those of the host."""
        if self._services.nodes.require(spec.type).is_shell_like:
            async with self._services.node_slots:
                self.walk.states[spec.id] = NodeState.RUNNING
                outcome = await self._attempts.run(spec, number, scope)
        else:
            self.walk.states[spec.id] = NodeState.RUNNING
            outcome = await self._attempts.run(spec, number, scope)
        if self.runtime.is_left:  # whatever it came to: the next start begins anew
            raise asyncio.CancelledError
        self._services.observer.attempt_ended(spec.type, outcome.attempt)
        if self.runtime.cancel_reason is not None:
            return replace(outcome, may_retry=False)
        return judged(spec.retry, outcome, scope)

    def _settle_cancelled(self, names: Iterable[str]) -> None:
        """Settles nodes that a cancel keeps from their end; none that is left as it was."""
        if self.runtime.is_left:
            return
        reason = self.runtime.cancel_reason or Reason.CANCELLED
        decided = [self._status(name, NodeState.CANCELLED, reason) for name in names]
        for status in decided:
            self._node_contexts[status.node] = node_context(status, None)
            self.walk.settle(status)
        self._write_settled(decided)

    def _write_settled(self, decided: list[NodeStatus]) -> None:
        if decided:
            self._write(self._services.journal.settle(decided))

    def _write(self, future: asyncio.Future[None]) -> None:
        """Leaves a write of the journal to itself; `run` waits for all at the end."""
        self.runtime.has_begun = True
        self._writes.add(future)
        future.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[None]) -> None:
        self._writes.discard(future)
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        """Ends what runs: nothing more may happen that cannot be journaled."""
        if self._error is None:
            self._error = error
            code = error.code if isinstance(error, FlowError) else type(error).__name__
            _LOG.error("execution.given_up id=%s code=%s", self.runtime.execution.id, code)
            self.cancel(Reason.INTERRUPTED)

    def _status(
        self, name: str, state: NodeState, reason: str, error: Failure | None = None
    ) -> NodeStatus:
        """Returns the status of a node that ends without an attempt of its own deciding it."""
        return NodeStatus(
            execution=self.runtime.execution.id,
            node=name,
            state=state,
            reason=str(reason),
            error=error,
            ended_at=self._services.clock.now(),
        )

    def _make_contexts(self) -> dict[str, Json]:
        runtime = self.runtime
        contexts = execution_contexts(
            runtime.execution,
            runtime.spec,
            runtime.directories,
            runtime.services.host,
            self._node_contexts,
        )
        secrets = SecretValue({name: each.reveal() for name, each in runtime.secrets.items()})
        return {**contexts, "secrets": secrets}

    def _scope(self, spec: NodeSpec) -> ContextScope:
        """Returns what a node sees that starts now: the same instant in `if` and every attempt."""

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

        return ContextScope(self._contexts, status, self._services.clock.now())


def _node_status(outcome: AttemptOutcome, *, started_at: datetime) -> NodeStatus:
    attempt = outcome.attempt
    has_outputs = attempt.state is AttemptState.SUCCEEDED and outcome.outputs is not None
    return NodeStatus(
        execution=attempt.key.execution,
        node=attempt.key.node,
        state=_NODE_STATES[attempt.state],
        reason=attempt.reason,
        outputs=dict(outcome.outputs or {}) if has_outputs else None,
        error=attempt.error,
        started_at=started_at,
        ended_at=attempt.ended_at,
    )
