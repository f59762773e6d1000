"""`flowrunner backfill`: has slots of the past executed, or ends that."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_account, add_control
from flowrunner.cli.client import address, connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.host import Host
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import DEFAULT_ACCOUNT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flow, the interval, and how."""
    parser.add_argument("flow", metavar="FLOW", help="name of the flow")
    parser.add_argument(
        "--from", dest="first", metavar="TIME", help="the first slot may be at this time"
    )
    parser.add_argument("--to", metavar="TIME", help="the last slot lies before this time")
    parser.add_argument("--trigger", metavar="ID", help="its schedule, if it has several")
    parser.add_argument(
        "--parallel", type=int, default=1, metavar="N", help="executions at once (1)"
    )
    parser.add_argument(
        "--force", action="store_true", help="start slots again that have started already"
    )
    parser.add_argument("--cancel", action="store_true", help="end the backfills of the flow")
    add_account(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Returns once the backfill is on disk, and prints its id."""
    account = args.account or DEFAULT_ACCOUNT
    if args.cancel:
        if args.first or args.to or args.trigger or args.force:
            raise UsageError("--cancel stands alone", hint="flowrunner backfill FLOW --cancel")
        path = address("control", "v1", "flows", account, args.flow, "backfill", "cancel")
        ended = connect(args, host).post(path)["ended"]
        host.say(f"{ended} backfills of {args.flow} ended; what they started goes on")
        return 0
    for option, text in (("--from", args.first), ("--to", args.to)):
        if text is None or parse_moment(text) is None:
            raise UsageError(
                f"{option} must be a time with a zone",
                hint="write it as 2027-03-01T12:00:00Z or 2027-03-01T13:00:00+01:00",
            )
    path = address("control", "v1", "flows", account, args.flow, "backfill")
    body = {
        "from": args.first,
        "to": args.to,
        "trigger": args.trigger,
        "parallel": args.parallel,
        "force": args.force,
    }
    answer = connect(args, host).post(path, body)
    host.say(f"backfill {answer['backfill_id']} of {answer['slots']} slots")
    return 0
