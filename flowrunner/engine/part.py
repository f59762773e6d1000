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
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from functools import partial

from flowrunner.engine.attempt import AttemptOutcome, interrupted
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.history import FRESH, History, Standing, first_begin
from flowrunner.engine.items import ItemsOfNode, ItemsRun, items_of
from flowrunner.engine.judging import obstacle_to, status_answers
from flowrunner.engine.node_end import failed_by, node_status, skip_or_failure, unstarted
from flowrunner.engine.runtime import Cut, ExecutionRuntime, Shared, survives
from flowrunner.engine.scope import ContextScope, node_context
from flowrunner.engine.starting import MOST_A_TURN, Starting
from flowrunner.engine.tries import Tries
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Attempt, ItemCounts, NodeStatus
from flowrunner.model.flow import NodeSpec, OnInterrupt
from flowrunner.model.states import NodeState, Reason


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
        self._tries = Tries(runtime, self._cut, shared.writes, self._begun)
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._items: dict[str, ItemsRun] = {}
        self._starting = Starting(self._start_some, shared.give_up, self._look_for_end)
        self._all_ended = asyncio.Event()
        self.walk.take_over(history.nodes)

    @property
    def items(self) -> dict[str, ItemCounts]:
        """How far each node is that goes through its items now."""
        return {name: run.counts for name, run in self._items.items()}

    @property
    def is_held(self) -> bool:
        """Whether nothing more starts."""
        return self._cut.is_held

    async def run(self) -> None:
        """Takes up what had begun, starts what is ready, and returns when nothing is under way."""
        self._end_stale()
        if self._cut.reason is None and not self._cut.is_held:
            self._take_up_all()
        if self._tasks or self._starting.is_under_way:
            await self._all_ended.wait()

    def cut(self, reason: Reason) -> None:
        """Asks every node to end; a second call changes nothing.

        What the stop of the daemon has left already stays as it is, for the next life.
        """
        if self._cut.reason is not None:
            return
        self._cut.reason = reason
        self._starting.clear()
        for task, name in self._tasks.items():
            if name in self._items:
                self._items[name].cut(reason)
            else:
                task.cancel()
        running = set(self._tasks.values())
        self._settle_cancelled([name for name in self.walk.open_nodes() if name not in running])

    def hold(self) -> None:
        """Lets attempts that are at work go on; nothing starts any more, what waits is left."""
        self._cut.is_held = True
        self._starting.clear()
        for task, name in self._tasks.items():
            if name in self._items:
                self._items[name].hold()
            elif not self._tries.is_at_work(task):
                task.cancel()

    def stop(self) -> None:
        """Ends what is at work as interrupted, and leaves the rest."""
        self.hold()
        self.cut(Reason.INTERRUPTED)

    def forget(self) -> None:
        """Lets go of all that knows it; nothing is under way, and nothing more is asked of it."""
        self.walk.forget()
        del self._tries, self._starting

    def _end_stale(self) -> None:
        """Ends attempts whose end the journal has lost."""
        for attempt in self._history.stale:
            name, is_over = attempt.key.node, attempt.key in self._tries.over
            if name in self.walk.states and not is_over:
                self._shared.writes.add(self._services.journal.finish(self._lost(attempt)))

    def _take_up_all(self) -> None:
        fresh: list[NodeSpec] = []
        for spec in self.walk.ready():
            if past := self._history.of_node(spec.id):
                self._go_on(spec, past)
            else:
                fresh.append(spec)
        self._start_ready(fresh)

    def _go_on(self, spec: NodeSpec, past: Sequence[Attempt]) -> None:
        if spec.foreach is not None:
            self._take_up_items(spec, past)
        else:
            chance = self._services.chance()
            self._take_up(spec, self._history.standing(spec.id, spec.retry, chance))

    def _take_up(self, spec: NodeSpec, standing: Standing) -> None:
        """Goes on with a node that had begun in an earlier life of the daemon."""
        scope = self._scope(spec, standing.began_at or self._services.clock.now())
        node = self._services.nodes.require(spec.type, spec.params)
        if standing.open is None or survives(node, spec):
            self._start(spec, scope, standing)
            return
        cut_short = partial(self._cut_short, spec, scope, standing, standing.open)
        self._after_children(spec.id, cut_short)

    def _cut_short(
        self, spec: NodeSpec, scope: ContextScope, standing: Standing, attempt: Attempt
    ) -> None:
        """Ends an attempt that does not go on; another may follow."""
        ended = self._lost(attempt)
        if spec.on_interrupt is OnInterrupt.RERUN:
            self._shared.writes.add(self._services.journal.finish(ended))
            self._start(spec, scope, standing.after_cut())
        else:
            self._conclude(AttemptOutcome(attempt=ended), scope.now())

    def _take_up_items(self, spec: NodeSpec, past: Sequence[Attempt]) -> None:
        """Goes on with the items of a node that had begun in an earlier life of the daemon."""
        began_at = first_begin(past, self._runtime.execution)
        scope = self._scope(spec, began_at or self._services.clock.now())
        status = self._begin_items(spec, scope, past)
        if status is not None:
            self._settle(status)

    def _settle(self, status: NodeStatus) -> None:
        """Settles a node that had begun in an earlier life of the daemon and goes on no more."""
        self._write_end(status)
        self._start_ready(self.walk.settle(status))

    def _start_ready(self, ready: Iterable[NodeSpec]) -> None:
        """Decides about each ready node, and starts those that are to run, a few in each turn."""
        self._starting.add(ready)

    def _start_some(self, ready: Iterable[NodeSpec]) -> None:
        for spec, scope in self._to_start(ready):
            self._start(spec, scope, FRESH)

    def _look_for_end(self) -> None:
        if not self._tasks and not self._starting.is_under_way:
            self._all_ended.set()

    def _to_start(self, ready: Iterable[NodeSpec]) -> list[tuple[NodeSpec, ContextScope]]:
        """Decides about each ready node; a skip settles it and may make others ready.

        Returns those to start, but for nodes with items, which are started here, and for those
        that had begun: while a disk failed, such a begin was kept, and an end before it was lost.
        """
        queue, decided = deque(ready), list[NodeStatus]()
        starting: list[tuple[NodeSpec, ContextScope]] = []
        while queue and self._cut.reason is None and not self._cut.is_held:
            spec = queue.popleft()
            scope = self._scope(spec, self._services.clock.now())
            obstacle = obstacle_to(spec, self.walk, self._about)
            status = skip_or_failure(self._runtime.execution.id, spec, scope, obstacle)
            past = self._history.of_node(spec.id)
            if past:
                if status is None:
                    self._go_on(spec, past)
                else:
                    self._after_children(spec.id, partial(self._settle, status))
                continue
            if status is None and spec.foreach is None:
                starting.append((spec, scope))
                continue
            status = status or self._begin_items(spec, scope)
            if status is None:
                continue
            decided.append(status)
            self._shared.node_contexts[spec.id] = node_context(status, None)
            queue.extend(self.walk.settle(status))
        self._write_settled(decided)
        return starting

    def _begin_items(
        self, spec: NodeSpec, scope: ContextScope, past: Sequence[Attempt] = ()
    ) -> NodeStatus | None:
        """Starts a node with items, unless these are not to be had: then it has failed."""
        try:
            items = items_of(spec, scope)
        except ExecutionError as error:
            return failed_by(self._runtime.execution.id, spec, "foreach", error, scope.now())
        children = self._history.children
        node = ItemsOfNode(spec=spec, scope=scope, items=items, past=past, children=children)
        run = ItemsRun(self._runtime, self._shared.writes, node, self._begun, self._shared.give_up)
        self._items[spec.id] = run
        self._own(spec, self._carry_items(spec, run))
        return None

    def _start(self, spec: NodeSpec, scope: ContextScope, standing: Standing) -> None:
        self._own(spec, self._carry(spec, scope, standing))

    def _own(self, spec: NodeSpec, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=self._task_name(spec))
        self._give(spec, task)
        task.add_done_callback(self._node_ended)

    def _give(self, spec: NodeSpec, task: asyncio.Task[None]) -> None:
        self.walk.states[spec.id] = NodeState.QUEUED
        self._tasks[task] = spec.id

    def _task_name(self, spec: NodeSpec) -> str:
        return f"node:{self._runtime.execution.id}:{spec.id}"

    def _begun(self, name: str) -> None:
        self.walk.states[name] = NodeState.RUNNING

    def _after_children(self, node: str, then: Callable[[], None]) -> None:
        """Ends children that an earlier life of a node waits for, before it is settled."""
        children = self._history.children_of(node)
        if not children:
            then()
            return

        async def end() -> None:
            ends = map(self._runtime.ends.bring_about, children)
            await asyncio.gather(*ends, return_exceptions=True)  # waits for all, also if cancelled
            if not self._cut.is_held:
                then()

        self.walk.states[node] = NodeState.RUNNING
        name = f"children:{self._runtime.execution.id}:{node}"
        task = asyncio.create_task(end(), name=name)
        self._tasks[task] = node
        task.add_done_callback(self._node_ended)

    def _node_ended(self, task: asyncio.Task[None]) -> None:
        """Settles a node that was cancelled between its attempts, or before the first."""
        name = self._tasks.pop(task)
        if task.cancelled():
            self._settle_cancelled([name])
        elif (error := task.exception()) is not None:
            self._shared.give_up(error)
        self._look_for_end()

    async def _carry(self, spec: NodeSpec, scope: ContextScope, standing: Standing) -> None:
        """Tries a node until it is final, then settles it and starts what waited for it.

        The last of these it carries on itself, in the next turn, as a task of its own would: for
        a chain of quick nodes a task for each was a fifth of their cost.

        `now()` is journaled as the start of the node: the instant at which its `if` held.
        """
        task = asyncio.current_task()
        while (outcome := await self._tries.run(spec, scope, standing)) is not None:
            ready = self._settled(outcome, scope.now())
            if task is None or len(ready) > MOST_A_TURN:
                self._start_ready(ready)
                break
            starting = self._to_start(ready)
            if not starting:
                break
            for each in starting[:-1]:
                self._start(*each, FRESH)
            (spec, scope), standing = starting[-1], FRESH
            task.set_name(self._task_name(spec))
            self._give(spec, task)
            await asyncio.sleep(0)

    async def _carry_items(self, spec: NodeSpec, run: ItemsRun) -> None:
        """Goes through the items of a node, then settles it and starts what waited for it."""
        status = await run.run()
        del self._items[spec.id]
        if status is not None:
            self._shared.node_contexts[spec.id] = node_context(status, run.exit_code)
            self._write_settled([status])
            self._start_ready(self.walk.settle(status))

    def _conclude(self, outcome: AttemptOutcome, started_at: datetime) -> None:
        """Settles the node of an attempt that no other follows, and starts what waited for it."""
        self._start_ready(self._settled(outcome, started_at))

    def _settled(self, outcome: AttemptOutcome, started_at: datetime) -> list[NodeSpec]:
        """Settles the node of an attempt that no other follows; returns those ready by that."""
        status = node_status(outcome, started_at)
        self._shared.node_contexts[status.node] = node_context(status, outcome.attempt.exit_code)
        self._shared.writes.add(self._services.journal.finish(outcome.attempt, status))
        return self.walk.settle(status)

    def _settle_cancelled(self, names: Iterable[str]) -> None:
        """Settles nodes that a cancel keeps from their end; none that is left as it was."""
        if self._cut.is_held:
            return
        decided: list[NodeStatus] = []
        for name in names:
            if self._history.children_of(name):
                self._after_children(name, partial(self._cancelled_first, name))
                continue
            status = self._cancelled(name)
            if self._still_open(name):
                self._write_end(status)
            else:
                self._shared.node_contexts[name] = node_context(status, None)
                decided.append(status)
        self._write_settled(decided)

    def _cancelled_first(self, name: str) -> None:
        self._write_end(self._cancelled(name))

    def _cancelled(self, name: str) -> NodeStatus:
        """Settles a node as cancelled, and returns what is to be written."""
        reason = self._cut.reason or Reason.CANCELLED
        status = unstarted(
            self._runtime.execution.id,
            name,
            NodeState.CANCELLED,
            reason,
            self._services.clock.now(),
        )
        self.walk.settle(status)
        return status

    def _write_end(self, status: NodeStatus) -> None:
        """Journals the end of a node, before it that of attempts that an earlier life began."""
        self._shared.node_contexts[status.node] = node_context(status, None)
        still_open = self._still_open(status.node)
        for left, attempt in enumerate(reversed(still_open)):
            is_last = left == len(still_open) - 1
            ended = self._lost(attempt)
            write = self._services.journal.finish(ended, status if is_last else None)
            self._shared.writes.add(write)
        self._write_settled([] if still_open else [status])

    def _lost(self, attempt: Attempt) -> Attempt:
        """Returns the end of an attempt that an earlier life began, and tells of it, once."""
        ended = interrupted(attempt, self._services.clock.now())
        self._tries.over.add(attempt.key)
        self._runtime.tell_end(self.walk.spec(attempt.key.node).type, ended)
        return ended

    def _still_open(self, name: str) -> list[Attempt]:
        """Returns the attempts that an earlier life began and nobody has ended."""
        known = self._history.open_attempts(name)
        return [attempt for attempt in known if attempt.key not in self._tries.over]

    def _write_settled(self, decided: list[NodeStatus]) -> None:
        if decided:
            self._shared.writes.add(self._services.journal.settle(decided))

    def _scope(self, spec: NodeSpec, moment: datetime) -> ContextScope:
        """Returns what a node sees that starts now: the same instant in `if` and every attempt."""
        reason = self._runtime.cancel_reason
        answers = status_answers(spec, self.walk, self._about, reason)
        return ContextScope(self._shared.contexts, answers, moment)
