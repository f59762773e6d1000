"""What a storage backend promises; the docstrings here are the guarantees.

One contract suite (`tests/contract/test_storage.py`) runs over every backend. A backend owns
its life cycle and its pooling, and raises `StorageError` and nothing else. All methods are
coroutines called from one event loop and never block it. Every key carries its account.

A write is durable when its coroutine returns: on disk, `fsync`ed, as far as the backend has a
disk at all.

Methods that return a future queue their write when they are *called*, and the writes of one
store and its neighbours (executions, journal, slots) become durable in the order of the calls:
who awaits a later one may rely on the earlier ones, unless they were refused. Cancelling such a
future, or whoever awaits it, does not take the write back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from flowrunner.dataclass import dataclass
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
from flowrunner.model.pause import PauseRecord
from flowrunner.model.states import ExecutionState
from flowrunner.storage.delivery_store import DeliveryStore
from flowrunner.storage.event_store import EventStore
from flowrunner.storage.flow_store import FlowStore
from flowrunner.storage.health import Restored, StoreHealth
from flowrunner.storage.mark_store import MarkStore
from flowrunner.storage.slot_store import SlotStore


class DefinitionStore(Protocol):
    """Effective definitions by digest: what a pinned execution runs, whatever git says now."""

    def put(self, digest: Digest, definition: Mapping[str, Json]) -> asyncio.Future[None]:
        """Keeps a definition durably; the same digest again costs nothing, and is done at once."""

    async def get(self, digest: Digest) -> dict[str, Json] | None:
        """Returns the definition, or None when it is unknown or damaged."""

    async def list(self) -> list[Digest]:
        """Returns the digests of all that are kept, sorted."""

    def mark(self) -> int:
        """Returns this moment, for `delete`; moments of one life of the store compare."""

    async def delete(self, digest: Digest, *, unless_put_since: int | None = None) -> None:
        """Removes a definition; nothing happens if there is none. It may be put again.

        Args:
            digest: Its digest.
            unless_put_since: A moment; one that was put after it stays, since an execution is about
                to name it. That is judged in the turn of the loop in which this is called, and
                whoever puts it later gets it written again.
        """


class Submitted(NamedTuple):
    """The answer to `ExecutionStore.create`: the id, and whether this call created it."""

    id: ExecutionId
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery:
    """A page of executions, newest first (by id, which sorts by creation).

    Attributes:
        before: Only executions with a smaller id: the cursor of the next page.
        limit: At most this many, 1 to 1,000.
    """

    account: str | None = None
    flow: str | None = None
    states: tuple[ExecutionState, ...] = ()
    before: ExecutionId | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """Which executions of a flow need not be kept: more than `keep`, or older than `before`.

    Attributes:
        keep: The newest so many, whatever their state, are kept by number; at least 1.
        limit: At most so many are named at once.
    """

    flow: FlowKey
    keep: int
    before: datetime
    limit: int


class ExecutionStore(Protocol):
    """Executions. Accepted means durable: after `create` returns, a crash loses nothing."""

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
        """Adds an execution and, in the same transaction, moves its schedule's cursor.

        If another execution has the same `start_key`, or its `former` one, nothing is written but
        the cursor and that one's id is returned. Two concurrent calls with one key create exactly
        one execution. A `start_key` stays taken for as long as its execution is kept, and after
        `prune` until `forget_keys`. The write takes its place in the order of the calls at once.

        Args:
            execution: The new one.
            cursor: Where a schedule stands now.
            also: Others that are changed with it, as `update` does: all of them, or nothing is
                written at all.
            kept: What its journal has from the beginning.
            marks: Changes with it.
            delivery: Recorded with it; with a known `start_key` as a duplicate, in this write too.
            former: Only beside a `start_key`.
            needs_definition: Whether it is refused unless its definition is kept by then: for one
                whose `put` was called before this, and need not be waited for.

        Raises:
            StorageError: ``storage.conflict`` when the id exists, one of `also` is unknown, or a
                definition that it needs is not kept.
        """

    async def get(self, execution_id: ExecutionId) -> Execution | None:
        """Returns the execution with its payload and outputs, or None."""

    def update(self, execution: Execution, *, marks: MarkChange = NO_MARKS) -> asyncio.Future[None]:
        """Replaces state, reason, error, times and outputs; raises ``storage.conflict`` if unknown.

        Everything pinned at creation (flow, cause, key, revision, digest, inputs) stays. `marks`
        change in the same write.
        """

    async def delete(self, execution_id: ExecutionId) -> None:
        """Removes the execution with its journal; nothing happens if there is none."""

    async def flows(self) -> list[FlowKey]:
        """Returns every flow that has executions, sorted."""

    async def expired(self, rule: Expiry) -> list[Execution]:
        """Returns what need not be kept, oldest first, without payload and outputs.

        Never one that is queued or running, nor the newest that has ended.
        """

    async def prune(self, ids: Sequence[ExecutionId]) -> None:
        """Removes executions with their journals, in one write; their start keys stay taken.

        One that is unknown, queued or running is passed over.
        """

    async def forget_keys(self, before: datetime, *, limit: int) -> int:
        """Frees start keys of pruned executions that were created before, and returns how many.

        At most `limit`; fewer say that there are no more.
        """

    async def digests(self) -> set[Digest]:
        """Returns the digests of the definitions that executions name."""

    async def unfinished(self) -> list[Execution]:
        """Returns every queued or running execution with its payload, oldest first."""

    async def find(self, *start_keys: str, since: datetime | None = None) -> ExecutionId | None:
        """Returns the execution of the first key that has one created at or after `since`."""

    async def children(self, parent: ExecutionId, *, limit: int) -> list[Execution]:
        """Returns the executions that attempts of one have asked for, oldest first.

        At most `limit` of them, without what may be large, as in a list.
        """

    async def of_slots(
        self,
        flow: FlowKey,
        *,
        after: datetime,
        until: datetime,
        limit: int,
        trigger_type: str | None = None,
    ) -> list[Execution]:
        """Returns executions whose slot lies in `after` < slot <= `until`, latest slot first.

        As in a list, at most `limit`; of one type of trigger, or also those that repeat slots.
        """

    async def last_of_each(self) -> dict[FlowKey, Execution]:
        """Returns the newest ended execution of every flow, without payload and outputs."""

    async def list(self, query: ExecutionQuery) -> list[Execution]:
        """Returns a page, newest first, without what may be large.

        `cause.payload` and `outputs` are None, `cause.context` and `inputs` are empty.
        """

    async def inputs(
        self, ids: Sequence[ExecutionId], *, most_bytes: int
    ) -> dict[ExecutionId, dict[str, Json]]:
        """Returns the inputs of executions, in the order of their ids.

        It ends with the execution whose inputs, as JSON, bring the sum to `most_bytes` or above.
        Executions that are unknown are left out.
        """


class Journal(Protocol):
    """The attempts and nodes of executions, keyed (execution, node, item index, attempt).

    Recorded again, the later record of a node stands, in the place of the first. Every write
    raises ``storage.conflict`` when the execution is unknown.
    """

    def begin(self, attempt: Attempt) -> asyncio.Future[None]:
        """Records an attempt before its side effect; raises ``storage.conflict`` if known."""

    def finish(self, attempt: Attempt, node: NodeStatus | None = None) -> asyncio.Future[None]:
        """Records the end of an attempt and, when it decides it, of its node, in one write.

        Creates the attempt if `begin` was not called for it (nodes without side effects).
        """

    def settle(self, nodes: Sequence[NodeStatus]) -> asyncio.Future[None]:
        """Records final nodes that had no attempt (skipped, cancelled)."""

    async def attempts(self, execution_id: ExecutionId) -> list[Attempt]:
        """Returns the attempts in order of their key."""

    async def nodes(self, execution_id: ExecutionId) -> list[NodeStatus]:
        """Returns the final nodes, in the order in which they were recorded."""

    async def running(self) -> list[Attempt]:
        """Returns every attempt in state `running`: what a crash cut short."""


class PauseStore(Protocol):
    """Flows that are or were paused, by key; every write is durable when it returns."""

    async def put(self, flow: FlowKey, record: PauseRecord) -> None:
        """Keeps the record of a flow in the place of an earlier one."""

    async def delete(self, flow: FlowKey) -> None:
        """Removes the record of a flow; nothing happens if there is none."""

    async def list(self) -> dict[FlowKey, PauseRecord]:
        """Returns every record."""


class Storage(Protocol):
    """A backend: the stores, and their common life."""

    @property
    def health(self) -> StoreHealth:
        """Whether the last write was kept; degraded ends with the next write that is."""

    @property
    def flows(self) -> FlowStore:
        """The last good definitions."""

    @property
    def definitions(self) -> DefinitionStore:
        """Effective definitions by digest."""

    @property
    def executions(self) -> ExecutionStore:
        """The executions."""

    @property
    def journal(self) -> Journal:
        """Their attempts and nodes."""

    @property
    def slots(self) -> SlotStore:
        """The slot ledger."""

    @property
    def pauses(self) -> PauseStore:
        """The flows that are paused."""

    @property
    def events(self) -> EventStore:
        """What happened to flows."""

    @property
    def deliveries(self) -> DeliveryStore:
        """What became of deliveries."""

    @property
    def marks(self) -> MarkStore:
        """The marks."""

    async def open(self) -> None:
        """Opens or creates the state; refuses one written by newer code (``storage.newer``)."""

    async def close(self) -> None:
        """Finishes pending writes and releases everything; may be called twice."""

    async def backup(self, target: Path | None = None) -> Path:
        """Makes a verified copy of the state of one moment, and returns where it stands.

        Args:
            target: A file that does not exist yet; None for the next one among the backend's
                own backups, of which the newest are kept.

        Raises:
            StorageError: ``storage.no_backup`` when the backend has no disk,
                ``storage.conflict`` when the target exists, ``storage.corrupt`` when the copy
                is damaged, as the state then is.
        """

    async def last_backup(self) -> datetime | None:
        """Returns the moment of the newest of the backend's own backups, or None."""

    async def restored(self) -> Restored | None:
        """Returns that this state took the place of a lost one, until it is acknowledged."""

    async def acknowledge_restored(self) -> None:
        """Forgets it; nothing happens if there is nothing to forget."""

    async def check(self) -> None:
        """Writes a byte and reads it back; raises `StorageError` when the state is unusable."""
