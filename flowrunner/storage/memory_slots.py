"""The slot ledger of the backend without a disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.execution import Execution, ScheduleKey, SlotRun
from flowrunner.model.ids import ExecutionId, FlowKey


@dataclass(slots=True)
class SlotTables:
    """The ledger, which a start of an execution moves too, and the executions themselves."""

    executions: dict[ExecutionId, Execution] = field(default_factory=dict)
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

    async def cursors(self) -> dict[ScheduleKey, datetime]:
        """Returns the cursors of all schedules."""
        return dict(self._tables.cursors)

    async def open_all(
        self, schedules: Mapping[ScheduleKey, datetime]
    ) -> dict[ScheduleKey, datetime]:
        """Opens each."""
        return {key: self._tables.cursors.setdefault(key, at) for key, at in schedules.items()}

    async def forget(self, schedules: Collection[ScheduleKey], until: datetime) -> None:
        """Removes the cursors of schedules up to now; no later slot joins their rows."""
        cursors = self._tables.cursors
        for schedule in schedules:
            self._tables.open_runs.pop(schedule, None)
            if schedule in cursors and cursors[schedule] <= until:
                del cursors[schedule]

    async def record(self, run: SlotRun) -> None:
        """Adds slots that did not start, joining the row before them if they continue it."""
        tables = self._tables
        position = tables.open_runs.get(run.schedule)
        if position is not None and tables.runs[position].is_continued_by(run):
            before = tables.runs[position]
            tables.runs[position] = replace(run, first=before.first, count=before.count + run.count)
        else:
            position = max(tables.runs, default=0) + 1
            tables.runs[position] = run
        tables.move_cursor(run.schedule, run.last, open_run=position)

    async def between(
        self, flow: FlowKey, *, after: datetime, until: datetime, limit: int
    ) -> list[SlotRun]:
        """Returns rows of one flow that reach into an interval, the latest slots first."""
        mine = (run for run in self._tables.runs.values() if run.schedule.flow == flow)
        found = [run for run in mine if run.last > after and run.first <= until]
        return sorted(found, key=lambda run: run.last, reverse=True)[:limit]

    async def list(self, flow: FlowKey, *, limit: int = 100) -> list[SlotRun]:
        """Returns rows of one flow, the one that was begun last first."""
        runs = reversed(self._tables.runs.values())
        return [run for run in runs if run.schedule.flow == flow][:limit]

    async def last_instant(self) -> datetime | None:
        """Returns the latest moment of which anything is recorded."""
        decided = [run.decided_at for run in self._tables.runs.values()]
        created = [each.created_at for each in self._tables.executions.values()]
        return max([*self._tables.cursors.values(), *decided, *created], default=None)

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old rows, none that the next slot may join."""
        runs, joined = self._tables.runs, set(self._tables.open_runs.values())
        old = [at for at, run in runs.items() if run.last < before and at not in joined][:limit]
        for position in old:
            del runs[position]
        return len(old)
