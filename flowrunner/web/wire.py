"""The shapes of the API: views in, JSON-safe values out; and what restricted callers do not see.

Every shape of the API is here, so that its keys can be read in one place. Keys may join a shape,
none leaves it. Source: DESIGN, section 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from flowrunner.model.conditions import Condition
from flowrunner.model.execution import Attempt, Execution, Failure
from flowrunner.model.finding import Finding
from flowrunner.model.flow_events import FlowEvent
from flowrunner.model.ids import AttemptKey, Json
from flowrunner.service.views import (
    ExecutionView,
    FlowView,
    HealthCheck,
    InputView,
    LogEntry,
    LogPage,
    NodeView,
    SourceView,
    TriggerView,
)
from flowrunner.web.hold_wire import hold_json
from flowrunner.web.log_cursor import pack_cursor
from flowrunner.web.source_wire import upstream_json

WITHHELD = "the flow's own message, which may quote data"
"""Stands for the message of a `fail` node where inputs and outputs are not shown."""


class EndedPass(Protocol):
    """A reconcile pass that has ended; see `flowrunner.registry.entry.PassResult`."""

    @property
    def trigger(self) -> str:
        """What asked for it."""

    @property
    def result(self) -> str:
        """How it ended."""

    @property
    def revision(self) -> str:
        """What it read."""

    @property
    def started_at(self) -> datetime:
        """When it began."""

    @property
    def duration_s(self) -> float:
        """How long it took."""

    @property
    def added(self) -> int:
        """Flows that are new."""

    @property
    def updated(self) -> int:
        """Flows with a new version in force."""

    @property
    def removed(self) -> int:
        """Flows that are gone."""

    @property
    def errors(self) -> int:
        """Findings that keep a file out."""

    @property
    def message(self) -> str:
        """Why it did not apply."""


def page_json(items: Iterable[Json], next_cursor: str | None) -> Json:
    """Returns the shape of every list."""
    return {"items": list(items), "next_cursor": next_cursor}


def flow_json(view: FlowView, *, redacted: bool) -> Json:
    """Returns the shape of a flow, for restricted callers without the values in its file."""
    last = view.last_execution
    return {
        "account": view.key.account,
        "name": view.key.name,
        "description": view.description,
        "labels": dict(view.labels),
        "path": view.path,
        "revision": view.revision,
        "digest": view.digest,
        "generation": view.generation,
        "observed_generation": view.observed_generation,
        "conditions": [condition_json(condition) for condition in view.conditions],
        "inputs": [_input(declared, redacted=redacted) for declared in view.inputs],
        "triggers": [_trigger(trigger) for trigger in view.triggers],
        "last_execution": None
        if last is None
        else {"id": last.id, "state": str(last.state), "ended_at": time_text(last.ended_at)},
        "findings": _findings(view.findings),
        "redacted": redacted,
    }


def event_json(event: FlowEvent) -> Json:
    """Returns the shape of an event of a flow."""
    return {
        "number": event.number,
        "at": time_text(event.at),
        "type": event.type,
        "status": event.status,
        "reason": event.reason,
        "message": event.message,
        "revision": event.revision,
        "generation": event.generation,
    }


def execution_json(view: ExecutionView, *, redacted: bool) -> Json:
    """Returns the shape of an execution, for restricted callers without its data."""
    execution = view.execution
    cause = execution.cause
    shape = {
        "id": execution.id,
        "account": execution.flow.account,
        "flow": execution.flow.name,
        "state": str(execution.state),
        "reason": execution.reason,
        "trigger": {"id": cause.trigger_id, "type": cause.trigger_type},
        "slot_at": time_text(cause.slot_at),
        "revision": execution.revision,
        "digest": execution.digest,
        "files": view.files,
        "retry_of": execution.retry_of,
        "group": execution.group,
        "inputs": execution.inputs,
        "outputs": execution.outputs,
        "error": failure_json(execution.error),
        "created_at": time_text(execution.created_at),
        "started_at": time_text(execution.started_at),
        "ended_at": time_text(execution.ended_at),
        "nodes": [_node(node) for node in view.nodes],
        "parent": None if execution.parent is None else _attempt_key(execution.parent.attempt),
        "children": [_child(child) for child in view.children],
        "redacted": False,
    }
    return _without_data(shape, view) if redacted else shape


def _attempt_key(key: AttemptKey) -> Json:
    return {
        "execution_id": key.execution,
        "node": key.node,
        "item_index": key.item_index,
        "attempt": key.number,
    }


def _child(child: Execution) -> Json:
    parent = child.parent
    return {
        "id": child.id,
        "flow": child.flow.name,
        "state": str(child.state),
        "reason": child.reason,
        "node": None if parent is None else parent.attempt.node,
        "item_index": None if parent is None else parent.attempt.item_index,
        "attempt": None if parent is None else parent.attempt.number,
        "is_waited": parent is not None and parent.is_waited,
    }


def log_page_json(page: LogPage) -> Json:
    """Returns the shape of a page of logs; there is no next cursor once it is complete."""
    return {
        "chunks": [
            {
                "node": chunk.node,
                "item_index": chunk.item,
                "attempt": chunk.attempt,
                "lines": [_line(line) for line in chunk.lines],
            }
            for chunk in page.chunks
        ],
        "next_cursor": None if page.is_complete else pack_cursor(page.cursor),
        "complete": page.is_complete,
        "removed": page.is_removed,
    }


def log_page_text(page: LogPage) -> str:
    """Returns a page of logs as text: time, node, item and attempt, stream and what was printed."""
    if page.is_removed:
        return "[the logs were removed by retention]\n"
    return "".join(
        f"{time_text(line.at)} {chunk.name}.{chunk.attempt} {line.stream} {line.text}\n"
        for chunk in page.chunks
        for line in chunk.lines
    )


def source_json(view: SourceView) -> Json:
    """Returns the shape of the source with its last pass and the files that are out."""
    return {
        "revision": view.revision,
        "conditions": [condition_json(condition) for condition in view.conditions],
        "last_pass": None if view.last_pass is None else pass_json(view.last_pass),
        "git": upstream_json(view.upstream, redacted=True),
        "rejected": [
            {"path": file.path, "findings": _findings(file.findings)} for file in view.rejected
        ],
        "hold": hold_json(view.hold),
    }


def pass_json(ended: EndedPass) -> Json:
    """Returns the shape of a reconcile pass."""
    return {
        "trigger": ended.trigger,
        "result": ended.result,
        "revision": ended.revision,
        "started_at": time_text(ended.started_at),
        "duration_s": ended.duration_s,
        "added": ended.added,
        "updated": ended.updated,
        "removed": ended.removed,
        "errors": ended.errors,
        "message": ended.message,
    }


def health_json(checks: Sequence[HealthCheck]) -> Json:
    """Returns the shape of the checks; `status` is `ok` when each of them is."""
    is_ok = all(check.status == "ok" for check in checks)
    return {
        "status": "ok" if is_ok else "failed",
        "checks": [
            {"name": check.name, "status": check.status, "message": check.message}
            for check in checks
        ],
    }


def time_text(at: datetime | None) -> str | None:
    """Returns a time as RFC 3339 in UTC, with `Z`."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _without_data(execution: Json, view: ExecutionView) -> Json:
    """Takes out what a flow was given, what it made, and what its errors quote."""
    nodes = [
        {**shape, "outputs": None, "error": _reticent(node.error)}
        for shape, node in zip(execution["nodes"], view.nodes, strict=True)
    ]
    return {
        **execution,
        "group": None,
        "inputs": None,
        "outputs": None,
        "error": _reticent(view.execution.error),
        "nodes": nodes,
        "redacted": True,
    }


