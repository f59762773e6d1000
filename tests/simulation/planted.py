"""Bugs to plant: each breaks one promise of the product, to show that the simulation sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from unittest.mock import patch

from flowrunner.daemon.observer import DaemonObserver
from flowrunner.engine import recovery
from flowrunner.engine.admission import Admission, Ticket
from flowrunner.engine.engine import Engine
from flowrunner.engine.requests import StartRequest
from flowrunner.errors import StorageError
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import Attempt, Execution, NodeStatus, ScheduleKey
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.local.flows import LocalFlows
from flowrunner.storage.protocols import Submitted
from flowrunner.triggers.slot_keeper import SlotKeeper
from tests.fakes.simulated_storage import (
    SimulatedDefinitions,
    SimulatedExecutions,
    SimulatedJournal,
    Write,
)
from tests.simulation.bugs import Bug, exchange
from tests.simulation.life import Ground
from tests.simulation.planted_children import CHILD_BUGS
from tests.simulation.planted_many import MANY_BUGS
from tests.simulation.planted_nodes import NODE_BUGS
from tests.simulation.planted_slots import SLOT_BUGS


def _soon(work: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    """Returns what returns a future of some work."""

    def begin(*args: Any, **more: Any) -> Any:
        return asyncio.ensure_future(work(*args, **more))

    return begin


def _acknowledges_early(original: Any) -> Any:
    async def store(self: Engine, request: StartRequest, entry: Any, *rest: Any) -> Submitted:
        original(self, request, entry, *rest).add_done_callback(asyncio.Future.exception)
        return Submitted(request.id, created=True)

    return _soon(store)


def _accepts_without_room(original: Any) -> Any:
    async def store(self: Engine, request: StartRequest, entry: Any, *rest: Any) -> Submitted:
        try:
            answer: Submitted = await original(self, request, entry, *rest)
        except StorageError:
            return Submitted(request.id, created=True)
        return answer

    return _soon(store)


def _forgets_the_cursor(original: Any) -> Any:
    async def store(self: Engine, request: StartRequest, entry: Any, *rest: Any) -> Submitted:
        answer: Submitted = await original(self, replace(request, cursor=None), entry, *rest)
        return answer

    return _soon(store)


def _starts_twice(original: Any) -> Any:
    async def submit(self: Engine, request: StartRequest) -> Submitted:
        answer: Submitted = await original(self, request)
        if request.cause.slot_at is not None:
            other = replace(request, id=type(request.id)(f"{request.id}-b"), start_key=None)
            await original(self, other)
        return answer

    return submit


def _keeps_no_definition(_: Any) -> Any:
    def put(
        self: SimulatedDefinitions, digest: Digest, definition: Mapping[str, Json]
    ) -> asyncio.Future[None]:
        """Says that it is kept, and keeps nothing."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        kept.set_result(None)
        return kept

    return put


def _does_not_sync_flows(_: Any) -> Any:
    async def sync(self: LocalFlows) -> None:
        """Leaves everything to the page cache."""

    return sync


def _never_releases(original: Any) -> Any:
    def release(self: Admission, ticket: Ticket) -> None:
        if ticket.id in self.waiting(ticket.flow):
            original(self, ticket)

    return release


def _one_more(original: Any) -> Any:
    def rules_of(self: FlowRegistry, key: FlowKey) -> Any:
        rules = original(self, key)
        if rules is None:
            return None
        more = replace(rules.concurrency, limit=rules.concurrency.limit + 1)
        return replace(rules, concurrency=more)

    return rules_of


def _forgets_what_waits(_: Any) -> Any:
    def restore(self: Engine, *_: Any) -> None:
        """Puts nothing back in line."""

    return restore


def _carries_anew(original: Any) -> Any:
    async def decide(self: Any, execution: Execution) -> str:
        spec = await self._spec(execution)
        if spec is None or self._rules(execution.flow) is None:
            answer: str = await original(self, execution)
            return answer
        self._engine.restore(execution, spec)
        return "restored"

    return decide


def _drops_node_ends(original: Any) -> Any:
    def finish(
        self: SimulatedJournal, attempt: Attempt, node: NodeStatus | None = None
    ) -> asyncio.Future[None]:
        future: asyncio.Future[None] = original(self, attempt)
        return future

    return finish


def _begins_early(original: Any) -> Any:
    def begin(self: SimulatedJournal, attempt: Attempt) -> asyncio.Future[None]:
        original(self, attempt)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    return begin


def _counts_twice(original: Any) -> Any:
    def execution_ended(self: DaemonObserver, execution: Execution) -> None:
        original(self, execution)
        original(self, execution)

    return execution_ended


