"""Places for processes: how many run at once on this host, and who gets a place that is free.

An account may have a bound of its own; its nodes then take a place of the account before one of
the host, so that those who wait for their account hold up nobody else.

`asyncio.Semaphore` serves in the order of arrival alone; here who was started by hand comes
first, since a person waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from types import MappingProxyType


class NodeSlots:
    """The places of a host, and those of its accounts, in one event loop.

    Args:
        most: How many places the host has; at least 1.
        most_of: How many an account has, for those that have a bound of their own; at least 1.
    """

    def __init__(self, most: int, most_of: Mapping[str, int] = MappingProxyType({})) -> None:
        self._host = _Places(most)
        self._accounts = {account: _Places(bound) for account, bound in most_of.items()}

    def place(self, account: str, *, by_hand: bool) -> AbstractAsyncContextManager[None]:
        """Holds a place; waits for it behind those by hand, and those of its kind before it."""
        own, on_host = self._accounts.get(account), self._host.place(by_hand=by_hand)
        return on_host if own is None else _both(own.place(by_hand=by_hand), on_host)


@asynccontextmanager
async def _both(
    first: AbstractAsyncContextManager[None], second: AbstractAsyncContextManager[None]
) -> AsyncIterator[None]:
    async with first, second:
        yield


class _Places:
    """A number of places; at least 1."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._order = count()
        self._line: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, *, by_hand: bool) -> AsyncIterator[None]:
        """Holds a place, as `NodeSlots.place` says."""
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
