"""`flowrunner cancel`: asks the daemon to end an execution, or what waits of a flow."""

from __future__ import annotations

import argparse
import re

from flowrunner.cli.arguments import add_account, add_control
from flowrunner.cli.client import address, connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.host import Host
from flowrunner.model.ids import DEFAULT_ACCOUNT

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Source: RFC 9562, section 4."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution, or the flow, and whether its `finally` is left out."""
    parser.add_argument(
        "id",
        metavar="ID|FLOW",
        help="the execution, or the beginning of its id; with --queued its whole id, or a flow",
    )
    parser.add_argument(
        "--queued",
        action="store_true",
        help="end only what waits: this execution, or all queued ones of a flow",
    )
    parser.add_argument("--force", action="store_true", help="without its finally")
    add_account(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Asks, and returns once the daemon has taken it on; `show` tells when it has ended."""
    if args.queued and not _ID.fullmatch(args.id):
        return _cancel_queued(args, host)
    if args.account is not None:
        raise UsageError("--account has no meaning for an execution", hint="leave it out")
    if args.queued and args.force:
        raise UsageError("what waits has no finally to leave out", hint="leave out --force")
    flags = {"queued": args.queued, "force": args.force}
    body = {name: True for name, is_set in flags.items() if is_set} or None
    client = connect(args, host)
    execution_id = find_execution(client, args.id)
    client.post(address("control", "v1", "executions", execution_id, "cancel"), body)
    host.say(f"execution {execution_id} is being cancelled")
    return 0


def _cancel_queued(args: argparse.Namespace, host: Host) -> int:
    """Prints the ids of the executions that waited and have ended now."""
    account = args.account or DEFAULT_ACCOUNT
    path = address("control", "v1", "flows", account, args.id, "cancel-queued")
    ended = connect(args, host).post(path)["execution_ids"]
    for execution_id in ended:
        host.say(execution_id)
    if not ended:
        host.remark(f"nothing of flow {args.id} waits")
    return 0
