"""The nodes of one execution being carried: walk the graph, try nodes, journal each end.

A node starts the moment its needs are done. The end of a node is written but not waited for
before the next begins: the journal keeps order, so a begin that is durable makes every end
before it durable too.

When the daemon stops, what is at work gets its time and the rest is left where the journal has
it. The next life takes up each node where its `History` says it stood.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flowrunner.engine.attempt import AttemptOutcome, AttemptRunner, interrupted
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.history import FRESH, History, Standing
from flowrunner.engine.judging import obstacle_to, status_answers
from flowrunner.engine.retries import judged
from flowrunner.engine.runtime import Cut, ExecutionRuntime, holds_place, survives
from flowrunner.engine.scope import ContextScope, node_context
from flowrunner.engine.writes import PendingWrites
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Failure, NodeStatus
from flowrunner.model.expressions import truth
from flowrunner.model.flow import NodeSpec, OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.model.states import AttemptState, NodeState, Reason

_NODE_STATES = {
    AttemptState.SUCCEEDED: NodeState.SUCCEEDED,
    AttemptState.FAILED: NodeState.FAILED,
    AttemptState.CANCELLED: NodeState.CANCELLED,
    AttemptState.TIMED_OUT: NodeState.TIMED_OUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a part has in common with the run of its execution.

    Attributes:
        contexts: What expressions see, but for status functions and time.
        node_contexts: What `nodes` is in them: entered here as nodes end.
        give_up: Told of faults that keep the execution from being carried on.
    """

    contexts: Mapping[str, Json]
    node_contexts: dict[str, Json]
    writes: PendingWrites
    give_up: Callable[[BaseException], None]


