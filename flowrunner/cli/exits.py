"""The exit codes, and which error ends in which: the only place that decides it.

They are part of the public surface (`docs`, scripts, the systemd unit): 78 tells systemd that a
restart is no cure.
"""

from __future__ import annotations

from enum import IntEnum

from flowrunner.cli.errors import NoDaemonError, UsageError
from flowrunner.errors import (
    AuthError,
    FlowError,
    NotFoundError,
    RefusedError,
    SettingsError,
    ValidationError,
)


class Exit(IntEnum):
    """What a command tells its caller by its exit code."""

    DONE = 0
    FAILED = 1
    """The execution or check failed, or a start that a retry may cure."""
    USAGE = 2
    FINDINGS = 3
    SETTINGS = 4
    REFUSED = 5
    """There is no daemon, or it refuses."""
    CANNOT_START = 78
    """`serve` refused for what a restart cannot cure. Source: sysexits.h, EX_CONFIG."""
    INTERRUPTED = 130
    """Ctrl-C. Source: POSIX shells, 128 and the number of the signal."""
    BROKEN_PIPE = 141
    """Nobody reads the output any more; as for a program that SIGPIPE ends."""


_NO_CURE_BY_RESTART = frozenset(
    {
        "socket_path",
        "state_not_writable",
        "storage.corrupt",
        "storage.newer",
        "storage.read_only",
        "unsafe_permissions",
    }
)
_TYPED = ("usage.", "input.", "request.")
"""Codes of what stands on the command line: a path, an input, the value of an option."""


def exit_of(error: FlowError, *, serving: bool = False) -> Exit:
    """Returns the exit code for an error.

    Args:
        error: What ended the command.
        serving: Whether the command is `serve`, which a service manager may start again.
    """
    if isinstance(error, UsageError) or error.code.startswith(_TYPED):
        return Exit.USAGE
    if isinstance(error, SettingsError) or error.code.startswith("settings."):
        return Exit.CANNOT_START if serving else Exit.SETTINGS
    if serving:
        return Exit.CANNOT_START if error.code in _NO_CURE_BY_RESTART else Exit.FAILED
    if isinstance(error, ValidationError):
        return Exit.FINDINGS
    if isinstance(error, NoDaemonError | NotFoundError | RefusedError | AuthError):
        return Exit.REFUSED
    return Exit.FAILED
