"""The slot ledger as it is read: rows, executions and the arithmetic of schedules, joined.

`started` is the execution's own row and all else a row of the ledger, which stands for a run of
slots; here each slot is one item again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from flowrunner.model.execution import Execution, SlotRun
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.model.schedule import EPOCH, Schedule
from flowrunner.model.states import ExecutionState, SlotOutcome
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.slot_views import SlotPage, SlotPlace, SlotView
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.storage.slot_store import SlotStore

EARLIEST_SPAN = timedelta(minutes=1)
_MOMENT = timedelta(microseconds=1)
_MOST_ROWS = 1_000
_SPARE = 100
"""More than the schedules of one flow that are due at one moment."""


class SlotReader:
    """Reads the slots of a flow, page by page."""

    def __init__(
        self, registry: FlowRegistry, slots: SlotStore, executions: ExecutionStore
    ) -> None:
        self._registry = registry
        self._slots = slots
        self._executions = executions

    async def page(
        self,
        key: FlowKey,
        *,
        after: datetime,
        until: datetime,
        place: SlotPlace | None = None,
        limit: int = 100,
    ) -> SlotPage:
        """Returns slots with `after` < slot <= `until`, the latest first.

        Args:
            key: The flow.
            after: Where the interval begins.
            until: Where it ends.
            place: The last item of the page before.
            limit: At most this many.

        Raises:
            NotFoundError: There is no such flow.
            StorageError: It cannot be read.
        """
        schedules = schedules_of(self._registry.require(key).spec)
        upper = until if place is None else min(until, place.slot_at)
        if upper <= after:
            return SlotPage(items=())
        most = limit + _SPARE
        started = await self._executions.of_slots(
            key, after=after, until=upper, limit=most, trigger_type="schedule"
        )
        rows = await self._slots.between(key, after=after, until=upper, limit=_MOST_ROWS)
        # What lies before the end of a list that was cut is for another page.
        floor = max(
            started[-1].cause.slot_at or after if len(started) == most else after,
            rows[-1].last if len(rows) == _MOST_ROWS else after,
        )
        views = [view for each in started if (view := execution_view(each))]
        expanding = asyncio.to_thread(_expanded, rows, schedules, floor, upper, most)
        views += await expanding
        found = sorted(
            (view for view in views if view.place.slot_at > floor or floor == after),
            key=lambda view: (-view.place.slot_at.timestamp(), *view.place[1:]),
        )
        found = [view for view in found if place is None or place.is_before(view.place)]
        if len(found) > limit:
            return SlotPage(items=tuple(found[:limit]), next_place=found[limit - 1].place)
        is_cut = floor > after
        return SlotPage(items=tuple(found), next_place=SlotPlace(floor) if is_cut else None)

    async def newest(self, key: FlowKey, until: datetime) -> SlotView | None:
        """Returns the newest recorded slot up to a moment; raises as `page`."""
        found = await self.page(key, after=EPOCH, until=until, limit=1)
        return found.items[0] if found.items else None


def schedules_of(spec: FlowSpec | None) -> dict[tuple[str, str], Schedule]:
    """Returns the schedules of a version by trigger and fingerprint."""
    return {
        (trigger.id, trigger.schedule.fingerprint): trigger.schedule
        for trigger in (spec.schedules if spec else ())
    }


def execution_view(execution: Execution) -> SlotView | None:
    """Returns the slot that an execution accounts for; None for one that accounts for none."""
    slot, key = execution.cause.slot_at, execution.start_key or ""
    if slot is None or not execution.cause.is_slot:
        return None
    # The key is that of `flowrunner.triggers.armed`: slot, flow, trigger, fingerprint, moment.
    parts = key.split(":")
    fingerprint = parts[3] if parts[0] == "slot" else ""
    outcome, reason, decided_at = SlotOutcome.STARTED, "", execution.started_at
    if execution.started_at is None:
        if execution.state is ExecutionState.QUEUED:
            return SlotView(
                place=SlotPlace(slot, execution.cause.trigger_id, fingerprint),
                outcome=None,
                reason=str(ExecutionState.QUEUED),
                execution=execution.id,
                digest=execution.digest,
                revision=execution.revision,
                first_at=slot,
            )
        outcome, reason, decided_at = SlotOutcome.SKIPPED, execution.reason, execution.ended_at
    return SlotView(
        place=SlotPlace(slot, execution.cause.trigger_id, fingerprint),
        outcome=outcome,
        reason=reason,
        decided_at=decided_at,
        execution=execution.id,
        digest=execution.digest,
        revision=execution.revision,
        first_at=slot,
    )


def newest_between(
    schedule: Schedule, after: datetime, until: datetime, most: int
) -> list[datetime]:
    """Returns the newest slots with `after` < slot <= `until`, the latest first, at most `most`.

    It goes back over spans that grow, so that it need not walk through all that lie before.
    """
    found: list[datetime] = []
    span = EARLIEST_SPAN
    while until > after and len(found) < most:
        start = max(after, until - span) if until - after > span else after
        part = list(schedule.slots_between(start, until))
        found.extend(reversed(part))
        until = start
        if len(part) * 2 < most:
            span *= 2
    return found[:most]


def _expanded(
    rows: list[SlotRun],
    schedules: Mapping[tuple[str, str], Schedule],
    after: datetime,
    until: datetime,
    most: int,
) -> list[SlotView]:
    """Returns each slot of rows, until those that are left cannot be among the latest `most`."""
    found: list[SlotView] = []
    for row in rows:
        if sum(view.place.slot_at > row.last for view in found) >= most:
            break
        schedule = schedules.get((row.schedule.trigger, row.schedule.fingerprint))
        found.extend(_slots_of(row, schedule, after, until, most))
    return found


def _slots_of(
    row: SlotRun, schedule: Schedule | None, after: datetime, until: datetime, most: int
) -> list[SlotView]:
    upper, lower = min(row.last, until), max(row.first - _MOMENT, after)
    if schedule is not None:
        return [_row_view(row, at, at) for at in newest_between(schedule, lower, upper, most)]
    if row.count <= 2:  # noqa: PLR2004 - its first and its last
        ends = sorted({row.first, row.last}, reverse=True)
        return [_row_view(row, at, at) for at in ends if lower < at <= upper]
    return [_row_view(row, row.first, row.last)] if row.last <= until else []


def _row_view(row: SlotRun, first: datetime, last: datetime) -> SlotView:
    return SlotView(
        place=SlotPlace(last, row.schedule.trigger, row.schedule.fingerprint),
        outcome=row.outcome,
        reason=row.reason,
        decided_at=row.decided_at,
        is_last=last == row.last,
        digest=row.digest,
        revision=row.revision,
        evidence=row.evidence,
        count=1 if first == last else row.count,
        first_at=first,
    )
