"""What a backend promises about the slot ledger; see `flowrunner.storage.protocols`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from flowrunner.model.execution import ScheduleKey, SlotRun
from flowrunner.model.ids import FlowKey


class SlotStore(Protocol):
    """The slot ledger: a cursor per schedule, and runs of equal outcomes in one row each."""

    async def cursor(self, schedule: ScheduleKey) -> datetime | None:
        """Returns the last instant up to which slots are accounted for; None if unknown."""

    async def open(self, schedule: ScheduleKey, at: datetime) -> datetime:
        """Returns the cursor, setting it to `at` first when the schedule has none."""

    async def cursors(self) -> dict[ScheduleKey, datetime]:
        """Returns the cursors of all schedules."""

    async def open_all(
        self, schedules: Mapping[ScheduleKey, datetime]
    ) -> dict[ScheduleKey, datetime]:
        """Does for each schedule and its moment what `open` does, in few writes."""

    async def forget(self, schedules: Collection[ScheduleKey], until: datetime) -> None:
        """Removes the cursors of schedules, in one write; rows of the ledger stay as they are.

        A cursor that is later than `until` stays (the clock was set back): what it has accounted
        for is never accounted for again.
        """

    async def record(self, run: SlotRun) -> None:
        """Adds slots that did not start and moves the cursor to `run.last`, in one write.

        Joins the newest row of the schedule when outcome, reason, digest, revision and evidence are
        the same and no execution of that schedule started in between. Cursors never go back.
        """

    async def between(
        self, flow: FlowKey, *, after: datetime, until: datetime, limit: int
    ) -> list[SlotRun]:
        """Returns rows of one flow with slots in `after` < slot <= `until`, the latest ones first.

        By `last`; at most `limit`. The first slots of a row may lie before the interval, and its
        last ones behind it.
        """

    async def list(self, flow: FlowKey, *, limit: int = 100) -> list[SlotRun]:
        """Returns rows of one flow, the one that was begun last first."""

    async def last_instant(self) -> datetime | None:
        """Returns the latest moment of which anything is recorded; None for an empty state."""

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes rows whose slots are all before a moment, and returns how many; no cursor.

        The row that the next slot of a schedule may join stays. At most `limit`; fewer say that
        there are no more.
        """
