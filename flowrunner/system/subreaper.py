"""This process takes in the orphans of what it starts, and buries them.

Without it a process whose parent has ended is the child of init, and nothing tells any more
whose it was. As child subreaper we become its parent; what an attempt has left running can be
found below us, and whether there is anything at all costs one system call.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36
_WNOTHREAD = 0x20000000
"""Only children of the calling thread. Source: waitpid(2), `__WNOTHREAD`; Linux alone."""
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD


class Orphans:
    """The orphans that this process has taken in; made and asked in its main thread.

    The kernel gives orphans to the main thread, while attempts and tools are started in others:
    so a child of the main thread is an orphan. Nothing else may be started there.
    Source: prctl(2), PR_SET_CHILD_SUBREAPER.

    Args:
        is_ours: Whether a number is that of a process which is reaped elsewhere. A thread that
            ends leaves its children to the main thread.
    """

    def __init__(self, is_ours: Callable[[int], bool]) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._is_ours = is_ours

    def pids(self) -> frozenset[int]:
        """Returns the orphans; none where the kernel is built without the list of children."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # noqa: PTH123 - hot path
                found = frozenset(int(word) for word in file.read().split())
        except FileNotFoundError:
            return frozenset()
        return frozenset(pid for pid in found if not self._is_ours(pid))

    def reap(self) -> tuple[list[int], bool]:
        """Buries the orphans that have ended; returns who they were, and whether others live on."""
        buried = []
        try:
            while (ended := os.waitid(os.P_ALL, 0, _LOOK)) and not self._is_ours(ended.si_pid):
                os.waitid(os.P_PID, ended.si_pid, os.WEXITED)
                buried.append(ended.si_pid)
        except ChildProcessError:
            return buried, False
        return buried, True
