"""`FlowService`: reads and commands for the command line and HTTP, and nothing they should not do.

It gathers what the registry, the journal and the engine know into views, and passes commands
on. Flows come from git, so it has no way to create or change one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from flowrunner import __version__
from flowrunner.dataclass import dataclass
from flowrunner.definitions.compiler import Compiler
from flowrunner.engine.engine import Engine
from flowrunner.errors import NotFoundError, RefusedError, ValidationError
from flowrunner.model.conditions import Condition
from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, FlowKey, Json, Revision
from flowrunner.model.pause import ALL_SCHEDULES
from flowrunner.model.states import ExecutionState, Reason
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.registry.entry import FlowEntry, PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.account_views import account_views
from flowrunner.service.executions import ExecutionReader
from flowrunner.service.flow_events import EventPage, EventReader
from flowrunner.service.flow_views import flow_view
from flowrunner.service.health import Health
from flowrunner.service.log_feed import Place
from flowrunner.service.ports import (
    KnowsSlots,
    PausesFlows,
    Reconciles,
    StartsAgain,
    StartsByHand,
    TakesDeliveries,
)
from flowrunner.service.restored import state_restored
from flowrunner.service.source_desk import SourceDesk
from flowrunner.service.traces import TracePage, TraceReader
from flowrunner.service.views import (
    ExecutionView,
    FlowView,
    HealthCheck,
    LogCursor,
    LogPage,
    Page,
    SourceView,
    StatusView,
)
from flowrunner.storage.protocols import ExecutionQuery, Storage
from flowrunner.system.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What the service stands on, given by the composition root.

    Attributes:
        is_observing: Whether the daemon starts nothing.
        file_conditions: Returns those of the triggers of type `file`.
    """

    registry: FlowRegistry
    storage: Storage
    engine: Engine
    validator: Compiler
    reconciler: Reconciles
    dispatcher: StartsByHand
    webhooks: TakesDeliveries
    pauses: PausesFlows
    retries: StartsAgain
    schedules: KnowsSlots
    executions: ExecutionReader
    traces: TraceReader
    health: Health
    channels: ChannelHealth
    desk: SourceDesk
    clock: Clock
    logger: logging.Logger
    is_observing: bool = False
    file_conditions: Callable[[], tuple[Condition, ...]] = tuple


