"""`flowrunner retry`: starts an ended execution once more, whole or from one of its nodes."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_control, add_execution
from flowrunner.cli.client import address, connect
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.host import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution and where to begin."""
    add_execution(parser)
    parser.add_argument(
        "--from",
        dest="from_node",
        metavar="NODE",
        help="keep the results of nodes that neither are this one nor depend on it,"
        " as far as they ended well",
    )
    parser.add_argument(
        "--force", action="store_true", help="even while its flow is suspended or paused"
    )
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the id of the new execution."""
    client = connect(args, host)
    path = address("control", "v1", "executions", find_execution(client, args.id), "retry")
    body = {"force": args.force}
    if args.from_node is not None:
        body["from"] = args.from_node
    host.say(client.post(path, body)["execution_id"])
    return 0
