"""Rows of the slot ledger: what stands in which column."""

from __future__ import annotations

import json

from flowrunner.model.execution import ScheduleKey, SlotRun
from flowrunner.model.ids import Digest, FlowKey, Revision
from flowrunner.model.states import SlotOutcome
from flowrunner.storage.local.codec import Row, micros_of, moment_of, text_of

SLOT_RUN_COLUMNS = (
    "account, flow, trigger_id, fingerprint, outcome, reason, first, last, count, decided_at,"
    " digest, evidence, revision"
)
"""In the order of `slot_run_row` and `slot_run_of`."""


def schedule_row(schedule: ScheduleKey) -> Row:
    """Returns account, flow, trigger and fingerprint."""
    return (*schedule.flow, schedule.trigger, schedule.fingerprint)


def slot_run_row(run: SlotRun) -> Row:
    """Returns the row of a run of slots."""
    return (
        *schedule_row(run.schedule),
        run.outcome.value,
        run.reason,
        micros_of(run.first),
        micros_of(run.last),
        run.count,
        micros_of(run.decided_at),
        run.digest,
        text_of(dict(run.evidence)),
        run.revision,
    )


def slot_run_of(row: Row) -> SlotRun:
    """Returns the run of slots of `SLOT_RUN_COLUMNS`."""
    return SlotRun(
        schedule=ScheduleKey(flow=FlowKey(row[0], row[1]), trigger=row[2], fingerprint=row[3]),
        outcome=SlotOutcome(row[4]),
        reason=row[5],
        first=moment_of(row[6]),
        last=moment_of(row[7]),
        count=row[8],
        decided_at=moment_of(row[9]),
        digest=None if row[10] is None else Digest(row[10]),
        evidence=json.loads(row[11]),
        revision=None if row[12] is None else Revision(row[12]),
    )
