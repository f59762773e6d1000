"""Starts that come together: in order, as fast as there is room, and never held for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from flowrunner.triggers.pace import MOST_IN_CROWD, MOST_UNDER_WAY, PATIENCE_S, Pace
from tests.fakes.virtual_time import run_virtual

MANY = 100


class Hall:
    """Starts that take no time unless they are told to, and the moment at which each began."""

    def __init__(self, *, is_crowded: bool, lasts_s: float = 0.0) -> None:
        self.is_crowded = is_crowded
        self.pace = Pace(lambda: self.is_crowded)
        self.began: list[tuple[int, float]] = []
        self.at_once = self.most_at_once = 0
        self._lasts_s = lasts_s

    async def start(self, number: int) -> None:
        async with self.pace:
            self.began.append((number, asyncio.get_running_loop().time()))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                if self._lasts_s:
                    await asyncio.sleep(self._lasts_s)
            finally:
                self.at_once -= 1

    def send(self, count: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.start(number)) for number in range(count)]

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.began]


async def with_limit(work: Awaitable[object]) -> None:
    """Waits for work that must come to an end."""
    await asyncio.wait_for(work, 60)


def test_with_room_all_begin_at_once() -> None:
    """While nobody waits for a place, no start is put off."""

    async def story() -> None:
        hall = Hall(is_crowded=False)
        await with_limit(asyncio.gather(*hall.send(MANY)))
        assert hall.began == [(number, 0.0) for number in range(MANY)]

    run_virtual(story())


def test_only_some_are_accepted_at_a_time() -> None:
    """The next begins when one before it is accepted, in the order in which they came."""

    async def story() -> None:
        hall = Hall(is_crowded=False, lasts_s=1)
        await with_limit(asyncio.gather(*hall.send(MANY)))
        assert hall.most_at_once == MOST_UNDER_WAY
        assert hall.numbers == list(range(MANY))

    run_virtual(story())


def test_in_a_crowd_some_go_on_all_the_same() -> None:
    """A line that stays long holds a start for a bounded time, since it may need no place."""

    async def story() -> None:
        hall = Hall(is_crowded=True)
        await with_limit(asyncio.gather(*hall.send(MANY)))
        assert hall.numbers == list(range(MANY))
        for begin in range(MANY - MOST_IN_CROWD):
            took = hall.began[begin + MOST_IN_CROWD][1] - hall.began[begin][1]
            assert took >= PATIENCE_S
        assert hall.began[-1][1] <= MANY / MOST_IN_CROWD * PATIENCE_S * 1.2

    run_virtual(story())


def test_one_that_comes_alone_is_not_held_in_a_crowd() -> None:
    """Places that are taken for hours put off nothing that comes now and then."""

    async def story() -> None:
        hall = Hall(is_crowded=True)
        for number in range(3):
            await asyncio.sleep(PATIENCE_S)
            sent = asyncio.get_running_loop().time()
            await with_limit(hall.start(number))
            assert hall.began[-1] == (number, sent)

    run_virtual(story())


def test_the_rest_begins_when_the_crowd_is_gone() -> None:
    """Starts that wait learn of it within some milliseconds."""

    async def story() -> None:
        hall = Hall(is_crowded=True)
        tasks = hall.send(MANY)
        await asyncio.sleep(PATIENCE_S / 4)
        assert len(hall.began) == MOST_IN_CROWD
        hall.is_crowded = False
        await with_limit(asyncio.gather(*tasks))
        assert hall.began[-1][1] <= PATIENCE_S / 2

    run_virtual(story())


@pytest.mark.parametrize("turns", range(4))
def test_a_start_that_is_cancelled_keeps_nobody_from_its_turn(turns: int) -> None:
    """Wherever it stood: in the line, or in the moment in which its turn came."""

    async def story() -> None:
        hall = Hall(is_crowded=False, lasts_s=1)
        tasks = hall.send(3 * MOST_UNDER_WAY)
        await asyncio.sleep(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks[MOST_UNDER_WAY : 2 * MOST_UNDER_WAY]:
            task.cancel()
        await with_limit(asyncio.gather(*tasks, return_exceptions=True))
        await with_limit(asyncio.gather(*hall.send(2 * MOST_UNDER_WAY)))
        assert hall.most_at_once == MOST_UNDER_WAY
        assert set(hall.numbers) >= set(range(2 * MOST_UNDER_WAY, 3 * MOST_UNDER_WAY))

    run_virtual(story())
