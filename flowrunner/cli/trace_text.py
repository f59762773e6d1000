"""The trace of an execution as a person reads it: node by node, in the order of their ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flowrunner.cli.render import (
    blocks,
    clip,
    error_text,
    facts,
    full_name,
    moment,
    span,
    with_reason,
)
from flowrunner.cli.text import safe
from flowrunner.model.ids import Json

_INDENT = "  "
_MOST = 100
"""Characters of a value, unless it may be wide."""

_STATES = {"not_evaluated": "not evaluated", "failed": "failed"}


def trace_text(trace: Json, *, wide: bool = False) -> str:
    """Returns a trace whose pages were joined; values are cut unless they may be wide."""
    most = None if wide else _MOST
    nodes = sorted(trace["items"], key=_order)
    return blocks(
        facts(_head(trace)),
        *("\n".join(_node(node, most)) for node in nodes),
    )


def _order(node: Json) -> tuple[bool, int]:
    """Returns the place of a node: as it ended, those that have not in the order of the flow."""
    return (node["ended_as"] is None, node["ended_as"] or 0)


def _head(trace: Json) -> Iterator[tuple[str, object]]:
    execution = trace["execution"]
    yield "id", execution["id"]
    yield "flow", full_name(execution)
    yield "state", with_reason(execution)
    for wait in trace["waits_for"]:
        ids = f": {', '.join(wait['executions'])}" if wait["executions"] else ""
        yield "waits for", f"{wait['message']}{ids}"
    if trace["problem"] is not None:
        yield "problem", error_text(trace["problem"])


def _node(node: Json, most: int | None) -> Iterator[str]:
    about = f"{node['type'] or 'unknown type'}{', finally' if node['finally'] else ''}"
    yield safe(f"{node['id']} ({about}): {with_reason(node)}")
    for line in _of_node(node, most):
        yield _INDENT + line


def _of_node(node: Json, most: int | None) -> Iterator[str]:
    yield from _decided(node, most)
    yield from _choice(node["choice"], most)
    for key in ("params", "env"):
        yield from _values(key, node[key], most)
    yield from _value("stdin", node["stdin"], most)
    yield from _items(node, most)
    for attempt in node["attempts"]:
        yield from _attempt(attempt, most, is_item=node["item_count"] is not None)
    if node["outputs"] is not None and node["outputs"]["value"] != {}:
        yield from _value("outputs", node["outputs"], most)
    error = error_text(node["error"])
    if error is not None:
        yield f"error: {safe(error)}"
    for doubt in node["doubts"]:
        yield f"doubt: {safe(doubt)}"


def _decided(node: Json, most: int | None) -> Iterator[str]:
    """Yields why a node started, or did not, or not yet."""
    if node["why"]:
        yield f"why: {safe(node['why'])}"
    if node["waits_for"] is not None:
        until = moment(node["waits_for"]["until"])
        yield f"waits: {safe(node['waits_for']['message'])}{f' until {until}' if until else ''}"
    if node["needs"]:
        yield f"needs: {clip(', '.join(node['needs']), most)}"
    if node["now"] is not None:
        yield f"now(): {node['now']}"
    if node["if"] is not None:
        yield from _expression("if", node["if"], most)


def _expression(name: str, told: Json, most: int | None) -> Iterator[str]:
    """Yields a line for an expression and an indented one for each of its parts."""
    yield f"{name}: {_line(told, most)}"
    yield from _parts(told["parts"], most)


def _parts(parts: Sequence[Json], most: int | None) -> Iterator[str]:
    for part in parts:
        yield _INDENT + _line(part, most)
        for line in _parts(part["parts"], most):
            yield _INDENT + line


def _line(told: Json, most: int | None) -> str:
    text = clip(" ".join(told["text"].split()), most)
    came = _STATES.get(told["state"]) or _shown(told, most)
    error = f" ({safe(told['error'])})" if told["error"] else ""
    return f"{text} → {came}{error}"


def _choice(choice: Json, most: int | None) -> Iterator[str]:
    if choice is None:
        return
    for case in choice["cases"]:
        yield from _expression(f"case {case['goto']}", case["when"], most)
    if choice["default"] is not None:
        yield f"default: {choice['default']}"
    yield f"chosen: {choice['chosen'] or '-'}"


def _values(name: str, values: Mapping[str, Json] | None, most: int | None) -> Iterator[str]:
    if values:
        yield f"{name}:"
        for key, shown in values.items():
            yield f"{_INDENT}{safe(key)}: {_shown(shown, most)}"


def _value(name: str, shown: Json, most: int | None) -> Iterator[str]:
    if shown is not None:
        yield f"{name}: {_shown(shown, most)}"


def _shown(shown: Json, most: int | None) -> str:
    """Returns a value on one line; a text in quotes where it could be taken for something else."""
    if shown["error"]:
        return f"failed ({safe(shown['error'])})"
    value = shown["value"]
    text = "null" if value is None else clip(value, most) if value != "" else "''"
    return f"{text} (cut)" if shown["cut"] else text


def _items(node: Json, most: int | None) -> Iterator[str]:
    """Yields what some items were given; which, the daemon has chosen."""
    items = node["items"]
    if node["item_count"] is not None:
        some = "" if len(items) == node["item_count"] else f", {len(items)} of them here"
        yield f"items: {node['item_count']}{some}"
    for item in items:
        yield f"{_INDENT}item {item['index']}: {_shown(item['item'], most)}"
        for key in ("params", "env"):
            for line in _values(key, item[key], most):
                yield _INDENT * 2 + line
        for line in _value("stdin", item["stdin"], most):
            yield _INDENT * 2 + line


def _attempt(attempt: Json, most: int | None, *, is_item: bool) -> Iterator[str]:
    took = span(attempt["started_at"], attempt["ended_at"])
    code = attempt["exit_code"]
    exit_code = "" if code is None else f", exit code {code}"
    timing = f", began {moment(attempt['started_at'])}{f', took {took}' if took else ''}"
    of_item = f" of item {attempt['item_index']}" if is_item else ""
    yield f"attempt {attempt['number']}{of_item}: {safe(with_reason(attempt))}{exit_code}{timing}"
    error = error_text(attempt["error"])
    if error is not None:
        yield f"{_INDENT}error: {safe(error)}"
    if attempt["verdict"]:
        longest = "at most " if attempt["delay_is_longest"] else ""
        delay = attempt["delay_s"]
        after = "" if delay is None else f", after {longest}{delay:g}s"
        yield f"{_INDENT}{safe(attempt['verdict'])}{after}"
    if attempt["retry_if"] is not None:
        for line in _expression("retry.if", attempt["retry_if"], most):
            yield _INDENT + line
