"""`flowrunner executions`: what was executed, newest first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from flowrunner.cli.arguments import add_account, add_control, add_output, positive
from flowrunner.cli.client import connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.flow_names import require_flow
from flowrunner.cli.host import Host
from flowrunner.cli.paging import read_list
from flowrunner.cli.render import full_name, moment, short, show, span, table
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState

_COLUMNS = ("ID", "FLOW", "STATE", "REASON", "TRIGGER", "CREATED", "TOOK")
_MORE_COLUMNS = ("SLOT", "STARTED", "ENDED", "REVISION")
_DEFAULT_LIMIT = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what to list and how."""
    parser.add_argument("--flow", metavar="F", help="only executions of this flow")
    parser.add_argument(
        "--state",
        metavar="S",
        action="append",
        default=[],
        help=f"only in this state ({', '.join(ExecutionState)}), may be given several times; "
        "any other word is the state directory of the daemon, as for the other commands",
    )
    parser.add_argument(
        "--limit", metavar="N", type=positive, default=_DEFAULT_LIMIT, help="default: 20"
    )
    add_account(parser)
    add_output(parser)
    add_control(parser, with_state=False)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the list."""
    states, args.state = split_states(args.state)
    if args.state and args.socket:
        raise UsageError("--socket and a state directory name the daemon twice")
    query = {"flow": args.flow, "account": args.account, "state": ",".join(states) or None}
    client = connect(args, host)
    items, more = read_list(client, "/api/v1/executions", query, limit=args.limit)
    if not items and args.flow is not None:
        require_flow(client, args.flow, args.account)
    document = {"items": items, "next_cursor": more}
    show(host, args.output, document, lambda wide: list_text(items, wide=wide))
    return 0


def split_states(given: Sequence[str]) -> tuple[list[str], str | None]:
    """Returns the execution states among the values of `--state`, and the state directory.

    Raises:
        UsageError: A value is neither a state nor a folder, or two are folders.
    """
    states = [word for word in given if word in list(ExecutionState)]
    folders = [word for word in given if word not in states]
    for word in folders:
        if "/" not in word and not Path(word).is_dir():
            hint = f"states: {', '.join(ExecutionState)}"
            raise UsageError(f"{word!r} is neither a state nor a state directory", hint=hint)
    if len(folders) > 1:
        raise UsageError("--state names two state directories")
    return states, folders[0] if folders else None


def list_text(executions: Sequence[Json], *, wide: bool = False) -> str:
    """Returns the table."""
    if not executions:
        return "no executions"
    columns = (*_COLUMNS, *_MORE_COLUMNS) if wide else _COLUMNS
    return table(columns, (_row(execution, wide=wide) for execution in executions))


def _row(execution: Json, *, wide: bool) -> Sequence[object]:
    row = (
        execution["id"],
        full_name(execution),
        execution["state"],
        execution["reason"],
        execution["trigger"]["id"],
        moment(execution["created_at"]),
        span(execution["started_at"], execution["ended_at"]),
    )
    more = (moment(execution[key]) for key in ("slot_at", "started_at", "ended_at"))
    return (*row, *more, short(execution["revision"])) if wide else row
