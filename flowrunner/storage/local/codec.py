"""Records as rows and as text, and back: the only place that knows how a value is kept.

Times become integer microseconds since 1970 in UTC, so that they compare as numbers and lose
nothing; structured values become JSON text. What comes back equals what was kept, with its
times in UTC. Decoding raises `ValueError`, `TypeError` or `KeyError` for damaged data; the
callers say what that means.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from flowrunner.model.execution import (
    Attempt,
    Cause,
    Execution,
    Failure,
    ItemEnd,
    NodeStatus,
    Parent,
)
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.pause import Pause, PauseRecord
from flowrunner.model.states import AttemptState, ExecutionState, NodeState

Row: TypeAlias = tuple[Any, ...]

EXECUTION_COLUMNS = (
    "id, account, flow, state, reason, trigger_id, trigger_type, slot_at, context, start_key,"
    " revision, digest, inputs, error, created_at, started_at, ended_at"
)
"""In the order of `execution_row`, which has the outputs behind them; `execution_of` wants outputs,
payload, pins and call there, or NULL."""

LISTED_COLUMNS = EXECUTION_COLUMNS.replace("context", "'{}'").replace("inputs", "'{}'")
"""As `EXECUTION_COLUMNS`, without what may be large."""

PIN_COLUMNS = "concurrency_group, is_forced, retry_of"
"""In the order of `pins_row`; all NULL where the execution has no row."""

LISTED_PINS = ", ".join(
    f"(SELECT {column} FROM pins WHERE execution = executions.id)"  # noqa: S608 - constants
    for column in PIN_COLUMNS.split(", ")
)
"""The pins of an execution where its table alone is read."""

CALL_COLUMNS = "calls.execution, node, item_index, number, is_waited, depth"
"""In the order of `call_row`; all NULL for an execution that no other one has asked for."""

LISTED_CALL = ", ".join(
    f"CASE trigger_type WHEN 'flow' THEN (SELECT {column} FROM calls WHERE child = id) END"  # noqa: S608 - constants
    for column in CALL_COLUMNS.split(", ")
)
"""As `CALL_COLUMNS` where the table of executions alone is read; only children pay for it."""

LISTED_DATA = f"{LISTED_COLUMNS}, NULL, NULL, {LISTED_PINS}"
"""What `execution_of` takes of an execution in a list, but for `CALL_COLUMNS`."""

LISTED_ROW = f"{LISTED_DATA}, {LISTED_CALL}"
"""What `execution_of` takes of an execution in a list."""

ATTEMPT_COLUMNS = (
    "execution, node, item_index, number, state, reason, exit_code, error, started_at, ended_at,"
    " item_end"
)
"""In the order of `attempt_row` and `attempt_of`."""

NODE_COLUMNS = "execution, node, state, reason, outputs, error, started_at, ended_at"
"""In the order of `node_row` and `node_of`."""

PAUSE_COLUMNS = "account, flow, pause, cleared_at"
"""In the order of `pause_row` and `pause_of`."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400

