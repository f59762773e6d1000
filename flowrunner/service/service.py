"""`FlowService`: reads and commands for the command line and HTTP, and nothing they should not do.

It gathers what the registry, the journal and the engine know into views, and passes commands
on. Flows come from git, so it has no way to create or change one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from flowrunner import __version__
from flowrunner.definitions.compiler import Compiler
from flowrunner.engine.engine import Engine
from flowrunner.errors import NotFoundError, RefusedError
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.execution import Execution
from flowrunner.model.flow import ScheduleTrigger, Trigger, WebhookTrigger, trigger_type
from flowrunner.model.ids import ExecutionId, FlowKey, Json
from flowrunner.model.states import ExecutionState
from flowrunner.registry.entry import FlowEntry, PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.executions import ExecutionReader
from flowrunner.service.health import Health
from flowrunner.service.views import (
    ExecutionView,
    FlowView,
    HealthCheck,
    LastExecution,
    LogCursor,
    LogPage,
    Page,
    SourceView,
    StatusView,
    TriggerView,
)
from flowrunner.storage.protocols import ExecutionQuery, Restored, Storage
from flowrunner.system.clock import Clock


class Reconciles(Protocol):
    """The part of the reconciler that a command reaches."""

    async def request(self, trigger: str) -> PassResult:
        """Runs a pass that begins after this call and returns how it ended."""


class StartsByHand(Protocol):
    """The part of the dispatcher that a command reaches."""

    async def start_by_hand(
        self, key: FlowKey, inputs: Mapping[str, Json], *, as_text: bool
    ) -> ExecutionId:
        """Starts a flow; see `flowrunner.triggers.dispatcher`."""


class TakesDeliveries(Protocol):
    """The part of the webhooks that HTTP reaches."""

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; see `flowrunner.triggers.webhooks`."""


class KnowsSlots(Protocol):
    """Tells when a schedule is due next."""

    def next_slot(self, key: FlowKey, trigger_id: str) -> datetime | None:
        """Returns the next slot of an armed schedule, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What the service stands on, given by the composition root."""

    registry: FlowRegistry
    storage: Storage
    engine: Engine
    validator: Compiler
    reconciler: Reconciles
    dispatcher: StartsByHand
    webhooks: TakesDeliveries
    schedules: KnowsSlots
    executions: ExecutionReader
    health: Health
    clock: Clock
    logger: logging.Logger


