"""A watcher whose hints and faults are given by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class FakeWatcher:
    """Stands for the inotify watcher.

    Attributes:
        root: What `start` was given.
        alive: What `is_alive` says while started; `rearm` heals it if `heals`.
        root_changed: Makes the next `rearm` watch afresh.
        rearmed: How often `rearm` watched afresh.
    """

    def __init__(self, *, alive: bool = True, heals: bool = True) -> None:
        self.root: Path | None = None
        self.alive = alive
        self.heals = heals
        self.root_changed = False
        self.rearmed = 0
        self._hint: Callable[[], None] | None = None

    def start(self, root: Path, hint: Callable[[], None]) -> None:
        self.root = root
        self._hint = hint

    def rearm(self) -> bool:
        if self.is_alive() and not self.root_changed:
            return False
        self.root_changed = False
        self.alive = self.alive or self.heals
        self.rearmed += 1
        return True

    def stop(self) -> None:
        self._hint = None

    def is_alive(self) -> bool:
        return self.alive and self._hint is not None

    def poke(self) -> None:
        """Gives a hint, as if something had changed; a stopped watcher stays silent."""
        if self._hint is not None:
            self._hint()
