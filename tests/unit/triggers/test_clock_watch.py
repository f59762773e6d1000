"""Promises of the clock watch: jumps are seen, and a clock that is behind is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from flowrunner.storage.memory import MemoryStorage
from flowrunner.system.clock_sync import is_clock_synchronised
from flowrunner.triggers.clock_watch import CLOCK, ClockWatch
from tests.fakes.clock import FakeClock
from tests.fakes.timers import FakeTimers
from tests.fakes.virtual_time import run_virtual
from tests.unit.triggers.slots import at, ledger_key


class Holds:
    """Meets `CatchesUp`."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def hold_catchup(self, why: str) -> None:
        self.reasons.append(why)

    def lift_catchup(self, why: str) -> None:
        self.reasons.remove(why)


class World:
    """A watch over a clock, a state whose last moment is noon, and what it tells."""

    def __init__(self, *, is_synchronised: Callable[[], bool] = lambda: False) -> None:
        self.clock, self.storage, self.holds = FakeClock(), MemoryStorage(), Holds()
        self.timers = FakeTimers(self.clock)
        self.watch = ClockWatch(
            clock=self.clock,
            slots=self.storage.slots,
            schedules=self.holds,
            timers=self.timers,
            is_synchronised=is_synchronised,
        )

    async def load(self) -> None:
        await self.storage.slots.open(ledger_key(), at(0))
        await self.watch.load()


@pytest.mark.parametrize(
    ("jump_s", "seen"), [(3600, 1), (-3600, 1), (1, 1), (0.9, 0), (-0.9, 0), (0, 0)]
)
def test_jump_makes_the_timers_look_anew(jump_s: float, seen: int) -> None:
    """A jump of a second or more, either way, is seen once; time that passes is none."""

    async def story() -> None:
        world = World()
        world.clock.jump(jump_s)
        world.clock.advance(86_400)
        world.watch.look()
        world.watch.look()
        assert world.timers.rechecked == seen

    run_virtual(story())


def test_jump_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log says by how much the clock was set."""

    async def story() -> None:
        world = World()
        world.clock.jump(-3600)
        world.watch.look()

    with caplog.at_level(logging.WARNING):
        run_virtual(story())
    assert "clock.jumped seconds=-3600.000" in caplog.text


def test_watch_looks_every_second() -> None:
    """While it runs, a jump is seen a second later at most."""

    async def story() -> None:
        world = World()
        task = asyncio.create_task(world.watch.run())
        world.clock.jump(60)
        await asyncio.sleep(1.001)
        assert world.timers.rechecked == 1
        task.cancel()

    run_virtual(story())


def test_clock_that_is_behind_is_waited_for() -> None:
    """Catching up begins when the clock shows what was recorded, and not before."""

    async def story() -> None:
        world = World()
        world.clock.jump(-3600)
        await world.load()
        world.watch.look()
        assert world.holds.reasons == [CLOCK]
        world.clock.jump(3599)
        world.watch.look()
        assert world.holds.reasons == [CLOCK]
        world.clock.jump(1)
        world.watch.look()
        world.watch.look()
        assert world.holds.reasons == []

    run_virtual(story())


def test_clock_that_the_kernel_takes_for_right_is_waited_for_no_longer() -> None:
    """A clock that was set back on purpose and is synchronised holds nothing up."""

    async def story() -> None:
        answers = [False, False, True]
        world = World(is_synchronised=lambda: answers.pop(0))
        world.clock.jump(-3600)
        await world.load()
        world.watch.look()
        assert world.holds.reasons == [CLOCK]
        world.watch.look()
        assert world.holds.reasons == []

    run_virtual(story())


@pytest.mark.parametrize("jump_s", [0, 60], ids=["at", "after"])
def test_clock_that_is_not_behind_holds_nothing_up(jump_s: float) -> None:
    """An ordinary start catches up at once, and so does that of an empty state."""

    async def story() -> None:
        world = World()
        world.clock.jump(jump_s)
        await world.watch.load()
        await world.load()
        assert world.holds.reasons == []

    run_virtual(story())


def test_kernel_can_be_asked() -> None:
    """The question is answered, whatever the answer is on this host."""
    assert is_clock_synchronised() in (True, False)
