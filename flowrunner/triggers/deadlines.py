"""Promises that run, by when they run out: the next one is found without looking at all of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.mark import MarkKey, MarkKind
from flowrunner.model.sla import Breach, SlaKind

_MOST_LEFT = 1_000
"""Entries of what runs no more, beyond as many as run, that are carried along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A promise that runs.

    Attributes:
        execution: Of which execution; None for `max_since_success`.
        since: From when it counts.
    """

    flow: FlowKey
    kind: SlaKind
    execution: ExecutionId | None
    since: datetime
    limit_s: float

    @property
    def due_at(self) -> datetime:
        """When it is broken."""
        return self.since + timedelta(seconds=self.limit_s)

    @property
    def mark(self) -> MarkKey:
        """Says that its breach was told."""
        name = self.kind if self.execution is None else f"{self.kind}:{self.execution}"
        return MarkKey(MarkKind.SLA, self.flow, "", str(name))

    @property
    def breach(self) -> Breach:
        """What is told of it."""
        return Breach(
            flow=self.flow,
            kind=self.kind,
            execution=self.execution,
            since=self.since,
            limit_s=self.limit_s,
        )


class Deadlines:
    """Watches by their marks; each of them in a heap, from which it is taken late."""

    def __init__(self) -> None:
        self._watches: dict[MarkKey, Watch] = {}
        self._heap: list[tuple[datetime, MarkKey]] = []

    def add(self, watch: Watch) -> bool:
        """Takes a watch, in the place of one with its mark; returns whether it is the next."""
        self._watches[watch.mark] = watch
        heappush(self._heap, (watch.due_at, watch.mark))
        if len(self._heap) > 2 * len(self._watches) + _MOST_LEFT:
            self._heap = [(each.due_at, mark) for mark, each in self._watches.items()]
            heapify(self._heap)
        return self.next_at() == watch.due_at

    def get(self, mark: MarkKey) -> Watch | None:
        """Returns the watch of a mark."""
        return self._watches.get(mark)

    def pop(self, mark: MarkKey) -> Watch | None:
        """Takes out the watch of a mark, if there is one."""
        return self._watches.pop(mark, None)

    def next_at(self) -> datetime | None:
        """Returns when the next one runs out; None when none runs."""
        while self._heap:
            due_at, mark = self._heap[0]
            watch = self._watches.get(mark)
            if watch is not None and watch.due_at == due_at:
                return due_at
            heappop(self._heap)
        return None

    def take_due(self, now: datetime) -> list[Watch]:
        """Takes out those that have run out by now, in their order."""
        found = []
        while (next_at := self.next_at()) is not None and next_at <= now:
            _, mark = heappop(self._heap)
            found.append(self._watches.pop(mark))
        return found
