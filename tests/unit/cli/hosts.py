"""A process for commands to live in: streams in memory, and pauses that only count."""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowrunner.cli.host import Host
from flowrunner.cli.main import parse


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Process:
    """What a command wrote, and how long it waited."""

    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    stdout: io.StringIO = field(default_factory=io.StringIO)
    stderr: io.StringIO = field(default_factory=io.StringIO)
    pauses: list[float] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return Host(
            out=self.stdout,
            err=self.stderr,
            read_stdin=lambda most: self.stdin[:most],
            environment=self.environment,
            pause=self.pauses.append,
        )

    @property
    def out(self) -> str:
        return self.stdout.getvalue()

    @property
    def err(self) -> str:
        return self.stderr.getvalue()


def words(text: str) -> argparse.Namespace:
    """Returns the arguments of a command line without quoting."""
    return parse(text.split())
