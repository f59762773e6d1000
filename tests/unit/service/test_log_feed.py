"""Many followers of one log: what each is told, and how often the log is read for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flowrunner.errors import NotFoundError
from flowrunner.service.log_feed import LONGEST_WAIT_S, MOST_WATCHES, LogFeed, Place
from flowrunner.service.views import LogChunk, LogCursor, LogPage
from tests.fakes.virtual_time import run_virtual

FOLLOWERS = 50


class Log:
    """A log that grows when a test says so; a line is a number."""

    def __init__(self) -> None:
        self.length = 0
        self.has_ended = False
        self.reads = 0
        self.error: Exception | None = None

    async def read(self, place: Place) -> LogPage:
        self.reads += 1
        await asyncio.sleep(0.002)
        if self.error is not None:
            raise self.error
        begin, end = place.cursor.offsets.get("a", 0), self.length
        chunks = (LogChunk(node="a", attempt=end - begin, lines=()),) if end > begin else ()
        cursor = LogCursor(offsets={"a": end})
        return LogPage(chunks=chunks, cursor=cursor, is_complete=self.has_ended)


def place(offset: int = 0, node: str | None = None) -> Place:
    return Place("id", node, LogCursor(offsets={"a": offset}))


async def follow(feed: LogFeed, begin_s: float) -> list[int]:
    """Reads to the end; returns how many lines each page had."""
    await asyncio.sleep(begin_s)
    pages, at = list[int](), place()
    while True:
        page = await feed.page(at, 2)
        pages += [chunk.attempt for chunk in page.chunks]
        if page.is_complete:
            return pages
        at = Place("id", None, page.cursor)


def told(story: Callable[[LogFeed, Log], Awaitable[object]]) -> Log:
    async def tell() -> Log:
        log = Log()
        await story(LogFeed(log.read), log)
        return log

    return run_virtual(tell())


def test_fifty_followers_cost_one_reader() -> None:
    """Each is told each line once, and a line is read once and not fifty times."""

    async def story(feed: LogFeed, log: Log) -> None:
        followers = [
            asyncio.create_task(follow(feed, begin_s=number * 0.037)) for number in range(FOLLOWERS)
        ]
        for _ in range(20):
            await asyncio.sleep(1)
            log.length += 1
        log.has_ended = True
        for pages in await asyncio.gather(*followers):
            assert sum(pages) == 20
        assert log.reads <= 25 * 4

    told(story)


def test_a_follower_hears_soon() -> None:
    """A line is told a quarter of a second after it was written, at the latest."""

    async def story(feed: LogFeed, log: Log) -> None:
        waiting = asyncio.create_task(feed.page(place(), 2))
        await asyncio.sleep(1)
        log.length = 1
        began = asyncio.get_running_loop().time()
        page = await waiting
        assert [chunk.attempt for chunk in page.chunks] == [1]
        assert asyncio.get_running_loop().time() - began < 0.3

    told(story)


@pytest.mark.parametrize("wait_s", [1.0, 2.0, 1_000.0])
def test_a_quiet_log_gives_an_empty_page_in_time(wait_s: float) -> None:
    """No answer is held back for longer than the stop of the daemon may wait."""

    async def story(feed: LogFeed, _log: Log) -> None:
        began = asyncio.get_running_loop().time()
        page = await feed.page(place(5), wait_s)
        took = asyncio.get_running_loop().time() - began
        assert (page.chunks, page.cursor, page.is_complete) == ((), place(5).cursor, False)
        assert took == pytest.approx(min(wait_s, LONGEST_WAIT_S), abs=0.01)

    told(story)


def test_whoever_does_not_wait_reads_what_is_there() -> None:
    """Not what somebody else has read a moment before."""

    async def story(feed: LogFeed, log: Log) -> None:
        following = asyncio.create_task(feed.page(place(), 2))
        await asyncio.sleep(0.1)
        log.length = 3
        page = await feed.page(place(), 0)
        assert [chunk.attempt for chunk in page.chunks] == [3]
        await following

    told(story)


def test_nobody_reads_for_followers_who_left() -> None:
    """A watch ends with its last follower."""

    async def story(feed: LogFeed, log: Log) -> None:
        waiting = [asyncio.create_task(feed.page(place(), 2)) for _ in range(3)]
        await asyncio.sleep(0.6)
        for task in waiting:
            task.cancel()
        await asyncio.sleep(0.01)
        before = log.reads
        await asyncio.sleep(10)
        assert log.reads == before

    told(story)


def test_an_error_reaches_every_follower() -> None:
    """And the next question is asked anew."""

    async def story(feed: LogFeed, log: Log) -> None:
        log.error = NotFoundError("there is no execution 'id'")
        waiting = [feed.page(place(), 2) for _ in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [NotFoundError] * 3
        log.error, log.length = None, 1
        assert (await feed.page(place(), 2)).chunks

    told(story)


def test_followers_beyond_the_bound_are_slow_but_served() -> None:
    """The number of watches is bounded, and a follower without one does not ask in a rush."""

    async def story(feed: LogFeed, log: Log) -> None:
        others = [
            asyncio.create_task(feed.page(place(node=f"n{number}"), 2))
            for number in range(MOST_WATCHES)
        ]
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        assert (await feed.page(place(), 2)).chunks == ()
        assert asyncio.get_running_loop().time() - began >= 0.25
        log.length = 1
        assert (await feed.page(place(), 2)).chunks
        await asyncio.gather(*others)

    told(story)
