"""What a backend promises of the events of flows; see `protocols.py` for all stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from flowrunner.model.flow_events import FlowEvent, FlowState
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_MARKS, MarkChange


class EventStore(Protocol):
    """What happened to flows: the newest `MOST_EVENTS` of each; a write is durable at its end."""

    async def record(
        self,
        events: Sequence[FlowEvent],
        states: Mapping[FlowKey, FlowState],
        *,
        marks: MarkChange = NO_MARKS,
    ) -> None:
        """Adds events, replaces states and changes marks, all in one write.

        Every flow that has an event has a state, whose number is that of its newest event.
        """

    async def states(self) -> dict[FlowKey, FlowState]:
        """Returns the state of every flow, of those that have left too."""

    async def list(
        self, flow: FlowKey, *, before: int | None = None, limit: int = 100
    ) -> list[FlowEvent]:
        """Returns events of a flow, newest first: those with a number below `before`."""

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes events from before a moment, and returns how many.

        A flow that has left is forgotten with its last event. At most `limit`; fewer say that
        there are no more.
        """
