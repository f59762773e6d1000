"""Reading executions: pages, one with its nodes, and the logs of its attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flowrunner.engine.engine import Engine
from flowrunner.errors import NotFoundError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId
from flowrunner.service.declared import Declared, DeclaredNodes
from flowrunner.service.log_feed import LogFeed, Place
from flowrunner.service.log_pages import LoggedAttempt, read_page
from flowrunner.service.node_views import logged_attempts, node_views
from flowrunner.service.views import ExecutionView, LogCursor, LogPage, Page
from flowrunner.storage.protocols import ExecutionQuery, Storage

PAGE_DATA = 4 * 1024**2
"""Bytes of inputs, as JSON, in one page of executions."""

_QUICK = 200
"""Nodes and attempts that are put together faster than a thread would be asked to do it."""


MOST_CHILDREN = 1_000
"""Children that are shown of one execution."""


class ExecutionReader:
    """Reads what the journal and the engine know about executions.

    Args:
        storage: What was journaled.
        engine: What is under way.
        logs: The folder of the logs.
        logs_are_gone: Whether an ended execution, of which nothing is there, may have printed
            something that was removed; called in a thread.
        has_pinned_files: Whether the files beside the flow are those of its revision.
    """

    def __init__(
        self,
        storage: Storage,
        engine: Engine,
        logs: Path,
        logs_are_gone: Callable[[Execution], bool] = lambda _: False,
        has_pinned_files: Callable[[Execution], bool] = lambda _: False,
    ) -> None:
        self._logs_are_gone = logs_are_gone
        self._has_pinned_files = has_pinned_files
        self._storage = storage
        self._engine = engine
        self._logs = logs
        self._declared = DeclaredNodes(storage.definitions)
        self._feed = LogFeed(self._read_logs)

    async def page(self, query: ExecutionQuery, *, with_inputs: bool) -> Page:
        """Returns a page of executions, newest first.

        With inputs it ends early once they are larger than `PAGE_DATA` together.
        """
        found = await self._storage.executions.list(query)
        has_more = len(found) == query.limit
        if with_inputs:
            ids = [execution.id for execution in found]
            inputs = await self._storage.executions.inputs(ids, most_bytes=PAGE_DATA)
            has_more = has_more or len(inputs) < len(found)
            found = [
                replace(execution, inputs=inputs[execution.id])
                for execution in found
                if execution.id in inputs
            ]
        views = tuple(ExecutionView(execution=each, files=self._files(each)) for each in found)
        return Page(items=views, next_cursor=found[-1].id if found and has_more else None)

    async def view(self, execution_id: ExecutionId) -> ExecutionView:
        """Returns one execution with its nodes in the order of its definition.

        Raises:
            NotFoundError: There is no such execution.
        """
        execution = await self._get(execution_id)
        live = self._engine.live_states(execution_id) or {}
        settled = await self._storage.journal.nodes(execution_id)
        attempts = await self._storage.journal.attempts(execution_id)
        declared = await self._declared.of(execution.digest)
        items = self._engine.live_items(execution_id)
        if len(declared) + len(attempts) <= _QUICK:
            nodes = node_views(declared, live, items, settled, attempts)
        else:
            nodes = await asyncio.to_thread(node_views, declared, live, items, settled, attempts)
        children = await self._children(execution_id, declared)
        files = self._files(execution)
        return ExecutionView(execution=execution, nodes=nodes, children=children, files=files)

    def _files(self, execution: Execution) -> str:
        return "pinned" if self._has_pinned_files(execution) else "live"

    async def logs(self, place: Place, wait_s: float) -> LogPage:
        """Returns what was logged behind a place, attempt by attempt; see `LogFeed.page`.

        Raises:
            NotFoundError: There is no such execution.
        """
        return await self._feed.page(place, wait_s)

    async def _read_logs(self, place: Place) -> LogPage:
        execution, node = await self._get(ExecutionId(place.execution_id)), place.node
        attempts = [
            each
            for each in await self._logged(execution)
            if node in (None, each.node) and place.item in (None, each.item)
        ]
        page = await asyncio.to_thread(
            read_page, attempts, place.cursor, execution_ended=execution.state.is_final
        )
        if page.chunks or not page.is_complete or place.cursor != LogCursor():
            return page
        return replace(page, is_removed=await asyncio.to_thread(self._logs_are_gone, execution))

    async def _logged(self, execution: Execution) -> list[LoggedAttempt]:
        """Returns every attempt that may have a log, in order of start."""
        live = self._engine.live_states(execution.id) or {}
        attempts = await self._storage.journal.attempts(execution.id)
        declared = await self._declared.of(execution.digest)
        settled = await self._storage.journal.nodes(execution.id)
        return logged_attempts(execution, declared, live, settled, attempts, self._logs)

    async def _children(
        self, execution_id: ExecutionId, declared: Declared
    ) -> tuple[Execution, ...]:
        if all(node.type != "flow" for node in declared):
            return ()
        found = await self._storage.executions.children(execution_id, limit=MOST_CHILDREN)
        return tuple(found)

    async def _get(self, execution_id: ExecutionId) -> Execution:
        execution = await self._storage.executions.get(execution_id)
        if execution is None:
            raise NotFoundError(f"there is no execution {execution_id[:64]!r}")
        return execution
