"""The triggers in a world of fakes: real reconcile and engine, virtual time, a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from flowrunner.engine.admission import Limits
from flowrunner.engine.engine import Engine
from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.accounts import AccountMap
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import DeliveryReason, DeliveryRecord
from flowrunner.model.execution import Execution, ScheduleKey, SlotRun
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.pause import PauseRecord
from flowrunner.model.schedule import Slots
from flowrunner.model.states import SlotOutcome
from flowrunner.reconcile.apply import Applier, FlowsSubscriber
from flowrunner.reconcile.last_good import load_last_good
from flowrunner.reconcile.plan import keep_all, make_plan
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.memory_slots import MemorySlots
from flowrunner.storage.protocols import ExecutionQuery, PauseStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.backfills import Backfills
from flowrunner.triggers.dedupe import Duplicates
from flowrunner.triggers.delivery_log import DeliveryLog
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.followers import Followers
from flowrunner.triggers.occasions import Occasions
from flowrunner.triggers.pauses import Pauses
from flowrunner.triggers.retries import Retries
from flowrunner.triggers.schedules import Schedules
from flowrunner.triggers.sla import SlaWatch
from flowrunner.triggers.timers import Wake
from flowrunner.triggers.webhooks import Webhooks
from tests.fakes.definitions import COMPILER, FakeSecrets, snapshot
from tests.fakes.engine import World as EngineWorld
from tests.fakes.ids import SequentialIds
from tests.fakes.inline_threads import run_inline
from tests.fakes.timers import FakeTimers

T = TypeVar("T")
SLEEP = [{"id": "only", "type": "wait", "params": {"for": "10h"}}]
"""Nodes that keep an execution running."""


HOST = "host-a"
"""The name of this host."""


class FaultySlots:
    """Meets `SlotStore` over that of the memory; the named operations fail, others take a while."""

    def __init__(self, inner: MemorySlots) -> None:
        self._inner = inner
        self.fails: set[str] = set()
        self.takes_s = 0.0
        self.opens_s = 0.0

    async def cursor(self, schedule: ScheduleKey) -> datetime | None:
        return await self._inner.cursor(schedule)

    async def open(self, schedule: ScheduleKey, at: datetime) -> datetime:
        self._check("open")
        await asyncio.sleep(self.opens_s)
        return await self._inner.open(schedule, at)

    async def cursors(self) -> dict[ScheduleKey, datetime]:
        return await self._inner.cursors()

    async def open_all(
        self, schedules: Mapping[ScheduleKey, datetime]
    ) -> dict[ScheduleKey, datetime]:
        self._check("open")
        return await self._inner.open_all(schedules)

    async def forget(self, schedules: Collection[ScheduleKey], until: datetime) -> None:
        self._check("forget")
        await self._inner.forget(schedules, until)

    async def last_instant(self) -> datetime | None:
        return await self._inner.last_instant()

    async def record(self, run: SlotRun) -> None:
        self._check("record")
        await asyncio.sleep(self.takes_s)
        await self._inner.record(run)

    async def between(
        self, flow: FlowKey, *, after: datetime, until: datetime, limit: int
    ) -> list[SlotRun]:
        return await self._inner.between(flow, after=after, until=until, limit=limit)

    async def list(self, flow: FlowKey, *, limit: int = 100) -> list[SlotRun]:
        return await self._inner.list(flow, limit=limit)

    async def prune(self, before: datetime, *, limit: int) -> int:
        return await self._inner.prune(before, limit=limit)

    def _check(self, operation: str) -> None:
        if operation in self.fails:
            raise StorageError("no room", code="storage.full")


class FaultyPauses:
    """Meets `PauseStore`; fails with no room while ``pause`` is among the faults."""

    def __init__(self, inner: PauseStore, fails: set[str]) -> None:
        self._inner = inner
        self._fails = fails

    async def put(self, flow: FlowKey, record: PauseRecord) -> None:
        if "pause" in self._fails:
            raise StorageError("no room", code="storage.full")
        await self._inner.put(flow, record)

    async def delete(self, flow: FlowKey) -> None:
        await self._inner.delete(flow)

    async def list(self) -> dict[FlowKey, PauseRecord]:
        return await self._inner.list()


class CountingTimers(FakeTimers):
    """Remembers every call that arms a key."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.armed: list[Hashable] = []

    def arm(self, key: Hashable, schedule: Slots, wake: Wake) -> None:
        self.armed.append(key)
        super().arm(key, schedule, wake)


LABELS = ("here", "near")
"""Of the host, unless a test says others."""


