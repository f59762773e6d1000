"""How often callers were refused: counted here, shown by `flowrunner.telemetry.metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flowrunner.telemetry.metrics_samples import Family

REASONS = ("account", "expired", "missing", "rate", "scope", "unknown")


class AccessCounts:
    """Counts refusals by reason; all reasons are shown from the start, so that a rate is known."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))

    def access_refused(self, reason: str) -> None:
        """Counts one; `reason` is one of `REASONS`."""
        self._counts[reason] += 1

    def families(self) -> Iterator[Family]:
        """Yields the counter."""
        samples = [((reason,), float(self._counts[reason])) for reason in REASONS]
        yield Family(
            kind="counter",
            name="flowrunner_access_refused",
            meaning="Requests that were refused for want of a right, or came too often.",
            labels=("reason",),
            samples=samples,
        )
