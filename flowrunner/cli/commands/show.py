"""`flowrunner show`: one execution with its nodes and their attempts, or why it went so."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from flowrunner.cli.arguments import add_control, add_execution, add_output
from flowrunner.cli.client import ControlClient, address, connect
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.host import Host
from flowrunner.cli.render import (
    blocks,
    clip,
    error_text,
    facts,
    full_name,
    moment,
    show,
    span,
    table,
    with_reason,
)
from flowrunner.cli.text import safe
from flowrunner.cli.trace_text import trace_text
from flowrunner.model.ids import Json

_PAGE = 1_000
"""Nodes of a trace asked for at once; the most that the daemon gives."""

_MOST_DATA = 100
"""Characters of inputs and outputs, which may be hundreds of kilobytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the execution and how to show it."""
    add_execution(parser)
    parser.add_argument(
        "--trace", action="store_true", help="why it went as it did: conditions, values, attempts"
    )
    add_output(parser)
    add_control(parser)


def execute(args: argparse.Namespace, host: Host) -> int:
    """Prints the execution."""
    client = connect(args, host)
    execution_id = find_execution(client, args.id)
    if args.trace:
        trace = read_trace(client, execution_id)
        show(host, args.output, trace, lambda wide: trace_text(trace, wide=wide))
        return 0
    execution = client.get(address("api", "v1", "executions", execution_id))
    show(host, args.output, execution, lambda wide: execution_text(execution, wide=wide))
    return 0


def read_trace(client: ControlClient, execution_id: str) -> Json:
    """Returns the trace of an execution, all of its pages in one.

    Raises:
        FlowError: As `ControlClient.get`.
    """
    path = address("api", "v1", "executions", execution_id, "trace")
    items: list[Json] = []
    cursor: str | None = None
    while True:
        page = client.get(path, {"limit": _PAGE, "cursor": cursor})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return {**page, "items": items}


def execution_text(execution: Json, *, wide: bool = False) -> str:
    """Returns an execution; data is cut unless it may be wide.

    `files: live` says that its revision does not pin the files beside the flow.
    """
    most = None if wide else _MOST_DATA
    return blocks(
        facts(_facts(execution, most)),
        table(
            ("NODE", "TYPE", "STATE", "REASON", "ATTEMPTS", "OUTPUTS"),
            (_node_row(node, most) for node in execution["nodes"]),
        ),
        _attempts_text(execution["nodes"]),
        "\n".join(_errors(execution["nodes"])),
    )


def _facts(execution: Json, most: int | None) -> Iterator[tuple[str, object]]:
    trigger = execution["trigger"]
    yield "id", execution["id"]
    yield "flow", full_name(execution)
    yield "state", with_reason(execution)
    yield "error", error_text(execution["error"])
    yield "trigger", f"{trigger['id']} ({trigger['type']})"
    yield "slot", moment(execution["slot_at"])
    yield "retry of", execution["retry_of"]
    yield "group", clip(execution["group"], most)
    yield "revision", execution["revision"]
    yield "digest", execution["digest"]
    yield "files", execution["files"]
    yield "created", moment(execution["created_at"])
    yield "started", moment(execution["started_at"])
    yield "ended", moment(execution["ended_at"])
    yield "took", span(execution["started_at"], execution["ended_at"])
    yield "inputs", clip(execution["inputs"] or None, most)
    yield "outputs", clip(execution["outputs"] or None, most)


def _node_row(node: Json, most: int | None) -> Sequence[object]:
    return (
        *(node[key] for key in ("id", "type", "state", "reason")),
        len(node["attempts"]),
        clip(node["outputs"] or None, most),
    )


def _attempts_text(nodes: Sequence[Json]) -> str:
    rows = [
        (
            node["id"],
            attempt["number"],
            attempt["state"],
            attempt["reason"],
            attempt["exit_code"],
            moment(attempt["started_at"]),
            span(attempt["started_at"], attempt["ended_at"]),
        )
        for node in nodes
        for attempt in node["attempts"]
    ]
    columns = ("NODE", "ATTEMPT", "STATE", "REASON", "EXIT", "STARTED", "TOOK")
    return table(columns, rows) if rows else ""


def _errors(nodes: Sequence[Json]) -> Iterator[str]:
    for node in nodes:
        error = error_text(node["error"])
        if error is not None:
            yield f"{node['id']}: {safe(error)}"
