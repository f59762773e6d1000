"""When the service manager is told that the daemon works, and when no more, in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from flowrunner.daemon.watchdog import Watchdog
from flowrunner.errors import StorageError
from flowrunner.system.clock import SystemClock
from flowrunner.triggers.timers import ApschedulerTimers
from tests.fakes.clock import FakeClock
from tests.fakes.timers import FakeTimers
from tests.fakes.virtual_time import run_virtual

PATIENCE_S = 30.0


class Pings:
    """Notes when a ping came."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.at: list[float] = []

    def watchdog(self) -> None:
        self.at.append(self._clock.monotonic())


class Writer:
    """Answers probes after `delay_s`; fails them with `error`."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.error: StorageError | None = None

    async def check(self) -> None:
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error


class World:
    """A watchdog among fakes, and a scheduler that turns as long as it is not stuck."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.pings = Pings(self.clock)
        self.writer = Writer()
        self.timers = FakeTimers(self.clock)
        self.is_stuck = False
        self.watchdog = Watchdog(
            pinged=self.pings,
            probed=self.writer,
            timers=self.timers,
            clock=self.clock,
            patience_s=PATIENCE_S,
        )

    async def turn_scheduler(self) -> None:
        self.timers.start()
        while True:
            await asyncio.sleep(1)
            if not self.is_stuck:
                self.timers.fire_due()


def silence_after(story: Callable[[World], Awaitable[None]], then_s: float = 300) -> list[float]:
    """Returns the distances between pings, the last one to the end, from the story's end on."""

    async def tell() -> list[float]:
        world = World()
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(world.turn_scheduler())]
            running.append(group.create_task(world.watchdog.run()))
            await asyncio.sleep(100)
            await story(world)
            begin = world.clock.monotonic()
            await asyncio.sleep(then_s)
            for task in running:
                task.cancel()
        at = [begin, *(at for at in world.pings.at if at > begin), begin + then_s]
        return [later - earlier for earlier, later in pairwise(at)]

    return run_virtual(tell())


async def nothing(_world: World) -> None:
    """Everything works."""


async def slow_writer(world: World) -> None:
    world.writer.delay_s = 5


async def failing_writer(world: World) -> None:
    world.writer.error = StorageError("no space left on device")


async def clock_set_back(world: World) -> None:
    world.clock.jump(-18_000)


async def clock_set_forward(world: World) -> None:
    world.clock.jump(18_000)


async def draining(world: World) -> None:
    world.watchdog.forget_scheduler()
    world.timers.stop()


@pytest.mark.parametrize(
    "story", [nothing, slow_writer, failing_writer, clock_set_back, clock_set_forward, draining]
)
def test_a_daemon_that_works_pings_in_time(story: Callable[[World], Awaitable[None]]) -> None:
    """At half of the patience, also on a slow or full disk, over clock changes and in a drain."""
    assert max(silence_after(story)) <= PATIENCE_S / 2 + 1


async def stuck_writer(world: World) -> None:
    world.writer.delay_s = 10_000


async def stuck_scheduler(world: World) -> None:
    world.is_stuck = True


@pytest.mark.parametrize("story", [stuck_writer, stuck_scheduler])
def test_a_stuck_part_ends_the_pings(
    story: Callable[[World], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    """The service manager hears no more, and the log names the part, once."""
    distances = silence_after(story)
    assert max(distances) > 300 - PATIENCE_S
    part = story.__name__.removeprefix("stuck_")
    assert [r.getMessage() for r in caplog.records if f"part={part}" in r.getMessage()]
    assert len([r for r in caplog.records if "watchdog.stuck" in r.getMessage()]) == 1


def test_a_stuck_loop_ends_the_pings() -> None:
    """While a call holds the loop nobody says that the daemon works; a thread could."""
    clock, at, heard = SystemClock(), list[float](), asyncio.Event()

    class Noting:
        def watchdog(self) -> None:
            at.append(clock.monotonic())
            heard.set()

    async def tell() -> tuple[float, float]:
        timers = ApschedulerTimers()
        watchdog = Watchdog(
            pinged=Noting(), probed=Writer(), timers=timers, clock=clock, patience_s=0.06
        )
        watchdog.forget_scheduler()
        running = asyncio.create_task(watchdog.run())
        await heard.wait()
        heard.clear()
        begin = clock.monotonic()
        threading.Event().wait(0.2)  # the call that holds the loop
        end = clock.monotonic()
        await heard.wait()
        running.cancel()
        return begin, end

    begin, end = asyncio.run(tell())
    assert [each for each in at if begin < each < end] == []


def test_a_part_that_comes_back_is_heard_again() -> None:
    """A disk that hung for a while costs no restart once it answers."""

    async def recovers(world: World) -> None:
        world.writer.delay_s = 20
        await asyncio.sleep(25)
        world.writer.delay_s = 0
        await asyncio.sleep(15)

    assert max(silence_after(recovers)) <= PATIENCE_S / 2 + 1
