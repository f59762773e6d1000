"""The journal of the backend without a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from flowrunner.model.execution import Attempt, NodeStatus
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import AttemptState
from flowrunner.storage.memory_tables import Tables, conflict, done


class MemoryJournal:
    """Meets `Journal`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def begin(self, attempt: Attempt) -> asyncio.Future[None]:
        """Records an attempt that is not known yet."""
        return done(lambda: self._begin(attempt))

    def finish(self, attempt: Attempt, node: NodeStatus | None = None) -> asyncio.Future[None]:
        """Records the end of an attempt and of the node it decides."""
        return done(lambda: self._tables.keep([attempt], [] if node is None else [node]))

    def settle(self, nodes: Sequence[NodeStatus]) -> asyncio.Future[None]:
        """Records final nodes, all or none."""
        return done(lambda: self._tables.keep([], nodes))

    async def attempts(self, execution_id: ExecutionId) -> list[Attempt]:
        """Returns the attempts of an execution in order of their key."""
        found = self._tables.attempts.get(execution_id, {})
        return [found[key] for key in sorted(found)]

    async def nodes(self, execution_id: ExecutionId) -> list[NodeStatus]:
        """Returns the final nodes of an execution in the order of their recording."""
        return list(self._tables.nodes.get(execution_id, {}).values())

    async def running(self) -> list[Attempt]:
        """Returns every attempt that has not ended."""
        every = [each for found in self._tables.attempts.values() for each in found.values()]
        running = (each for each in every if each.state is AttemptState.RUNNING)
        return sorted(running, key=lambda attempt: attempt.key)

    def _begin(self, attempt: Attempt) -> None:
        if attempt.key in self._tables.attempts.get(attempt.key.execution, {}):
            raise conflict(f"the attempt {attempt.key} is known already")
        self._tables.keep([attempt], [])
