"""The local backend on a simulated disk: a write is durable at its commit, and told later.

The database is the memory backend, which stands for what is on the disk; before it waits what
was submitted and not yet committed. The files are the real ones of the local backend, over
simulated files. Meets `flowrunner.storage.protocols.Storage`.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from flowrunner.errors import StorageError
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import (
    NOTHING_KEPT,
    Attempt,
    Execution,
    FormerKey,
    Kept,
    NodeStatus,
    ScheduleKey,
    SlotRun,
)
from flowrunner.model.flow_events import FlowEvent, FlowState
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.mark import NO_MARKS, MarkChange, MarkKey, MarkKind
from flowrunner.model.pause import PauseRecord
from flowrunner.storage.health import Restored, StoreHealth
from flowrunner.storage.local.flows import LocalFlows
from flowrunner.storage.local.translate import storage_error
from flowrunner.storage.memory import MemoryExecutions, MemoryStorage
from flowrunner.storage.memory_deliveries import MemoryDeliveries
from flowrunner.storage.memory_events import MemoryEvents
from flowrunner.storage.memory_flows import MemoryDefinitions
from flowrunner.storage.memory_journal import MemoryJournal
from flowrunner.storage.memory_marks import MemoryMarks
from flowrunner.storage.memory_pauses import MemoryPauses
from flowrunner.storage.memory_slots import MemorySlots
from flowrunner.storage.protocols import ExecutionQuery, Expiry, Submitted
from flowrunner.system.clock import SystemClock
from tests.fakes.simulated_disk import SimulatedDisk, SimulatedFiles
from tests.fakes.simulated_loop import SimulatedLoop

T = TypeVar("T")

_SLOWEST_COMMIT_S = 0.05
_SLOWEST_READ_S = 0.01
_OUTER = ("storage.full", "storage.unavailable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write of the database, before it is committed.

    Attributes:
        kind: The method that asked for it: `create`, `update`, `begin`, `finish`, `settle`,
            `open`, `forget`, `record`, `pause`, `resume`, `events`, `delete`, `prune`,
            `forget_keys`, `define`, `undefine` or `check`.
        values: Its arguments.
        apply: Carries it out on what is durable.
    """

    kind: str
    values: tuple[Any, ...] = ()
    apply: Callable[[], Any]


Watch = Callable[[Write, Callable[[], Any]], Any]
"""Sees every write at its commit: calls what it is given and returns its result."""


class SimulatedWriter:
    """Commits what waits together, one batch after the other, in the order of the calls."""

    def __init__(
        self, loop: SimulatedLoop, disk: SimulatedDisk, health: StoreHealth, watch: Watch
    ) -> None:
        self._loop = loop
        self._disk = disk
        self._health = health
        self._watch = watch
        self._waiting: list[tuple[Write, asyncio.Future[Any]]] = []
        self._is_busy = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the disk."""
        return not self._waiting and not self._is_busy

    def submit(self, write: Write) -> asyncio.Future[Any]:
        """Queues a write; the future is done when it is durable and that was told."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((write, future))
        self._begin()
        return future

    async def reading(self) -> None:
        """Takes as long as a query."""
        await asyncio.sleep(self._loop.delay(_SLOWEST_READ_S))

    def _begin(self) -> None:
        if self._waiting and not self._is_busy:
            self._is_busy = True
            self._loop.call_later(self._loop.delay(_SLOWEST_COMMIT_S), self._commit)

    def _commit(self) -> None:
        if self._loop.is_dead:
            return
        batch, self._waiting = self._waiting, []
        self._disk.moment()
        fault = self._disk.fault
        if fault is None:
            self._disk.ghost = None
            outcomes = [self._carry_out(write) for write, _ in batch]
        else:
            outcomes = [(None, _failure(fault)) for _ in batch]
        if fault == errno.EIO:
            self._disk.ghost = partial(self._appear, [write for write, _ in batch])
        self._disk.moment()
        self._loop.call_later(self._loop.delay(_SLOWEST_COMMIT_S), self._tell, batch, outcomes)

    def _appear(self, writes: Sequence[Write]) -> None:
        """Carries out, after the end of the life, what its last commit may have left."""
        for write in writes:
            self._carry_out(write)

    def _carry_out(self, write: Write) -> tuple[Any, StorageError | None]:
        try:
            return self._watch(write, write.apply), None
        except StorageError as error:
            return None, error

    def _tell(
        self,
        batch: Sequence[tuple[Write, asyncio.Future[Any]]],
        outcomes: Sequence[tuple[Any, StorageError | None]],
    ) -> None:
        if self._loop.is_dead:
            return
        last = outcomes[-1][1]
        failure = last if last is not None and last.code in _OUTER else None
        if failure is not None:
            self._health.failed(failure)
            self._loop.call_soon(self._go_on, failure)  # before those hear of it who wait
        for (_, future), (result, error) in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if failure is None:
            self._health.worked()
            self._go_on()

    def _go_on(self, failure: StorageError | None = None) -> None:
        """Takes the next batch; what was submitted before a failure was told fails with it."""
        if self._loop.is_dead:
            return
        self._is_busy = False
        if failure is not None:
            late, self._waiting = self._waiting, []
            for _, future in late:
                if not future.done():
                    future.set_exception(failure)
        self._begin()