class PartRun:
    """Carries nodes until all are final, or are left; made for one execution.

    With `about`, they are those of `finally`: their needs only order them, and the status functions
    speak about that walk.
    """

    def __init__(
        self,
        runtime: ExecutionRuntime,
        nodes: Sequence[NodeSpec],
        shared: Shared,
        history: History,
        *,
        about: GraphWalk | None = None,
    ) -> None:
        self.walk = GraphWalk(nodes)
        self._about = about
        self._runtime = runtime
        self._services = runtime.services
        self._shared = shared
        self._history = history
        self._cut = Cut()
        self._attempts = AttemptRunner(runtime, self._cut, shared.writes)
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._at_work: set[str] = set()
        self._tried: set[str] = set()  # whose attempt that the history has open has ended here
        self._all_ended = asyncio.Event()
        self._is_held = False
        self.walk.take_over(history.nodes)

    async def run(self) -> None:
        """Takes up what had begun, starts what is ready, and returns when nothing is under way."""
        self._end_stale()
        if self._cut.reason is None and not self._is_held:
            self._take_up_all()
        if self._tasks:
            await self._all_ended.wait()

    def cut(self, reason: Reason) -> None:
        """Asks every node to end; a second call changes nothing.

        What the stop of the daemon has left already stays as it is, for the next life.
        """
        if self._cut.reason is not None:
            return
        self._cut.reason = reason
        for task in self._tasks:
            task.cancel()
        running = set(self._tasks.values())
        self._settle_cancelled([name for name in self.walk.open_nodes() if name not in running])

    def hold(self) -> None:
        """Lets attempts that are at work go on; nothing starts any more, what waits is left."""
        self._is_held = True
        for task, name in self._tasks.items():
            if name not in self._at_work:
                task.cancel()

    def stop(self) -> None:
        """Ends what is at work as interrupted, and leaves the rest."""
        self.hold()
        self.cut(Reason.INTERRUPTED)

    def _end_stale(self) -> None:
        """Ends attempts whose end the journal has lost."""
        for attempt in self._history.stale:
            if (name := attempt.key.node) in self.walk.states:
                ended = interrupted(attempt, self._services.clock.now())
                self._services.observer.attempt_ended(self.walk.spec(name).type, ended)
                self._shared.writes.add(self._services.journal.finish(ended))

    def _take_up_all(self) -> None:
        fresh: list[NodeSpec] = []
        for spec in self.walk.ready():
            standing = self._history.standing(spec.id, spec.retry, self._services.chance())
            if standing is FRESH:
                fresh.append(spec)
            else:
                self._take_up(spec, standing)
        self._start_ready(fresh)

    def _take_up(self, spec: NodeSpec, standing: Standing) -> None:
        """Goes on with a node that had begun in an earlier life of the daemon."""
        scope = self._scope(spec, standing.began_at or self._services.clock.now())
        node = self._services.nodes.require(spec.type, spec.params)
        if standing.open is None or survives(node, spec):
            self._start(spec, scope, standing)
            return
        ended = interrupted(standing.open, self._services.clock.now())
        self._services.observer.attempt_ended(spec.type, ended)
        if spec.on_interrupt is OnInterrupt.RERUN:
            self._tried.add(spec.id)
            self._shared.writes.add(self._services.journal.finish(ended))
            self._start(spec, scope, standing.after_cut())
        else:
            self._conclude(AttemptOutcome(attempt=ended), scope.now())

    def _start_ready(self, ready: Iterable[NodeSpec]) -> None:
        """Decides about each ready node; a skip settles it and may make others ready."""
        queue, decided = deque(ready), list[NodeStatus]()
        while queue and self._cut.reason is None and not self._is_held:
            spec = queue.popleft()
            scope = self._scope(spec, self._services.clock.now())
            status = self._skip_or_failure(spec, scope)
            if status is None:
                self._start(spec, scope, FRESH)
                continue
            decided.append(status)
            self._shared.node_contexts[spec.id] = node_context(status, None)
            queue.extend(self.walk.settle(status))
        self._write_settled(decided)

    def _skip_or_failure(self, spec: NodeSpec, scope: ContextScope) -> NodeStatus | None:
        """Returns the final status of a node that does not start, or None when it does.

        It ends at the instant that `now()` was, so that the journal has it.
        """
        at = scope.now()
        obstacle = obstacle_to(spec, self.walk, self._about)
        if obstacle is not None:
            return self._status(spec.id, NodeState.SKIPPED, obstacle, at)
        condition = spec.condition
        if condition is None:
            return None
        try:
            wanted = truth(condition.evaluate(scope))
        except ExecutionError as error:
            details = dict(error.details)
            failure = Failure(code=error.code, message=f"if: {error.message}", details=details)
            return self._status(spec.id, NodeState.FAILED, error.code, at, failure)
        if not wanted:
            return self._status(spec.id, NodeState.SKIPPED, Reason.IF_FALSE, at)
        return None

    def _start(self, spec: NodeSpec, scope: ContextScope, standing: Standing) -> None:
        self.walk.states[spec.id] = NodeState.QUEUED
        name = f"node:{self._runtime.execution.id}:{spec.id}"
        task = asyncio.create_task(self._carry(spec, scope, standing), name=name)
        self._tasks[task] = spec.id
        task.add_done_callback(self._node_ended)

    def _node_ended(self, task: asyncio.Task[None]) -> None:
        """Settles a node that was cancelled between its attempts, or before the first."""
        name = self._tasks.pop(task)
        if task.cancelled():
            self._settle_cancelled([name])
        elif (error := task.exception()) is not None:
            self._shared.give_up(error)
        if not self._tasks:
            self._all_ended.set()

    async def _carry(self, spec: NodeSpec, scope: ContextScope, standing: Standing) -> None:
        """Tries a node until it is final, then settles it and starts what waited for it.

        `now()` is journaled as the start of the node: the instant at which its `if` held.
        """
        while True:
            if standing.due_at is not None:
                await self._sleep_until(standing.due_at)
            outcome = await self._attempt(spec, scope, standing)
            if not outcome.may_retry:
                break
            self._tried.add(spec.id)
            self._shared.writes.add(self._services.journal.finish(outcome.attempt))
            if self._is_held:
                return
            ended_at = outcome.attempt.ended_at or self._services.clock.now()
            delay_s = spec.retry.delay_after(standing.tries, self._services.chance())
            standing = standing.after(outcome.attempt, ended_at + timedelta(seconds=delay_s))
        if outcome.is_interrupted and spec.on_interrupt is OnInterrupt.RERUN:
            self._shared.writes.add(self._services.journal.finish(outcome.attempt))
            return
        self._conclude(outcome, scope.now())

    async def _sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - self._services.clock.now()).total_seconds()))

    async def _attempt(
        self, spec: NodeSpec, scope: ContextScope, standing: Standing
    ) -> AttemptOutcome:
        """Carries out one attempt; a process waits for its place among those of the host."""
        if holds_place(self._services.nodes.require(spec.type, spec.params)):
            async with self._runtime.place():
                outcome = await self._work(spec, scope, standing)
        else:
            outcome = await self._work(spec, scope, standing)
        self._services.observer.attempt_ended(spec.type, outcome.attempt)
        if self._cut.reason is not None:
            return replace(outcome, may_retry=False)
        return judged(spec.retry, outcome, scope, tries=standing.tries)

    async def _work(
        self, spec: NodeSpec, scope: ContextScope, standing: Standing
    ) -> AttemptOutcome:
        self.walk.states[spec.id] = NodeState.RUNNING
        if not survives(self._services.nodes.require(spec.type, spec.params), spec):
            self._at_work.add(spec.id)
        try:
            return await self._attempts.run(spec, standing.number, scope, resumed=standing.open)
        finally:
            self._at_work.discard(spec.id)

    def _conclude(self, outcome: AttemptOutcome, started_at: datetime) -> None:
        """Settles the node of an attempt that no other follows."""
        status = _node_status(outcome, started_at)
        self._shared.node_contexts[status.node] = node_context(status, outcome.attempt.exit_code)
        self._shared.writes.add(self._services.journal.finish(outcome.attempt, status))
        self._start_ready(self.walk.settle(status))

    def _settle_cancelled(self, names: Iterable[str]) -> None:
        """Settles nodes that a cancel keeps from their end; none that is left as it was."""
        if self._is_held:
            return
        reason = self._cut.reason or Reason.CANCELLED
        decided: list[NodeStatus] = []
        for name in names:
            status = self._status(name, NodeState.CANCELLED, reason, self._services.clock.now())
            self._shared.node_contexts[name] = node_context(status, None)
            self.walk.settle(status)
            attempt = None if name in self._tried else self._history.open_attempt(name)
            if attempt is None:
                decided.append(status)
            else:
                ended = interrupted(attempt, self._services.clock.now())
                self._services.observer.attempt_ended(self.walk.spec(name).type, ended)
                self._shared.writes.add(self._services.journal.finish(ended, status))
        self._write_settled(decided)

    def _write_settled(self, decided: list[NodeStatus]) -> None:
        if decided:
            self._shared.writes.add(self._services.journal.settle(decided))

    def _status(
        self,
        name: str,
        state: NodeState,
        reason: str,
        at: datetime,
        error: Failure | None = None,
    ) -> NodeStatus:
        """Returns the status of a node that ends without an attempt of its own deciding it."""
        return NodeStatus(
            execution=self._runtime.execution.id,
            node=name,
            state=state,
            reason=str(reason),
            error=error,
            ended_at=at,
        )

    def _scope(self, spec: NodeSpec, moment: datetime) -> ContextScope:
        """Returns what a node sees that starts now: the same instant in `if` and every attempt."""
        reason = self._runtime.cancel_reason
        answers = status_answers(spec, self.walk, self._about, reason)
        return ContextScope(self._shared.contexts, answers, moment)


def _node_status(outcome: AttemptOutcome, started_at: datetime) -> NodeStatus:
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