# ASCII, so that any string fits, even with a lone surrogate; NaN and infinities are kept too:
# whether a value may leave as JSON is not the journal's decision.
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def micros_of(moment: datetime) -> int:
    """Returns microseconds since the epoch; raises `TypeError` for a naive time."""
    since = moment - _EPOCH
    return (since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds


def moment_of(micros: int) -> datetime:
    """Returns the time in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def text_of(value: Json) -> str:
    """Returns JSON text."""
    return "{}" if value == {} else _ENCODER.encode(value)  # most inputs are


def _maybe_micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros_of(moment)


def _maybe_moment(micros: int | None) -> datetime | None:
    return None if micros is None else moment_of(micros)


def _maybe_text(value: Json) -> str | None:
    return None if value is None else text_of(value)


def _failure_text(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return text_of([failure.code, failure.message, failure.details, failure.quotes_data])


def _failure_of(text: str | None) -> Failure | None:
    if text is None:
        return None
    code, message, details, *later = json.loads(text)
    quotes_data = bool(later and later[0])  # the first states were written without it
    return Failure(code=code, message=message, details=details, quotes_data=quotes_data)


def execution_row(execution: Execution) -> Row:
    """Returns the row of an execution, without its payload."""
    cause = execution.cause
    return (
        execution.id,
        execution.flow.account,
        execution.flow.name,
        execution.state.value,
        execution.reason,
        cause.trigger_id,
        cause.trigger_type,
        _maybe_micros(cause.slot_at),
        text_of(cause.context),
        execution.start_key,
        execution.revision,
        execution.digest,
        text_of(execution.inputs),
        _failure_text(execution.error),
        micros_of(execution.created_at),
        _maybe_micros(execution.started_at),
        _maybe_micros(execution.ended_at),
        _maybe_text(execution.outputs),
    )


def pins_row(execution: Execution) -> Row:
    """Returns what else is pinned with an execution; all of it empty for most."""
    return (execution.group, execution.is_forced, execution.retry_of)


def call_row(child: ExecutionId, parent: Parent) -> Row:
    """Returns the row that says which attempt has asked for an execution."""
    return (child, *parent.attempt, parent.is_waited, parent.depth)


def execution_change(execution: Execution) -> Row:
    """Returns what may change: state, reason, error, times, outputs; and the id behind."""
    return (
        execution.state.value,
        execution.reason,
        _failure_text(execution.error),
        _maybe_micros(execution.started_at),
        _maybe_micros(execution.ended_at),
        _maybe_text(execution.outputs),
        execution.id,
    )


def execution_of(row: Row) -> Execution:
    """Returns the execution of `EXECUTION_COLUMNS`, outputs, a payload, pins and a call."""
    return Execution(
        id=ExecutionId(row[0]),
        flow=FlowKey(row[1], row[2]),
        state=ExecutionState(row[3]),
        reason=row[4],
        cause=Cause(
            trigger_id=row[5],
            trigger_type=row[6],
            slot_at=_maybe_moment(row[7]),
            context=json.loads(row[8]),
            payload=row[18],
        ),
        start_key=row[9],
        group=row[19],
        is_forced=bool(row[20]),
        retry_of=None if row[21] is None else ExecutionId(row[21]),
        parent=None if row[22] is None else _parent_of(row[22:]),
        revision=Revision(row[10]),
        digest=Digest(row[11]),
        inputs=json.loads(row[12]),
        error=_failure_of(row[13]),
        created_at=moment_of(row[14]),
        started_at=_maybe_moment(row[15]),
        ended_at=_maybe_moment(row[16]),
        outputs=None if row[17] is None else json.loads(row[17]),
    )


def _parent_of(row: Row) -> Parent:
    execution, node, item_index, number, is_waited, depth = row
    key = AttemptKey(ExecutionId(execution), node, item_index, number)
    return Parent(attempt=key, is_waited=bool(is_waited), depth=depth)


def attempt_row(attempt: Attempt) -> Row:
    """Returns the row of an attempt."""
    return (
        *attempt.key,
        attempt.state.value,
        attempt.reason,
        attempt.exit_code,
        _failure_text(attempt.error),
        micros_of(attempt.started_at),
        _maybe_micros(attempt.ended_at),
        None if attempt.item_end is None else text_of(attempt.item_end.outputs),
    )


def attempt_of(row: Row) -> Attempt:
    """Returns the attempt of `ATTEMPT_COLUMNS`."""
    return Attempt(
        key=AttemptKey(ExecutionId(row[0]), row[1], row[2], row[3]),
        state=AttemptState(row[4]),
        reason=row[5],
        exit_code=row[6],
        error=_failure_of(row[7]),
        started_at=moment_of(row[8]),
        ended_at=_maybe_moment(row[9]),
        item_end=None if row[10] is None else ItemEnd(outputs=json.loads(row[10])),
    )


def node_row(node: NodeStatus) -> Row:
    """Returns the row of a node."""
    return (
        node.execution,
        node.node,
        node.state.value,
        node.reason,
        text_of(node.outputs),
        _failure_text(node.error),
        _maybe_micros(node.started_at),
        _maybe_micros(node.ended_at),
    )


def node_of(row: Row) -> NodeStatus:
    """Returns the node of `NODE_COLUMNS`."""
    return NodeStatus(
        execution=ExecutionId(row[0]),
        node=row[1],
        state=NodeState(row[2]),
        reason=row[3],
        outputs=json.loads(row[4]),
        error=_failure_of(row[5]),
        started_at=_maybe_moment(row[6]),
        ended_at=_maybe_moment(row[7]),
    )


def pause_row(flow: FlowKey, record: PauseRecord) -> Row:
    """Returns the row of a flow that is or was paused."""
    pause = record.pause
    text = None
    if pause is not None:
        times = (micros_of(pause.at), _maybe_micros(pause.until))
        text = text_of([*times, pause.reason, pause.uid, pause.digest])
    return (*flow, text, _maybe_micros(record.cleared_at))


def pause_of(row: Row) -> tuple[FlowKey, PauseRecord]:
    """Returns the flow and the record of `PAUSE_COLUMNS`."""
    pause = None
    if row[2] is not None:
        at, until, reason, uid, digest = json.loads(row[2])
        pause = Pause(
            at=moment_of(at),
            until=_maybe_moment(until),
            reason=reason,
            uid=uid,
            digest=None if digest is None else Digest(digest),
        )
    return FlowKey(row[0], row[1]), PauseRecord(pause=pause, cleared_at=_maybe_moment(row[3]))
