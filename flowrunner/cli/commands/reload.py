"""`flowrunner reload`: has the daemon take in what has changed; `systemctl reload` calls it."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_control, add_output
from flowrunner.cli.commands import reconcile
from flowrunner.cli.host import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds whether to wait, and how to show the result."""
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until the flow files were read and applied, and exit by the result: "
        "3 for findings, 1 when nothing was applied",
    )
    add_output(parser)
    add_control(parser)
    parser.set_defaults(ignore_lock=False, allow_prune=None)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Does what `reconcile` does; an approval or a dead lock is never part of a reload."""
    return reconcile.execute(args, host)
