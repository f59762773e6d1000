"""How often callers were refused or not understood: counted here, shown by `.metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flowrunner.telemetry.metrics_samples import Family

REASONS = ("account", "expired", "missing", "rate", "scope", "unknown")


UNREAD = ("malformed", "too_slow")


class AccessCounts:
    """Counts refusals by reason; all reasons are shown from the start, so that a rate is known."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()

    def access_refused(self, reason: str) -> None:
        """Counts one; `reason` is one of `REASONS`."""
        self._counts[reason] += 1

    def request_unread(self, kind: str) -> None:
        """Counts a request that nobody saw whole; `kind` is one of `UNREAD`."""
        self._unread[kind] += 1

    def families(self) -> Iterator[Family]:
        """Yields the counters."""
        samples = [((reason,), float(self._counts[reason])) for reason in REASONS]
        yield Family(
            kind="counter",
            name="flowrunner_access_refused",
            meaning="Requests that were refused for want of a right, or came too often.",
            labels=("reason",),
            samples=samples,
        )
        yield Family(
            kind="counter",
            name="flowrunner_http_unread",
            meaning="Requests that are no HTTP, or whose head did not come in time.",
            labels=("reason",),
            samples=[((kind,), float(self._unread[kind])) for kind in UNREAD],
        )
