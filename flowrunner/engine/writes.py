"""Writes of the journal that one execution has asked for and does not wait for one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MOST_PENDING = 500
"""Writes of one execution after which items of a `foreach` wait for the disk."""


class PendingWrites:
    """Keeps futures until they are done; a fault is told at once."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._pending: set[asyncio.Future[None]] = set()
        self._latest: asyncio.Future[None] | None = None
        self._all_written: asyncio.Future[None] | None = None

    def add(self, future: asyncio.Future[None]) -> None:
        """Leaves a write to itself."""
        self._pending.add(future)
        self._latest = future
        future.add_done_callback(self._written)

    async def eased(self) -> None:
        """Returns at once, or, while too many writes are pending, when those until now are kept."""
        if len(self._pending) > MOST_PENDING and self._latest is not None:
            await asyncio.wait((self._latest,))

    async def settled(self) -> None:
        """Returns when nothing is pending any more."""
        while self._pending:
            self._all_written = asyncio.get_running_loop().create_future()
            await self._all_written

    async def written(self) -> None:
        """Returns when all that was asked for until now is on disk.

        Raises:
            StorageError: Some of it is not; that was told already.
        """
        asked = frozenset(self._pending)
        if asked:
            await asyncio.wait(asked)
        for future in asked:
            future.result()

    def _written(self, future: asyncio.Future[None]) -> None:
        self._pending.discard(future)
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._on_error(error)
        if not self._pending and self._all_written is not None and not self._all_written.done():
            self._all_written.set_result(None)
