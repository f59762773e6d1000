"""How far the stop of the daemon has come, for the service manager and for `/readyz`."""

from __future__ import annotations

from collections.abc import Callable

from flowrunner.model.quantities import render_duration
from flowrunner.system.clock import Clock


class Drain:
    """Remembers when the daemon was told to stop.

    Args:
        running: Tells how many executions are under way.
        clock: Tells how long it takes.
    """

    def __init__(self, running: Callable[[], int], clock: Clock) -> None:
        self._running = running
        self._clock = clock
        self._began_at = 0.0
        self._timeout_s: float | None = None

    def begin(self, timeout_s: float) -> None:
        """The daemon waits for what runs, at most so long."""
        self._began_at = self._clock.monotonic()
        self._timeout_s = timeout_s

    def progress(self) -> str | None:
        """Returns how far it has come, such as `3 running, 12 s of 5m`; None before a stop."""
        if self._timeout_s is None:
            return None
        passed_s = self._clock.monotonic() - self._began_at
        return f"{self._running()} running, {passed_s:.0f} s of {render_duration(self._timeout_s)}"
