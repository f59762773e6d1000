"""`flowrunner version`: prints the version and imports nothing for it."""

from __future__ import annotations

import argparse

from flowrunner import __version__
from flowrunner.cli.host import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments."""


def execute(args: argparse.Namespace, host: Host) -> int:  # noqa: ARG001 - as every command
    """Prints `flowrunner` and the version."""
    host.say(f"flowrunner {__version__}")
    return 0
