"""How many deliveries each hook takes: a token bucket for each that has a `rate_limit`."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from flowrunner.model.rates import Rate
from flowrunner.system.buckets import Buckets
from flowrunner.system.clock import Clock


class HookRates:
    """The buckets of the hooks, by label; one keeps its level while its rate stays the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[Rate, Buckets]] = {}

    def take(self, label: str, rate: Rate | None) -> int:
        """Takes one delivery; returns 0, or the seconds until the hook takes another one."""
        if rate is None:
            return 0
        known, bucket = self._buckets.get(label, (None, None))
        if bucket is None or known != rate:
            bucket = Buckets(rate.most, rate.period_s, self._clock)
            self._buckets[label] = (rate, bucket)
        return bucket.take(label)

    def keep(self, labels: AbstractSet[str]) -> None:
        """Forgets hooks that are gone."""
        for label in self._buckets.keys() - labels:
            del self._buckets[label]
