"""The desk of nodes: by the channels of their account, kept or sent, with errors a flow can use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from flowrunner.errors import ExecutionError, StorageError
from flowrunner.model.channels import ChannelMap
from flowrunner.model.ids import AttemptKey, FlowKey
from flowrunner.model.mark import MarkChange, MarkKind
from flowrunner.nodes.telling import Letter, Saying
from flowrunner.notify.channel import NotSentError, ReceiversRefusedError
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.notify.desk import NodeDesk
from flowrunner.notify.line import MOST_WAITING, Bucket, Line
from flowrunner.notify.outbox import Outbox
from flowrunner.notify.sending import Outlet
from flowrunner.registry.channels import ChannelDirectory, ChannelRules
from flowrunner.storage.memory_marks import MemoryMarks
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.virtual_time import run_virtual
from tests.unit.notify.notices import SENDER, Counts, FakeChannel, make_notice

CHANNELS = ChannelMap(
    host={"oncall": "slack", "mail": "email"}, of_accounts={"pay": {"oncall": "slack"}}
)
KEY = AttemptKey(sequential_id(1), "tell", 0, 2)


class Mailer(FakeChannel):
    """A channel that mails, unless it is told to raise."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[tuple[str, Letter]] = []

    async def post(self, name: str, letter: Letter) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.letters.append((name, letter))
        return 3


class FullMarks(MemoryMarks):
    """A disk without room."""

    async def change(self, change: MarkChange) -> None:
        raise StorageError("no space", code="storage.full")


class World:
    """A desk over channels in memory; must be made in a loop."""

    def __init__(self, marks: MemoryMarks | None = None) -> None:
        self.marks, self.counts, clock = marks or MemoryMarks(), Counts(), FakeClock()
        self.oncall, self.of_pay, self.mail = FakeChannel(), FakeChannel(), Mailer()
        channels = {"oncall": self.oncall, "pay/oncall": self.of_pay, "mail": self.mail}
        self.health = ChannelHealth(channels, clock)
        self.box = Outbox(
            outlets={
                label: Outlet(
                    channel=channel,
                    line=Line(Bucket(None), is_for_people=True, takes_many=False),
                )
                for label, channel in channels.items()
            },
            marks=self.marks,
            clock=clock,
            sender=SENDER,
            counts=self.counts,
            health=self.health,
        )
        self.directory = ChannelDirectory(ChannelRules(channels=CHANNELS))
        self.desk = NodeDesk(self.directory, self.box, clock)

    async def tell(self, *names: str, account: str = "default", wait: bool = False) -> str:
        return await self.desk.tell(
            Saying(
                key=KEY,
                flow=FlowKey(account, "orders"),
                channels=names,
                subject="all is well",
                message="really",
                is_waited=wait,
            )
        )

    async def write(self, channel: str = "mail") -> str:
        return await self.desk.mail(
            Letter(
                key=KEY,
                flow=FlowKey("default", "orders"),
                channel=channel,
                to=(),
                cc=(),
                bcc=(),
                subject="s",
                body="b",
            )
        )


def lives(story: Callable[[World], Coroutine[Any, Any, None]], marks: MemoryMarks | None) -> None:
    async def main() -> None:
        await story(World(marks))

    run_virtual(main())


def test_what_is_not_waited_for_is_kept_for_the_channels_of_the_account() -> None:
    """One mark for each channel, by the id of attempt and channel; nothing is sent yet."""

    async def story(world: World) -> None:
        told = await world.tell("oncall", "mail", account="pay")
        assert told == "in the outbox for oncall, mail"
        marks = await world.marks.list(MarkKind.NOTICE)
        ids = {key.trigger: key.name for key in marks}
        assert ids == {
            label: f"{KEY.execution}:tell:0:2:message:{label}" for label in ("pay/oncall", "mail")
        }
        assert world.oncall.tried == world.of_pay.tried == []

    lives(story, None)


