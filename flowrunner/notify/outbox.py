"""The durable outbox: a mark for each notice and channel until the receiver has it.

A notice is sent at least once, each time under the same id. Each channel has a worker of its own,
so that one that fails delays neither others nor any execution; it tries again with growing pauses
for a day.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from flowrunner.errors import StorageError
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.notify import Notice, notice_of
from flowrunner.notify.channel import Channel, NotSentError
from flowrunner.notify.line import Batch, Line
from flowrunner.notify.message import Message, Sender
from flowrunner.storage.mark_store import MarkStore
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)

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


class TakesNotices(Protocol):
    """Takes notices, before they are on disk and after."""

    def accept(self, notices: Iterable[Notice]) -> Mapping[MarkKey, str]:
        """Returns the marks that keep notices; those for which there is no room are left out."""

    def release(self, marks: Mapping[MarkKey, str]) -> None:
        """Lets those go whose marks are on disk."""

    def withdraw(self, marks: Mapping[MarkKey, str]) -> None:
        """Forgets what was accepted, since it has happened otherwise."""

    def take(self, notices: Iterable[Notice]) -> None:
        """Writes the marks of notices by itself, and lets them go."""

    def forget(self, marks: frozenset[MarkKey]) -> None:
        """Drops marks, soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A channel, and what waits for it."""

    channel: Channel
    line: Line
    news: asyncio.Event


class Outbox:
    """Meets `TakesNotices`; `run` sends.

    Args:
        outlets: By the label of their channel.
        marks: Where notices are kept.
        clock: The wall clock says when to give up, the monotonic one what to hold back.
        sender: Who speaks.
        counts: Told of results.
    """

    def __init__(
        self,
        *,
        outlets: Mapping[str, Outlet],
        marks: MarkStore,
        clock: Clock,
        sender: Sender,
        counts: CountsNotices,
    ) -> None:
        self._outlets = outlets
        self._marks = marks
        self._clock = clock
        self._sender = sender
        self._counts = counts
        self._pending: dict[MarkKey, Notice] = {}
        self._done: set[MarkKey] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Learns what an earlier life has not sent, or not known to have.

        Raises:
            StorageError: It cannot be read.
        """
        kept = await self._marks.list(MarkKind.NOTICE)
        found = [
            (key, notice_of(key.name, key.trigger, key.flow, json.loads(text)))
            for key, text in kept.items()
        ]
        for key, notice in sorted(found, key=lambda each: each[1].at):
            outlet = self._outlets.get(notice.channel)
            if outlet is None:
                _LOG.warning("notify.no_channel channel=%s id=%s", notice.channel, notice.id)
                self._done.add(key)
                continue
            outlet.line.add(key, notice)
            outlet.news.set()
        await self._drop(())

    def accept(self, notices: Iterable[Notice]) -> Mapping[MarkKey, str]:
        """Returns the marks that keep notices."""
        marks = {}
        for notice in notices:
            line = self._outlets[notice.channel].line
            if line.is_full:
                line.left_out += notice.count
                self._counts.notified(notice.channel, "dropped", notice.count)
                continue
            key = MarkKey(MarkKind.NOTICE, notice.flow, notice.channel, notice.id)
            line.expected += key not in self._pending
            self._pending[key] = notice
            marks[key] = json.dumps(notice.to_json())
        return marks

    def release(self, marks: Mapping[MarkKey, str]) -> None:
        """Lets those go whose marks are on disk; others among the marks are passed over."""
        for key in marks:
            notice = self._pending.pop(key, None)
            if notice is not None:
                outlet = self._outlets[notice.channel]
                outlet.line.expected -= 1
                outlet.line.add(key, notice)
                outlet.news.set()

    def withdraw(self, marks: Mapping[MarkKey, str]) -> None:
        """Forgets what was accepted."""
        for key in marks:
            notice = self._pending.pop(key, None)
            if notice is not None:
                self._outlets[notice.channel].line.expected -= 1

    def take(self, notices: Iterable[Notice]) -> None:
        """Writes the marks of notices, and lets them go; also when the disk takes nothing."""
        marks = self.accept(notices)
        if marks:
            self._begin(marks)

    def forget(self, marks: frozenset[MarkKey]) -> None:
        """Drops marks, with the next that go."""
        if marks:
            self._done |= marks
            self._begin({})

    async def run(self) -> None:
        """Sends until it is cancelled."""
        async with asyncio.TaskGroup() as workers:
            for label, outlet in self._outlets.items():
                workers.create_task(self._serve(label, outlet), name=f"notify:{label}")
            await asyncio.Event().wait()

    async def settle(self) -> None:
        """Waits for what is being written; at stop."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, marks: Mapping[MarkKey, str]) -> None:
        task = asyncio.create_task(self._keep(marks), name="notices")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, marks: Mapping[MarkKey, str]) -> None:
        done, self._done = frozenset(self._done), set()
        try:
            await self._marks.change(MarkChange(put=marks, drop=done))
        except StorageError as error:
            _LOG.error("notify.not_recorded code=%s: %s", error.code, error.message)
            self._done |= done
        self.release(marks)

    async def _serve(self, label: str, outlet: Outlet) -> None:
        """Sends what comes for one channel."""
        while True:
            outlet.news.clear()
            batch, wait_s = outlet.line.next_batch(self._clock.monotonic())
            if batch:
                await self._deliver(label, outlet, batch)
                continue
            with suppress(TimeoutError):
                # Not `wait_for`: on Python 3.11 it loses a cancel that comes with the event.
                async with asyncio.timeout(wait_s):
                    await outlet.news.wait()

    async def _deliver(self, label: str, outlet: Outlet, batch: Batch) -> None:
        """Sends one message until it has arrived, is refused, or is too old."""
        left_out, outlet.line.left_out = outlet.line.left_out, 0
        notices = tuple(kept.notice for kept in batch)
        message = Message(sender=self._sender, notices=notices, left_out=left_out)
        told = sum(notice.count for notice in notices)
        result = await self._try_to_send(label, outlet.channel, message)
        self._counts.notified(label, result, told)
        if result != "sent":
            _LOG.error("notify.%s channel=%s id=%s count=%d", result, label, message.id, told)
        await self._drop(kept.key for kept in batch)

    async def _try_to_send(self, label: str, channel: Channel, message: Message) -> str:
        """Returns the result, after as many tries as it takes."""
        tries = 0
        while self._clock.now() - message.notices[-1].at <= GIVEN_UP_AFTER:
            tries += 1
            try:
                await channel.send(message)
            except NotSentError as error:
                self._counts.notified(label, "failed", 1)
                level = logging.WARNING if tries == 1 else logging.INFO
                text = "notify.failed channel=%s tries=%d: %s"
                _LOG.log(level, text, label, tries, error.message)
                if error.is_refused:
                    return "refused"
                await asyncio.sleep(_pause_s(tries, error.retry_after_s))
            else:
                if tries > 1:
                    _LOG.info("notify.works_again channel=%s tries=%d", label, tries)
                return "sent"
        return "given_up"

    async def _drop(self, keys: Iterable[MarkKey]) -> None:
        """Forgets notices; what the disk does not take is dropped with the next."""
        self._done.update(keys)
        if self._done:
            await self._keep({})


def _pause_s(tries: int, asked_s: float) -> float:
    grown = FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20)
    return max(min(grown, LONGEST_PAUSE_S), min(asked_s, _LONGEST_ASKED_S))