class SimulatedExecutions:
    """Meets `ExecutionStore`."""

    def __init__(self, inner: MemoryExecutions, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

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
        rest: dict[str, Any] = {
            "cursor": cursor,
            "also": also,
            "kept": kept,
            "marks": marks,
            "delivery": delivery,
            "former": former,
            "needs_definition": needs_definition,
        }
        create = partial(self._inner.create, execution, **rest)
        return self._writer.submit(
            Write(
                kind="create",
                values=(execution, cursor, also, kept),
                apply=lambda: create().result(),
            )
        )

    def update(self, execution: Execution, *, marks: MarkChange = NO_MARKS) -> asyncio.Future[None]:
        return self._writer.submit(
            Write(
                kind="update",
                values=(execution,),
                apply=lambda: self._inner.update(execution, marks=marks).result(),
            )
        )

    async def delete(self, execution_id: ExecutionId) -> None:
        await self._write("delete", (execution_id,), lambda: self._inner.delete(execution_id))

    async def prune(self, ids: Sequence[ExecutionId]) -> None:
        await self._write("prune", (ids,), lambda: self._inner.prune(ids))

    async def forget_keys(self, before: datetime, *, limit: int) -> int:
        freed: int = await self._write(
            "forget_keys", (before,), lambda: self._inner.forget_keys(before, limit=limit)
        )
        return freed

    async def get(self, execution_id: ExecutionId) -> Execution | None:
        await self._writer.reading()
        return await self._inner.get(execution_id)

    async def flows(self) -> list[FlowKey]:
        await self._writer.reading()
        return await self._inner.flows()

    async def expired(self, rule: Expiry) -> list[Execution]:
        await self._writer.reading()
        return await self._inner.expired(rule)

    async def digests(self) -> set[Digest]:
        await self._writer.reading()
        return await self._inner.digests()

    async def unfinished(self) -> list[Execution]:
        await self._writer.reading()
        return await self._inner.unfinished()

    async def find(self, *start_keys: str, since: datetime | None = None) -> ExecutionId | None:
        await self._writer.reading()
        return await self._inner.find(*start_keys, since=since)

    async def children(self, parent: ExecutionId, *, limit: int) -> list[Execution]:
        await self._writer.reading()
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
        await self._writer.reading()
        return await self._inner.of_slots(
            flow, after=after, until=until, limit=limit, trigger_type=trigger_type
        )

    async def last_of_each(self) -> dict[FlowKey, Execution]:
        await self._writer.reading()
        return await self._inner.last_of_each()

    async def list(self, query: ExecutionQuery) -> list[Execution]:
        await self._writer.reading()
        return await self._inner.list(query)

    async def inputs(
        self, ids: Sequence[ExecutionId], *, most_bytes: int
    ) -> dict[ExecutionId, dict[str, Json]]:
        await self._writer.reading()
        return await self._inner.inputs(ids, most_bytes=most_bytes)

    async def _write(
        self, kind: str, values: tuple[Any, ...], make: Callable[[], Coroutine[Any, Any, T]]
    ) -> Any:
        return await self._writer.submit(
            Write(kind=kind, values=values, apply=lambda: _driven(make()))
        )


class SimulatedJournal:
    """Meets `Journal`."""

    def __init__(self, inner: MemoryJournal, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

    def begin(self, attempt: Attempt) -> asyncio.Future[None]:
        return self._writer.submit(
            Write(
                kind="begin", values=(attempt,), apply=lambda: self._inner.begin(attempt).result()
            )
        )

    def finish(self, attempt: Attempt, node: NodeStatus | None = None) -> asyncio.Future[None]:
        return self._writer.submit(
            Write(
                kind="finish",
                values=(attempt, node),
                apply=lambda: self._inner.finish(attempt, node).result(),
            )
        )

    def settle(self, nodes: Sequence[NodeStatus]) -> asyncio.Future[None]:
        return self._writer.submit(
            Write(kind="settle", values=(nodes,), apply=lambda: self._inner.settle(nodes).result())
        )

    async def attempts(self, execution_id: ExecutionId) -> list[Attempt]:
        await self._writer.reading()
        return await self._inner.attempts(execution_id)

    async def nodes(self, execution_id: ExecutionId) -> list[NodeStatus]:
        await self._writer.reading()
        return await self._inner.nodes(execution_id)

    async def running(self) -> list[Attempt]:
        await self._writer.reading()
        return await self._inner.running()


class SimulatedSlots:
    """Meets `SlotStore`."""

    def __init__(self, inner: MemorySlots, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

    async def cursor(self, schedule: ScheduleKey) -> datetime | None:
        await self._writer.reading()
        return await self._inner.cursor(schedule)

    async def open(self, schedule: ScheduleKey, at: datetime) -> datetime:
        opened: datetime = await self._writer.submit(
            Write(
                kind="open",
                values=(schedule, at),
                apply=lambda: _driven(self._inner.open(schedule, at)),
            )
        )
        return opened

    async def cursors(self) -> dict[ScheduleKey, datetime]:
        await self._writer.reading()
        return await self._inner.cursors()

    async def open_all(
        self, schedules: Mapping[ScheduleKey, datetime]
    ) -> dict[ScheduleKey, datetime]:
        opened: dict[ScheduleKey, datetime] = await self._writer.submit(
            Write(
                kind="open",
                values=tuple(schedules.items()),
                apply=lambda: _driven(self._inner.open_all(schedules)),
            )
        )
        return opened

    async def forget(self, schedules: Collection[ScheduleKey], until: datetime) -> None:
        await self._writer.submit(
            Write(
                kind="forget",
                values=(tuple(schedules),),
                apply=lambda: _driven(self._inner.forget(schedules, until)),
            )
        )

    async def last_instant(self) -> datetime | None:
        await self._writer.reading()
        return await self._inner.last_instant()

    async def record(self, run: SlotRun) -> None:
        await self._writer.submit(
            Write(kind="record", values=(run,), apply=lambda: _driven(self._inner.record(run)))
        )

    async def between(
        self, flow: FlowKey, *, after: datetime, until: datetime, limit: int
    ) -> list[SlotRun]:
        await self._writer.reading()
        return await self._inner.between(flow, after=after, until=until, limit=limit)

    async def list(self, flow: FlowKey, *, limit: int = 100) -> list[SlotRun]:
        await self._writer.reading()
        return await self._inner.list(flow, limit=limit)

    async def prune(self, before: datetime, *, limit: int) -> int:
        pruned: int = await self._writer.submit(
            Write(
                kind="prune slots",
                values=(before, limit),
                apply=lambda: _driven(self._inner.prune(before, limit=limit)),
            )
        )
        return pruned


class SimulatedPauses:
    """Meets `PauseStore`."""

    def __init__(self, inner: MemoryPauses, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

    async def put(self, flow: FlowKey, record: PauseRecord) -> None:
        await self._writer.submit(
            Write(kind="pause", apply=lambda: _driven(self._inner.put(flow, record)))
        )

    async def delete(self, flow: FlowKey) -> None:
        await self._writer.submit(
            Write(kind="resume", apply=lambda: _driven(self._inner.delete(flow)))
        )

    async def list(self) -> dict[FlowKey, PauseRecord]:
        await self._writer.reading()
        return await self._inner.list()


class SimulatedEvents:
    """Meets `EventStore`."""

    def __init__(self, inner: MemoryEvents, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

    async def record(
        self,
        events: Sequence[FlowEvent],
        states: Mapping[FlowKey, FlowState],
        *,
        marks: MarkChange = NO_MARKS,
    ) -> None:
        await self._writer.submit(
            Write(
                kind="events",
                values=(events,),
                apply=lambda: _driven(self._inner.record(events, states, marks=marks)),
            )
        )

    async def states(self) -> dict[FlowKey, FlowState]:
        await self._writer.reading()
        return await self._inner.states()

    async def list(
        self, flow: FlowKey, *, before: int | None = None, limit: int = 100
    ) -> list[FlowEvent]:
        await self._writer.reading()
        return await self._inner.list(flow, before=before, limit=limit)

    async def prune(self, before: datetime, *, limit: int) -> int:
        pruned: int = await self._writer.submit(
            Write(
                kind="prune events",
                values=(before, limit),
                apply=lambda: _driven(self._inner.prune(before, limit=limit)),
            )
        )
        return pruned


class SimulatedDeliveries:
    """Meets `DeliveryStore`."""

    def __init__(self, inner: MemoryDeliveries, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

    async def record(
        self, records: Sequence[DeliveryRecord], statuses: Mapping[str, int] | None = None
    ) -> None:
        await self._writer.submit(
            Write(
                kind="deliveries",
                values=(records,),
                apply=lambda: _driven(self._inner.record(records, statuses)),
            )
        )

    async def flows(self) -> list[FlowKey]:
        await self._writer.reading()
        return await self._inner.flows()

    async def trim(self, flow: FlowKey, *, keep: int, limit: int) -> int:
        trimmed: int = await self._writer.submit(
            Write(
                kind="trim deliveries",
                values=(flow, keep),
                apply=lambda: _driven(self._inner.trim(flow, keep=keep, limit=limit)),
            )
        )
        return trimmed

    async def prune(self, before: datetime, *, limit: int) -> int:
        pruned: int = await self._writer.submit(
            Write(
                kind="prune deliveries",
                values=(before, limit),
                apply=lambda: _driven(self._inner.prune(before, limit=limit)),
            )
        )
        return pruned

    async def list(self, query: DeliveryQuery) -> list[DeliveryRecord]:
        await self._writer.reading()
        return await self._inner.list(query)


class SimulatedMarks:
    """Meets `MarkStore`."""

    def __init__(self, inner: MemoryMarks, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer

    async def change(self, change: MarkChange) -> None:
        await self._writer.submit(Write(kind="marks", apply=lambda: self._inner.apply(change)))

    async def list(self, kind: MarkKind) -> dict[MarkKey, str]:
        await self._writer.reading()
        return await self._inner.list(kind)


class SimulatedDefinitions:
    """Meets `DefinitionStore`; one that was kept in this life is not written again."""

    def __init__(self, inner: MemoryDefinitions, writer: SimulatedWriter) -> None:
        self._inner = inner
        self._writer = writer
        self._kept: set[Digest] = set()
        self._puts = 0
        self._last_put: dict[Digest, int] = {}

    def put(self, digest: Digest, definition: Mapping[str, Json]) -> asyncio.Future[None]:
        self._puts += 1
        self._last_put[digest] = self._puts
        if digest in self._kept:
            kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            kept.set_result(None)
            return kept
        writing = self._writer.submit(
            Write(
                kind="define",
                values=(digest,),
                apply=lambda: self._inner.put(digest, definition).result(),
            )
        )
        return asyncio.ensure_future(self._written(digest, writing))

    async def _written(self, digest: Digest, writing: Awaitable[Any]) -> None:
        await writing
        self._kept.add(digest)

    async def get(self, digest: Digest) -> dict[str, Json] | None:
        await self._writer.reading()
        return await self._inner.get(digest)

    async def list(self) -> list[Digest]:
        await self._writer.reading()
        return await self._inner.list()

    def mark(self) -> int:
        return self._puts

    async def delete(self, digest: Digest, *, unless_put_since: int | None = None) -> None:
        if unless_put_since is not None and self._last_put.get(digest, 0) > unless_put_since:
            return
        self._kept.discard(digest)
        await self._writer.submit(
            Write(
                kind="undefine",
                values=(digest,),
                apply=lambda: _driven(self._inner.delete(digest)),
            )
        )


class SimulatedStorage:
    """The stores of one life over what earlier lives left on the disk."""

    def __init__(
        self,
        loop: SimulatedLoop,
        durable: MemoryStorage,
        files: SimulatedFiles,
        disk: SimulatedDisk,
        *,
        state: Path,
        watch: Watch,
    ) -> None:
        self._disk = disk
        self.health = StoreHealth()
        self.writer = SimulatedWriter(loop, disk, self.health, watch)
        self.flows = LocalFlows(state, files, SystemClock())
        self.definitions = SimulatedDefinitions(durable.definitions, self.writer)
        self.executions = SimulatedExecutions(durable.executions, self.writer)
        self.journal = SimulatedJournal(durable.journal, self.writer)
        self.slots = SimulatedSlots(durable.slots, self.writer)
        self.pauses = SimulatedPauses(durable.pauses, self.writer)
        self.events = SimulatedEvents(durable.events, self.writer)
        self.marks = SimulatedMarks(durable.marks, self.writer)
        self.deliveries = SimulatedDeliveries(durable.deliveries, self.writer)

    async def open(self) -> None:
        """Reads the log, with what may stand there of a commit that was said to have failed."""
        await self.writer.reading()
        ghost, self._disk.ghost = self._disk.ghost, None
        if ghost is not None:
            ghost()

    async def close(self) -> None:
        while not self.writer.is_idle:
            with suppress(StorageError):
                await self.check()

    async def backup(self, target: Path | None = None) -> Path:
        raise StorageError("the simulation has no backups", code="storage.no_backup")

    async def last_backup(self) -> datetime | None:
        return None

    async def restored(self) -> Restored | None:
        return None

    async def acknowledge_restored(self) -> None:
        return

    async def check(self) -> None:
        await self.writer.submit(Write(kind="check", apply=lambda: None))


def _failure(fault: int) -> StorageError:
    """Returns what the local backend says of an error number."""
    return storage_error(OSError(fault, os.strerror(fault)))


def _driven(coroutine: Coroutine[Any, Any, T]) -> T:
    """Returns what a coroutine of the memory backend returns: it never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the memory backend waits")
