"""What became of notifications, free of any library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from flowrunner.telemetry.metrics_samples import Family

RESULTS = ("sent", "failed", "refused", "given_up", "dropped")


class NotifyMetrics:
    """Counts in the event loop; its families are read at each scrape, in another thread.

    Args:
        channels: Labels of all channels, whose counts begin at 0.
    """

    def __init__(self, channels: Iterable[str]) -> None:
        self._counts = Counter[tuple[str, str]]()
        self.begin(channels)

    def begin(self, channels: Iterable[str]) -> None:
        """Lets the counts of channels begin that have come; of those that left they stay."""
        for name in channels:
            for result in RESULTS:
                self._counts[name, result] += 0

    def notified(self, channel: str, result: str, count: int) -> None:
        """Counts events for one channel; of `failed`, tries."""
        self._counts[channel, result] += count

    def families(self) -> Iterator[Family]:
        """Yields what was counted."""
        yield Family(
            kind="counter",
            name="flowrunner_notifications",
            meaning="Events told over a channel, or why not; failed counts tries.",
            labels=("channel", "result"),
            samples=sorted(self._counts.copy().items()),
        )
