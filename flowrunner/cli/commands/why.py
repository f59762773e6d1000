"""`flowrunner why`: why a flow did, or did not, start at a moment."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_account, add_control, add_output, require_moment
from flowrunner.cli.client import address, connect
from flowrunner.cli.host import Host
from flowrunner.cli.render import show
from flowrunner.cli.text import safe
from flowrunner.model.ids import DEFAULT_ACCOUNT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flow and the moment."""
    parser.add_argument("flow", metavar="FLOW", help="name of the flow")
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="such as 2027-03-01T12:00:00Z; default: its newest slot and deliveries",
    )
    add_account(parser)
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints one sentence."""
    require_moment("--at", args.at)
    path = address("control", "v1", "flows", args.account or DEFAULT_ACCOUNT, args.flow, "why")
    answer = connect(args, host).get(path, {"at": args.at})
    show(host, args.output, answer, lambda _wide: safe(answer["sentence"]))
    return 0
