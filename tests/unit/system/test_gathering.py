"""Work that waits together goes to a thread in one piece, and each gets what is its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from flowrunner.system.gathering import MOST_TOGETHER, Gathering

T = TypeVar("T")


class Pieces:
    """Counts what goes to a thread, and holds it up until it is let go."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def __call__(self, work: Callable[[], T], /) -> T:
        self.count += 1
        self.begun.set()
        await self.gate.wait()
        return await asyncio.to_thread(work)


def test_what_comes_in_one_turn_goes_together() -> None:
    """Work of one turn of the loop is one piece, outside of the loop's thread."""

    async def main() -> None:
        pieces = Pieces()
        gathering: Gathering[threading.Thread] = Gathering(pieces)
        found = await asyncio.gather(*(gathering.run(threading.current_thread) for _ in range(5)))
        assert len(set(found)) == pieces.count == 1
        assert threading.current_thread() not in found

    asyncio.run(main())


def test_what_comes_meanwhile_is_the_next_piece() -> None:
    """While a piece is under way, all that comes waits and goes together behind it."""

    async def main() -> None:
        pieces = Pieces()
        gathering: Gathering[int] = Gathering(pieces)
        pieces.gate.clear()
        first = gathering.run(lambda: 1)
        await asyncio.sleep(0)
        later = [gathering.run(lambda: 2), gathering.run(lambda: 3)]
        await asyncio.sleep(0)
        assert pieces.count == 1
        pieces.gate.set()
        assert [await first, *(await asyncio.gather(*later))] == [1, 2, 3]
        assert pieces.count == 2

    asyncio.run(main())


def test_nobody_waits_for_long_for_a_piece_that_hangs() -> None:
    """Work behind a piece that does not come back goes to another thread after a while."""

    async def main() -> None:
        pieces = Pieces()
        gathering: Gathering[int] = Gathering(pieces)
        pieces.gate.clear()
        stuck = gathering.run(lambda: 1)
        await pieces.begun.wait()
        held, pieces.gate = pieces.gate, asyncio.Event()
        pieces.gate.set()
        assert await gathering.run(lambda: 2) == 2
        assert not stuck.done()
        assert await gathering.run(lambda: 3) == 3
        held.set()
        assert await stuck == 1
        assert await gathering.run(lambda: 4) == 4

    asyncio.run(main())


def test_no_piece_is_longer_than_it_may_be() -> None:
    """What is more than goes together goes in further pieces, in its order."""

    async def main() -> None:
        pieces, order = Pieces(), list[int]()
        gathering: Gathering[None] = Gathering(pieces)
        works: list[Awaitable[None]] = [
            gathering.run(lambda number=number: order.append(number))  # type: ignore[misc]
            for number in range(MOST_TOGETHER + 1)
        ]
        await asyncio.gather(*works)
        assert order == list(range(MOST_TOGETHER + 1))
        assert pieces.count == 2

    asyncio.run(main())


def test_a_failure_is_of_one_alone() -> None:
    """Who waits gets what his own work raised, the others what theirs returned."""

    async def main() -> None:
        gathering: Gathering[int] = Gathering(asyncio.to_thread)
        bad, good = gathering.run(lambda: int("x")), gathering.run(lambda: 1)
        assert await good == 1
        with pytest.raises(ValueError, match="invalid literal"):
            await bad

    asyncio.run(main())


def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    """A waiter that is gone hinders nobody, and what comes later is carried out."""

    async def main() -> None:
        gathering: Gathering[int] = Gathering(asyncio.to_thread)
        gone, other = gathering.run(lambda: 1), gathering.run(lambda: 2)
        gone.cancel()
        assert await other == 2
        assert await gathering.run(lambda: 3) == 3

    asyncio.run(main())


def test_without_a_thread_everybody_hears_of_it() -> None:
    """Where no thread takes the work, each who waits hears why, also later ones."""

    async def refuse(work: Callable[[], T], /) -> T:
        raise OSError("closed")

    async def main() -> None:
        gathering: Gathering[int] = Gathering(refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="closed"):
                await gathering.run(lambda: 1)

    asyncio.run(main())
