"""What a process does to itself once, at start, before it holds secrets."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import sys
from pathlib import Path

from flowrunner.errors import FlowError

_PR_SET_DUMPABLE = 4
_SWITCH_INTERVAL_S = 0.001
"""A writer thread gives up the interpreter at each statement; 5 ms would be its delay each time."""
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def harden_process() -> None:
    """Keeps other processes of the same user out of our memory, and children countable.

    Source: prctl(2), PR_SET_DUMPABLE: no core dump, no ptrace by equals. SIGCHLD must not be
    ignored, as some supervisors leave it: exit statuses would be lost.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)


def prepare_state_folder(folder: Path) -> None:
    """Makes the state directory, 0700, or checks the one that is there.

    Raises:
        FlowError: ``unsafe_permissions`` when others could write to it or own it,
            ``state_not_writable`` when it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        raise _not_writable(folder, error.strerror) from error
    if facts.st_uid != os.geteuid():
        raise FlowError(
            f"the state directory {folder} belongs to another user (uid {facts.st_uid})",
            code="unsafe_permissions",
        )
    if facts.st_mode & _OTHERS_MAY_WRITE:
        raise FlowError(
            f"others may write to the state directory {folder}; chmod go-w {folder}",
            code="unsafe_permissions",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _not_writable(folder, "no permission to write")


def _not_writable(folder: Path, problem: str | None) -> FlowError:
    return FlowError(
        f"the state directory {folder} cannot be used: {problem}", code="state_not_writable"
    )