class FlowService:
    """The one door to the business; every method raises `FlowError` and nothing else."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
        self._events = EventReader(parts.storage.events, parts.registry)
        self._started_at = parts.clock.now()
        self._last: dict[FlowKey, Execution] = {}
        self._conditions: tuple[Condition, ...] = ()

    async def load(self) -> None:
        """Reads the newest ended execution of each flow, and where the state comes from.

        Called once before serving.
        """
        self._last = await self._parts.storage.executions.last_of_each()
        restored = await self._parts.storage.restored()
        if restored is not None:
            self._conditions = (state_restored(restored),)
            self._parts.logger.warning("state.restored: %s", self._conditions[0].message)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of the daemon itself, besides those of flows and source."""
        parts = self._parts
        return (*self._conditions, *parts.channels.conditions, *parts.file_conditions())

    def note_ended(self, execution: Execution) -> None:
        """Keeps the newest ended execution of its flow at hand."""
        self._last[execution.flow] = execution

    def flows(
        self, sees: Callable[[str], bool], *, after: FlowKey | None, limit: int
    ) -> list[FlowView]:
        """Returns the flows of accounts behind a key, in key order, at most `limit`."""
        entries = self._parts.registry.after(after)
        return [self._view(e) for e in islice((e for e in entries if sees(e.key.account)), limit)]

    def flow(self, key: FlowKey) -> FlowView:
        """Returns one flow; raises `NotFoundError`."""
        return self._view(self._parts.registry.require(key))

    def definition(self, key: FlowKey) -> Mapping[str, Json]:
        """Returns the effective definition in force; raises `NotFoundError`."""
        entry = self._parts.registry.require(key)
        if entry.spec is None:
            raise NotFoundError(f"flow {key} has no valid definition yet")
        return entry.definition

    async def flow_events(self, key: FlowKey, *, before: int | None, limit: int) -> EventPage:
        """Returns events of a flow, newest first; see `EventReader.page`."""
        return await self._events.page(key, before=before, limit=limit)

    async def executions(
        self,
        *,
        account: str | None = None,
        flow: str | None = None,
        states: tuple[ExecutionState, ...] = (),
        before: ExecutionId | None = None,
        limit: int = 100,
        with_inputs: bool = True,
    ) -> Page:
        """Returns a page of executions, newest first, without their nodes.

        `before` is the cursor of the page before; `limit` is 1 to 1,000. A page may be shorter
        when inputs are asked for and are large.
        """
        query = ExecutionQuery(
            account=account, flow=flow, states=states, before=before, limit=limit
        )
        return await self._parts.executions.page(query, with_inputs=with_inputs)

    async def execution(self, execution_id: str) -> ExecutionView:
        """Returns one execution with its nodes; raises `NotFoundError`."""
        return await self._parts.executions.view(ExecutionId(execution_id))

    async def trace(self, execution_id: str, *, after: str | None, limit: int) -> TracePage:
        """Returns why an execution went as it did; see `TraceReader.page`.

        Raises:
            NotFoundError: There is no such execution.
            ValidationError: ``request.parameter``: it has no node `after`.
        """
        return await self._parts.traces.page(ExecutionId(execution_id), after=after, limit=limit)

    async def logs(
        self,
        execution_id: str,
        *,
        node: str | None = None,
        item: int | None = None,
        cursor: LogCursor | None = None,
        wait_s: float = 0.0,
    ) -> LogPage:
        """Returns what was logged since the cursor; raises `NotFoundError`.

        `item` is the index of an item of the node. While there is nothing it waits, for `wait_s`
        seconds at most.
        """
        place = Place(execution_id, node, cursor or LogCursor(), item)
        return await self._parts.executions.logs(place, wait_s)

    async def start(
        self,
        key: FlowKey,
        inputs: Mapping[str, Json],
        *,
        as_text: bool = False,
        force: bool = False,
    ) -> ExecutionId:
        """Starts a flow by hand and returns the id of the accepted execution.

        Args:
            key: The flow.
            inputs: Values of inputs; the others take their defaults.
            as_text: The values are text from a command line, converted by the inputs' types.
            force: Starts it even while it is suspended or paused.

        Raises:
            NotFoundError: There is no such flow.
            ValidationError: ``input.*``: an input is unknown, missing or does not fit.
            RefusedError: The flow is not ready or held, its limit is reached, or the daemon stops.
            StorageError: Nothing was accepted.
        """
        return await self._parts.dispatcher.start_by_hand(key, inputs, as_text=as_text, force=force)

    async def pause(
        self, key: FlowKey, *, reason: str = "", until: datetime | None = None, uid: int | None
    ) -> FlowView:
        """Keeps a flow from starting, until it is resumed or a time has come.

        Raises:
            NotFoundError: There is no such flow.
            ValidationError: ``request.until``: that time is over.
            StorageError: It is not paused.
        """
        if until is not None and until <= self._parts.clock.now():
            raise ValidationError("the time of 'until' is over", code="request.until")
        await self._parts.pauses.pause(key, reason=reason, until=until, uid=uid)
        return self.flow(key)

    async def resume(self, key: FlowKey) -> FlowView:
        """Ends the pause of a flow and the count of its failures; nothing happens without either.

        Raises:
            NotFoundError: There is no such flow.
            StorageError: It stays paused.
        """
        await self._parts.pauses.resume(key)
        return self.flow(key)

    async def retry(
        self, execution_id: str, *, force: bool = False, from_node: str | None = None
    ) -> ExecutionId:
        """Starts an ended execution once more and returns the id of the accepted one.

        Args:
            execution_id: The ended one.
            force: Starts it even while its flow is suspended or paused.
            from_node: Begins with this node; None: with all of them.

        Raises:
            NotFoundError: There is no such execution.
            ValidationError: ``request.from``: it has no such node outside of `finally`.
            RefusedError: It has not ended, its definition or flow is gone, the flow may not
                start, or a node above `from_node` has not ended well.
            StorageError: Nothing was accepted.
        """
        return await self._parts.retries.retry(
            ExecutionId(execution_id), force=force, from_node=from_node
        )

    async def cancel_queued(self, key: FlowKey) -> tuple[ExecutionId, ...]:
        """Ends what waits of a flow and returns which executions that were, oldest first.

        Raises:
            NotFoundError: There is no such flow.
        """
        self._parts.registry.require(key)
        return await self._parts.engine.cancel_queued(key, Reason.CANCELLED)

    async def cancel(
        self, execution_id: str, *, only_queued: bool = False, force: bool = False
    ) -> None:
        """Asks an execution to end.

        Args:
            execution_id: Which one.
            only_queued: Ends it only as long as it waits.
            force: Leaves out its `finally`, or ends it.

        Raises:
            NotFoundError: There is no such execution.
            RefusedError: ``ended``: it is final already; ``not_queued``: it waits no more;
                ``in_finally``: only its `finally` is left, which only `force` ends.
            StorageError: The end of a queued one cannot be journaled: it stays in line. Or not
                what was asked of a running one: it is given up.
        """
        if only_queued and not self._parts.engine.is_queued(ExecutionId(execution_id)):
            view = await self.execution(execution_id)
            text = f"execution {execution_id} does not wait: it is {view.execution.state}"
            raise RefusedError(text, code="not_queued")
        if not force and self._parts.engine.withstands_cancel(ExecutionId(execution_id)):
            text = f"the nodes of execution {execution_id} have ended and its finally is running"
            raise RefusedError(f"{text}; --force ends it", code="in_finally")
        if await self._parts.engine.cancel(ExecutionId(execution_id), force=force):
            return
        view = await self.execution(execution_id)
        state = view.execution.state
        raise RefusedError(f"execution {execution_id} has ended: {state}", code="ended")

    def deliver(self, delivery: Delivery) -> Coroutine[Any, Any, DeliveryAnswer]:
        """Answers a webhook request; never raises for anything a sender can do."""
        return self._parts.webhooks.deliver(delivery)

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        """Takes note of a delivery that was refused before it was looked at."""
        self._parts.webhooks.turned_away(delivery, status, reason, detail)

    async def reconcile(self) -> PassResult:
        """Runs a pass now and returns how it ended."""
        return await self._parts.reconciler.request("command")

    async def allow_prune(self, revision: str) -> PassResult:
        """Lets leave what is held now, and returns how that pass ended.

        Raises:
            RefusedError: Nothing is held, or not of this revision.
        """
        return await self._parts.reconciler.allow_prune(Revision(revision))

    def reconcile_soon(self) -> None:
        """Asks for a pass that begins after this call, and does not wait for it."""
        self._parts.reconciler.ask("command")

    async def ignore_lock(self) -> None:
        """Takes a lock of git in the source that is there now for one that was left behind."""
        await self._parts.reconciler.ignore_lock()

    async def backup(self, target: str | None) -> str:
        """Makes a verified copy of the state and returns its path.

        Args:
            target: An absolute path of a file that does not exist; None for the next of the
                daemon's own backups.

        Raises:
            StorageError: ``storage.conflict`` when the file exists, ``storage.corrupt`` when
                the state is damaged, ``storage.no_backup`` for a state in memory.
        """
        path = None if target is None else Path(target)
        return str(await self._parts.storage.backup(path))

    async def acknowledge_restored(self) -> None:
        """Ends the condition `StateRestored`; raises `StorageError` when it cannot be kept."""
        await self._parts.storage.acknowledge_restored()
        self._conditions = ()

    def source(self) -> SourceView:
        """Returns the state of the source and the last pass."""
        source = self._parts.registry.source
        return SourceView(
            revision=source.revision,
            conditions=source.conditions,
            last_pass=source.last_pass,
            rejected=source.rejected,
            hold=source.hold,
            upstream=self._parts.desk.upstream(),
        )

    async def readiness(self) -> tuple[HealthCheck, ...]:
        """Returns the checks behind `/readyz`; ready when all are `ok`."""
        return await self._parts.health.checks()

    async def status(self) -> StatusView:
        """Returns the daemon at a glance."""
        registry = self._parts.registry
        return StatusView(
            version=__version__,
            started_at=self._started_at,
            source=self.source(),
            flows=len(registry.entries),
            flows_ready=registry.ready_count,
            executions_running=self._parts.engine.running_count,
            executions_queued=self._parts.engine.queued_count,
            checks=await self.readiness(),
            conditions=self.conditions,
            accounts=account_views(self._parts.registry, self._parts.engine),
            is_observing=self._parts.is_observing,
            schedules_paused=self._parts.registry.pause_of(ALL_SCHEDULES),
            commit=await self._parts.desk.commit(self._parts.registry.source.revision),
        )

    def schema(self) -> Mapping[str, Json]:
        """Returns the flow schema with the node types of this host."""
        return self._parts.validator.schema.document

    def _view(self, entry: FlowEntry) -> FlowView:
        key, slots = entry.key, self._parts.schedules
        return flow_view(entry, self._last.get(key), lambda name: slots.next_slot(key, name))
