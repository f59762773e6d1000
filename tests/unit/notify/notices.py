"""Notices and channels for tests of notifications."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import MarkKey, MarkKind
from flowrunner.model.notify import Notice, NotifyOn
from flowrunner.notify.message import Message, Sender
from tests.fakes.ids import sequential_id
from tests.fakes.records import BACKUP, NOON

SENDER = Sender(host="web1", public_url="https://flows.example.com")


def make_notice(
    number: int = 1,
    on: NotifyOn = NotifyOn.FAILED,
    *,
    flow: FlowKey = BACKUP,
    channel: str = "oncall",
    at: datetime = NOON,
    count: int = 1,
) -> Notice:
    """The notice about the `number`-th execution."""
    execution = sequential_id(number)
    return Notice(
        id=f"{execution}:{on}:{channel}",
        channel=channel,
        on=on,
        flow=flow,
        at=at,
        execution=execution,
        state="failed",
        reason="exit_code",
        message="node work failed",
        revision="abc",
        count=count,
    )


def key_of_notice(notice: Notice) -> MarkKey:
    return MarkKey(MarkKind.NOTICE, notice.flow, notice.channel, notice.id)


class FakeChannel:
    """Keeps what it is given, unless it is told to raise.

    Attributes:
        errors: Raised one after the other, before anything is taken.
        tried: Ids of all messages it was given.
    """

    def __init__(self, errors: Iterable[Exception] = ()) -> None:
        self.errors = list(errors)
        self.sent: list[Message] = []
        self.tried: list[str] = []

    async def send(self, message: Message) -> None:
        self.tried.append(message.id)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(message)


class Counts:
    """What was counted, by channel and result."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], int] = {}

    def notified(self, channel: str, result: str, count: int) -> None:
        self.of[channel, result] = self.of.get((channel, result), 0) + count
