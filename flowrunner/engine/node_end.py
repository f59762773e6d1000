"""What a node comes to by the attempt that no other follows."""

from __future__ import annotations

from datetime import datetime

from flowrunner.engine.attempt import AttemptOutcome
from flowrunner.model.execution import NodeStatus
from flowrunner.model.states import AttemptState, NodeState

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
