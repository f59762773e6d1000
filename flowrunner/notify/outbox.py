"""The durable outbox: a mark for each notice and channel until the receiver has it.

A notice is sent at least once, each time under the same id. Each channel has a worker of its own,
so that one that fails delays neither others nor any execution; it tries again with growing pauses
for a day. Channels may come, change and leave meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from flowrunner.errors import FlowError, StorageError
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.notify import Notice, notice_of
from flowrunner.nodes.telling import Letter
from flowrunner.notify.line import MOST_WAITING, Batch, Kept
from flowrunner.notify.message import Message, Sender
from flowrunner.notify.parcels import Parcel
from flowrunner.notify.sending import CountsNotices, Outlet, Sending, WatchesChannels
from flowrunner.storage.mark_store import MarkStore
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)


class FullError(FlowError):
    """So much waits for a channel that nothing more is taken."""

    default_code = "notify.full"


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


class Outbox:
    """Meets `TakesNotices`; `run` sends.

    Args:
        outlets: By the label of their channel.
        marks: Where notices are kept.
        clock: The wall clock says when to give up, the monotonic one what to hold back.
        sender: Who speaks.
        counts: Told of results.
        health: Told of tries.
    """

    def __init__(
        self,
        *,
        outlets: Mapping[str, Outlet],
        marks: MarkStore,
        clock: Clock,
        sender: Sender,
        counts: CountsNotices,
        health: WatchesChannels,
    ) -> None:
        self._outlets = dict(outlets)
        self._sending = Sending(clock, counts, health)
        self._health = health
        self._workers: asyncio.TaskGroup | None = None
        self._marks = marks
        self._clock = clock
        self._sender = sender
        self._counts = counts
        self._pending: dict[MarkKey, tuple[Outlet, Notice]] = {}
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
                self._lose((Kept(key, notice),))
                continue
            outlet.line.add(key, notice)
            outlet.news.set()
        await self._drop(())

    def accept(self, notices: Iterable[Notice]) -> Mapping[MarkKey, str]:
        """Returns the marks that keep notices."""
        marks = {}
        for notice in notices:
            outlet = self._outlets[notice.channel]
            line = outlet.line
            if line.is_full:
                line.left_out += notice.count
                self._counts.notified(notice.channel, "dropped", notice.count)
                continue
            key = MarkKey(MarkKind.NOTICE, notice.flow, notice.channel, notice.id)
            line.expected += key not in self._pending
            self._pending[key] = (outlet, notice)
            marks[key] = json.dumps(notice.to_json())
        return marks

    def release(self, marks: Mapping[MarkKey, str]) -> None:
        """Lets those go whose marks are on disk; others among the marks are passed over."""
        lost = []
        for key in marks:
            if key not in self._pending:
                continue
            outlet, notice = self._pending.pop(key)
            outlet.line.expected -= 1
            if outlet.is_gone:
                lost.append(Kept(key, notice))
            else:
                outlet.line.add(key, notice)
                outlet.news.set()
        self._lose(lost)

    def withdraw(self, marks: Mapping[MarkKey, str]) -> None:
        """Forgets what was accepted."""
        for key in marks:
            if key in self._pending:
                outlet, _ = self._pending.pop(key)
                outlet.line.expected -= 1

    def take(self, notices: Iterable[Notice]) -> None:
        """Writes the marks of notices, and lets them go; also when the disk takes nothing."""
        marks = self.accept(notices)
        if marks:
            self._begin(marks)

    async def tell(self, notices: Sequence[Notice]) -> None:
        """Returns when notices are on disk, all or none; then they go.

        Cancelling it does not take back what is being written.

        Raises:
            FullError: There is no room for one of them.
            StorageError: They could not be written.
        """
        for notice in notices:
            if self._outlets[notice.channel].line.is_full:
                raise FullError(f"{MOST_WAITING} notices wait for the channel already")
        writing = self._spawn(self._told(self.accept(notices)))
        await asyncio.shield(writing)

    async def send(self, notice: Notice) -> None:
        """Sends a notice once, past what waits; nothing is kept of it.

        Raises:
            NotSentError: It has not arrived, or not for sure.
        """
        label = notice.channel
        message = Message(sender=self._sender, notices=(notice,))
        await self._sending.once(label, self._outlets[label], message)
        self._counts.notified(label, "sent", 1)

    async def mail(self, label: str, name: str, letter: Letter) -> int:
        """Sends a mail of a node; see `Sending.mail`."""
        return await self._sending.mail(label, self._outlets[label], name, letter)

    def forget(self, marks: frozenset[MarkKey]) -> None:
        """Drops marks, with the next that go."""
        if marks:
            self._done |= marks
            self._begin({})

    async def run(self) -> None:
        """Sends until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as self._workers:
                for label, outlet in self._outlets.items():
                    self._employ(label, outlet)
                await asyncio.Event().wait()
        finally:
            self._workers = None

    def replace(self, changed: Mapping[str, Outlet], removed: Collection[str]) -> None:
        """Puts other channels in force, in one turn of the loop.

        What waits for a channel that has changed goes over the new one, at once. What waits for one
        that has left is dropped: nobody could send it, and it would come as a surprise later.

        Args:
            changed: Those that are new or other than before, by their labels.
            removed: The labels of those that have left.
        """
        for label in removed:
            outlet = self._outlets.pop(label)
            outlet.is_gone = True
            outlet.renewed.set()
            outlet.news.set()
            self._lose((*outlet.line.empty(), *outlet.course.empty()))
        for label, other in changed.items():
            known = self._outlets.setdefault(label, other)
            if known is other:
                self._employ(label, other)
                continue
            known.channel = other.channel
            known.line.follow(other.line)
            known.course.renew()
            known.renewed.set()
            known.news.set()
        self._health.replace(self._outlets)

    def _employ(self, label: str, outlet: Outlet) -> None:
        if self._workers is not None:
            self._workers.create_task(self._serve(label, outlet), name=f"notify:{label}")

    def _lose(self, batch: Iterable[Kept]) -> None:
        """Drops notices for a channel that has left."""
        batch = tuple(batch)
        for key, notice in batch:
            self._counts.notified(notice.channel, "dropped", notice.count)
            _LOG.warning("notify.no_channel channel=%s id=%s", notice.channel, notice.id)
            self._done.add(key)
        if batch:
            self._begin({})

    async def settle(self) -> None:
        """Waits for what is being written; at stop."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, marks: Mapping[MarkKey, str]) -> None:
        self._spawn(self._keep(marks))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="notices")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _told(self, marks: Mapping[MarkKey, str]) -> None:
        try:
            await self._marks.change(MarkChange(put=marks))
        except BaseException:
            self.withdraw(marks)
            raise
        self.release(marks)

    async def _keep(self, marks: Mapping[MarkKey, str]) -> None:
        done, self._done = frozenset(self._done), set()
        try:
            await self._marks.change(MarkChange(put=marks, drop=done))
        except StorageError as error:
            _LOG.error("notify.not_recorded code=%s: %s", error.code, error.message)
            self._done |= done
        self.release(marks)

    async def _serve(self, label: str, outlet: Outlet) -> None:
        """Sends what comes for one channel, and what is set aside of it in turn with that."""
        while not outlet.is_gone:
            outlet.news.clear()
            again = outlet.course.take(self._clock.monotonic())
            if again is not None:
                await self._deliver(label, outlet, again)
            now = self._clock.monotonic()
            batch, wait_s = outlet.line.next_batch(now)
            if batch:
                await self._deliver(label, outlet, self._packed(outlet, batch))
            if again is not None or batch:
                continue
            waits = (wait_s, outlet.course.wait_s(now))
            with suppress(TimeoutError):
                # Not `wait_for`: on Python 3.11 it loses a cancel that comes with the event.
                async with asyncio.timeout(min((s for s in waits if s is not None), default=None)):
                    await outlet.news.wait()

    def _packed(self, outlet: Outlet, batch: Batch) -> Parcel:
        left_out, outlet.line.left_out = outlet.line.left_out, 0
        notices = tuple(kept.notice for kept in batch)
        message = Message(sender=self._sender, notices=notices, left_out=left_out)
        return Parcel(batch=batch, message=message, arrived=outlet.course.arrived)

    async def _deliver(self, label: str, outlet: Outlet, parcel: Parcel) -> None:
        """Sends one message until it has arrived, is refused, is too old, or others go first."""
        outlet.renewed.clear()
        result = await self._sending.deliver(label, outlet, parcel)
        if result == "aside":
            return
        if outlet.is_gone and result == "failed":
            self._lose(parcel.batch)
            return
        told = sum(notice.count for notice in parcel.message.notices)
        self._counts.notified(label, result, told)
        if result != "sent":
            text = "notify.%s channel=%s id=%s count=%d tries=%d passed=%d"
            facts = (parcel.message.id, told, parcel.tries, parcel.passed)
            _LOG.error(text, result, label, *facts)
        await self._drop(kept.key for kept in parcel.batch)

    async def _drop(self, keys: Iterable[MarkKey]) -> None:
        """Forgets notices; what the disk does not take is dropped with the next."""
        self._done.update(keys)
        if self._done:
            await self._keep({})
