"""What a command reaches of the process it lives in, given by `flowrunner.cli.main`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TextIO


class Host(NamedTuple):
    """The streams, the environment and the patience of a process.

    A named tuple, because a dataclass alone would cost a quarter of the start-up budget.

    Attributes:
        out: For results.
        err: For errors and remarks.
        read_stdin: Reads at most so many bytes of standard input.
        environment: All environment variables.
        pause: Waits so many seconds.
    """

    out: TextIO
    err: TextIO
    read_stdin: Callable[[int], bytes]
    environment: Mapping[str, str]
    pause: Callable[[float], None]

    def say(self, text: str) -> None:
        """Writes a result, with a line break at its end."""
        self.out.write(text + "\n")

    def remark(self, text: str) -> None:
        """Writes something about the result, which is no part of it."""
        self.err.write(text + "\n")
