"""Ends of executions that somebody in this process waits for, or wants to bring about."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import Reason
from flowrunner.nodes.base import LeftError
from flowrunner.storage.protocols import ExecutionStore

_LOG = logging.getLogger(__name__)
_AGAIN_S = 1.0
"""Seconds until what the store could not do is tried again."""

End = asyncio.Future[Execution | None]
"""None: the daemon stops and leaves the execution to its next life."""


class Ends:
    """Who waits for which execution; the engine tells it of every end.

    Args:
        executions: Knows those that had ended before somebody asked.
        cancel: Asks an execution to end; raises `StorageError` when that cannot be journaled.
    """

    def __init__(
        self,
        executions: ExecutionStore,
        cancel: Callable[[ExecutionId, Reason], Awaitable[bool]],
    ) -> None:
        self._executions = executions
        self._cancel = cancel
        self._waiters: dict[ExecutionId, set[End]] = {}
        self._guests: set[End] = set()
        self._is_stopping = False

    async def within(self, execution_id: ExecutionId, timeout_s: float) -> Execution | None:
        """Waits for an end for so many seconds; None when it has not come, or the daemon stops.

        Raises:
            StorageError: It cannot be read.
        """
        with self._awaited(execution_id) as end:
            found = await self._executions.get(execution_id)
            if found is None or found.state.is_final or self._is_stopping:
                return found if found is not None and found.state.is_final else None
            self._guests.add(end)
            try:
                await asyncio.wait([end], timeout=timeout_s)
            finally:
                self._guests.discard(end)
            return end.result() if end.done() else None

    async def of(self, execution_id: ExecutionId) -> Execution | None:
        """Waits for the end of an execution and returns it; None when it is known no more.

        Raises:
            LeftError: The daemon stops and leaves it as it is.
            StorageError: It cannot be read.
        """
        with self._awaited(execution_id) as end:
            found = await self._executions.get(execution_id)
            if found is None or found.state.is_final:
                return found
            if self._is_stopping:
                raise LeftError
            ended = await end
        if ended is None:
            raise LeftError
        return ended

    async def bring_about(self, execution_id: ExecutionId) -> bool:
        """Asks a child to end and returns when it has; False, at once, when the daemon stops.

        Cancelling it takes nothing back: it ends as it would, and says so then.
        """
        has_ended = is_cancelled = False
        while not self._is_stopping:
            try:
                await self._cancel(execution_id, Reason.PARENT)
                await self.of(execution_id)
                has_ended = True
                break
            except asyncio.CancelledError:
                is_cancelled = True
            except LeftError:
                break
            except StorageError as error:
                _LOG.error("execution.not_ended id=%s code=%s", execution_id, error.code)
                is_cancelled = await _slept() or is_cancelled
        if is_cancelled:
            raise asyncio.CancelledError
        return has_ended

    def tell(self, ended: Execution) -> None:
        """Says that an execution has ended."""
        self._settle(ended.id, ended)

    def leave(self, execution_ids: Iterable[ExecutionId]) -> None:
        """Says that executions are left to the next life of the daemon."""
        for each in execution_ids:
            self._settle(each, None)

    def stop(self) -> None:
        """Nothing is begun any more: who waits for a while waits no longer.

        Who brings an end about stops waiting when it is cancelled.
        """
        self._is_stopping = True
        for guest in self._guests:
            if not guest.done():
                guest.set_result(None)

    def _settle(self, execution_id: ExecutionId, end: Execution | None) -> None:
        for future in self._waiters.pop(execution_id, ()):
            if not future.done():
                future.set_result(end)

    @contextmanager
    def _awaited(self, execution_id: ExecutionId) -> Iterator[End]:
        future: End = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(execution_id, set()).add(future)
        try:
            yield future
        finally:
            waiters = self._waiters.get(execution_id, set())
            waiters.discard(future)
            if not waiters:
                self._waiters.pop(execution_id, None)


async def _slept() -> bool:
    """Lets a moment pass, and returns whether that was cancelled."""
    try:
        await asyncio.sleep(_AGAIN_S)
    except asyncio.CancelledError:
        return True
    return False
