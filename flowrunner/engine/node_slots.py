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

_UNBOUNDED = 2**31
"""Places of an account that has lost its bound: more than can run."""


class NodeSlots:
    """The places of a host, and those of its accounts, in one event loop.

    Args:
        most: How many places the host has; at least 1.
        most_of: How many an account has, for those that have a bound of their own; at least 1.
    """

    def __init__(self, most: int, most_of: Mapping[str, int] = MappingProxyType({})) -> None:
        self._host = _Places(most)
        self._accounts = {account: _Places(bound) for account, bound in most_of.items()}

    @property
    def is_crowded(self) -> bool:
        """Whether whoever comes now has to wait for a place of the host."""
        return self._host.is_crowded

    @property
    def has_long_line(self) -> bool:
        """Whether as many wait for a place of the host as it has."""
        return self._host.has_long_line

    def resize(self, most: int, most_of: Mapping[str, int]) -> None:
        """Puts other numbers of places in force.

        What runs goes on, also where it is more than that; an account that gets a bound counts
        those that begin from now on.
        """
        self._host.resize(most)
        for account in (*most_of, *(each for each in self._accounts if each not in most_of)):
            bound = most_of.get(account, _UNBOUNDED)
            self._accounts.setdefault(account, _Places(bound)).resize(bound)

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
        self._most = self._free = most
        self._order = count()
        self._line: list[tuple[bool, int, asyncio.Future[None]]] = []

    @property
    def is_crowded(self) -> bool:
        """Whether no place is free."""
        return self._free <= 0

    @property
    def has_long_line(self) -> bool:
        """Whether as many wait as have a place, or did until they were cancelled."""
        return len(self._line) >= self._most

    def resize(self, most: int) -> None:
        """Has another number of places; fewer are free from the moment on when some are left."""
        self._free += most - self._most
        self._most = most
        self._serve()

    @asynccontextmanager
    async def place(self, *, by_hand: bool) -> AsyncIterator[None]:
        """Holds a place, as `NodeSlots.place` says."""
        await self._take(by_hand=by_hand)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, *, by_hand: bool) -> None:
        if self._free > 0:  # then nobody waits: a place that gets free goes to whoever does
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
        self._free += 1
        self._serve()

    def _serve(self) -> None:
        """Gives what is free to those who wait."""
        while self._free > 0 and self._line:
            *_, turn = heappop(self._line)
            if not turn.done():  # else whoever waited was cancelled
                self._free -= 1
                turn.set_result(None)
