"""The backend without a disk: for `run FILE`, for `--local`, and as the double in tests.

Plain dicts, no threads: every call is done when it returns, so virtual time works with it.
Values are kept as they are, not copied; nothing outlives the object.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from flowrunner.errors import StorageError
from flowrunner.model.delivery_record import DeliveryRecord, as_duplicate
from flowrunner.model.execution import NOTHING_KEPT, Execution, FormerKey, Kept, ScheduleKey
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.storage.health import Restored, StoreHealth
from flowrunner.storage.memory_deliveries import MemoryDeliveries
from flowrunner.storage.memory_events import MemoryEvents
from flowrunner.storage.memory_flows import MemoryDefinitions, MemoryFlows
from flowrunner.storage.memory_journal import MemoryJournal
from flowrunner.storage.memory_marks import MemoryMarks
from flowrunner.storage.memory_pauses import MemoryPauses
from flowrunner.storage.memory_slots import MemorySlots
from flowrunner.storage.memory_tables import Tables, conflict, done, unknown
from flowrunner.storage.protocols import ExecutionQuery, Expiry, Submitted


def _without_data(execution: Execution) -> Execution:
    return replace(execution, cause=replace(execution.cause, payload=None), outputs=None)


def _listed(execution: Execution) -> Execution:
    cause = replace(execution.cause, payload=None, context={})
    return replace(execution, cause=cause, inputs={}, outputs=None)


class MemoryExecutions:
    """Meets `ExecutionStore`."""

    def __init__(self, tables: Tables, definitions: MemoryDefinitions) -> None:
        self._tables = tables
        self._definitions = definitions

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
        """Adds an execution once per start key, and what goes with it."""

        def write() -> Submitted:
            if needs_definition and execution.digest not in self._definitions:
                raise conflict(f"the definition {execution.digest} is not kept")
            return self._create(execution, cursor, also, kept, marks, delivery, former)

        return done(write)

    def _create(
        self,
        execution: Execution,
        cursor: tuple[ScheduleKey, datetime] | None,
        also: Sequence[Execution],
        kept: Kept,
        marks: MarkChange,
        delivery: DeliveryRecord | None,
        former: FormerKey | None,
    ) -> Submitted:
        tables, key = self._tables, execution.start_key
        known = None if key is None else self._holder(key)
        if known is None and former is not None:
            known = self._found(*former)
        if known is None and execution.id in tables.executions:
            raise conflict(f"the execution {execution.id} exists already")
        missing = {each.id for each in also} - tables.executions.keys()
        if known is None and missing:
            raise unknown(min(missing))
        if cursor is not None:
            tables.move_cursor(*cursor, open_run=None)
        if known is not None:
            if delivery is not None:
                tables.deliveries.put(as_duplicate(delivery, known))
            return Submitted(known, created=False)
        tables.executions[execution.id] = execution
        if key is not None:
            tables.keys[key] = execution.id
        for other in also:
            self._update(other)
        tables.keep(kept.attempts, kept.nodes)
        tables.marks.apply(marks)
        if delivery is not None:
            tables.deliveries.put(delivery)
        return Submitted(execution.id, created=True)

    async def get(self, execution_id: ExecutionId) -> Execution | None:
        """Returns the execution, or None."""
        return self._tables.executions.get(execution_id)

    def update(self, execution: Execution, *, marks: MarkChange = NO_MARKS) -> asyncio.Future[None]:
        """Replaces what may change of a known execution."""

        def write() -> None:
            self._update(execution)
            self._tables.marks.apply(marks)

        return done(write)

    async def delete(self, execution_id: ExecutionId) -> None:
        """Removes the execution and its journal."""
        tables = self._tables
        gone = tables.executions.pop(execution_id, None)
        if gone is not None and gone.start_key is not None:
            del tables.keys[gone.start_key]
        tables.attempts.pop(execution_id, None)
        tables.nodes.pop(execution_id, None)

    async def flows(self) -> list[FlowKey]:
        """Returns every flow that has executions, sorted."""
        return sorted({execution.flow for execution in self._tables.executions.values()})

    async def expired(self, rule: Expiry) -> list[Execution]:
        """Returns what a rule lets go, oldest first."""
        own = [each for each in self._newest_first() if each.flow == rule.flow]
        surplus = own[rule.keep :]
        candidates = [each for each in own if each.state.is_final][1:]
        found = [each for each in candidates if each in surplus or each.created_at < rule.before]
        return [_listed(each) for each in reversed(found)][: rule.limit]

    async def prune(self, ids: Sequence[ExecutionId]) -> None:
        """Removes ended executions; their start keys stay taken."""
        for execution_id in ids:
            known = self._tables.executions.get(execution_id)
            if known is None or not known.state.is_final:
                continue
            if known.start_key is not None:
                self._tables.spent_keys[known.start_key] = (known.id, known.created_at)
            await self.delete(execution_id)

    async def forget_keys(self, before: datetime, *, limit: int) -> int:
        """Frees the start keys of removed executions that are older than this."""
        spent = self._tables.spent_keys
        old = [key for key, (_, created_at) in spent.items() if created_at < before][:limit]
        for key in old:
            del spent[key]
        return len(old)

    async def digests(self) -> set[Digest]:
        """Returns the digests that executions name."""
        return {execution.digest for execution in self._tables.executions.values()}

    async def unfinished(self) -> list[Execution]:
        """Returns what is queued or running, oldest first."""
        return [each for each in reversed(self._newest_first()) if not each.state.is_final]

    async def find(self, *start_keys: str, since: datetime | None = None) -> ExecutionId | None:
        """Returns the execution with one of these keys, if it is not older than `since`."""
        found = (self._found(start_key, since) for start_key in start_keys)
        return next((each for each in found if each is not None), None)

    def _found(self, start_key: str, since: datetime | None) -> ExecutionId | None:
        found = self._holder(start_key)
        if found is None or since is None:
            return found
        if start_key in self._tables.keys:
            created_at = self._tables.executions[found].created_at
        else:
            _, created_at = self._tables.spent_keys[start_key]
        return found if created_at >= since else None

    async def children(self, parent: ExecutionId, *, limit: int) -> list[Execution]:
        """Returns what attempts of an execution have asked for, oldest first."""
        known = reversed(self._newest_first())
        found = (e for e in known if e.parent and e.parent.attempt.execution == parent)
        return [_listed(each) for each in islice(found, limit)]

    async def of_slots(
        self,
        flow: FlowKey,
        *,
        after: datetime,
        until: datetime,
        limit: int,
        trigger_type: str | None = None,
    ) -> list[Execution]:
        """Returns executions by their slots, latest slot first."""
        found = [
            (at, each)
            for each in self._newest_first()
            if (at := each.cause.slot_at) is not None and after < at <= until
            if each.flow == flow and trigger_type in (None, each.cause.trigger_type)
        ]
        found.sort(key=lambda pair: pair[0], reverse=True)
        return [_listed(each) for _, each in found[:limit]]

    async def last_of_each(self) -> dict[FlowKey, Execution]:
        """Returns the newest ended execution of every flow."""
        oldest_first = reversed(self._newest_first())
        return {each.flow: _without_data(each) for each in oldest_first if each.state.is_final}

    async def list(self, query: ExecutionQuery) -> list[Execution]:
        """Returns a page without what may be large, newest first."""
        found = (
            execution
            for execution in self._newest_first()
            if query.account in (None, execution.flow.account)
            and query.flow in (None, execution.flow.name)
            and (not query.states or execution.state in query.states)
            and (query.before is None or execution.id < query.before)
        )
        return [_listed(each) for each, _ in zip(found, range(query.limit), strict=False)]

    async def inputs(
        self, ids: Sequence[ExecutionId], *, most_bytes: int
    ) -> dict[ExecutionId, dict[str, Json]]:
        """Returns the inputs of executions, as far as they are not too large."""
        found: dict[ExecutionId, dict[str, Json]] = {}
        for execution_id in ids:
            if execution_id not in self._tables.executions:
                continue
            found[execution_id] = self._tables.executions[execution_id].inputs
            most_bytes -= len(json.dumps(found[execution_id], separators=(",", ":")))
            if most_bytes <= 0:
                break
        return found

    def _holder(self, key: str) -> ExecutionId | None:
        """Returns the execution that has a start key, or had it until it was pruned."""
        spent = self._tables.spent_keys.get(key)
        return self._tables.keys.get(key) or (spent[0] if spent else None)

    def _newest_first(self) -> Sequence[Execution]:
        executions = self._tables.executions
        return [executions[each] for each in sorted(executions, reverse=True)]

    def _update(self, execution: Execution) -> None:
        known = self._tables.executions.get(execution.id)
        if known is None:
            raise unknown(execution.id)
        self._tables.executions[execution.id] = replace(
            known,
            state=execution.state,
            reason=execution.reason,
            error=execution.error,
            started_at=execution.started_at,
            ended_at=execution.ended_at,
            outputs=execution.outputs,
        )


class MemoryStorage:
    """Meets `Storage`; opening and closing change nothing."""

    def __init__(self) -> None:
        tables = Tables()
        self._health = StoreHealth()
        self._flows = MemoryFlows()
        self._definitions = MemoryDefinitions()
        self._executions = MemoryExecutions(tables, self._definitions)
        self._journal = MemoryJournal(tables)
        self._slots = MemorySlots(tables)
        self._pauses = MemoryPauses()
        self._events = MemoryEvents(tables.marks)
        self._marks = tables.marks
        self._deliveries = tables.deliveries

    @property
    def health(self) -> StoreHealth:
        """Never degraded: there is nothing that could fail."""
        return self._health

    @property
    def flows(self) -> MemoryFlows:
        """The last good definitions."""
        return self._flows

    @property
    def definitions(self) -> MemoryDefinitions:
        """Effective definitions by digest."""
        return self._definitions

    @property
    def executions(self) -> MemoryExecutions:
        """The executions."""
        return self._executions

    @property
    def journal(self) -> MemoryJournal:
        """Their attempts and nodes."""
        return self._journal

    @property
    def slots(self) -> MemorySlots:
        """The slot ledger."""
        return self._slots

    @property
    def pauses(self) -> MemoryPauses:
        """The flows that are paused."""
        return self._pauses

    @property
    def events(self) -> MemoryEvents:
        """What happened to flows."""
        return self._events

    @property
    def deliveries(self) -> MemoryDeliveries:
        """What became of deliveries."""
        return self._deliveries

    @property
    def marks(self) -> MemoryMarks:
        """The marks."""
        return self._marks

    async def open(self) -> None:
        """Has nothing to open."""

    async def close(self) -> None:
        """Has nothing to release."""

    async def backup(self, target: Path | None = None) -> Path:  # noqa: ARG002 - refused anyway
        """Refuses: nothing of this state outlives the process."""
        raise StorageError("the memory has no backups", code="storage.no_backup")

    async def last_backup(self) -> datetime | None:
        """Returns None: there is none."""
        return None

    async def restored(self) -> Restored | None:
        """Returns None: every state begins empty."""
        return None

    async def acknowledge_restored(self) -> None:
        """Has nothing to forget."""

    async def check(self) -> None:
        """Has nothing that could fail."""
