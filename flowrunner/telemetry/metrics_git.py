"""What is counted of the repository that the daemon pulls, free of any library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from flowrunner.telemetry.metrics_samples import Family


class GitMetrics:
    """Counts syncs; its families are read at each scrape.

    Args:
        is_pinned: Whether a rollback holds the source; called in the thread of the scrape.
    """

    def __init__(self, is_pinned: Callable[[], bool]) -> None:
        self._is_pinned = is_pinned
        self._counts: dict[str, int] = {}
        self._reached_at: datetime | None = None

    def synced(self, result: str, reached_at: datetime | None) -> None:
        """Counts a sync.

        Args:
            result: A word of a closed set.
            reached_at: When a sync last found nothing wrong.
        """
        self._counts[result] = self._counts.get(result, 0) + 1
        self._reached_at = reached_at

    def families(self) -> Iterator[Family]:
        """Yields what is known."""
        yield Family(
            kind="counter",
            name="flowrunner_git_sync",
            meaning="Syncs with the repository, by how they ended.",
            labels=("result",),
            samples=[((result,), count) for result, count in sorted(self._counts.items())],
        )
        yield Family(
            kind="gauge",
            name="flowrunner_source_pinned",
            meaning="Whether a rollback holds the source, so that pushes do nothing.",
            samples=[((), int(self._is_pinned()))],
        )
        if self._reached_at is not None:
            yield Family(
                kind="gauge",
                name="flowrunner_git_last_success_timestamp_seconds",
                meaning="When a sync with the repository last found nothing wrong.",
                samples=[((), self._reached_at.timestamp())],
            )
