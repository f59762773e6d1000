"""The outbox: sent at least once under one id, again after failures and restarts, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.mark import MarkChange, MarkKind
from flowrunner.model.notify import NotifyOn
from flowrunner.notify.channel import NotSentError
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.line import MOST_WAITING, Bucket, Line
from flowrunner.notify.outbox import Outbox
from flowrunner.notify.sending import Outlet
from flowrunner.storage.memory_marks import MemoryMarks
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import run_virtual
from tests.unit.notify.notices import SENDER, Counts, FakeChannel, make_notice


class FaultyMarks(MemoryMarks):
    """Marks on a disk that may be full."""

    is_full = False

    async def change(self, change: MarkChange) -> None:
        await asyncio.sleep(0)
        if self.is_full:
            raise StorageError("full", code="storage.full")
        await super().change(change)


class World:
    """Lives of an outbox over the same marks."""

    def __init__(self) -> None:
        self.marks, self.clock, self.counts = FaultyMarks(), FakeClock(), Counts()
        self.health = ChannelHealth(("oncall", "boss"), self.clock)
        self.channels = {"oncall": FakeChannel(), "boss": FakeChannel()}
        self.box = self._new()

    def _new(self) -> Outbox:
        return Outbox(
            outlets={
                name: Outlet(
                    channel=channel,
                    line=Line(Bucket(10, 60.0), is_for_people=True, takes_many=False),
                    news=asyncio.Event(),
                )
                for name, channel in self.channels.items()
            },
            marks=self.marks,
            clock=self.clock,
            sender=SENDER,
            counts=self.counts,
            health=self.health,
        )

    async def live(self, seconds: float) -> None:
        """Sends for some time, then dies."""
        running = asyncio.create_task(self.box.run())
        await asyncio.sleep(seconds)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async def restart(self) -> None:
        self.box = self._new()
        await self.box.load()

    async def kept(self) -> list[str]:
        return [key.name for key in await self.marks.list(MarkKind.NOTICE)]

    def ids(self, channel: str = "oncall") -> list[str]:
        return [message.id for message in self.channels[channel].sent]


def lives(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await story(World())

    run_virtual(main())


def test_notice_waits_for_the_disk_and_goes_once() -> None:
    """Nothing is sent before its mark is known to be on disk; then it goes, and leaves no mark."""

    async def story(world: World) -> None:
        notice = make_notice(at=world.clock.now())
        marks = world.box.accept([notice])
        await world.live(100)
        assert world.ids() == []
        await world.marks.change(MarkChange(put=marks))
        world.box.release(marks)
        await world.live(1)
        assert world.ids() == [notice.id]
        assert await world.kept() == []
        assert world.counts.of == {("oncall", "sent"): 1}

    lives(story)


def test_crash_between_decision_and_sending_loses_nothing() -> None:
    """The next life sends what the marks hold, oldest first, under the same ids."""

    async def story(world: World) -> None:
        notices = [make_notice(n, on, at=world.clock.now()) for n, on in enumerate(NotifyOn)]
        await world.marks.change(MarkChange(put=world.box.accept(notices)))
        await world.restart()
        await world.live(1)
        about_flow, said_by_node = world.channels["oncall"].sent
        assert [*about_flow.notices, *said_by_node.notices] == notices
        await world.restart()
        await world.live(1)
        assert len(world.ids()) == 2

    lives(story)


def test_failing_channel_is_tried_again_and_delays_no_other() -> None:
    """Pauses grow, a receiver may ask for longer ones, and the id stays the same."""

    async def story(world: World) -> None:
        asked = NotSentError("busy", retry_after_s=60)
        world.channels["oncall"].errors = [NotSentError("no"), NotSentError("no"), asked]
        world.box.take([make_notice(1, at=world.clock.now())])
        world.box.take([make_notice(2, channel="boss", at=world.clock.now())])
        await world.box.settle()
        running = asyncio.create_task(world.live(5 + 10 + 59.5))
        await asyncio.sleep(1)
        assert (len(world.ids("boss")), world.ids()) == (1, [])
        await running
        assert (len(world.channels["oncall"].tried), world.ids()) == (3, [])
        assert len(await world.kept()) == 1
        await world.restart()
        await world.live(1)
        assert len(set(world.channels["oncall"].tried)) == len(world.ids()) == 1
        assert world.counts.of["oncall", "failed"] == 3

    lives(story)


def test_notice_is_given_up_after_a_day() -> None:
    """What nobody takes is told no more, and the next one has its turn."""

    async def story(world: World) -> None:
        world.channels["oncall"].errors = [NotSentError("no")] * 10_000
        world.box.take([make_notice(at=world.clock.now())])
        await world.live(86_400 + 700)
        assert await world.kept() == []
        assert world.counts.of["oncall", "given_up"] == 1
        assert 140 < world.counts.of["oncall", "failed"] < 160

    lives(story)


def test_refused_message_is_not_repeated() -> None:
    """A receiver that will never take it is asked once."""

    async def story(world: World) -> None:
        world.channels["oncall"].errors = [NotSentError("answered 400", is_refused=True)]
        world.box.take([make_notice(at=world.clock.now())])
        await world.live(3_600)
        assert (world.ids(), await world.kept()) == ([], [])
        assert world.counts.of["oncall", "refused"] == 1

    lives(story)


def test_full_line_drops_and_tells_how_many() -> None:
    """Marks have a bound; what finds no room is counted and told with the next message."""

    async def story(world: World) -> None:
        notices = [make_notice(n, at=world.clock.now()) for n in range(MOST_WAITING + 12)]
        marks = world.box.accept(notices)
        assert len(marks) == MOST_WAITING
        world.box.release(marks)
        await world.live(1)
        (message,) = world.channels["oncall"].sent
        assert message.count == MOST_WAITING + 12
        assert "992 more" in message.text
        assert world.counts.of["oncall", "dropped"] == 12

    lives(story)


def test_full_disk_does_not_keep_notices_back() -> None:
    """People hear of what happens while the disk is full; marks go when there is room again."""

    async def story(world: World) -> None:
        world.box.take([make_notice(1, at=world.clock.now())])
        await world.box.settle()
        world.marks.is_full = True
        world.box.take([make_notice(2, NotifyOn.LATE, at=world.clock.now())])
        await world.live(1)
        told = [notice for message in world.channels["oncall"].sent for notice in message.notices]
        assert len(told) == 2
        assert len(await world.kept()) == 1
        world.marks.is_full = False
        world.box.take([make_notice(3, NotifyOn.READY, at=world.clock.now())])
        await world.live(1)
        assert await world.kept() == []

    lives(story)


def test_notice_for_a_channel_that_is_gone_is_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a change of the settings it is said, and the mark goes."""

    async def story(world: World) -> None:
        await world.marks.change(MarkChange(put=world.box.accept([make_notice(channel="boss")])))
        del world.channels["boss"]
        await world.restart()
        assert await world.kept() == []

    lives(story)
    assert "notify.no_channel channel=boss" in caplog.text


def test_withdrawn_notice_is_never_sent() -> None:
    """An end that happened otherwise after all leaves no room taken."""

    async def story(world: World) -> None:
        marks = world.box.accept([make_notice()])
        world.box.withdraw(marks)
        world.box.release(marks)
        await world.live(1)
        assert world.ids() == []

    lives(story)
