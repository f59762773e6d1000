"""`flowrunner cancel`: asks the daemon to end an execution."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_control, add_execution
from flowrunner.cli.client import address, connect
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.host import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution."""
    add_execution(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Asks, and returns once the daemon has taken it on; `show` tells when it has ended."""
    client = connect(args, host)
    execution_id = find_execution(client, args.id)
    client.post(address("control", "v1", "executions", execution_id, "cancel"))
    host.say(f"execution {execution_id} is being cancelled")
    return 0
