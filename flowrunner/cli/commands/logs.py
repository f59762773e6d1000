"""`flowrunner logs`: what the nodes of an execution printed, and go on to print."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flowrunner.cli.arguments import add_control, add_execution, add_output
from flowrunner.cli.client import connect
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.host import Host
from flowrunner.cli.log_stream import Line, plain, read_lines, stamped
from flowrunner.cli.patience import PatientClient
from flowrunner.cli.render import to_json
from flowrunner.cli.yaml_writer import to_yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution, what of it, and how long."""
    add_execution(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it has ended")
    parser.add_argument("--node", metavar="N", help="only this node")
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the lines; for programs one JSON object a line, or one YAML list."""
    write = _writer(args, terminal=host.out.isatty())
    client = connect(args, host)
    execution_id = find_execution(client, args.id)
    patient = PatientClient(client, pause=host.pause, tell=host.remark)
    reader = patient if args.follow else client
    lines = read_lines(reader, execution_id, node=args.node, follow=args.follow, tell=host.remark)
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
    return lambda line: plain(line, with_node=args.node is None, terminal=terminal)
