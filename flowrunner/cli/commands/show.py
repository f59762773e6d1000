"""`flowrunner show`: one execution with its nodes and their attempts, or why it went so."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence

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

_OF_ITEMS = frozenset({"ITEM", "ITEMS"})
_MOST_ATTEMPTS = 100
"""Attempts of one node in the table of attempts, unless it may be wide."""

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
    nodes = execution["nodes"]
    has_items = any(map(_has_items, nodes))
    columns = ("NODE", "TYPE", "STATE", "REASON", "ITEMS", "ATTEMPTS", "OUTPUTS")
    return blocks(
        facts(_facts(execution, most)),
        _table(columns, (_node_row(node, most) for node in nodes), has_items=has_items),
        _attempts_text(nodes, wide=wide, has_items=has_items),
        _children_text(execution["children"], has_items=has_items),
        "\n".join((*_errors(nodes), *_left_out(nodes, wide=wide))),
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, has_items: bool) -> str:
    """Returns a table, without the columns about items where there are none."""
    kept = [i for i, name in enumerate(columns) if has_items or name not in _OF_ITEMS]
    return table(tuple(columns[i] for i in kept), (tuple(row[i] for i in kept) for row in rows))


def _has_items(node: Json) -> bool:
    return bool(node["items"]["total"] != 1)


def _shown(node: Json, *, wide: bool) -> Sequence[Json]:
    """Returns the attempts of a node to show; of many those that did not succeed come first."""
    attempts: Sequence[Json] = node["attempts"]
    if wide or len(attempts) <= _MOST_ATTEMPTS:
        return attempts
    return sorted(attempts, key=lambda each: each["state"] == "succeeded")[:_MOST_ATTEMPTS]


def _left_out(nodes: Sequence[Json], *, wide: bool) -> Iterator[str]:
    for node in nodes:
        left = len(node["attempts"]) - len(_shown(node, wide=wide))
        if left:
            yield f"{node['id']}: {left:,} attempts are not shown; -o wide shows all"


def _facts(execution: Json, most: int | None) -> Iterator[tuple[str, object]]:
    trigger = execution["trigger"]
    yield "id", execution["id"]
    yield "flow", full_name(execution)
    yield "state", with_reason(execution)
    yield "error", error_text(execution["error"])
    yield "trigger", f"{trigger['id']} ({trigger['type']})"
    yield "slot", moment(execution["slot_at"])
    yield "retry of", execution["retry_of"]
    yield "parent", _caller(execution["parent"])
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
    items = node["items"]
    return (
        *(node[key] for key in ("id", "type", "state", "reason")),
        f"{items['succeeded']}/{items['total']}" if _has_items(node) else None,
        len(node["attempts"]),
        clip(node["outputs"] or None, most),
    )


def _attempts_text(nodes: Sequence[Json], *, wide: bool, has_items: bool) -> str:
    rows = [
        (
            node["id"],
            attempt["item_index"] if _has_items(node) else None,
            attempt["number"],
            attempt["state"],
            attempt["reason"],
            attempt["exit_code"],
            moment(attempt["started_at"]),
            span(attempt["started_at"], attempt["ended_at"]),
        )
        for node in nodes
        for attempt in _shown(node, wide=wide)
    ]
    columns = ("NODE", "ITEM", "ATTEMPT", "STATE", "REASON", "EXIT", "STARTED", "TOOK")
    return _table(columns, rows, has_items=has_items) if rows else ""


def _caller(parent: Json) -> str | None:
    """Returns the attempt that asked for an execution."""
    return None if parent is None else f"{parent['execution_id']} {parent['node']}"


def _children_text(children: Sequence[Json], *, has_items: bool) -> str:
    rows = [
        (
            child["node"],
            child["item_index"],
            child["attempt"],
            child["flow"],
            child["id"],
            with_reason(child),
            "yes" if child["is_waited"] else "no",
        )
        for child in children
    ]
    columns = ("NODE", "ITEM", "ATTEMPT", "FLOW", "EXECUTION", "STATE", "WAITED")
    return _table(columns, rows, has_items=has_items) if rows else ""


def _errors(nodes: Sequence[Json]) -> Iterator[str]:
    for node in nodes:
        error = error_text(node["error"])
        if error is not None:
            yield f"{node['id']}: {safe(error)}"
