"""A watcher whose hints and faults are given by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flowrunner.system.watcher import Changed, WatchStatus


class FakeWatcher:
    """Stands for the inotify watcher.

    Attributes:
        root: What `start` was given.
        alive: What `is_alive` says while started; `rearm` heals it if `heals`.
        root_changed: Makes the next `rearm` watch afresh.
        network: Whether the root is on a file system that tells of nothing.
        overflows: What the watcher says of lost events.
        rearmed: How often `rearm` watched afresh.
    """

    def __init__(self, *, alive: bool = True, heals: bool = True) -> None:
        self.root: Path | None = None
        self.alive = alive
        self.heals = heals
        self.root_changed = False
        self.network = False
        self.overflows = 0
        self.rearmed = 0
        self._hint: Callable[[Changed], None] | None = None

    def start(self, root: Path, hint: Callable[[Changed], None]) -> None:
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

    def status(self) -> WatchStatus:
        if self.network:
            return WatchStatus(is_alive=False, is_network=True, message="the root is on nfs4")
        message = "" if self.is_alive() else "no room for more watches"
        return WatchStatus(is_alive=self.is_alive(), message=message)

    def poke(self, *names: str) -> None:
        """Gives a hint, as if these, or anything, had changed; a stopped watcher stays silent."""
        if self._hint is not None:
            self._hint(frozenset(names) or None)
