"""After a restart: what was accepted goes on, what was cut short is ended and said so.

Nothing queued is lost. An execution that had begun no attempt starts from its first node; one
with attempts is ended as `failed (interrupted)`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from flowrunner.engine.engine import Engine, RulesOf
from flowrunner.engine.runtime import EngineServices
from flowrunner.errors import ValidationError
from flowrunner.model.execution import Attempt, Execution, Failure, NodeStatus
from flowrunner.model.flow import FlowSpec
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, Reason

_LOG = logging.getLogger(__name__)
_INTERRUPTED = Failure(code="interrupted", message="the daemon ended before the attempt did")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """How many unfinished executions went which way."""

    restored: int = 0
    interrupted: int = 0
    cancelled: int = 0


async def recover(engine: Engine, services: EngineServices, rules: RulesOf) -> RecoveryReport:
    """Decides about every unfinished execution; called once, before triggers are armed.

    Raises:
        StorageError: The journal cannot be read or written.
    """
    counts = {"restored": 0, "interrupted": 0, "cancelled": 0}
    for execution in await services.executions.unfinished():
        counts[await _recover_one(engine, services, rules, execution)] += 1
    engine.admit_waiting()
    report = RecoveryReport(**counts)
    if any(counts.values()):
        _LOG.info("engine.recovered %s", counts)
    return report


async def _recover_one(
    engine: Engine, services: EngineServices, rules: RulesOf, execution: Execution
) -> str:
    attempts = await services.journal.attempts(execution.id)
    if attempts or await services.journal.nodes(execution.id):
        await _interrupt(services, execution, attempts)
        return "interrupted"
    if rules(execution.flow) is None:
        await _end(services, execution, ExecutionState.CANCELLED, Reason.DELETED, None)
        return "cancelled"
    spec = await _spec(services, execution)
    if spec is None:
        lost = Failure(code="definition_lost", message="its definition is gone or damaged")
        await _end(services, execution, ExecutionState.FAILED, "definition_lost", lost)
        return "interrupted"
    engine.restore(execution, spec)
    return "restored"


async def _spec(services: EngineServices, execution: Execution) -> FlowSpec | None:
    definition = await services.definitions.get(execution.digest)
    if definition is None:
        return None
    try:
        return services.compiler.compile_definition(execution.flow, definition)
    except ValidationError:
        _LOG.exception("engine.definition_unusable execution=%s", execution.id)
        return None


async def _interrupt(
    services: EngineServices, execution: Execution, attempts: list[Attempt]
) -> None:
    """Ends the attempts that were in flight, their nodes, and the execution."""
    now = services.clock.now()
    for attempt in attempts:
        if attempt.state is not AttemptState.RUNNING:
            continue
        ended = replace(
            attempt,
            state=AttemptState.FAILED,
            reason=str(Reason.INTERRUPTED),
            error=_INTERRUPTED,
            ended_at=now,
        )
        node = NodeStatus(
            execution=execution.id,
            node=attempt.key.node,
            state=NodeState.FAILED,
            reason=str(Reason.INTERRUPTED),
            error=_INTERRUPTED,
            started_at=attempt.started_at,
            ended_at=now,
        )
        await services.journal.finish(ended, node)
    await _settle_rest(services, execution)
    await _end(services, execution, ExecutionState.FAILED, Reason.INTERRUPTED, _INTERRUPTED)


async def _settle_rest(services: EngineServices, execution: Execution) -> None:
    spec = await _spec(services, execution)
    known = {status.node for status in await services.journal.nodes(execution.id)}
    missing = [node.id for node in spec.nodes if node.id not in known] if spec else []
    now = services.clock.now()
    await services.journal.settle(
        [
            NodeStatus(
                execution=execution.id,
                node=name,
                state=NodeState.CANCELLED,
                reason=str(Reason.INTERRUPTED),
                ended_at=now,
            )
            for name in missing
        ]
    )


async def _end(
    services: EngineServices,
    execution: Execution,
    state: ExecutionState,
    reason: str,
    error: Failure | None,
) -> None:
    ended = replace(
        execution,
        state=state,
        reason=str(reason),
        error=error,
        ended_at=services.clock.now(),
    )
    await services.executions.update(ended)
    services.observer.execution_ended(ended)