class World:
    """One life of the daemon's triggers; made inside a running virtual loop.

    Attributes:
        decided: What the observer of the slots was told.
        skipped: What the observer of the other triggers was told.
        answers: Why deliveries were answered as they were, as the metrics were told.
        refusal: What the gate of the host raises; None lets every start pass.
        successor: The life after this one.
    """

    def __init__(
        self,
        storage: MemoryStorage | None = None,
        ids: SequentialIds | None = None,
        labels: tuple[str, ...] = LABELS,
    ) -> None:
        base = EngineWorld(storage=storage)
        self.clock, self.storage, self.disk = base.clock, base.storage, base.disk
        self.secrets = FakeSecrets()
        self.registry = FlowRegistry(labels=frozenset(labels))
        services = replace(
            base.services,
            secrets=self.secrets,
            left_by=lambda execution: self.followers.left_by(execution),  # noqa: PLW0108 - made below
        )
        self.engine = Engine(services, self.registry.rules_of, Limits(1_000))
        self.services = services
        self.ids = ids or SequentialIds()
        self.successor: World | None = None
        self.refusal: RefusedError | None = None
        self.dispatcher = Dispatcher(self.registry, self.engine, self.ids, self._gate)
        self.slots = FaultySlots(self.storage.slots)
        self.timers = CountingTimers(self.clock)
        self.decided: list[tuple[str, SlotOutcome, str, int]] = []
        self.schedules = Schedules(
            registry=self.registry,
            dispatcher=self.dispatcher,
            slots=self.slots,
            timers=self.timers,
            clock=self.clock,
            observer=self,
            host=HOST,
        )
        self.answers: list[DeliveryReason] = []
        self.delivery_log = DeliveryLog(self.storage.deliveries, self, self.ids)
        self.webhooks = self.make_webhooks()
        self.skipped: list[tuple[str, str, str, str]] = []
        self.occasions = Occasions(
            self.registry, self.dispatcher, self.storage.marks, self.clock, self
        )
        self.followers = Followers(
            registry=self.registry, occasions=self.occasions, marks=self.storage.marks
        )
        self.pauses = Pauses(
            registry=self.registry,
            store=FaultyPauses(self.storage.pauses, self.slots.fails),
            executions=self.storage.executions,
            clock=self.clock,
            renew=lambda key: self._applier.renew_conditions(key),  # noqa: PLW0108 - made below
            lifted=self.engine.admit_waiting,
        )
        self.retries = Retries(
            registry=self.registry,
            dispatcher=self.dispatcher,
            engine=self.engine,
            executions=services.executions,
            journal=services.journal,
            definitions=services.definitions,
            compiler=services.compiler,
            ids=self.ids,
        )
        self.backfills = Backfills(
            registry=self.registry,
            dispatcher=self.dispatcher,
            executions=services.executions,
            marks=self.storage.marks,
            ids=self.ids,
            clock=self.clock,
        )
        ends = (self.pauses, self.followers, self.schedules, self.backfills)
        base.observer.listeners += [each.note_ended for each in ends]
        self.observer = base.observer
        subscribers = (self.pauses, self.schedules, self.webhooks, self.followers, self)
        self._applier = Applier(
            self.registry,
            self.storage.flows,
            self.secrets,
            self.clock,
            subscribers,
            preparers=(self.schedules,),
        )

    def _gate(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def make_webhooks(self, clock: Clock | None = None) -> Webhooks:
        """Returns hooks of this life, none of them in force yet."""
        return Webhooks(
            self.dispatcher,
            Duplicates(self.services.executions, self.clock),
            self.secrets,
            clock or self.clock,
            log=self.delivery_log,
        )

    async def deliveries(self) -> list[DeliveryRecord]:
        """Returns what became of deliveries, newest first."""
        assert await self.delivery_log.flush()
        return await self.storage.deliveries.list(DeliveryQuery(limit=1_000))

    def delivery_answered(self, reason: DeliveryReason) -> None:
        self.answers.append(reason)

    def slot_decided(self, flow: FlowKey, outcome: SlotOutcome, reason: str, count: int) -> None:
        self.decided.append((flow.name, outcome, reason, count))

    def start_skipped(self, flow: FlowKey, kind: str, trigger: str, reason: str) -> None:
        self.skipped.append((flow.name, kind, trigger, reason))

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],
    ) -> None:
        """Starts what may start now, as the daemon does."""
        self.engine.admit_waiting()

    def subscribe(self, subscriber: FlowsSubscriber, accounts: AccountMap) -> None:
        """Tells one more of what is applied, and lets accounts do what these settings say."""
        self._applier._subscribers += (subscriber,)
        self._applier._accounts = accounts

    def hear(self, watch: SlaWatch) -> None:
        """Tells one more of all that happens, as the daemon does."""
        self._applier._subscribers += (watch,)
        self.observer.others.append(watch)

    async def apply(self, *files: bytes, revision: str = "r1") -> None:
        """Puts these flow files in force, and no others."""
        named: Mapping[str, bytes] = {f"{n}.yaml": data for n, data in enumerate(files)}
        await self._applier.apply(make_plan(snapshot(named, revision), self.registry.entries))

    async def arm_last_good(self) -> None:
        """Puts in force what the registry holds, as a start does before it reads the source."""
        await self._applier.apply(keep_all(self.registry.entries))

    async def next_life(self, labels: tuple[str, ...] = LABELS) -> World:
        """Returns the triggers of the next start over the same store; this life ends.

        Its registry holds the last good versions, not yet armed.
        """
        await self.end()
        after = World(self.storage, self.ids, labels)
        await after.pauses.load()
        load_last_good(await self.storage.flows.list(), COMPILER, after.registry, after.clock)
        await after.pauses.count_failures()
        self.successor = after
        return after

    async def end(self) -> None:
        """Ends this life, or the one that came after it, with all that it runs."""
        if self.successor is not None:
            return await self.successor.end()
        self.timers.stop()
        await self.schedules.settle()
        await self.engine.drain(0)
        await self.pauses.settle()
        return None

    async def executions(self) -> list[Execution]:
        """Returns all executions, oldest first, with what was pinned for them."""
        found = await self.storage.executions.list(ExecutionQuery(limit=1_000))
        whole = [await self.storage.executions.get(each.id) for each in reversed(found)]
        return [each for each in whole if each is not None]

    async def inputs(self) -> list[Mapping[str, Json]]:
        return [execution.inputs for execution in await self.executions()]


def simulate(story: Callable[[World], Awaitable[T]]) -> T:
    """Runs a story in a new world on virtual time, and ends what it left running."""

    async def main() -> T:
        world = World()
        try:
            return await story(world)
        finally:
            await world.end()

    return run_inline(main())