class FlowService:
    """The one door to the business; every method raises `FlowError` and nothing else."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
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
            self._conditions = (_state_restored(restored),)
            self._parts.logger.warning("state.restored: %s", self._conditions[0].message)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of the daemon itself, besides those of flows and source."""
        return self._conditions

    def note_ended(self, execution: Execution) -> None:
        """Keeps the newest ended execution of its flow at hand."""
        self._last[execution.flow] = execution

    def flows(self, account: str | None = None) -> list[FlowView]:
        """Returns the flows of one account or of all, in key order."""
        entries = self._parts.registry.entries.values()
        return [self._view(e) for e in entries if account in (None, e.key.account)]

    def flow(self, key: FlowKey) -> FlowView:
        """Returns one flow; raises `NotFoundError`."""
        return self._view(self._entry(key))

    def definition(self, key: FlowKey) -> Mapping[str, Json]:
        """Returns the effective definition in force; raises `NotFoundError`."""
        entry = self._entry(key)
        if entry.spec is None:
            raise NotFoundError(f"flow {key} has no valid definition yet")
        return entry.definition

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

    async def logs(
        self,
        execution_id: str,
        *,
        node: str | None = None,
        cursor: LogCursor | None = None,
    ) -> LogPage:
        """Returns what was logged since the cursor; raises `NotFoundError`."""
        return await self._parts.executions.logs(
            ExecutionId(execution_id), node, cursor or LogCursor()
        )

    async def start(
        self, key: FlowKey, inputs: Mapping[str, Json], *, as_text: bool = False
    ) -> ExecutionView:
        """Starts a flow by hand and returns the accepted execution.

        Args:
            key: The flow.
            inputs: Values of inputs; the others take their defaults.
            as_text: The values are text from a command line, converted by the inputs' types.

        Raises:
            NotFoundError: There is no such flow.
            ValidationError: ``input.*``: an input is unknown, missing or does not fit.
            RefusedError: The flow is not ready, its limit is reached, or the daemon stops.
            StorageError: Nothing was accepted.
        """
        execution_id = await self._parts.dispatcher.start_by_hand(key, inputs, as_text=as_text)
        return await self.execution(execution_id)

    async def cancel(self, execution_id: str, *, force: bool = False) -> None:
        """Asks an execution to end; with `force` without its `finally`.

        Raises:
            NotFoundError: There is no such execution.
            RefusedError: ``ended``: it is final already.
        """
        if await self._parts.engine.cancel(ExecutionId(execution_id), force=force):
            return
        view = await self.execution(execution_id)
        state = view.execution.state
        raise RefusedError(f"execution {execution_id} has ended: {state}", code="ended")

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a webhook request; never raises for anything a sender can do."""
        return await self._parts.webhooks.deliver(delivery)

    async def reconcile(self) -> PassResult:
        """Runs a pass now and returns how it ended."""
        return await self._parts.reconciler.request("command")

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
        )

    async def readiness(self) -> tuple[HealthCheck, ...]:
        """Returns the checks behind `/readyz`; ready when all are `ok`."""
        return await self._parts.health.checks()

    async def status(self) -> StatusView:
        """Returns the daemon at a glance."""
        entries = self._parts.registry.entries.values()
        return StatusView(
            version=__version__,
            started_at=self._started_at,
            source=self.source(),
            flows=len(entries),
            flows_ready=sum(1 for entry in entries if entry.is_ready),
            executions_running=self._parts.engine.running_count,
            executions_queued=self._parts.engine.queued_count,
            checks=await self.readiness(),
            conditions=self._conditions,
        )

    def schema(self) -> Mapping[str, Json]:
        """Returns the flow schema with the node types of this host."""
        return self._parts.validator.schema.document

    def _entry(self, key: FlowKey) -> FlowEntry:
        entry = self._parts.registry.get(key)
        if entry is None:
            raise NotFoundError(f"there is no flow {key}")
        return entry

    def _view(self, entry: FlowEntry) -> FlowView:
        spec, last = entry.spec, self._last.get(entry.key)
        return FlowView(
            key=entry.key,
            description=spec.description if spec else "",
            labels=spec.labels if spec else {},
            path=entry.path,
            revision=entry.revision,
            digest=entry.digest,
            generation=entry.generation,
            observed_generation=entry.observed_generation,
            conditions=entry.conditions,
            triggers=tuple(self._trigger(entry.key, t) for t in (spec.triggers if spec else ())),
            last_execution=None
            if last is None
            else LastExecution(id=last.id, state=last.state, ended_at=last.ended_at),
            findings=entry.findings,
        )

    def _trigger(self, key: FlowKey, trigger: Trigger) -> TriggerView:
        next_slot = None
        if isinstance(trigger, ScheduleTrigger):
            next_slot = self._parts.schedules.next_slot(key, trigger.id)
        return TriggerView(
            id=trigger.id,
            type=trigger_type(trigger),
            next_slot_at=next_slot,
            path=trigger.path if isinstance(trigger, WebhookTrigger) else None,
        )


def _state_restored(restored: Restored) -> Condition:
    reason, text = ConditionReason.STATE_LOST, "the state began empty"
    if restored.origin:
        reason = ConditionReason.RESTORED_FROM_BACKUP
        text = f"the state was restored from {restored.origin}"
    if restored.quarantined:
        text += f"; the one before is {restored.quarantined}"
    return Condition(
        type=ConditionType.STATE_RESTORED,
        status=Status.TRUE,
        reason=reason,
        message=f"{text}. Schedules began then, and what was unfinished has ended. "
        "`flowrunner restore --acknowledge` ends this condition",
        last_transition_at=restored.at,
    )