def _passes_missed_slots(_: Any) -> Any:
    async def missed(self: SlotKeeper, *_: Any) -> None:
        """Says nothing about slots that nobody looked at."""

    return missed


def _moves_the_cursor_first(original: Any) -> Any:
    async def create(
        self: SimulatedExecutions,
        execution: Execution,
        *,
        cursor: tuple[ScheduleKey, datetime] | None = None,
        **rest: Any,
    ) -> Submitted:
        if cursor is not None:
            tables, (key, at) = self._inner._tables, cursor
            move = partial(tables.move_cursor, key, at, open_run=None)
            await self._writer.submit(Write(kind="cursor", apply=move))
        answer: Submitted = await original(self, execution, **rest)
        return answer

    return _soon(create)


def _records_deliveries_later(original: Any) -> Any:
    async def create(
        self: SimulatedExecutions,
        execution: Execution,
        *,
        delivery: DeliveryRecord | None = None,
        **rest: Any,
    ) -> Submitted:
        answer: Submitted = await original(self, execution, **rest)
        if delivery is not None:
            deliveries = self._inner._tables.deliveries
            self._writer.submit(Write(kind="late", apply=partial(deliveries.put, delivery)))
        return answer

    return _soon(create)


async def _leaves_leftovers(*_: Any) -> None:
    """Ends nothing."""


def _spare_children(ground: Ground) -> None:
    ground.host.spares_children = True


BUGS = {
    "acknowledge before the commit": Bug(
        plant=exchange(Engine, "_store", _acknowledges_early),
        found_as="was acknowledged to .* and is not durable",
    ),
    "accept while the disk is full": Bug(
        plant=exchange(Engine, "_store", _accepts_without_room),
        found_as="was acknowledged to .* and is not durable|was never accepted|slots and accounts",
        seed=3,
    ),
    "start without moving the cursor": Bug(
        plant=exchange(Engine, "_store", _forgets_the_cursor),
        found_as="started and is|slots and accounts for",
    ),
    "move the cursor before the execution": Bug(
        plant=exchange(SimulatedExecutions, "create", _moves_the_cursor_first),
        found_as="slots and accounts for",
    ),
    "record a delivery after its execution": Bug(
        plant=exchange(SimulatedExecutions, "create", _records_deliveries_later),
        found_as="is durable, and the delivery that has started it is not",
    ),
    "start a slot twice": Bug(
        plant=exchange(Engine, "submit", _starts_twice),
        found_as="the slot .* started.* and",
    ),
    "keep no definition": Bug(
        plant=exchange(SimulatedDefinitions, "put", _keeps_no_definition),
        found_as="definition_lost|has ended, and its node",
        seed=1,
    ),
    "skip the sync of the last good files": Bug(
        plant=exchange(LocalFlows, "sync", _does_not_sync_flows),
        found_as="a start finds",
    ),
    "forget to release a place": Bug(
        plant=exchange(Admission, "release", _never_releases),
        found_as="does not come to rest|nobody is in its way",
    ),
    "let one more run": Bug(
        plant=exchange(FlowRegistry, "rules_of", _one_more),
        found_as="the limit is",
    ),
    "forget what waits at a recovery": Bug(
        plant=exchange(Engine, "restore", _forgets_what_waits),
        found_as="nobody carries|has passed",
        seed=1,
    ),
    "carry anew what had begun": Bug(
        plant=exchange(recovery._Recovery, "decide", _carries_anew),
        found_as="twice|final|storage.conflict",
        seed=1,
    ),
    "end an execution before its nodes": Bug(
        plant=exchange(SimulatedJournal, "finish", _drops_node_ends),
        found_as="has ended, and its node|begins before",
    ),
    "act before the begin is durable": Bug(
        plant=exchange(SimulatedJournal, "begin", _begins_early),
        found_as="before its begin was durable",
    ),
    "count an end twice": Bug(
        plant=exchange(DaemonObserver, "execution_ended", _counts_twice),
        found_as="the metrics count",
    ),
    "say nothing of missed slots": Bug(
        plant=exchange(SlotKeeper, "_miss", _passes_missed_slots),
        found_as="slots and accounts for|s late, and",
    ),
    "let a killed daemon's processes go on": Bug(
        plant=lambda: patch.object(recovery, "_end_leftovers", _leaves_leftovers),
        found_as="has survived its daemon",
        seed=2,
    ),
    "signal the leader alone": Bug(
        prepare=_spare_children,
        found_as="still runs|is left|has survived",
        seed=1,
    ),
    **NODE_BUGS,
    **MANY_BUGS,
    **CHILD_BUGS,
    **SLOT_BUGS,
}
