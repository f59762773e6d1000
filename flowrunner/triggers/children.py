"""Children: executions that nodes of type `flow` ask for, judged like every other start.

The start key of a child names the attempt that asks for it. So one attempt has one child, and
finds it again after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from flowrunner.engine.children import MOST_DEPTH
from flowrunner.engine.engine import Engine
from flowrunner.errors import ExecutionError, RefusedError, StorageError, ValidationError
from flowrunner.model.execution import CALLING_FLOW, FOR_A_PERSON, Cause, Execution, Parent
from flowrunner.model.ids import AttemptKey, ExecutionId, FlowKey, Json
from flowrunner.nodes.base import LeftError
from flowrunner.nodes.builtin.flow import FlowCall
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.triggers.dispatcher import Dispatcher, Start, complete_inputs, typed_inputs

PARENT_TRIGGER = "parent"
"""The trigger id of a child; its type is `flow`."""


class Children:
    """Meets `flowrunner.nodes.builtin.flow.CallsFlows`."""

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        dispatcher: Dispatcher,
        engine: Engine,
        executions: ExecutionStore,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._engine = engine
        self._executions = executions

    async def start(self, call: FlowCall) -> ExecutionId:
        """Returns the child that an attempt has, or starts it; see `CallsFlows.start`."""
        try:
            known = await self._executions.find(_start_key(call.key))
            return known if known is not None else await self._submit(call)
        except RefusedError as error:
            if error.code == "draining":
                raise LeftError from error
            is_final = error.code == "concurrency_deadlock"
            raise ExecutionError(
                error.message, code=error.code, details=error.details, final=is_final
            ) from error
        except ValidationError as error:
            text = f"the flow {call.flow!r} does not take these inputs: {error.message}"
            raise ExecutionError(text, code=error.code, final=True) from error
        except StorageError as error:
            raise ExecutionError(error.message, code=error.code) from error

    async def run(self, call: FlowCall, told: Callable[[ExecutionId], None]) -> Execution:
        """Returns the child as it ended; see `CallsFlows.run`."""
        starting = asyncio.create_task(self.start(call), name=f"child:{_start_key(call.key)}")
        try:
            child = await asyncio.shield(starting)
            told(child)
            ended = await self._engine.ends.of(child)
        except asyncio.CancelledError:
            started = await _started(starting)
            if started is not None and await self._is_left(call.key.execution, started):
                raise LeftError from None
            raise
        except StorageError as error:
            raise ExecutionError(error.message, code=error.code) from error
        if ended is None:
            text = f"the execution {child} of {call.flow!r} was removed before its end was seen"
            raise ExecutionError(text, code="flow_lost", details={"execution_id": child})
        return ended

    async def _is_left(self, caller: ExecutionId, child: ExecutionId) -> bool:
        """Brings the end of a child about; returns whether the daemon stops before."""
        if self._engine.is_leaving(caller):
            return True
        with suppress(asyncio.CancelledError):
            return not await self._engine.ends.bring_about(child)
        return self._engine.is_leaving(caller)  # it was cancelled once more, perhaps by a stop

    async def _submit(self, call: FlowCall) -> ExecutionId:
        parent, cause = self._origin(call)
        entry = self._registry.get(FlowKey(call.caller.account, call.flow))
        if entry is None:
            text = f"there is no flow {call.flow!r} in this account"
            raise ExecutionError(text, code="flow_missing", details={"flow": call.flow})
        spec = self._dispatcher.startable(entry)
        inputs = complete_inputs(spec, typed_inputs(spec, call.inputs))
        start = Start(cause=cause, inputs=inputs, start_key=_start_key(call.key), parent=parent)
        return (await self._dispatcher.submit(entry, start)).id

    def _origin(self, call: FlowCall) -> tuple[Parent, Cause]:
        """Returns who asks, and what a child inherits from that: its depth, and a hurry."""
        caller = self._engine.live(call.key.execution)
        above = caller.depth if caller is not None else 0
        if above >= MOST_DEPTH:
            text = f"{above} executions stand above this one, each started by the one before"
            raise ExecutionError(text, code="flow_depth", details={"depth": above}, final=True)
        parent = Parent(attempt=call.key, is_waited=call.is_waited, depth=above + 1)
        context: dict[str, Json] = {CALLING_FLOW: call.caller.name}
        if caller is not None and caller.cause.is_by_hand:
            context[FOR_A_PERSON] = True
        return parent, Cause(trigger_id=PARENT_TRIGGER, trigger_type="flow", context=context)


def _start_key(attempt: AttemptKey) -> str:
    return f"flow:{attempt.execution}:{attempt.node}:{attempt.item_index}:{attempt.number}"


async def _started(starting: asyncio.Task[ExecutionId]) -> ExecutionId | None:
    """Waits for a start that is under way, whatever happens meanwhile; None if it failed."""
    while not starting.done():
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError:
            continue  # the caller tells it as soon as the child has ended
    return None if starting.cancelled() or starting.exception() else starting.result()
