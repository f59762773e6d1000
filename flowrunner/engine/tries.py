"""Tries a node, or one item of it, until no other attempt follows: places, delays, retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from flowrunner.engine.attempt import AttemptOutcome, AttemptRunner
from flowrunner.engine.history import Standing
from flowrunner.engine.retries import judged
from flowrunner.engine.runtime import Cut, ExecutionRuntime, holds_place, survives
from flowrunner.engine.scope import ContextScope
from flowrunner.engine.writes import PendingWrites
from flowrunner.model.flow import NodeSpec, OnInterrupt
from flowrunner.model.ids import AttemptKey
from flowrunner.nodes.base import Node


class Tries:
    """Serves the tasks that are cut together; journals all but the end that decides.

    Args:
        begun: Told of each attempt that has its place, by the node.

    Attributes:
        over: Attempts of an earlier life that have ended in this one.
    """

    def __init__(
        self,
        runtime: ExecutionRuntime,
        cut: Cut,
        writes: PendingWrites,
        begun: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._services = runtime.services
        self._cut = cut
        self._writes = writes
        self._begun = begun
        self.over: set[AttemptKey] = set()
        self._attempts = AttemptRunner(runtime, cut, writes)
        self._at_work: set[asyncio.Task[None] | None] = set()

    def is_at_work(self, task: asyncio.Task[None]) -> bool:
        """Whether a task carries out an attempt that a stop of the daemon gives its time."""
        return task in self._at_work

    async def run(
        self, spec: NodeSpec, scope: ContextScope, standing: Standing, item: int = 0
    ) -> AttemptOutcome | None:
        """Returns the attempt that no other follows; None: it is left for the next life.

        Raises:
            StorageError: A begin could not be journaled; nothing was done.
        """
        while True:
            if standing.due_at is not None:
                most_s = spec.retry.delay_after(standing.tries - 1, 0)
                await self._sleep_until(standing.due_at, most_s)
            outcome = await self._attempt(spec, scope, standing, item)
            if standing.open is not None:
                self.over.add(standing.open.key)
            if not outcome.may_retry:
                break
            self._writes.add(self._services.journal.finish(outcome.attempt))
            if self._cut.is_held:
                return None
            ended_at = outcome.attempt.ended_at or self._services.clock.now()
            delay_s = spec.retry.delay_after(standing.tries, self._services.chance())
            standing = standing.after(outcome.attempt, ended_at + timedelta(seconds=delay_s))
        if outcome.is_interrupted and spec.on_interrupt is OnInterrupt.RERUN:
            self._writes.add(self._services.journal.finish(outcome.attempt))
            return None
        return outcome

    async def _sleep_until(self, at: datetime, most_s: float) -> None:
        """Sleeps no longer than the whole delay: the clock may have been set back since."""
        left_s = (at - self._services.clock.now()).total_seconds()
        await asyncio.sleep(min(max(0.0, left_s), most_s))

    async def _attempt(
        self, spec: NodeSpec, scope: ContextScope, standing: Standing, item: int
    ) -> AttemptOutcome:
        """Carries out one attempt; a process waits for its place among those of the host."""
        node = self._services.nodes.require(spec.type, spec.params)
        if holds_place(node):
            async with self._runtime.place():
                outcome = await self._work(node, spec, scope, standing, item)
        else:
            outcome = await self._work(node, spec, scope, standing, item)
        self._runtime.tell_end(spec.type, outcome.attempt)
        if self._cut.reason is not None:
            return replace(outcome, may_retry=False)
        return judged(spec.retry, outcome, scope, tries=standing.tries)

    async def _work(
        self, node: Node, spec: NodeSpec, scope: ContextScope, standing: Standing, item: int
    ) -> AttemptOutcome:
        self._begun(spec.id)
        task = asyncio.current_task()
        if not survives(node, spec):
            self._at_work.add(task)
        try:
            return await self._attempts.run(
                spec, standing.number, scope, item=item, resumed=standing.open
            )
        finally:
            self._at_work.discard(task)
