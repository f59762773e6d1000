"""Reading executions: pages, one with its nodes, and the logs of its attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowrunner.definitions.build import node_type
from flowrunner.engine.engine import Engine
from flowrunner.engine.runtime import log_path
from flowrunner.errors import NotFoundError
from flowrunner.model.execution import Attempt, Execution, NodeStatus
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import NodeState
from flowrunner.service.views import (
    ExecutionView,
    LogChunk,
    LogEntry,
    LogPage,
    NodeView,
    Page,
)
from flowrunner.storage.protocols import ExecutionQuery, Storage
from flowrunner.telemetry.attempt_log import read_log

LINES_LIMIT = 1_000
"""Lines of one attempt in one page of logs."""


class ExecutionReader:
    """Reads what the journal and the engine know about executions."""

    def __init__(self, storage: Storage, engine: Engine, logs: Path) -> None:
        self._storage = storage
        self._engine = engine
        self._logs = logs

    async def page(self, query: ExecutionQuery) -> Page:
        """Returns a page of executions, newest first."""
        found = await self._storage.executions.list(query)
        views = tuple(ExecutionView(execution=execution) for execution in found)
        full = len(found) == query.limit
        return Page(items=views, next_cursor=found[-1].id if found and full else None)

    async def view(self, execution_id: ExecutionId) -> ExecutionView:
        """Returns one execution with its nodes in the order of its definition.

        Raises:
            NotFoundError: There is no such execution.
        """
        execution = await self._get(execution_id)
        live = self._engine.live_states(execution_id) or {}
        settled = {s.node: s for s in await self._storage.journal.nodes(execution_id)}
        attempts = await self._storage.journal.attempts(execution_id)
        nodes = [
            _node(name, kind, live.get(name), settled.get(name), attempts)
            for name, kind in await self._declared(execution)
        ]
        return ExecutionView(execution=execution, nodes=tuple(nodes))

    async def logs(
        self, execution_id: ExecutionId, node: str | None, cursor: Mapping[str, int]
    ) -> LogPage:
        """Returns what was logged since the cursor, attempt by attempt.

        Raises:
            NotFoundError: There is no such execution.
        """
        execution = await self._get(execution_id)
        attempts = [
            attempt
            for attempt in await self._logged(execution)
            if node is None or attempt[0] == node
        ]
        return await asyncio.to_thread(self._read, execution, attempts, cursor)

    def _read(
        self,
        execution: Execution,
        attempts: Sequence[tuple[str, int]],
        cursor: Mapping[str, int],
    ) -> LogPage:
        chunks, offsets, read_all = [], dict(cursor), True
        for name, number in attempts:
            path = log_path(self._logs, execution, name, number)
            offset = offsets.get(path.name, 0)
            lines, offsets[path.name] = read_log(path, offset=offset, limit=LINES_LIMIT)
            read_all = read_all and len(lines) < LINES_LIMIT
            entries = tuple(
                LogEntry(at=line.at, stream=line.stream, text=line.text, is_partial=line.partial)
                for line in lines
            )
            if entries:
                chunks.append(LogChunk(node=name, attempt=number, lines=entries))
        return LogPage(
            chunks=tuple(chunks),
            cursor=offsets,
            is_complete=execution.state.is_final and read_all,
        )

    async def _logged(self, execution: Execution) -> list[tuple[str, int]]:
        """Returns (node, attempt) of every attempt that may have a log, in order of start."""
        attempts = await self._storage.journal.attempts(execution.id)
        known = [
            (attempt.key.node, attempt.key.number)
            for attempt in sorted(attempts, key=lambda attempt: attempt.started_at)
        ]
        live = self._engine.live_states(execution.id) or {}
        running = [(name, 1) for name, state in live.items() if state is NodeState.RUNNING]
        return list(dict.fromkeys([*known, *running]))

    async def _declared(self, execution: Execution) -> list[tuple[str, str]]:
        definition = await self._storage.definitions.get(execution.digest)
        if definition is None:
            return []
        return [(raw["id"], node_type(raw)) for raw in definition["nodes"]]

    async def _get(self, execution_id: ExecutionId) -> Execution:
        execution = await self._storage.executions.get(execution_id)
        if execution is None:
            raise NotFoundError(f"there is no execution {execution_id[:64]!r}")
        return execution


def _node(
    name: str,
    kind: str,
    live: NodeState | None,
    settled: NodeStatus | None,
    attempts: Sequence[Attempt],
) -> NodeView:
    own = tuple(attempt for attempt in attempts if attempt.key.node == name)
    if settled is None:
        return NodeView(
            id=name, type=kind, state=live or NodeState.PENDING, reason="", attempts=own
        )
    return NodeView(
        id=name,
        type=kind,
        state=settled.state,
        reason=settled.reason,
        attempts=own,
        outputs=settled.outputs,
        error=settled.error,
    )
