"""Lets many followers of a log wait for its next lines, with one reader for all of them.

Followers that have read equally far wait for the same thing, so one watch reads for them, four
times a second. The watches read at the same moments, so that followers who joined at different
times have read equally far once they have caught up. What is read is left to the caller.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.service.views import LogCursor, LogPage

POLL_S = 0.25
MOST_WATCHES = 100
"""Places in logs that are watched at once; whoever comes beyond waits and reads by himself."""

LONGEST_WAIT_S = 2.0
"""How long an answer may be held back; the stop of the daemon waits for it."""


class Place(NamedTuple):
    """A place in the logs of an execution.

    Attributes:
        node: The only one of interest, if not None.
        item: The index of the only item of it that is of interest, if not None.
    """

    execution_id: str
    node: str | None
    cursor: LogCursor
    item: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What is equal for equal places."""
        return self.execution_id, self.node, self.item, self.cursor.key


@dataclass(slots=True)
class _Watch:
    task: asyncio.Task[LogPage]
    followers: int = field(default=0)


class LogFeed:
    """Answers followers.

    Args:
        read: Returns what stands behind a place by now; its errors reach every follower.
    """

    def __init__(self, read: Callable[[Place], Awaitable[LogPage]]) -> None:
        self._read = read
        self._watches: dict[tuple[object, ...], _Watch] = {}

    async def page(self, place: Place, wait_s: float) -> LogPage:
        """Returns the page behind a place, as soon as there is something in it.

        Args:
            place: What the follower has read.
            wait_s: After so many seconds, `LONGEST_WAIT_S` at most, the page is empty; 0: what
                there is now.
        """
        if wait_s <= 0:
            return await self._read(place)
        watch = self._watch_of(place)
        if watch is None:
            await asyncio.sleep(POLL_S)
            return await self._read(place)
        watch.followers += 1
        try:
            async with asyncio.timeout(min(wait_s, LONGEST_WAIT_S)):
                return await asyncio.shield(watch.task)
        except TimeoutError:
            return LogPage(chunks=(), cursor=place.cursor)
        finally:
            watch.followers -= 1
            if not watch.followers:
                self._end(place.key, watch)

    def _watch_of(self, place: Place) -> _Watch | None:
        watch = self._watches.get(place.key)
        if watch is None and len(self._watches) < MOST_WATCHES:
            task = asyncio.create_task(self._watch(place), name="log watch")
            watch = self._watches[place.key] = _Watch(task)
            watch.task.add_done_callback(lambda _: self._end(place.key, watch))
        return watch

    def _end(self, key: tuple[object, ...], watch: _Watch | None) -> None:
        """Forgets a watch that has found something, or for which nobody waits any more."""
        if watch is not None and self._watches.get(key) is watch:
            del self._watches[key]
            watch.task.cancel()

    async def _watch(self, place: Place) -> LogPage:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            await asyncio.sleep((math.floor(now / POLL_S) + 1) * POLL_S - now)
            page = await self._read(place)
            if page.chunks or page.is_complete:
                return page