def _reticent(failure: Failure | None) -> Json:
    """Returns an error without its details, and without a message that may quote data."""
    if failure is None:
        return None
    message = WITHHELD if failure.quotes_data else failure.message
    return {"code": failure.code, "message": message, "details": {}}


def condition_json(condition: Condition) -> Json:
    """Returns the shape of a condition."""
    return {
        "type": str(condition.type),
        "status": str(condition.status),
        "reason": str(condition.reason),
        "message": condition.message,
        "last_transition_at": time_text(condition.last_transition_at),
    }


def _input(declared: InputView, *, redacted: bool) -> Json:
    return {
        "name": declared.name,
        "type": declared.type,
        "required": declared.required,
        "default": None if redacted else declared.default,
        "description": declared.description,
    }


def _trigger(trigger: TriggerView) -> Json:
    return {
        "id": trigger.id,
        "type": trigger.type,
        "next_slot_at": time_text(trigger.next_slot_at),
        "cron": trigger.cron,
        "every": trigger.every,
        "timezone": trigger.timezone,
        "path": trigger.path,
        "dst": trigger.dst
        and {"skipped": str(trigger.dst.skipped), "repeated": str(trigger.dst.repeated)},
        "jitter": trigger.jitter,
        "enabled": trigger.is_enabled,
        "once_per": trigger.once_per,
        "flow": trigger.flow,
        "states": None if trigger.states is None else list(trigger.states),
    }


def _findings(findings: Iterable[Finding]) -> Json:
    return [
        {
            "code": finding.code,
            "severity": str(finding.severity),
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "message": finding.message,
            "hint": finding.hint,
        }
        for finding in findings
    ]


def failure_json(failure: Failure | None) -> Json:
    """Returns the shape of an error; null for none."""
    if failure is None:
        return None
    return {"code": failure.code, "message": failure.message, "details": failure.details}


def _node(node: NodeView) -> Json:
    return {
        "id": node.id,
        "type": node.type,
        "state": str(node.state),
        "reason": node.reason,
        "items": {
            "total": node.items.total,
            "succeeded": node.items.succeeded,
            "failed": node.items.failed,
        },
        "attempts": [attempt_json(attempt) for attempt in node.attempts],
        "outputs": node.outputs,
        "error": failure_json(node.error),
    }


def attempt_json(attempt: Attempt) -> Json:
    """Returns the shape of an attempt."""
    return {
        "number": attempt.key.number,
        "item_index": attempt.key.item_index,
        "state": str(attempt.state),
        "reason": attempt.reason,
        "exit_code": attempt.exit_code,
        "started_at": time_text(attempt.started_at),
        "ended_at": time_text(attempt.ended_at),
    }


def _line(line: LogEntry) -> Json:
    return {
        "at": time_text(line.at),
        "stream": line.stream,
        "text": line.text,
        "partial": line.is_partial,
    }
