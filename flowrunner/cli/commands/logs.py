"""`flowrunner logs`: what the nodes of an execution printed, and go on to print."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flowrunner.cli.arguments import add_control, add_execution, add_output
from flowrunner.cli.client import connect
from flowrunner.cli.errors import UsageError
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.host import Host
from flowrunner.cli.log_stream import Line, plain, read_lines, stamped
from flowrunner.cli.patience import PatientClient
from flowrunner.cli.render import to_json
from flowrunner.cli.yaml_writer import to_yaml
from flowrunner.model.flow import MOST_ITEMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution, what of it, and how long."""
    add_execution(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it has ended")
    parser.add_argument("--node", metavar="N", help="only this node")
    parser.add_argument(
        "--item", type=_index, metavar="I", help="only this item of the node, from 0"
    )
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the lines; for programs one JSON object a line, or one YAML list."""
    if args.item is not None and args.node is None:
        raise UsageError("--item is an item of a node: name it with --node")
    write = _writer(args, terminal=host.out.isatty())
    client = connect(args, host)
    execution_id = find_execution(client, args.id)
    patient = PatientClient(client, pause=host.pause, tell=host.remark)
    reader = patient if args.follow else client
    lines = read_lines(
        reader,
        execution_id,
        node=args.node,
        item=args.item,
        follow=args.follow,
        tell=host.remark,
    )
    for line in lines:
        host.say(write(line))
        if args.follow:
            host.out.flush()
    return 0


def _writer(args: argparse.Namespace, *, terminal: bool) -> Callable[[Line], str]:
    if args.output == "json":
        return lambda line: to_json(line.document, indent=None)
    if args.output == "yaml":
        return lambda line: to_yaml([line.document]).rstrip("\n")
    if args.output == "wide":
        return lambda line: stamped(line, terminal=terminal)
    return lambda line: plain(line, with_node=_is_open(args, line), terminal=terminal)


def _is_open(args: argparse.Namespace, line: Line) -> bool:
    """Whether the command leaves open whose line it is."""
    return args.node is None or (args.item is None and line.item is not None)


def _index(text: str) -> int:
    """Reads the index of an item."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_ITEMS)):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not an index: 0, 1, 2 …")
