"""A backfill: slots of the past that a person wants to have executed."""

from __future__ import annotations

import json
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import FlowKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Slots of one schedule, from the oldest on.

    Attributes:
        id: Its own, unique.
        trigger: The id of the schedule.
        first: Slots before this moment are done with; it moves with each start.
        until: The end; a slot at this moment is not among them.
        parallel: How many of its executions wait or run at once.
        is_forced: Whether slots that have started already start again.
    """

    id: str
    flow: FlowKey
    trigger: str
    first: datetime
    until: datetime
    parallel: int = 1
    is_forced: bool = False

    @property
    def text(self) -> str:
        """It as the text of a mark."""
        return json.dumps(
            [self.first.isoformat(), self.until.isoformat(), self.parallel, self.is_forced]
        )


def backfill_of(flow: FlowKey, trigger: str, name: str, text: str) -> Backfill:
    """Returns the backfill of a mark."""
    first, until, parallel, is_forced = json.loads(text)
    return Backfill(
        id=name,
        flow=flow,
        trigger=trigger,
        first=datetime.fromisoformat(first),
        until=datetime.fromisoformat(until),
        parallel=parallel,
        is_forced=is_forced,
    )
