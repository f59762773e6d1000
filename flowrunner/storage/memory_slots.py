"""The slot ledger of the backend without a disk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from flowrunner.model.execution import ScheduleKey, SlotRun
from flowrunner.model.ids import FlowKey


@dataclass(slots=True)
class SlotTables:
    """The ledger, which a start of an execution moves too."""

    cursors: dict[ScheduleKey, datetime] = field(default_factory=dict)
    runs: dict[int, SlotRun] = field(default_factory=dict)
    open_runs: dict[ScheduleKey, int] = field(default_factory=dict)

    def move_cursor(self, schedule: ScheduleKey, at: datetime, *, open_run: int | None) -> None:
        """Moves a cursor forward; `open_run` is the row that the next slot may join."""
        self.cursors[schedule] = max(at, self.cursors.get(schedule, at))
        if open_run is None:
            self.open_runs.pop(schedule, None)
        else:
            self.open_runs[schedule] = open_run


class MemorySlots:
    """Meets `SlotStore`."""

    def __init__(self, tables: SlotTables) -> None:
        self._tables = tables

    async def cursor(self, schedule: ScheduleKey) -> datetime | None:
        """Returns up to when the slots of a schedule are accounted for."""
        return self._tables.cursors.get(schedule)

    async def open(self, schedule: ScheduleKey, at: datetime) -> datetime:
        """Returns the cursor; a schedule without one begins at `at`."""
        return self._tables.cursors.setdefault(schedule, at)

    async def forget(self, schedules: Collection[ScheduleKey]) -> None:
        """Removes the cursors of schedules; no later slot joins their rows."""
        for schedule in schedules:
            self._tables.cursors.pop(schedule, None)
            self._tables.open_runs.pop(schedule, None)

    async def record(self, run: SlotRun) -> None:
        """Adds slots that did not start, joining the row before them if they continue it."""
        tables = self._tables
        position = tables.open_runs.get(run.schedule)
        if position is not None and _continues(tables.runs[position], run):
            before = tables.runs[position]
            tables.runs[position] = replace(run, first=before.first, count=before.count + run.count)
        else:
            position = max(tables.runs, default=0) + 1
            tables.runs[position] = run
        tables.move_cursor(run.schedule, run.last, open_run=position)

    async def list(self, flow: FlowKey, *, limit: int = 100) -> list[SlotRun]:
        """Returns rows of one flow, the one that was begun last first."""
        runs = reversed(self._tables.runs.values())
        return [run for run in runs if run.schedule.flow == flow][:limit]

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old rows, none that the next slot may join."""
        runs, joined = self._tables.runs, set(self._tables.open_runs.values())
        old = [at for at, run in runs.items() if run.last < before and at not in joined][:limit]
        for position in old:
            del runs[position]
        return len(old)


def _continues(before: SlotRun, run: SlotRun) -> bool:
    return (before.outcome, before.reason) == (run.outcome, run.reason)
