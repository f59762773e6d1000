"""`flowrunner resume`: ends the pause of a flow and forgets its failures in a row."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_account, add_control, require_alone
from flowrunner.cli.client import address, connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.host import Host
from flowrunner.model.ids import DEFAULT_ACCOUNT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flow."""
    parser.add_argument("flow", nargs="?", metavar="FLOW", help="name of the flow")
    parser.add_argument(
        "--all-schedules", action="store_true", help="end the pause of all schedules"
    )
    add_account(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Returns once it is on disk; says what still keeps the flow from starting."""
    if args.all_schedules:
        require_alone(args)
        connect(args, host).post(address("control", "v1", "schedules", "resume"))
        host.say("all schedules go on; each flow has its own pause still")
        return 0
    if args.flow is None:
        raise UsageError("the name of a flow is missing", hint="or say --all-schedules")
    account = args.account or DEFAULT_ACCOUNT
    path = address("control", "v1", "flows", account, args.flow, "resume")
    flow = connect(args, host).post(path)
    host.say(f"flow {args.flow} is not paused")
    held = {each["type"] for each in flow["conditions"] if each["status"] == "True"}
    if "Suspended" in held:
        host.remark("it stays suspended: its file says suspend: true")
    return 0
