"""A journal and an execution store that tell what was written when, are slow, or fail.

They stand in front of the memory backend and leave keeping to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from flowrunner.errors import StorageError
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import (
    NOTHING_KEPT,
    Attempt,
    Execution,
    FormerKey,
    Kept,
    NodeStatus,
    ScheduleKey,
)
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.storage.memory import MemoryExecutions
from flowrunner.storage.memory_journal import MemoryJournal
from flowrunner.storage.protocols import ExecutionQuery, Expiry, Submitted

T = TypeVar("T")

FULL = StorageError("no space left on device", code="storage.full")


class Disk:
    """What both stores share: the record of their writes, their speed, their faults.

    Every write has a text, such as ``begin build.1`` or ``update succeeded``. It stands in the
    record when the write is asked for, and as ``durable begin build.1`` when it is on disk.

    Attributes:
        record: The texts, in order; others may add to it.
        latency_s: From a write to its durability.
    """

    def __init__(self) -> None:
        self.record: list[str] = []
        self.latency_s = 0.0
        self._faults: list[Callable[[str], bool]] = []

    def fail(self, *beginnings: str) -> None:
        """Makes writes whose text begins so fail with `FULL`, until `mend`."""
        self._faults.append(lambda text: text.startswith(beginnings))

    def mend(self) -> None:
        """Ends all faults."""
        self._faults.clear()

    def write(self, text: str, keep: Callable[[], asyncio.Future[T]]) -> asyncio.Future[T]:
        """Asks the real store to keep something, and is done `latency_s` later."""
        self.record.append(text)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        kept = self._refused(loop) if self.fails(text) else keep()
        if self.latency_s:
            loop.call_later(self.latency_s, self._answer, text, kept, future)
        else:
            self._answer(text, kept, future)
        return future

    async def ask(self, text: str) -> None:
        """Is one more write, for a store whose write is a coroutine; raises its fault."""
        await self.write(text, partial(_done, asyncio.get_running_loop()))

    def fails(self, text: str) -> bool:
        """Whether a write of this text fails now."""
        return any(fault(text) for fault in self._faults)

    def _answer(self, text: str, kept: asyncio.Future[T], future: asyncio.Future[T]) -> None:
        error = kept.exception()
        if future.cancelled():  # its waiter is gone, the write is not
            return
        if error is not None:
            future.set_exception(error)
            return
        self.record.append(f"durable {text}")
        future.set_result(kept.result())

    def _refused(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = loop.create_future()
        future.set_exception(FULL)
        return future


def _done(loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    future: asyncio.Future[None] = loop.create_future()
    future.set_result(None)
    return future


class FakeJournal:
    """Meets `flowrunner.storage.protocols.Journal`."""

    def __init__(self, inner: MemoryJournal, disk: Disk) -> None:
        self._inner = inner
        self._disk = disk

    def begin(self, attempt: Attempt) -> asyncio.Future[None]:
        text = f"begin {_name(attempt)}"
        return self._disk.write(text, partial(self._inner.begin, attempt))

    def finish(self, attempt: Attempt, node: NodeStatus | None = None) -> asyncio.Future[None]:
        text = f"finish {_name(attempt)} {attempt.state}"
        return self._disk.write(text, partial(self._inner.finish, attempt, node))

    def settle(self, nodes: Sequence[NodeStatus]) -> asyncio.Future[None]:
        text = "settle " + ", ".join(f"{each.node} {each.state}" for each in nodes)
        return self._disk.write(text, partial(self._inner.settle, nodes))

    async def attempts(self, execution_id: ExecutionId) -> list[Attempt]:
        return await self._inner.attempts(execution_id)

    async def nodes(self, execution_id: ExecutionId) -> list[NodeStatus]:
        return await self._inner.nodes(execution_id)

    async def running(self) -> list[Attempt]:
        return await self._inner.running()


class FakeExecutions:
    """Meets `flowrunner.storage.protocols.ExecutionStore`."""

    def __init__(self, inner: MemoryExecutions, disk: Disk) -> None:
        self._inner = inner
        self._disk = disk

    def create(
        self,
        execution: Execution,
        *,
        cursor: tuple[ScheduleKey, datetime] | None = None,
        also: Sequence[Execution] = (),
        kept: Kept = NOTHING_KEPT,
        marks: MarkChange = NO_MARKS,
        delivery: DeliveryRecord | None = None,
        former: FormerKey | None = None,
        needs_definition: bool = False,
    ) -> asyncio.Future[Submitted]:
        keep = partial(
            self._inner.create,
            execution,
            cursor=cursor,
            also=also,
            kept=kept,
            marks=marks,
            delivery=delivery,
            former=former,
            needs_definition=needs_definition,
        )
        changes = (f"{each.state} {each.reason}" for each in also)
        return self._disk.write(" and ".join((f"create {execution.id}", *changes)), keep)

    def update(self, execution: Execution, *, marks: MarkChange = NO_MARKS) -> asyncio.Future[None]:
        text = f"update {execution.state}"
        return self._disk.write(text, partial(self._inner.update, execution, marks=marks))

    async def get(self, execution_id: ExecutionId) -> Execution | None:
        return await self._inner.get(execution_id)

    async def delete(self, execution_id: ExecutionId) -> None:
        await self._inner.delete(execution_id)

    async def flows(self) -> list[FlowKey]:
        return await self._inner.flows()

    async def expired(self, rule: Expiry) -> list[Execution]:
        return await self._inner.expired(rule)

    async def prune(self, ids: Sequence[ExecutionId]) -> None:
        await self._disk.ask(f"prune {len(ids)}")
        await self._inner.prune(ids)

    async def forget_keys(self, before: datetime, *, limit: int) -> int:
        return await self._inner.forget_keys(before, limit=limit)

    async def digests(self) -> set[Digest]:
        return await self._inner.digests()

    async def unfinished(self) -> list[Execution]:
        return await self._inner.unfinished()

    async def find(self, *start_keys: str, since: datetime | None = None) -> ExecutionId | None:
        return await self._inner.find(*start_keys, since=since)

    async def children(self, parent: ExecutionId, *, limit: int) -> list[Execution]:
        return await self._inner.children(parent, limit=limit)

    async def of_slots(
        self,
        flow: FlowKey,
        *,
        after: datetime,
        until: datetime,
        limit: int,
        trigger_type: str | None = None,
    ) -> list[Execution]:
        return await self._inner.of_slots(
            flow, after=after, until=until, limit=limit, trigger_type=trigger_type
        )

    async def last_of_each(self) -> dict[FlowKey, Execution]:
        return await self._inner.last_of_each()

    async def list(self, query: ExecutionQuery) -> list[Execution]:
        return await self._inner.list(query)

    async def inputs(
        self, ids: Sequence[ExecutionId], *, most_bytes: int
    ) -> dict[ExecutionId, dict[str, Json]]:
        return await self._inner.inputs(ids, most_bytes=most_bytes)


def _name(attempt: Attempt) -> str:
    _, node, item, number = attempt.key
    return f"{node}.{item}.{number}" if item else f"{node}.{number}"
