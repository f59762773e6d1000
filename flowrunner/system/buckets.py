"""Token buckets by source: how often each may do something, in bounded memory.

Source: operations.md, section 5.1: least recently used go first, beyond 10,000.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from flowrunner.system.clock import Clock

MOST_SOURCES = 10_000
"""Sources that are remembered; one that comes back after it was forgotten begins anew."""


class Buckets:
    """A bucket for each source.

    Args:
        count: How many fit in a bucket, and so may come at once; at least 1.
        period_s: Seconds in which a bucket fills up; above 0.
        clock: Its monotonic time counts.
    """

    def __init__(self, count: int, period_s: float, clock: Clock) -> None:
        self._count = count
        self._per_second = count / period_s
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str) -> int:
        """Takes one for a source; returns 0, or the seconds until there is one again."""
        now = self._clock.monotonic()
        level, at = self._levels.pop(source, (float(self._count), now))
        level = min(level + (now - at) * self._per_second, self._count)
        is_there = level >= 1
        self._levels[source] = (level - 1 if is_there else level, now)
        if len(self._levels) > MOST_SOURCES:
            self._levels.popitem(last=False)
        return 0 if is_there else max(math.ceil((1 - level) / self._per_second), 1)

    def __len__(self) -> int:
        return len(self._levels)
