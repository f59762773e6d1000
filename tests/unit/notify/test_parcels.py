"""A message that keeps failing: others get past it, and what only it cannot do is no outage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from flowrunner.model.mark import MarkKind
from flowrunner.model.notify import Notice, NotifyOn
from flowrunner.notify.channel import NotSentError
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.line import Bucket, Line
from flowrunner.notify.message import Message
from flowrunner.notify.outbox import Outbox
from flowrunner.notify.parcels import MOST_PASSED, TRIES_IN_PLACE
from flowrunner.notify.sending import Outlet
from flowrunner.storage.memory_marks import MemoryMarks
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import run_virtual
from tests.unit.notify.notices import SENDER, Counts, make_notice


class Stumbling:
    """A channel that fails for some messages, or for all.

    Attributes:
        bad: The numbers of the notices that it stumbles over.
        asked_s: The pause that it asks for then.
        tried: When which notice was tried, in seconds.
        got: The notices that it took, in order.
    """

    def __init__(self, *bad: int) -> None:
        self.bad = {made(number).id for number in bad}
        self.is_out = False
        self.asked_s = 0.0
        self.tried: list[tuple[int, str]] = []
        self.got: list[str] = []

    async def send(self, message: Message) -> None:
        (notice,) = message.notices
        self.tried.append((round(asyncio.get_running_loop().time()), notice.id))
        if self.is_out or notice.id in self.bad:
            raise NotSentError("it ended with exit code 1", retry_after_s=self.asked_s)
        self.got.append(notice.id)

    def times(self, number: int) -> list[int]:
        """Returns when a notice was tried."""
        return [at for at, name in self.tried if name == made(number).id]


def made(number: int) -> Notice:
    """A notice that is a message of its own."""
    return make_notice(number, NotifyOn.MESSAGE)


def ids(*numbers: int) -> list[str]:
    return [made(number).id for number in numbers]


class World:
    """An outbox with one channel."""

    def __init__(self, channel: Stumbling, *, is_for_people: bool = True) -> None:
        self.channel, self.is_for_people = channel, is_for_people
        self.marks, self.clock, self.counts = MemoryMarks(), FakeClock(), Counts()
        self.health = ChannelHealth(("oncall",), self.clock)
        self.box = Outbox(
            outlets={"oncall": self.outlet(channel)},
            marks=self.marks,
            clock=self.clock,
            sender=SENDER,
            counts=self.counts,
            health=self.health,
        )

    def outlet(self, channel: Stumbling) -> Outlet:
        line = Line(Bucket(None), is_for_people=self.is_for_people, takes_many=False)
        return Outlet(channel=channel, line=line)

    async def say(self, *numbers: int) -> None:
        for number in numbers:
            notice = make_notice(number, NotifyOn.MESSAGE, at=self.clock.now())
            await self.box.tell([notice])

    async def kept(self) -> int:
        return len(await self.marks.list(MarkKind.NOTICE))


def lives(world: World, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a story while the outbox sends."""

    async def main() -> None:
        running = asyncio.create_task(world.box.run())
        await story()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    run_virtual(main())


def test_others_get_past_a_message_that_keeps_failing(caplog: pytest.LogCaptureFixture) -> None:
    """After some tries those behind it go; when enough of them have arrived it is refused."""
    world = World(Stumbling(1))

    async def story() -> None:
        await world.say(1, 2, 3)
        await asyncio.sleep(74)
        assert world.channel.got == []
        await asyncio.sleep(2)
        assert world.channel.got == ids(2, 3)
        for number in range(4, 24):
            await asyncio.sleep(60)
            await world.say(number)
            await asyncio.sleep(1)
            assert world.channel.got[-1] == made(number).id
        assert len(world.channel.times(1)) == TRIES_IN_PLACE + MOST_PASSED
        assert world.counts.of["oncall", "refused"] == 1
        assert await world.kept() == 0

    lives(world, story)
    assert f"tries={TRIES_IN_PLACE + MOST_PASSED} passed={MOST_PASSED}" in caplog.text
    assert caplog.text.count("notify.refused channel=oncall") == 1
    assert world.health.failing == {}


