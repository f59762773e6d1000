"""Errors of the command line itself, before or instead of an answer of the daemon."""

from __future__ import annotations

from collections.abc import Sequence

from flowrunner.errors import FlowError


class CommandError(FlowError):
    """A command cannot do what it was asked for.

    Attributes:
        hint: What to do about it; empty for nothing.
        choices: What the hint speaks of, a line each.
    """

    def __init__(self, message: str, *, hint: str = "", choices: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.choices = tuple(choices)


class UsageError(CommandError):
    """What was typed makes no sense as a command."""

    default_code = "usage"


class NoDaemonError(CommandError):
    """No daemon answers at the control socket, or not as a daemon does."""

    default_code = "no_daemon"
