"""What is asked of the engine: an execution of one version of a flow, pinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.engine.groups import group_named
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import (
    NOTHING_KEPT,
    Cause,
    Execution,
    FormerKey,
    Kept,
    Parent,
    ScheduleKey,
)
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import ExecutionId, Json, Revision
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.model.states import ExecutionState


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What a trigger asks of the engine; everything is pinned from here on.

    Attributes:
        definition: The effective definition the spec was compiled from, kept by its digest.
        start_key: At most one execution ever has it; None for starts by hand.
        former: The key of before, under which the same may have been accepted already.
        cursor: The schedule whose cursor moves with this start, in one transaction.
        is_forced: Whether it goes although its flow is suspended or paused.
        retry_of: The ended execution that it repeats.
        kept: What it takes over of that one.
        parent: The attempt that asks for it.
        marks: What changes in the transaction that accepts it.
        delivery: The record of the delivery that asks for it, kept in that transaction, too.
        judged_at: What `now()` was to the trigger: becomes `created_at`; None means now.
    """

    id: ExecutionId
    spec: FlowSpec
    definition: Mapping[str, Json]
    revision: Revision
    cause: Cause
    inputs: dict[str, Json] = field(default_factory=dict)
    start_key: str | None = None
    former: FormerKey | None = None
    cursor: ScheduleKey | None = None
    judged_at: datetime | None = None
    is_forced: bool = False
    retry_of: ExecutionId | None = None
    kept: Kept = NOTHING_KEPT
    parent: Parent | None = None
    marks: MarkChange = NO_MARKS
    delivery: DeliveryRecord | None = None

    @property
    def moved_cursor(self) -> tuple[ScheduleKey, datetime] | None:
        """The schedule whose cursor moves with this start, and where to."""
        if self.cursor is None or self.cause.slot_at is None:
            return None
        return (self.cursor, self.cause.slot_at)

    def execution(self, created_at: datetime) -> Execution:
        """Returns the execution that is asked for, queued as long as nothing is decided.

        Raises:
            ValidationError: ``input.group``: no group can be named for these inputs.
        """
        return Execution(
            id=self.id,
            flow=self.spec.key,
            state=ExecutionState.QUEUED,
            cause=self.cause,
            start_key=self.start_key,
            group=group_named(self.spec, self.cause, self.inputs, created_at),
            is_forced=self.is_forced,
            retry_of=self.retry_of,
            parent=self.parent,
            revision=self.revision,
            digest=self.spec.digest,
            inputs=dict(self.inputs),
            created_at=created_at,
        )
