"""The events of flows in the backend without a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from flowrunner.model.flow_events import MOST_EVENTS, FlowEvent, FlowState
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.storage.memory_marks import MemoryMarks


class MemoryEvents:
    """Meets `EventStore`; `marks` are those that change with it."""

    def __init__(self, marks: MemoryMarks | None = None) -> None:
        self._marks = marks or MemoryMarks()
        self._events: dict[FlowKey, dict[int, FlowEvent]] = {}
        self._states: dict[FlowKey, FlowState] = {}

    async def record(
        self,
        events: Sequence[FlowEvent],
        states: Mapping[FlowKey, FlowState],
        *,
        marks: MarkChange = NO_MARKS,
    ) -> None:
        """Adds events, replaces states and changes marks."""
        self._marks.apply(marks)
        self._states.update(states)
        for event in events:
            kept = self._events.setdefault(event.flow, {})
            kept[event.number] = event
            for number in [each for each in kept if each <= event.number - MOST_EVENTS]:
                del kept[number]

    async def states(self) -> dict[FlowKey, FlowState]:
        """Returns what was told of each flow."""
        return dict(self._states)

    async def list(
        self, flow: FlowKey, *, before: int | None = None, limit: int = 100
    ) -> list[FlowEvent]:
        """Returns a page, newest first."""
        kept = self._events.get(flow, {})
        numbers = sorted((n for n in kept if before is None or n < before), reverse=True)
        return [kept[number] for number in numbers[:limit]]

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old events, and what is known of flows that left with them."""
        old = [
            (flow, number)
            for flow, kept in self._events.items()
            for number, event in kept.items()
            if event.at < before
        ][:limit]
        for flow, number in old:
            kept = self._events[flow]
            del kept[number]
            if not kept:
                del self._events[flow]
                if self._states[flow].is_gone:
                    del self._states[flow]
        return len(old)
