"""Time as a seam: whoever needs the time asks an injected `Clock`, so that tests own it.

Waiting is not here: asyncio's loop waits, and tests run a loop of virtual time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the two times there are; cheap, safe from any thread."""

    def now(self) -> datetime:
        """Returns the wall time, aware, in UTC; it may jump either way."""

    def monotonic(self) -> float:
        """Returns seconds since an arbitrary start; never goes back, for durations only."""


class SystemClock:
    """The clock of the host."""

    def now(self) -> datetime:
        """Returns the wall time of the host."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Returns the seconds of CLOCK_MONOTONIC, which stands still while the host sleeps."""
        return time.monotonic()
