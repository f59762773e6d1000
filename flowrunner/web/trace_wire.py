"""The shape of the trace of an execution; only for callers who may see its data.

Keys may join a shape, none leaves it. Source: DESIGN, section 5.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.ids import Json
from flowrunner.model.trace import (
    NodeTrace,
    NodeWait,
    Shown,
    TracedAttempt,
    TracedChoice,
    TracedExpression,
    TracedItem,
)
from flowrunner.service.traces import ExecutionWait, TracePage
from flowrunner.web.wire import attempt_json, failure_json, time_text


def trace_json(page: TracePage) -> Json:
    """Returns the shape of a page of a trace: a list of nodes, and what is known beside them."""
    execution = page.execution
    return {
        "execution": {
            "id": execution.id,
            "account": execution.flow.account,
            "flow": execution.flow.name,
            "state": str(execution.state),
            "reason": execution.reason,
            "digest": execution.digest,
        },
        "waits_for": [_execution_wait(wait) for wait in page.waits],
        "problem": failure_json(page.problem),
        "items": [_node(node) for node in page.nodes],
        "next_cursor": page.next_cursor,
    }


def _execution_wait(wait: ExecutionWait) -> Json:
    return {"kind": wait.kind, "message": wait.message, "executions": list(wait.executions)}


def _node(node: NodeTrace) -> Json:
    return {
        "id": node.id,
        "type": node.type,
        "finally": node.is_final_part,
        "state": str(node.state),
        "reason": node.reason,
        "needs": list(node.needs),
        "ended_as": node.ended_as,
        "started_at": time_text(node.started_at),
        "ended_at": time_text(node.ended_at),
        "now": time_text(node.now),
        "why": node.why,
        "waits_for": _wait(node.wait),
        "if": _expression(node.condition),
        "params": _values(node.params),
        "env": _values(node.env),
        "stdin": _value(node.stdin),
        "choice": _choice(node.choice),
        "item_count": node.item_count,
        "items": [_item(each) for each in node.items],
        "attempts": [_attempt(each) for each in node.attempts],
        "outputs": _value(node.outputs),
        "error": failure_json(node.error),
        "doubts": list(node.doubts),
    }


def _wait(wait: NodeWait | None) -> Json:
    if wait is None:
        return None
    return {
        "kind": str(wait.kind),
        "message": wait.message,
        "nodes": list(wait.nodes),
        "executions": list(wait.executions),
        "until": time_text(wait.until),
    }


def _expression(told: TracedExpression | None) -> Json:
    if told is None:
        return None
    return {
        "text": told.text,
        "state": str(told.came),
        "value": None if told.value is None else told.value.value,
        "cut": told.value is not None and told.value.is_cut,
        "error": told.error,
        "parts": [_expression(part) for part in told.parts],
    }


def _values(values: Mapping[str, Shown] | None) -> Json:
    return None if values is None else {name: _value(each) for name, each in values.items()}


def _value(shown: Shown | None) -> Json:
    if shown is None:
        return None
    return {"value": shown.value, "cut": shown.is_cut, "error": shown.error}


def _choice(choice: TracedChoice | None) -> Json:
    if choice is None:
        return None
    return {
        "cases": [{"goto": case.goto, "when": _expression(case.when)} for case in choice.cases],
        "default": choice.default,
        "chosen": choice.chosen,
    }


def _item(item: TracedItem) -> Json:
    return {
        "index": item.index,
        "item": _value(item.item),
        "params": _values(item.params),
        "env": _values(item.env),
        "stdin": _value(item.stdin),
    }


def _attempt(traced: TracedAttempt) -> Json:
    return {
        **attempt_json(traced.attempt),
        "error": failure_json(traced.attempt.error),
        "verdict": traced.verdict,
        "retry_if": _expression(traced.retry_if),
        "delay_s": traced.delay_s,
        "delay_is_longest": traced.delay_is_longest,
    }
