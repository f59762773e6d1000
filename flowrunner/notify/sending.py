"""Channels at work: what each is sent, and that it is tried again until it has arrived.

Pauses grow, and a channel that has changed is tried at once. What is kept of a notice meanwhile is
the business of `flowrunner.notify.outbox`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection
from contextlib import suppress
from dataclasses import field
from datetime import timedelta
from traceback import extract_tb
from typing import Protocol, TypeVar

from flowrunner.dataclass import dataclass
from flowrunner.nodes.telling import Letter
from flowrunner.notify.channel import Channel, Mails, NotSentError, ReceiversRefusedError
from flowrunner.notify.line import Line
from flowrunner.notify.message import Message
from flowrunner.notify.parcels import MOST_PASSED, Course, Parcel
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
"""Between two tries: twice as long each time."""

GIVEN_UP_AFTER = timedelta(days=1)
"""Since what is told has happened."""

_LONGEST_ASKED_S = 3_600.0
"""The longest pause that a receiver may ask for."""


class CountsNotices(Protocol):
    """Told what becomes of notices."""

    def notified(self, channel: str, result: str, count: int) -> None:
        """Counts; `result` is `sent`, `failed` (a try), `refused`, `given_up` or `dropped`."""


class WatchesChannels(Protocol):
    """Told of every try."""

    def failed(self, label: str, why: str) -> None:
        """Learns of a try that did not arrive."""

    def worked(self, label: str) -> None:
        """Learns of one that did."""

    def replace(self, labels: Collection[str]) -> None:
        """Learns which channels there are now."""


@dataclass(slots=True, kw_only=True)
class Outlet:
    """A channel, and what waits for it.

    Attributes:
        channel: Another one after a change of its settings.
        news: Set when there may be something to send.
        renewed: Set when the channel is another one, or gone.
        is_gone: Whether it has left: what is under way is not tried again.
        course: How it has done until now.
    """

    channel: Channel
    line: Line
    news: asyncio.Event = field(default_factory=asyncio.Event)
    renewed: asyncio.Event = field(default_factory=asyncio.Event)
    is_gone: bool = False
    course: Course = field(default_factory=Course)


class Sending:
    """Sends messages, and tells of every try.

    Args:
        clock: The wall clock says when to give up.
        counts: Told of results.
        health: Told of tries.
    """

    def __init__(self, clock: Clock, counts: CountsNotices, health: WatchesChannels) -> None:
        self._clock = clock
        self._counts = counts
        self._health = health

    async def deliver(self, label: str, outlet: Outlet, parcel: Parcel) -> str:
        """Returns the result, after as many tries as it takes.

        Returns:
            `sent`, `refused` or `given_up`; `aside`: it is set aside, and others go first;
            `failed`: the channel has left.
        """
        while self._clock.now() - parcel.message.notices[-1].at <= GIVEN_UP_AFTER:
            parcel.tries += 1
            try:
                await self.once(label, outlet, parcel.message)
            except NotSentError as error:
                level = logging.WARNING if parcel.tries == 1 else logging.INFO
                text = "notify.failed channel=%s tries=%d: %s"
                _LOG.log(level, text, label, parcel.tries, error.message)
                if error.is_refused:
                    return "refused"
                result = await self._after_failure(outlet, parcel, error.retry_after_s)
                if result:
                    return result
            else:
                if parcel.tries > 1:
                    _LOG.info("notify.works_again channel=%s tries=%d", label, parcel.tries)
                outlet.course.note_arrival()
                return "sent"
        return "given_up"

    async def _after_failure(self, outlet: Outlet, parcel: Parcel, asked_s: float) -> str:
        """Waits, unless others are to go first; returns a result, or nothing for another try."""
        course = outlet.course
        course.note_failure(parcel)
        if parcel.passed >= MOST_PASSED:
            return "refused"
        if not (outlet.line.is_for_people and course.may_pass(parcel)):
            await _pause(outlet, _pause_s(course.tries, asked_s))
            return "failed" if outlet.is_gone else ""
        parcel.due = self._clock.monotonic() + _pause_s(parcel.tries, asked_s)
        course.set_aside(parcel)
        if asked_s or len(course.failing) > 1:  # else the channel may be well: others go at once
            await _pause(outlet, _pause_s(course.tries, asked_s))
        return "aside"

    async def mail(self, label: str, outlet: Outlet, name: str, letter: Letter) -> int:
        """Sends a mail of a node, once; returns how many receivers it had.

        Raises:
            NotSentError: The server has not taken it, or the channel is of another type by now.
        """
        channel = outlet.channel
        if not isinstance(channel, Mails):
            raise NotSentError("it is not of type email")
        try:
            count = await _bordered(channel.post(name, letter))
        except ReceiversRefusedError:
            self._counts.notified(label, "refused", 1)
            self._health.worked(label)
            raise
        except NotSentError as error:
            self._counts.notified(label, "failed", 1)
            self._health.failed(label, error.message)
            raise
        self._counts.notified(label, "sent", 1)
        self._health.worked(label)
        return count

    async def once(self, label: str, outlet: Outlet, message: Message) -> None:
        """Tries once.

        Raises:
            NotSentError: It has not arrived, or not for sure.
        """
        try:
            await _bordered(outlet.channel.send(message))
        except NotSentError as error:
            self._counts.notified(label, "failed", 1)
            self._health.failed(label, error.message)
            raise
        self._health.worked(label)


async def _bordered(sending: Awaitable[T]) -> T:
    """Returns what a channel returns.

    What no channel should raise counts as not sent: beyond here it would end the daemon, and the
    next one again, for as long as the notice is kept. Its text is not told, which may quote a
    secret address.

    Raises:
        NotSentError: Also for an error of any other kind.
    """
    try:
        return await sending
    except NotSentError:
        raise
    except Exception as error:
        name, frame = type(error).__name__, extract_tb(error.__traceback__)[-1]
        _LOG.error("notify.channel_fault error=%s at=%s:%s", name, frame.filename, frame.lineno)
        raise NotSentError(f"unexpected {name} in the channel") from error


async def _pause(outlet: Outlet, seconds: float) -> None:
    """Waits, or until the channel is another one."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await outlet.renewed.wait()
    outlet.renewed.clear()


def _pause_s(tries: int, asked_s: float) -> float:
    grown = FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20)
    return max(min(grown, LONGEST_PAUSE_S), min(asked_s, _LONGEST_ASKED_S))
