"""`flowrunner cancel`: asks the daemon to end an execution."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_control
from flowrunner.cli.client import address, connect
from flowrunner.cli.host import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution and whether its `finally` is left out."""
    parser.add_argument("id", metavar="ID", help="id of the execution")
    parser.add_argument("--force", action="store_true", help="without its finally")
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Asks, and returns once the daemon has taken it on; `show` tells when it has ended."""
    path = address("control", "v1", "executions", args.id, "cancel")
    connect(args, host).post(path, {"force": True} if args.force else None)
    host.say(f"execution {args.id} is being cancelled")
    return 0
