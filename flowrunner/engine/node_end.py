"""What a node comes to: by the attempt that no other follows, or without one."""

from __future__ import annotations

from datetime import datetime

from flowrunner.engine.attempt import AttemptOutcome
from flowrunner.engine.scope import ContextScope
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Failure, NodeStatus
from flowrunner.model.expressions import truth
from flowrunner.model.flow import NodeSpec
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import AttemptState, NodeState, Reason

_NODE_STATES = {
    AttemptState.SUCCEEDED: NodeState.SUCCEEDED,
    AttemptState.FAILED: NodeState.FAILED,
    AttemptState.CANCELLED: NodeState.CANCELLED,
    AttemptState.TIMED_OUT: NodeState.TIMED_OUT,
}


def node_status(outcome: AttemptOutcome, started_at: datetime) -> NodeStatus:
    """Returns the status of a node; `started_at` is when its `if` held."""
    attempt = outcome.attempt
    has_outputs = attempt.state is AttemptState.SUCCEEDED and outcome.outputs is not None
    return NodeStatus(
        execution=attempt.key.execution,
        node=attempt.key.node,
        state=_NODE_STATES[attempt.state],
        reason=attempt.reason,
        outputs=dict(outcome.outputs or {}) if has_outputs else None,
        error=attempt.error,
        started_at=started_at,
        ended_at=attempt.ended_at,
    )


def unstarted(
    execution: ExecutionId,
    name: str,
    state: NodeState,
    reason: str,
    at: datetime,
    error: Failure | None = None,
) -> NodeStatus:
    """Returns the status of a node that ends without an attempt of its own deciding it."""
    return NodeStatus(
        execution=execution, node=name, state=state, reason=str(reason), error=error, ended_at=at
    )


def failed_by(
    execution: ExecutionId, spec: NodeSpec, key: str, error: ExecutionError, at: datetime
) -> NodeStatus:
    """Returns the status of a node that did not start for the fault of one of its keys."""
    message, details = f"{key}: {error.message}", dict(error.details)
    failure = Failure(code=error.code, message=message, details=details)
    return unstarted(execution, spec.id, NodeState.FAILED, error.code, at, failure)


def skip_or_failure(
    execution: ExecutionId, spec: NodeSpec, scope: ContextScope, obstacle: Reason | None
) -> NodeStatus | None:
    """Returns the final status of a node that does not start, or None when it does.

    It ends at the instant that `now()` was, so that the journal has it. `obstacle` is what is in
    its way whatever its `if` says.
    """
    at = scope.now()
    if obstacle is not None:
        return unstarted(execution, spec.id, NodeState.SKIPPED, obstacle, at)
    if spec.condition is None:
        return None
    try:
        wanted = truth(spec.condition.evaluate(scope))
    except ExecutionError as error:
        return failed_by(execution, spec, "if", error, at)
    if wanted:
        return None
    return unstarted(execution, spec.id, NodeState.SKIPPED, Reason.IF_FALSE, at)
