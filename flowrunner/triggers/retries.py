"""Retries by hand: an ended execution once more, as it was accepted, or from one of its nodes.

The new one runs the pinned definition of the old one with its inputs and what its trigger brought.
What it takes over when it begins with a node is for `flowrunner.engine.kept` to say.
Whether it may start is judged as for every start by hand, by the version in force.
"""

from __future__ import annotations

from dataclasses import replace

from flowrunner.engine.engine import Engine
from flowrunner.engine.history import History
from flowrunner.engine.kept import kept_from
from flowrunner.engine.requests import StartRequest
from flowrunner.engine.runtime import FlowCompiler
from flowrunner.errors import NotFoundError, RefusedError, ValidationError
from flowrunner.model.execution import NOTHING_KEPT, RETRIED_TRIGGER, Cause, Execution
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.protocols import DefinitionStore, ExecutionStore, Journal
from flowrunner.system.ids import IdSource
from flowrunner.triggers.dispatcher import Dispatcher


class Retries:
    """Starts ended executions again."""

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        dispatcher: Dispatcher,
        engine: Engine,
        executions: ExecutionStore,
        journal: Journal,
        definitions: DefinitionStore,
        compiler: FlowCompiler,
        ids: IdSource,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._engine = engine
        self._executions = executions
        self._journal = journal
        self._definitions = definitions
        self._compiler = compiler
        self._ids = ids

    async def retry(
        self, execution_id: ExecutionId, *, force: bool = False, from_node: str | None = None
    ) -> ExecutionId:
        """Starts an execution like an ended one and returns its id.

        Args:
            execution_id: The ended one.
            force: Starts it even while its flow is suspended or paused.
            from_node: Repeats this node, all that depends on it and all that did not end well;
                the other nodes keep their results. None: repeats all of them.

        Raises:
            NotFoundError: There is no such execution.
            ValidationError: ``request.from``: there is no such node among those outside of
                `finally`.
            RefusedError: ``not_ended``; ``deleted``: the flow is gone; ``definition_lost``;
                ``upstream``: a node above `from_node` has not ended well; or as the dispatcher
                refuses a start by hand.
            StorageError: Nothing was accepted.
        """
        execution = await self._executions.get(execution_id)
        if execution is None:
            raise NotFoundError(f"there is no execution {execution_id[:64]!r}")
        if not execution.state.is_final:
            text = f"execution {execution_id} has not ended: it is {execution.state}"
            raise RefusedError(text, code="not_ended")
        entry = self._registry.get(execution.flow)
        if entry is None:
            raise RefusedError(f"the flow {execution.flow} is gone", code="deleted")
        self._dispatcher.startable(entry, is_forced=force)
        definition, spec = await self._pinned(execution)
        self._dispatcher.require_types(spec)
        new_id, kept = self._ids.execution_id(), NOTHING_KEPT
        if from_node is not None:
            history = await self._history(execution_id)
            kept = kept_from(spec, from_node, history, new_id)
        request = StartRequest(
            id=new_id,
            spec=spec,
            definition=definition,
            revision=execution.revision,
            cause=_cause(execution.cause),
            inputs=execution.inputs,
            is_forced=force,
            retry_of=execution.id,
            kept=kept,
        )
        return (await self._engine.submit(request)).id

    async def _history(self, execution_id: ExecutionId) -> History:
        nodes = await self._journal.nodes(execution_id)
        return History(nodes=nodes, attempts=await self._journal.attempts(execution_id))

    async def _pinned(self, execution: Execution) -> tuple[dict[str, Json], FlowSpec]:
        """Returns the definition that an execution was accepted with."""
        definition = await self._definitions.get(execution.digest)
        text = f"the definition of execution {execution.id} is gone or of no use any more"
        if definition is None:
            raise RefusedError(text, code="definition_lost")
        try:
            return definition, self._compiler.compile_definition(execution.flow, definition)
        except ValidationError as error:
            raise RefusedError(text, code="definition_lost") from error


def _cause(before: Cause) -> Cause:
    """Returns the cause of a retry: another trigger, with all that the first one brought."""
    context = {**before.context, RETRIED_TRIGGER: before.declared_trigger}
    return replace(before, trigger_id="retry", trigger_type="retry", context=context)