def test_what_is_waited_for_is_sent_once_and_not_kept() -> None:
    """All channels are tried, and those that failed are named; a refusal is final."""

    async def story(world: World) -> None:
        assert await world.tell("oncall", "mail", wait=True) == "told oncall, mail"
        assert (len(world.oncall.sent), len(world.mail.sent)) == (1, 1)
        world.mail.errors = [NotSentError("answered 503")]
        with pytest.raises(ExecutionError, match=r"^channel mail: answered 503$") as caught:
            await world.tell("oncall", "mail", wait=True)
        assert (caught.value.code, caught.value.final) == ("not_sent", False)
        assert len(world.oncall.sent) == 2
        world.of_pay.errors = [NotSentError("answered 400", is_refused=True)]
        with pytest.raises(ExecutionError, match=r"^channel oncall: answered 400$") as caught:
            await world.tell("oncall", account="pay", wait=True)
        assert caught.value.final
        assert list(world.health.failing) == ["mail", "pay/oncall"]
        assert await world.marks.list(MarkKind.NOTICE) == {}

    lives(story, None)


def test_mail_has_the_id_of_its_attempt() -> None:
    """A server that fails may be tried again; one that refuses a receiver is no failing channel."""

    async def story(world: World) -> None:
        assert await world.write() == "mailed by mail to 3 receivers"
        ((name, _),) = world.mail.letters
        assert name == f"{KEY.execution}:tell:0:2"
        world.mail.errors = [NotSentError("the server answered 451")]
        with pytest.raises(ExecutionError, match="channel mail: the server answered 451") as caught:
            await world.write()
        assert (caught.value.code, caught.value.final) == ("not_sent", False)
        assert list(world.health.failing) == ["mail"]
        world.mail.errors = [ReceiversRefusedError("1 of 2 (a@b)", is_refused=True)]
        with pytest.raises(ExecutionError) as caught:
            await world.write()
        assert (caught.value.final, caught.value.quotes_data) == (True, True)
        assert world.health.failing == {}
        assert world.counts.of == {
            ("mail", "sent"): 1,
            ("mail", "failed"): 1,
            ("mail", "refused"): 1,
        }

    lives(story, None)


def test_channel_that_is_gone_or_another_fails_the_node() -> None:
    """A reload may take it away between the start of a flow and its node."""

    async def story(world: World) -> None:
        with pytest.raises(ExecutionError, match="'other'") as caught:
            await world.tell("oncall", "other")
        assert (caught.value.code, caught.value.final) == ("channel_missing", False)
        assert await world.marks.list(MarkKind.NOTICE) == {}
        with pytest.raises(ExecutionError, match="not of type email"):
            await world.write("oncall")

    lives(story, None)


def test_outbox_that_takes_nothing_fails_the_node() -> None:
    """A full disk and a full line are said, so that a retry can help."""

    async def story(world: World) -> None:
        if isinstance(world.marks, FullMarks):
            with pytest.raises(ExecutionError, match="could not be kept: no space") as caught:
                await world.tell("oncall")
            assert caught.value.code == "not_recorded"
            return
        world.box.accept([make_notice(n) for n in range(MOST_WAITING)])
        with pytest.raises(ExecutionError, match="1000 notices wait") as caught:
            await world.tell("mail", "oncall")
        assert (caught.value.code, caught.value.final) == ("outbox_full", False)
        assert await world.marks.list(MarkKind.NOTICE) == {}

    lives(story, None)
    lives(story, FullMarks())


def test_waiting_that_is_cancelled_ends_all_sending() -> None:
    """A timeout of the node leaves no try behind it."""

    async def story(world: World) -> None:
        class Endless(FakeChannel):
            async def send(self, message: object) -> None:
                await asyncio.sleep(1_000)

        world.box.replace(
            {
                "oncall": Outlet(
                    channel=Endless(),
                    line=Line(Bucket(None), is_for_people=True, takes_many=False),
                )
            },
            (),
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await world.tell("oncall", "mail", wait=True)
        assert len(asyncio.all_tasks()) == 1

    lives(story, None)