def test_newcomer_does_not_wait_for_the_next_try_of_a_message_that_fails_alone() -> None:
    """Alone it is tried ever more rarely, as an outage is; what comes meanwhile goes at once."""
    world = World(Stumbling(1))

    async def story() -> None:
        await world.say(1)
        await asyncio.sleep(3_000)
        assert world.channel.times(1) == [0, 5, 15, 35, 75, 155, 315, 635, 1235, 1835, 2435]
        await world.say(2)
        await asyncio.sleep(1)
        assert world.channel.got == ids(2)
        await asyncio.sleep(86_400)
        assert world.counts.of["oncall", "given_up"] == 1
        assert await world.kept() == 0

    lives(world, story)


def test_several_such_messages_hold_the_others_up_for_minutes() -> None:
    """Each is set aside in turn; what behind them can go goes, and they are refused later."""
    world = World(Stumbling(1, 2, 3))

    async def story() -> None:
        await world.say(1, 2, 3, 4)
        await asyncio.sleep(1_800)
        assert world.channel.got == ids(4)
        for number in range(5, 100):
            await world.say(number)
            await asyncio.sleep(60)
        assert world.channel.got == ids(*range(4, 100))
        assert world.counts.of["oncall", "refused"] == 3

    lives(world, story)


def test_outage_is_tried_as_rarely_as_ever_and_loses_nothing() -> None:
    """With all failing one try comes in ten minutes, whoever waits; then all arrive, once."""
    world = World(Stumbling())
    world.channel.is_out = True

    async def story() -> None:
        await world.say(*range(1, 100))
        await asyncio.sleep(12 * 3_600)
        assert len(world.channel.tried) < 12 * 6 + 10
        world.channel.is_out = False
        await asyncio.sleep(601)
        assert sorted(world.channel.got) == sorted(ids(*range(1, 100)))
        assert world.counts.of["oncall", "sent"] == 99
        assert world.health.failing == {}

    lives(world, story)


def test_pause_that_a_receiver_asks_for_holds_all_up() -> None:
    """Who asks to be left alone is, also by others than the message that it said it to."""
    world = World(Stumbling(1))
    world.channel.asked_s = 300.0

    async def story() -> None:
        await world.say(1, 2)
        await asyncio.sleep(TRIES_IN_PLACE * 300 - 1)
        assert world.channel.got == []
        await asyncio.sleep(302)
        assert world.channel.got == ids(2)

    lives(world, story)


def test_machines_are_told_in_order() -> None:
    """A ping that came late would say that what works has failed: nothing goes past another."""
    world = World(Stumbling(1), is_for_people=False)

    async def story() -> None:
        await world.say(1)
        await asyncio.sleep(80_000)
        await world.say(2)
        await asyncio.sleep(4_000)
        assert world.channel.got == []
        await asyncio.sleep(4_000)
        assert world.channel.got == ids(2)
        assert world.counts.of["oncall", "given_up"] == 1

    lives(world, story)


def test_changed_channel_is_tried_at_once_with_what_is_set_aside() -> None:
    """Whoever mends the program need not wait for the next try."""
    world = World(Stumbling(1))

    async def story() -> None:
        await world.say(1, 2)
        await asyncio.sleep(100)
        assert world.channel.got == ids(2)
        mended = Stumbling()
        world.box.replace({"oncall": world.outlet(mended)}, ())
        await asyncio.sleep(0.1)
        assert mended.got == ids(1)
        assert await world.kept() == 0

    lives(world, story)


def test_what_is_set_aside_is_dropped_with_its_channel() -> None:
    """A channel that leaves loses all that waits for it, wherever it waits."""
    world = World(Stumbling(1))

    async def story() -> None:
        await world.say(1, 2)
        await asyncio.sleep(100)
        world.box.replace({}, ("oncall",))
        await world.box.settle()
        assert world.counts.of["oncall", "dropped"] == 1
        assert await world.kept() == 0

    lives(world, story)
