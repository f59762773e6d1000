"""Whatever happens to channels and to the daemon, each message is told or said to be dropped.

A story is a row of events over an outbox on virtual time: messages come, also some that no receiver
ever takes, channels fail, work again, change, leave and come back, the daemon is killed and starts
again. At its end all channels work.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.model.mark import MarkKind
from flowrunner.model.notify import NotifyOn
from flowrunner.notify.channel import NotSentError
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.line import Bucket, Line
from flowrunner.notify.message import Message
from flowrunner.notify.outbox import Outbox
from flowrunner.notify.sending import Outlet
from flowrunner.storage.memory_marks import MemoryMarks
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.virtual_time import run_virtual
from tests.profile import examples
from tests.unit.notify.notices import SENDER, Counts, make_notice

LABELS = ("a", "b")
WORDS = [
    "say",
    "say",
    "say",
    "stumble",
    "keep",
    "keep",
    "fail",
    "work",
    "change",
    "leave",
    "leave",
    "come",
    "come",
    "kill",
    "wait",
]
EVENTS = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(LABELS)), min_size=6, max_size=30
)


class World:
    """Lives of an outbox; what receivers got is known to the test alone."""

    def __init__(self) -> None:
        self.marks, self.clock, self.counts = MemoryMarks(), FakeClock(), Counts()
        self.known = set(LABELS)
        self.failing: set[str] = set()
        self.got: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.may_be_gone: set[str] = set()
        self.hopeless: set[str] = set()
        self.was_killed = False
        self.start()

    def start(self) -> None:
        self.health = ChannelHealth(self.known, self.clock)
        self.box = Outbox(
            outlets={label: self.outlet(label) for label in self.known},
            marks=self.marks,
            clock=self.clock,
            sender=SENDER,
            counts=self.counts,
            health=self.health,
        )
        self.running = asyncio.create_task(self.box.run())

    def outlet(self, label: str) -> Outlet:
        line = Line(Bucket(None), is_for_people=True, takes_many=False)
        return Outlet(channel=Recipient(self, label), line=line)

    async def stop(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        await self.box.settle()

    async def play(self, event: str, label: str) -> None:
        match event:
            case "say" | "keep" if label in self.known:
                await self.say(label, is_told=event == "say")
            case "stumble" if label in self.known:
                self.hopeless.add(f"{sequential_id(len(self.said) + 1)}:message:{label}")
                await self.say(label, is_told=True)
            case "fail":
                self.failing.add(label)
            case "work":
                self.failing.discard(label)
            case "change" if label in self.known:
                self.box.replace({label: self.outlet(label)}, ())
            case "leave" if label in self.known:
                self.known.discard(label)
                self.may_be_gone |= {name for name, of in self.said.items() if of == label}
                self.box.replace({}, (label,))
            case "come" if label not in self.known:
                self.known.add(label)
                self.box.replace({label: self.outlet(label)}, ())
            case "kill":
                self.was_killed = True
                await self.stop()
                self.start()
                await self.box.load()
            case "wait":
                await asyncio.sleep(20)

    async def say(self, label: str, *, is_told: bool) -> None:
        number = len(self.said) + 1
        on = NotifyOn.MESSAGE if is_told else NotifyOn.FAILED
        notice = make_notice(number, on, channel=label, at=self.clock.now())
        self.said[notice.id] = label
        if is_told:
            await self.box.tell([notice])
        else:
            self.box.take([notice])
            await self.box.settle()

    @property
    def dropped(self) -> int:
        """How many are said to be lost."""
        lost = ("dropped", "refused", "given_up")
        return sum(n for (_, result), n in self.counts.of.items() if result in lost)


class Recipient:
    """A channel that takes a second, and takes nothing while it fails."""

    def __init__(self, world: World, label: str) -> None:
        self._world = world
        self._label = label

    async def send(self, message: Message) -> None:
        await asyncio.sleep(1)
        is_hopeless = not self._world.hopeless.isdisjoint(it.id for it in message.notices)
        if is_hopeless or self._label in self._world.failing:
            raise NotSentError("answered 503")
        self._world.got.update(notice.id for notice in message.notices)


@settings(max_examples=examples(100), deadline=None)
@example(events=[("say", "a"), ("say", "a"), ("leave", "a")])
@example(events=[("stumble", "a"), ("stumble", "a"), ("say", "a"), ("fail", "a"), ("say", "a")])
@given(events=EVENTS)
def test_each_message_is_told_or_dropped(events: list[tuple[str, str]]) -> None:
    """What is lost is counted, all is well at the end, and nothing comes twice without a crash."""

    async def story() -> None:
        world = World()
        for event, label in events:
            await world.play(event, label)
        world.failing.clear()
        for label in LABELS:
            await world.play("come", label)
        await asyncio.sleep(3_600)
        assert world.said.keys() - world.got.keys() <= world.may_be_gone | world.hopeless
        await asyncio.sleep(86_400)
        lost = world.said.keys() - world.got.keys()
        for label in LABELS:
            await world.play("say", label)
        await asyncio.sleep(1)
        assert world.dropped == len(lost) or world.was_killed
        assert world.was_killed or set(world.got.values()) <= {1}
        assert await world.marks.list(MarkKind.NOTICE) == {}
        assert world.health.failing == {}
        await world.stop()
        assert len(asyncio.all_tasks()) == 1

    run_virtual(story())
