"""The answers to deliveries, as the flow format words them. Source: FLOW_FORMAT, section 3."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flowrunner.errors import ExecutionError, FlowError, StorageError
from flowrunner.model.delivery import DeliveryAnswer, Unproven
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import ExecutionState, Reason

_RETRY_AFTER_S = 30

_BY_CODE: Mapping[str, DeliveryReason] = MappingProxyType(
    {
        "delivery.too_large": DeliveryReason.TOO_LARGE,
        "delivery.content_type": DeliveryReason.CONTENT_TYPE,
        "delivery.json": DeliveryReason.BODY,
        "delivery.form": DeliveryReason.BODY,
        "delivery.schema": DeliveryReason.SCHEMA,
        "concurrency_deadlock": DeliveryReason.DEADLOCK,
        **{
            reason.value: reason
            for reason in (
                DeliveryReason.NOT_READY,
                DeliveryReason.OTHER_HOST,
                DeliveryReason.SUSPENDED,
                DeliveryReason.PAUSED,
                DeliveryReason.OBSERVE,
                DeliveryReason.DRAINING,
                DeliveryReason.DISK,
                DeliveryReason.QUEUE_FULL,
            )
        },
    }
)
"""What the code of an error is called in the record of a delivery."""


def reason_of(error: FlowError) -> DeliveryReason:
    """Returns the word for an error that ends a delivery."""
    if isinstance(error, StorageError):
        return DeliveryReason.STORAGE
    other = DeliveryReason.INPUTS
    if isinstance(error, ExecutionError):
        other = DeliveryReason.EXPRESSION
    return _BY_CODE.get(error.code, other)


def trial(label: str, body: Mapping[str, Json]) -> DeliveryAnswer:
    """Returns the answer to a call by which a provider only tries the hook."""
    return DeliveryAnswer(
        status=200, result="ignored", hook=label, body=body, reason=DeliveryReason.TRIAL
    )


def ignored(label: str, condition: str) -> DeliveryAnswer:
    """Returns the answer to a delivery that the flow does not want."""
    return DeliveryAnswer(
        status=200,
        result="ignored",
        hook=label,
        body={"status": "ignored"},
        reason=DeliveryReason.IF_FALSE,
        detail=condition,
    )


def accepted(label: str, execution_id: ExecutionId) -> DeliveryAnswer:
    """Returns the answer to a delivery whose execution is on disk, with its record."""
    body = {"execution_id": execution_id}
    return DeliveryAnswer(status=202, result="accepted", hook=label, body=body, is_recorded=True)


def ended(label: str, execution: Execution) -> DeliveryAnswer:
    """Returns the answer to a delivery that has waited for the end of its execution."""
    if execution.state is ExecutionState.SUCCEEDED:
        body = {
            "execution_id": execution.id,
            "state": str(execution.state),
            "outputs": execution.outputs or {},
        }
        return DeliveryAnswer(status=200, result="succeeded", hook=label, body=body)
    return DeliveryAnswer(
        status=500,
        result="failed",
        hook=label,
        problem=f"execution {execution.id} ended as {execution.state}",
        code="execution.ended",
    )


def duplicate(
    label: str, execution_id: ExecutionId, *, is_recorded: bool = False
) -> DeliveryAnswer:
    """Returns the answer to a delivery that was here before."""
    return DeliveryAnswer(
        status=200,
        result="duplicate",
        hook=label,
        body={"status": "duplicate", "execution_id": execution_id},
        reason=DeliveryReason.DUPLICATE,
        is_recorded=is_recorded,
    )


def problem(label: str, status: int, result: str, error: FlowError) -> DeliveryAnswer:
    """Returns the answer to a delivery that cannot be taken."""
    return DeliveryAnswer(
        status=status,
        result=result,
        hook=label,
        problem=error.message,
        code=error.code,
        reason=reason_of(error),
        detail=error.message,
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
        reason=DeliveryReason(cause.value),
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
        reason=DeliveryReason.RATE,
    )


def refused(label: str, error: FlowError) -> DeliveryAnswer:
    """Returns the answer where nothing may start now."""
    if error.code == Reason.CONCURRENCY:
        return DeliveryAnswer(
            status=200,
            result="skipped",
            hook=label,
            body={"status": "skipped", "reason": str(Reason.CONCURRENCY)},
            reason=DeliveryReason.CONCURRENCY,
            detail=error.message,
        )
    is_full = error.code == Reason.QUEUE_FULL
    return DeliveryAnswer(
        status=429 if is_full else 503,
        result="queue_full" if is_full else "unavailable",
        hook=label,
        problem=error.message,
        code=error.code,
        retry_after_s=_RETRY_AFTER_S,
        reason=reason_of(error),
        detail=error.message,
    )
