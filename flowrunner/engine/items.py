"""The items of a node with `foreach`: each is tried like a node of its own, some at a time.

They start in order. An item's end is journaled with its last attempt, so that the next life of the
daemon repeats none that has ended and knows what each gave back. Source: FLOW_FORMAT 4, `foreach`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from flowrunner.dataclass import dataclass
from flowrunner.engine.attempt import AttemptOutcome, interrupted
from flowrunner.engine.history import FRESH, ITEM, Standing, standing_of
from flowrunner.engine.runtime import Cut, ExecutionRuntime, survives
from flowrunner.engine.scope import ContextScope, resolve
from flowrunner.engine.tries import Tries
from flowrunner.engine.writes import PendingWrites
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Attempt, ItemCounts, ItemEnd, NodeStatus
from flowrunner.model.expressions import UNDECIDED_HINT
from flowrunner.model.expressions.values import kind_of
from flowrunner.model.flow import MOST_ITEMS, NodeSpec, OnInterrupt
from flowrunner.model.ids import AttemptKey, ExecutionId, Json
from flowrunner.model.secret import SecretValue
from flowrunner.model.states import AttemptState, NodeState, Reason

CODE = "foreach"
"""Of the failure of a node whose `foreach` gives no list, or too long a one."""

_AT_FAULT = {
    AttemptState.FAILED: NodeState.FAILED,
    AttemptState.TIMED_OUT: NodeState.TIMED_OUT,
}


def items_of(spec: NodeSpec, scope: ContextScope) -> Sequence[Json]:
    """Returns the items of a node that starts.

    Raises:
        ExecutionError: ``expression`` when they cannot be evaluated, ``foreach`` when that gives
            no list or more than `MOST_ITEMS`.
    """
    found = resolve(spec.foreach, scope)
    if isinstance(found, SecretValue):
        raise ExecutionError(f"a secret is no list: {UNDECIDED_HINT}", code=CODE, final=True)
    if not isinstance(found, list | tuple):
        raise ExecutionError(f"it must give a list, not a {kind_of(found)}", code=CODE, final=True)
    if len(found) > MOST_ITEMS:
        message = f"the list has {len(found):,} items, and may have {MOST_ITEMS:,}"
        raise ExecutionError(message, code=CODE, final=True)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsOfNode:
    """A node that has started, with its items.

    Attributes:
        scope: What its expressions see, but for `item` and `index`.
        past: Its attempts in earlier lives of the daemon, in the order of their keys.
        children: Executions that have not ended, by the attempts among these that wait for them.
    """

    spec: NodeSpec
    scope: ContextScope
    items: Sequence[Json]
    past: Sequence[Attempt] = ()
    children: Mapping[AttemptKey, ExecutionId] = field(default_factory=dict)


class ItemsRun:
    """Carries the items of one node; made for it and thrown away after it.

    Args:
        begun: As for `Tries`.
        give_up: Told of faults that keep the execution from being carried on.
    """

    def __init__(
        self,
        runtime: ExecutionRuntime,
        writes: PendingWrites,
        node: ItemsOfNode,
        begun: Callable[[str], None],
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._services = runtime.services
        self._ends = runtime.ends
        self._tell_end = runtime.tell_end
        self._execution = runtime.execution.id
        self._writes = writes
        self._node = node
        self._give_up = give_up
        self._cut = Cut()
        self._tries = Tries(runtime, self._cut, writes, begun)
        self._stops = node.spec.fail_fast and not node.spec.continue_on_error
        self._outputs: list[Json] = [None] * len(node.items)
        self._is_final = [False] * len(node.items)
        self._final = self._succeeded = self._failed = 0
        self._at_fault: Attempt | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._left: list[ExecutionId] = []
        standings = self._taken_over()
        self._resumed = [each.open for each in standings.values() if each.open is not None]
        self._waiting = self._in_order(standings)

    @property
    def counts(self) -> ItemCounts:
        """How far it is."""
        total = len(self._node.items)
        return ItemCounts(total=total, succeeded=self._succeeded, failed=self._failed)

    @property
    def exit_code(self) -> int | None:
        """The exit code of the item at fault."""
        return None if self._at_fault is None else self._at_fault.exit_code

    async def run(self) -> NodeStatus | None:
        """Tries what is not final, and returns what the node comes to.

        None means that some items are left for the next life of the daemon.
        """
        if not await self._have_ended(self._left):
            return None
        spec = self._node.spec
        several = min(spec.max_parallel, len(self._node.items) - self._final)
        for number in range(several):
            name = f"items:{self._execution}:{spec.id}:{number}"
            worker = asyncio.create_task(self._work(), name=name)
            worker.add_done_callback(self._worker_ended)
            self._workers.append(worker)
        if self._workers:
            await asyncio.wait(self._workers)
        status = self._status()
        return None if status is None or not await self._none_left() else status

    async def _have_ended(self, children: Iterable[ExecutionId]) -> bool:
        for child in children:
            if not await self._ends.bring_about(child):
                return False
        return True

    async def _none_left(self) -> bool:
        """Ends attempts that a cut has kept from going on; False means that they are left."""
        left = [attempt for attempt in self._resumed if attempt.key not in self._tries.over]
        children = (self._node.children.get(attempt.key) for attempt in left)
        if not await self._have_ended(filter(None, children)):
            return False
        for attempt in left:
            ended = interrupted(attempt, self._services.clock.now())
            self._tell_end(self._node.spec.type, ended)
            self._writes.add(self._services.journal.finish(replace(ended, item_end=ItemEnd())))
        return True

    def cut(self, reason: Reason) -> None:
        """Asks every item to end, and starts none any more; the first reason stays."""
        if self._cut.reason is None:
            self._cut.reason = reason
            for worker in self._workers:
                worker.cancel()

    def hold(self) -> None:
        """Starts no item any more; attempts that are at work may go on, what waits is left."""
        self._cut.is_held = True
        for worker in self._workers:
            if not self._tries.is_at_work(worker):
                worker.cancel()

    def _taken_over(self) -> dict[int, Standing]:
        """Takes over what earlier lives came to; returns where the items stand that had begun."""
        spec, by_item = self._node.spec, dict[int, list[Attempt]]()
        for attempt in self._node.past:
            by_item.setdefault(attempt.key.item_index, []).append(attempt)
        known = {i: each for i, each in by_item.items() if i < len(self._node.items)}
        lasts = (attempts[-1] for attempts in known.values())
        ends = [last for last in lasts if last.item_end is not None]
        for attempt in sorted(ends, key=lambda each: each.ended_at or each.started_at):
            self._note(attempt)
        goes_on = survives(self._services.nodes.require(spec.type, spec.params), spec)
        standings: dict[int, Standing] = {}
        for index, attempts in known.items():
            if self._is_final[index]:
                continue
            standing = standing_of(attempts, spec.retry, self._services.chance())
            if standing.open is None or (goes_on and self._cut.reason is None):
                standings[index] = standing
                continue
            if child := self._node.children.get(standing.open.key):
                self._left.append(child)
            ended = interrupted(standing.open, self._services.clock.now())
            self._tell_end(spec.type, ended)
            if spec.on_interrupt is OnInterrupt.RERUN and self._cut.reason is None:
                self._writes.add(self._services.journal.finish(ended))
                standings[index] = standing.after_cut()
            else:
                self._end(AttemptOutcome(attempt=ended))
        return standings

    def _in_order(self, standings: dict[int, Standing]) -> Iterator[tuple[int, Standing]]:
        """Yields the items that are not final."""
        for index, is_final in enumerate(self._is_final):
            if not is_final:
                yield index, standings.get(index, FRESH)

    async def _work(self) -> None:
        """Tries one item after the other.

        Between two of them it lets others have a turn, as items of a type that never waits would
        hold the loop, and waits for the disk.
        """
        spec, scope, items = self._node.spec, self._node.scope, self._node.items
        while self._cut.reason is None and not self._cut.is_held:
            index, standing = next(self._waiting, (None, FRESH))
            if index is None:
                return
            own = scope.with_item(items[index], index)
            outcome = await self._tries.run(spec, own, standing, index)
            if outcome is not None:
                self._end(outcome)
            await asyncio.sleep(0)
            await self._writes.eased()

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._give_up(error)

    def _end(self, outcome: AttemptOutcome) -> None:
        """Journals the attempt that decides its item."""
        has_outputs = outcome.attempt.state is AttemptState.SUCCEEDED
        end = ItemEnd(outputs=dict(outcome.outputs or {}) if has_outputs else None)
        attempt = replace(outcome.attempt, item_end=end)
        self._writes.add(self._services.journal.finish(attempt))
        self._note(attempt)

    def _note(self, attempt: Attempt) -> None:
        """Counts an item that is final; the first that failed may keep the others from going on."""
        index = attempt.key.item_index
        self._is_final[index] = True
        self._final += 1
        if attempt.state is AttemptState.SUCCEEDED and attempt.item_end is not None:
            self._succeeded += 1
            self._outputs[index] = attempt.item_end.outputs
        elif attempt.state in _AT_FAULT:
            self._failed += 1
            self._at_fault = self._at_fault or attempt
            if self._stops:
                self.cut(Reason.FAIL_FAST)

    def _status(self) -> NodeStatus | None:
        is_complete = self._final == len(self._node.items)
        if self._cut.is_held and any(worker.cancelled() for worker in self._workers):
            return None  # an attempt may be left, which the node must not end before
        attempt = self._at_fault
        if attempt is not None and (is_complete or self._stops):
            return self._failed_by(attempt)
        if self._succeeded == len(self._node.items):
            return self._ended(NodeState.SUCCEEDED)
        if self._cut.reason in (None, Reason.INTERRUPTED) and not is_complete:
            return None
        return self._ended(NodeState.CANCELLED, str(self._cut.reason or Reason.CANCELLED))

    def _failed_by(self, attempt: Attempt) -> NodeStatus:
        """Returns the end of a node by the item that failed first, which its error names."""
        error, index = attempt.error, attempt.key.item_index
        if error is not None:
            details = {**error.details, ITEM: index}
            error = replace(error, message=f"item {index}: {error.message}", details=details)
        status = self._ended(_AT_FAULT[attempt.state], attempt.reason)
        return replace(status, error=error)

    def _ended(self, state: NodeState, reason: str = "") -> NodeStatus:
        return NodeStatus(
            execution=self._execution,
            node=self._node.spec.id,
            state=state,
            reason=reason,
            outputs=self._outputs,
            started_at=self._node.scope.now(),
            ended_at=self._services.clock.now(),
        )
