"""`flowrunner pause`: keeps a flow from starting until it is resumed, or until a time."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_account, add_control, require_alone
from flowrunner.cli.client import address, connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.host import Host
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import DEFAULT_ACCOUNT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flow, why it is paused, and until when."""
    parser.add_argument("flow", nargs="?", metavar="FLOW", help="name of the flow")
    parser.add_argument(
        "--all-schedules", action="store_true", help="let no schedule of any flow start anything"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="shown beside the pause")
    parser.add_argument(
        "--until", metavar="TIME", help="end by itself then, such as 2027-03-01T12:00:00Z"
    )
    add_account(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Returns once the pause is on disk."""
    if args.flow is None and not args.all_schedules:
        raise UsageError("the name of a flow is missing", hint="or say --all-schedules")
    if args.until is not None and parse_moment(args.until) is None:
        raise UsageError(
            f"--until {args.until[:40]!r} is not a time with a zone",
            hint="write it as 2027-03-01T12:00:00Z or 2027-03-01T13:00:00+01:00",
        )
    said = {"reason": args.reason, "until": args.until}
    end = f" until {args.until}" if args.until else ""
    if args.all_schedules:
        require_alone(args)
        connect(args, host).post(address("control", "v1", "schedules", "pause"), said)
        host.say(f"all schedules are paused{end}")
        return 0
    account = args.account or DEFAULT_ACCOUNT
    path = address("control", "v1", "flows", account, args.flow, "pause")
    connect(args, host).post(path, said)
    host.say(f"flow {args.flow} is paused{end}")
    return 0
