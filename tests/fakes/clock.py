"""A clock that stands still until a test, or the virtual loop, moves it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tests.fakes.virtual_time import VirtualLoop

DEFAULT_START = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """Wall and monotonic time that go with a loop's time, or else only by hand.

    Without `loop`, the virtual loop that runs at the moment of the question is followed, so
    that a clock made outside of `run_virtual` works inside.
    """

    def __init__(
        self,
        start: datetime = DEFAULT_START,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be aware")
        self._start = start.astimezone(UTC)
        self._loop = loop
        self._loop_start = loop.time() if loop else 0.0
        self._advanced = 0.0
        self._jumped = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic() + self._jumped)

    def monotonic(self) -> float:
        return self._advanced + self._loop_time()

    def advance(self, seconds: float) -> None:
        """Lets time pass: both clocks move on."""
        if seconds < 0:
            raise ValueError("time does not pass backwards; use jump")
        self._advanced += seconds

    def jump(self, seconds: float) -> None:
        """Sets the wall clock, either way; the monotonic clock does not notice."""
        self._jumped += seconds

    def _loop_time(self) -> float:
        loop = self._loop or _running_virtual_loop()
        return loop.time() - self._loop_start if loop else 0.0


def _running_virtual_loop() -> VirtualLoop | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop if isinstance(loop, VirtualLoop) else None
