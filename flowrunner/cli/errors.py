"""Errors of the command line itself, before or instead of an answer of the daemon."""

from __future__ import annotations

from flowrunner.errors import FlowError


class CommandError(FlowError):
    """A command cannot do what it was asked for.

    Attributes:
        hint: What to do about it; empty for nothing.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CommandError):
    """What was typed makes no sense as a command."""

    default_code = "usage"


class NoDaemonError(CommandError):
    """No daemon answers at the control socket, or not as a daemon does."""

    default_code = "no_daemon"
