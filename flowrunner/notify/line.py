"""What waits for one channel, and what of it goes next. Pure but for the times it is given.

A notice goes at once. Of equal ones (flow and event) that follow within a minute all go together
when it is over; what happens next to the flow takes them along, so that nothing is told in the
wrong order. What a node says is never held back and always a message of its own. A channel for
people takes so many messages in a time: beyond that, what waits is told
in one summary as soon as there is room again.
"""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import MarkKey
from flowrunner.model.notify import Notice, NotifyOn
from flowrunner.notify.message import kind_of

GROUP_S = 60.0
"""How long equal notices are held back after one was sent."""

MOST_WAITING = 1_000
"""Notices that wait for one channel; more are counted, and told as a number."""

MOST_AT_ONCE = 500
"""Alerts in one message."""


class Kept(NamedTuple):
    """A notice and the mark that keeps it."""

    key: MarkKey
    notice: Notice


Batch: TypeAlias = tuple[Kept, ...]
_Group: TypeAlias = tuple[FlowKey, NotifyOn, str]


@dataclass(slots=True)
class Bucket:
    """A number of messages per time: so many at once, then one after the other.

    Attributes:
        most: At least 1; None: no bound.
    """

    most: int | None
    period_s: float = 1.0
    _level: float = field(init=False)
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._level = float(self.most or 0)

    def wait_s(self, now: float) -> float:
        """Returns how long there is no room for a message, in seconds; 0: there is some."""
        if self.most is None:
            return 0.0
        grown = (now - self._at) * self.most / self.period_s
        self._level, self._at = min(self._level + grown, float(self.most)), now
        return max(1.0 - self._level, 0.0) * self.period_s / self.most

    def take(self) -> None:
        """Counts a message."""
        self._level -= 1.0


class Line:
    """The notices for one channel, in order.

    Args:
        bucket: How many messages it takes.
        is_for_people: Whether equal notices are grouped, and many summed up.
        takes_many: Of a channel for machines: whether all go at once, or one after the other.
    """

    def __init__(self, bucket: Bucket, *, is_for_people: bool, takes_many: bool) -> None:
        self._bucket = bucket
        self.is_for_people = is_for_people
        self._takes_many = takes_many
        self._waiting: dict[MarkKey, Notice] = {}
        self._held: dict[_Group, float] = {}
        self._is_dry = False
        self.left_out = 0
        """Events that found no room here and that no message has told of yet."""
        self.expected = 0
        """Notices that are decided about, and will come when they are on disk."""

    def follow(self, other: Line) -> None:
        """Goes by the rules of another line, of the same channel as it is now."""
        self._bucket = other._bucket
        self.is_for_people = other.is_for_people
        self._takes_many = other._takes_many

    def empty(self) -> Batch:
        """Takes out all that waits."""
        return self._taken(list(self._waiting))

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another notice."""
        return len(self._waiting) + self.expected >= MOST_WAITING

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def add(self, key: MarkKey, notice: Notice) -> None:
        """Puts a notice at the end."""
        self._waiting[key] = notice

    def next_batch(self, now: float) -> tuple[Batch, float | None]:
        """Takes out what goes next; if nothing does yet, returns in how many seconds it may.

        Args:
            now: Monotonic seconds.

        Returns:
            The batch, which may be empty, and how long to wait; None: for the next notice.
        """
        if not self._waiting:
            return (), None
        if not self.is_for_people:
            return self._taken(list(self._waiting)[: MOST_AT_ONCE if self._takes_many else 1]), 0.0
        wait_s = self._bucket.wait_s(now)
        if wait_s > 0:
            self._is_dry = True
            return (), wait_s
        if self._is_dry or self.left_out:
            self._is_dry = False
            keys = list(self._waiting)
        else:
            keys = self._ripe(now)
        if not keys:
            return (), min(self._held[kind_of(n)] for n in self._waiting.values()) - now
        self._bucket.take()
        batch = self._taken(keys)
        self._held = {group: until for group, until in self._held.items() if until > now}
        said = (kept.notice for kept in batch if kept.notice.on is not NotifyOn.MESSAGE)
        self._held.update((kind_of(notice), now + GROUP_S) for notice in said)
        return batch, 0.0

    def _ripe(self, now: float) -> list[MarkKey]:
        """Returns what waits of the first flow that has something to tell now."""
        for first, notice in self._waiting.items():
            if self._held.get(kind_of(notice), now) <= now:
                if notice.on is NotifyOn.MESSAGE:
                    return [first]
                return [
                    key
                    for key, other in self._waiting.items()
                    if other.flow == notice.flow and other.on is not NotifyOn.MESSAGE
                ]
        return []

    def _taken(self, keys: list[MarkKey]) -> Batch:
        return tuple(Kept(key, self._waiting.pop(key)) for key in keys)
