"""Places for processes: how many run at once on this host, and who gets a place that is free.

`asyncio.Semaphore` serves in the order of arrival alone; here who was started by hand comes
first, since a person waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count


class NodeSlots:
    """A number of places, in one event loop.

    Args:
        most: How many places there are; at least 1.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._order = count()
        self._line: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, *, by_hand: bool) -> AsyncIterator[None]:
        """Holds a place; waits for it behind those by hand, and those of its kind before it."""
        await self._take(by_hand=by_hand)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, *, by_hand: bool) -> None:
        if self._free:  # then nobody waits: a place that gets free goes to whoever does
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._line, (not by_hand, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place came in the same moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        while self._line:
            *_, turn = heappop(self._line)
            if not turn.done():  # else whoever waited was cancelled
                turn.set_result(None)
                return
        self._free += 1
