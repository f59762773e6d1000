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
from flowrunner.notify.channel import Channel, NotSentError
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.line import MOST_WAITING, Bucket, Line
from flowrunner.notify.message import Message
from flowrunner.notify.outbox import FullError, Outbox
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


class SlowChannel(FakeChannel):
    """Takes ten seconds for each message."""

    async def send(self, message: Message) -> None:
        await asyncio.sleep(10)
        await super().send(message)


class World:
    """Lives of an outbox over the same marks."""

    def __init__(self) -> None:
        self.marks, self.clock, self.counts = FaultyMarks(), FakeClock(), Counts()
        self.health = ChannelHealth(("oncall", "boss"), self.clock)
        self.channels = {"oncall": FakeChannel(), "boss": FakeChannel()}
        self.box = self._new()

    def _new(self) -> Outbox:
        return Outbox(
            outlets={name: self.outlet(channel) for name, channel in self.channels.items()},
            marks=self.marks,
            clock=self.clock,
            sender=SENDER,
            counts=self.counts,
            health=self.health,
        )

    def outlet(self, channel: Channel) -> Outlet:
        line = Line(Bucket(10, 60.0), is_for_people=True, takes_many=False)
        return Outlet(channel=channel, line=line)

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


def test_fault_of_a_channel_ends_nothing_and_is_told_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error that no channel should raise counts as not sent, and others go on."""

    async def story(world: World) -> None:
        world.channels["oncall"].errors = [ValueError("https://hooks.example/T/secret")]
        world.box.take([make_notice(1, at=world.clock.now())])
        world.box.take([make_notice(2, channel="boss", at=world.clock.now())])
        await world.live(6)
        assert (len(world.ids("boss")), len(world.ids())) == (1, 1)
        assert world.counts.of["oncall", "failed"] == 1

    lives(story)
    assert "notify.channel_fault error=ValueError at=" in caplog.text
    assert "unexpected ValueError" in caplog.text
    assert "secret" not in caplog.text


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


def test_what_waits_goes_over_a_channel_that_has_changed() -> None:
    """The next try comes at once and over the new one, without a restart and under the same id."""

    async def story(world: World) -> None:
        world.channels["oncall"].errors = [NotSentError("no")] * 100
        world.box.take([make_notice(1, at=world.clock.now())])
        running = asyncio.create_task(world.live(1_000))
        await asyncio.sleep(400)
        world.box.take([make_notice(2, channel="boss", at=world.clock.now())])
        old, new = world.channels["oncall"], FakeChannel()
        world.box.replace({"oncall": world.outlet(new)}, ())
        await asyncio.sleep(0.1)
        assert [message.id for message in new.sent] == old.tried[:1]
        assert (old.sent, world.health.failing) == ([], {})
        assert len(world.ids("boss")) == 1
        await running
        assert len(new.tried) == len(world.ids("boss")) == 1

    lives(story)


def test_channel_that_comes_is_served_and_one_that_left_loses_what_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is tried again for it: what waits, is under way, or is being written."""

    async def story(world: World) -> None:
        world.channels["oncall"].errors = [NotSentError("no")] * 100
        running = asyncio.create_task(world.live(500))
        await asyncio.sleep(0)
        world.box.take([make_notice(n, at=world.clock.now()) for n in (1, 2)])
        await asyncio.sleep(1)
        pending = world.box.accept([make_notice(3, at=world.clock.now())])
        await world.marks.change(MarkChange(put=pending))
        late = FakeChannel()
        world.box.replace({"late": world.outlet(late)}, ("oncall",))
        world.box.release(pending)
        world.box.take([make_notice(4, channel="late", at=world.clock.now())])
        await running
        assert len(world.channels["oncall"].tried) == 1
        assert world.counts.of["oncall", "dropped"] == 3
        assert (len(late.sent), await world.kept()) == (1, [])
        assert world.health.failing == {}

    lives(story)
    assert caplog.text.count("notify.no_channel channel=oncall") == 3


def test_try_that_is_under_way_when_its_channel_leaves_still_counts() -> None:
    """What the receiver has is sent, whoever it was sent by."""

    async def story(world: World) -> None:
        slow = SlowChannel()
        world.box.replace({"oncall": world.outlet(slow)}, ())
        world.box.take([make_notice(1, at=world.clock.now())])
        running = asyncio.create_task(world.live(100))
        await asyncio.sleep(1)
        world.box.replace({}, ("oncall",))
        await running
        assert world.counts.of == {("oncall", "sent"): 1}
        assert await world.kept() == []

    lives(story)


def test_what_is_told_is_on_disk_or_nowhere() -> None:
    """Who waits for the disk learns that it failed, or that there is no room; nothing is half."""

    async def story(world: World) -> None:
        both = [make_notice(1, channel=name, at=world.clock.now()) for name in ("oncall", "boss")]
        world.marks.is_full = True
        with pytest.raises(StorageError):
            await world.box.tell(both)
        world.marks.is_full = False
        marks = world.box.accept([make_notice(n, channel="boss") for n in range(MOST_WAITING)])
        with pytest.raises(FullError):
            await world.box.tell(both)
        assert await world.kept() == []
        world.box.withdraw(marks)
        await world.box.tell(both)
        assert len(await world.kept()) == 2
        await world.live(1)
        assert (len(world.ids()), len(world.ids("boss"))) == (1, 1)

    lives(story)


def test_telling_that_is_cancelled_is_still_kept() -> None:
    """What is being written is sent all the same: the disk may have it already."""

    async def story(world: World) -> None:
        telling = asyncio.create_task(world.box.tell([make_notice(1, at=world.clock.now())]))
        await asyncio.sleep(0)
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await world.box.settle()
        await world.live(1)
        assert (len(world.ids()), await world.kept()) == (1, [])

    lives(story)


def test_what_is_sent_at_once_passes_what_waits() -> None:
    """It is tried once, counted, and tells whether the channel works."""

    async def story(world: World) -> None:
        channel = world.channels["oncall"]
        channel.errors = [NotSentError("no")]
        notice = make_notice(1, NotifyOn.MESSAGE, at=world.clock.now())
        with pytest.raises(NotSentError):
            await world.box.send(notice)
        assert list(world.health.failing) == ["oncall"]
        await world.box.send(notice)
        assert (world.ids(), world.health.failing) == ([notice.id], {})
        assert world.counts.of == {("oncall", "failed"): 1, ("oncall", "sent"): 1}

    lives(story)
