"""Hints on their way from the threads that watch into the loop: gathered, many as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeAlias

from flowrunner.system.watch_paths import ANY_NAME

Changed: TypeAlias = frozenset[str] | None
"""The names that may have changed, relative to the root; None: anything may have."""

_MOST_NAMES = 1_000
"""Names in one hint; whoever is told of more has to look at everything."""


class Hints:
    """Carries hints from the threads of watchdog into the loop, many as one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hint: Callable[[Changed], None]) -> None:
        self._loop = loop
        self._hint = hint
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._pending = False
        self._closed = False

    def give(self, name: str = ANY_NAME) -> None:
        """Asks the loop to run the hint; called from any thread, never raises."""
        with self._lock:
            if len(self._names) <= _MOST_NAMES:
                self._names.add(name)
            if self._pending or self._closed:
                return
            self._pending = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed
            self._closed = True

    def close(self) -> None:
        """Drops all later hints, and one that is on its way."""
        self._closed = True

    def _deliver(self) -> None:
        with self._lock:
            self._pending = False  # first: a change seen from here on is a hint of its own
            names, self._names = self._names, set()
        if not self._closed:
            is_all = len(names) <= _MOST_NAMES and ANY_NAME not in names
            self._hint(frozenset(names) if is_all else None)
