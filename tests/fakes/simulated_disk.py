"""The disk under a simulated daemon: it fills up, it fails, and each write may be the last one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from tests.fakes.files import FakeFiles
from tests.fakes.simulated_loop import Crash

_NEED_ROOM = ("replace", "write_new", "replace_durably", "sync", "make_folder")
_MUTATING = (*_NEED_ROOM, "remove", "remove_tree")
ROOM = 1 << 40


class SimulatedDisk:
    """What database and files have in common.

    Attributes:
        full: Whether there is no room; what was written stays readable.
        fails: Whether writing is answered with an I/O error.
        ghost: Carries out what the database was last told to be lost. It may be on the disk all
            the same, which shows when the next daemon reads the log; the next commit takes its
            place. Source: https://www.sqlite.org/wal.html, fsync(2).
    """

    def __init__(self) -> None:
        self.full = False
        self.fails = False
        self.ghost: Callable[[], None] | None = None
        self._until_crash: int | None = None

    @property
    def fault(self) -> int | None:
        """The error number of a write now; None when it succeeds."""
        if self.fails:
            return errno.EIO
        return errno.ENOSPC if self.full else None

    def crash_at_write(self, number: int) -> None:
        """Lets the daemon die at a write, from 1 on; each has a moment before and one after."""
        self._until_crash = number

    def calm(self) -> None:
        """Takes back an ordered crash."""
        self._until_crash = None

    def moment(self) -> None:
        """Is a moment right before or right after a write; may be the last one of the life."""
        if self._until_crash is not None:
            self._until_crash -= 1
            if self._until_crash <= 0:
                self._until_crash = None
                raise Crash


class SimulatedFiles(FakeFiles):
    """Files on that disk; what is not synced is gone after a crash."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__()
        self._disk = disk

    @property
    def durable_paths(self) -> frozenset[str]:
        """What would be left after a crash now."""
        return frozenset(self._durable)

    def check(self, operation: str, path: str) -> None:
        if operation in _MUTATING:
            self._disk.moment()
        fault = self._disk.fault
        if fault is not None and operation in _NEED_ROOM:
            raise OSError(fault, os.strerror(fault), path)
        super().check(operation, path)

    def take(self, path: Path) -> None:
        """Removes a file as another program would: for good, and whatever the disk says."""
        where = self._tree.resolve(path, last=False)
        self._tree.nodes.pop(where, None)
        self._durable.pop(where, None)

    def crash(self) -> None:
        super().crash()
        self.calls.clear()
