"""The answers to deliveries, as the flow format words them. Source: FLOW_FORMAT, section 3."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.errors import FlowError
from flowrunner.model.delivery import DeliveryAnswer, Unproven
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import ExecutionState, Reason

_RETRY_AFTER_S = 30


def answer(label: str, status: int, result: str, body: Mapping[str, Json]) -> DeliveryAnswer:
    """Returns the answer to a delivery that was understood; `label` is that of its hook."""
    return DeliveryAnswer(status=status, result=result, hook=label, body=body)


def ignored(label: str) -> DeliveryAnswer:
    """Returns the answer to a delivery that the flow does not want."""
    return answer(label, 200, "ignored", {"status": "ignored"})


def accepted(label: str, execution_id: ExecutionId) -> DeliveryAnswer:
    """Returns the answer to a delivery whose execution is on disk."""
    return answer(label, 202, "accepted", {"execution_id": execution_id})


def ended(label: str, execution: Execution) -> DeliveryAnswer:
    """Returns the answer to a delivery that has waited for the end of its execution."""
    if execution.state is ExecutionState.SUCCEEDED:
        body = {
            "execution_id": execution.id,
            "state": str(execution.state),
            "outputs": execution.outputs or {},
        }
        return answer(label, 200, "succeeded", body)
    return DeliveryAnswer(
        status=500,
        result="failed",
        hook=label,
        problem=f"execution {execution.id} ended as {execution.state}",
        code="execution.ended",
    )


def duplicate(label: str, execution_id: ExecutionId) -> DeliveryAnswer:
    """Returns the answer to a delivery that was here before."""
    body = {"status": "duplicate", "execution_id": execution_id}
    return answer(label, 200, "duplicate", body)


def problem(label: str, status: int, result: str, error: FlowError) -> DeliveryAnswer:
    """Returns the answer to a delivery that cannot be taken."""
    return DeliveryAnswer(
        status=status, result=result, hook=label, problem=error.message, code=error.code
    )


def unauthorized(label: str, cause: Unproven) -> DeliveryAnswer:
    """One answer for an unknown path, a wrong method and a bad signature; only the log differs."""
    return DeliveryAnswer(
        status=401,
        result="unauthorized",
        hook=label,
        problem="the delivery is not authenticated",
        code="auth.invalid",
        cause=cause,
    )


def too_many(label: str, wait_s: int) -> DeliveryAnswer:
    """Returns the answer to a delivery beyond the rate of its hook."""
    return DeliveryAnswer(
        status=429,
        result="rate_limited",
        hook=label,
        problem="more deliveries than this hook takes (rate_limit)",
        code="delivery.rate",
        retry_after_s=wait_s,
    )


def refused(label: str, error: FlowError) -> DeliveryAnswer:
    """Returns the answer where nothing may start now."""
    if error.code == Reason.CONCURRENCY:
        body = {"status": "skipped", "reason": str(Reason.CONCURRENCY)}
        return answer(label, 200, "skipped", body)
    is_full = error.code == Reason.QUEUE_FULL
    return DeliveryAnswer(
        status=429 if is_full else 503,
        result="queue_full" if is_full else "unavailable",
        hook=label,
        problem=error.message,
        code=error.code,
        retry_after_s=_RETRY_AFTER_S,
    )
