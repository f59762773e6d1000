"""Records with sensible defaults, for whoever has a store at hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flowrunner.model.delivery_record import DeliveryReason, DeliveryRecord
from flowrunner.model.digest import digest_of
from flowrunner.model.execution import (
    Attempt,
    Cause,
    Execution,
    NodeStatus,
    Parent,
    ScheduleKey,
    SlotRun,
)
from flowrunner.model.ids import AttemptKey, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, SlotOutcome
from flowrunner.storage.flow_store import FlowRecord
from tests.fakes.ids import sequential_id

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
BACKUP = FlowKey("default", "backup")
REVISION = Revision("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
DEFINITION: dict[str, Json] = {"version": 1, "name": "backup", "nodes": [{"id": "dump"}]}
NIGHTLY = ScheduleKey(flow=BACKUP, trigger="nightly", fingerprint="0 3 * * *@UTC")


def minutes(count: int) -> datetime:
    """A time some minutes after noon."""
    return NOON + timedelta(minutes=count)


def make_record(key: FlowKey = BACKUP, *, generation: int = 1, **definition: Json) -> FlowRecord:
    """A flow as reconcile keeps it; `definition` adds to the definition."""
    content = {**DEFINITION, "name": key.name, **definition}
    return FlowRecord(
        key=key,
        path=f"{key.account}/{key.name}.yaml",
        revision=REVISION,
        digest=digest_of(content),
        definition=content,
        generation=generation,
        updated_at=NOON,
    )


def make_execution(
    number: int = 1,
    *,
    flow: FlowKey = BACKUP,
    state: ExecutionState = ExecutionState.QUEUED,
    start_key: str | None = None,
    payload: bytes | None = None,
    slot_at: datetime | None = None,
) -> Execution:
    """The `number`-th execution, created that many minutes after noon."""
    ended = minutes(number + 1) if state.is_final else None
    return Execution(
        id=sequential_id(number),
        flow=flow,
        state=state,
        cause=Cause(
            trigger_id="nightly",
            trigger_type="schedule",
            slot_at=slot_at,
            context={"headers": {"x-event": "push"}},
            payload=payload,
        ),
        start_key=start_key,
        revision=REVISION,
        digest=digest_of(DEFINITION),
        inputs={"target": "/srv", "days": 7},
        created_at=minutes(number),
        ended_at=ended,
    )


def make_delivery(
    number: int = 1,
    reason: DeliveryReason = DeliveryReason.ACCEPTED,
    *,
    flow: FlowKey = BACKUP,
    status: int = 202,
    is_proven: bool = True,
    path: str = "default/backup/push",
    network: str = "192.0.2.7",
) -> DeliveryRecord:
    """The `number`-th delivery, that many minutes after noon."""
    came = DeliveryRecord(
        id=f"delivery-{number:06}",
        at=minutes(number),
        first_at=minutes(number),
        path=path,
        source=network,
        network=network,
        flow=flow,
        trigger="push" if flow.name else "",
        event="push",
        delivery_id=f"of-the-provider-{number}",
        is_proven=is_proven,
        status=status,
        reason=reason,
        revision=REVISION,
        request_id=f"request-{number}",
    )
    return came.answered(status, reason, detail='ÄÖ: a "detail"')


def make_parent(
    execution: ExecutionId,
    node: str = "dump",
    *,
    index: int = 0,
    number: int = 1,
    is_waited: bool = False,
) -> Parent:
    """An attempt that asked for an execution, and above which there is nothing."""
    key = AttemptKey(execution, node, index, number)
    return Parent(attempt=key, is_waited=is_waited, depth=1)


def make_attempt(
    execution: ExecutionId,
    node: str = "dump",
    *,
    state: AttemptState = AttemptState.RUNNING,
    item_index: int = 0,
    number: int = 1,
) -> Attempt:
    """A try of a node, begun at noon."""
    running = state is AttemptState.RUNNING
    return Attempt(
        key=AttemptKey(execution, node, item_index, number),
        state=state,
        exit_code=None if running else 0,
        started_at=NOON,
        ended_at=None if running else minutes(1),
    )


def make_node(
    execution: ExecutionId,
    node: str = "dump",
    *,
    state: NodeState = NodeState.SUCCEEDED,
    outputs: Json = None,
) -> NodeStatus:
    """A node that ended a minute after noon."""
    return NodeStatus(
        execution=execution,
        node=node,
        state=state,
        outputs=outputs,
        started_at=NOON,
        ended_at=minutes(1),
    )


def make_slots(
    first: int,
    last: int,
    *,
    schedule: ScheduleKey = NIGHTLY,
    outcome: SlotOutcome = SlotOutcome.MISSED,
    reason: str = "down",
) -> SlotRun:
    """One slot for each minute from `first` to `last`, none of which started."""
    return SlotRun(
        schedule=schedule,
        outcome=outcome,
        reason=reason,
        first=minutes(first),
        last=minutes(last),
        count=last - first + 1,
        decided_at=minutes(last),
    )
