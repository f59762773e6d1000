"""`flowrunner deliveries`: what came to the hooks, newest first, and what it was answered, why."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from flowrunner.cli.arguments import (
    add_account,
    add_control,
    add_output,
    positive,
    require_moment,
)
from flowrunner.cli.client import connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.flow_names import require_flow
from flowrunner.cli.host import Host
from flowrunner.cli.paging import read_list
from flowrunner.cli.render import clip, full_name, moment, short, show, table
from flowrunner.model.ids import Json

_COLUMNS = ("TIME", "HOOK", "FROM", "ANSWER", "REASON", "WHY")
_WIDE_COLUMNS = (
    *("TIME", "HOOK", "PATH", "FROM", "ANSWER", "REASON", "COUNT", "EVENT", "DELIVERY"),
    *("EXECUTION", "REVISION", "REQUEST", "WHY"),
)
_DEFAULT_LIMIT = 20
_MOST_OF_PATH = 60
"""Characters of a path to no hook, which a stranger chose: all lines are as wide as the widest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what to list and how."""
    parser.add_argument("flow", metavar="FLOW", nargs="?", help="only those to hooks of this flow")
    parser.add_argument("--trigger", metavar="T", help="only those to this trigger")
    parser.add_argument(
        "--refused", action="store_true", help="only refused ones: the same as --outcome refused"
    )
    parser.add_argument(
        "--outcome",
        metavar="O",
        action="append",
        default=[],
        help="only accepted, duplicate, ignored or refused, may be given several times",
    )
    parser.add_argument(
        "--reason",
        metavar="R",
        action="append",
        default=[],
        help="only for this reason, such as signature or if, may be given several times",
    )
    parser.add_argument("--since", metavar="TIME", help="none before, as 2027-03-01T12:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="only those before, as --since")
    parser.add_argument(
        "--limit", metavar="N", type=positive, default=_DEFAULT_LIMIT, help="default: 20"
    )
    add_account(parser)
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the list."""
    if args.refused and args.outcome:
        raise UsageError("--refused and --outcome exclude each other", hint="leave out --refused")
    for option, text in (("--since", args.since), ("--until", args.until)):
        require_moment(option, text)
    outcomes = ["refused"] if args.refused else args.outcome
    query = {
        "flow": args.flow,
        "account": args.account,
        "trigger": args.trigger,
        "outcome": ",".join(outcomes) or None,
        "reason": ",".join(args.reason) or None,
        "since": args.since,
        "until": args.until,
    }
    client = connect(args, host)
    items, more = read_list(client, "/api/v1/deliveries", query, limit=args.limit)
    if not items and args.flow is not None:
        require_flow(client, args.flow, args.account)
    document = {"items": items, "next_cursor": more}
    show(host, args.output, document, lambda wide: list_text(items, wide=wide))
    return 0


def list_text(deliveries: Sequence[Json], *, wide: bool = False) -> str:
    """Returns the table; the last column says in a sentence why."""
    if not deliveries:
        return "no deliveries"
    if wide:
        return table(_WIDE_COLUMNS, map(_wide_row, deliveries))
    return table(_COLUMNS, map(_row, deliveries))


def hook_name(delivery: Json) -> str:
    """Returns flow and trigger of a delivery, or where it went when that is no hook."""
    if delivery["flow"] is None and not delivery["path"]:
        return "/hooks/…"  # many at once, to any paths
    if delivery["flow"] is None:
        return clip(f"/hooks/{delivery['path']}", _MOST_OF_PATH)
    return f"{full_name(delivery)}/{delivery['trigger']}"


def _row(delivery: Mapping[str, Json]) -> Sequence[object]:
    return (
        moment(delivery["at"]),
        hook_name(delivery),
        delivery["source"],
        delivery["status"],
        delivery["reason"],
        delivery["sentence"],
    )


def _wide_row(delivery: Mapping[str, Json]) -> Sequence[object]:
    return (
        moment(delivery["at"]),
        hook_name(delivery),
        delivery["path"],
        delivery["source"],
        delivery["status"],
        delivery["reason"],
        delivery["repeats"],
        delivery["event"],
        delivery["delivery_id"],
        delivery["execution_id"],
        short(delivery["revision"]),
        delivery["request_id"],
        delivery["sentence"],
    )
