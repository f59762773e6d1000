"""Why a node was skipped or cut, and what an open one waits for, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from flowrunner.engine.runtime import survives
from flowrunner.engine.tracing.replay import Replay
from flowrunner.errors import ValidationError
from flowrunner.model.execution import NodeStatus
from flowrunner.model.flow import NodeSpec
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.quantities import parse_duration
from flowrunner.model.states import AttemptState, NodeState, Reason
from flowrunner.model.trace import NodeWait, NodeWaitKind

_MOST_NAMES = 10

_CUTS = {
    Reason.TIMEOUT: "the timeout of the execution struck before it could end",
    Reason.FINALLY_TIMEOUT: "the finally_timeout struck before it could end",
    Reason.CANCELLED: "the execution was cancelled before it could end",
    Reason.REPLACED: "a newer execution took the place of this one",
    Reason.DELETED: "the flow was deleted",
}


def why(replay: Replay, spec: NodeSpec, end: NodeStatus) -> str:
    """Returns why a node was skipped or cut; empty where its state, reason and error say all."""
    if end.state is NodeState.SKIPPED:
        return _why_skipped(replay, spec, end)
    if end.state is not NodeState.CANCELLED:
        return ""
    known = {str(reason): text for reason, text in _CUTS.items()}
    return known.get(end.reason, f"the execution could not be carried on ({end.reason})")


def _why_skipped(replay: Replay, spec: NodeSpec, end: NodeStatus) -> str:
    if end.reason == Reason.IF_FALSE:
        return "its if is not true"
    walk = replay.walk_of(spec)
    if spec.chosen_by and walk.is_left_out(spec):
        return _listed([_choice_of(replay, name) for name in spec.chosen_by])
    return _listed([_end_of(each) for each in walk.lacking(spec)])


def _choice_of(replay: Replay, switch: str) -> str:
    end = replay.ends[switch]
    chosen = end.outputs.get("chosen") if isinstance(end.outputs, dict) else None
    if chosen is not None:
        return f"switch {switch} chose {chosen}"
    has_chosen = end.state is NodeState.SUCCEEDED
    return f"switch {switch} chose none" if has_chosen else f"switch {switch} was {end.state}"


def _end_of(end: NodeStatus) -> str:
    says_more = end.reason not in ("", end.state)
    return f"need {end.node} is {end.state}" + (f" ({end.reason})" if says_more else "")


def wait_of(replay: Replay, spec: NodeSpec, params: Json) -> NodeWait | None:
    """Returns what a node waits for that has not ended; None when its execution has.

    Args:
        replay: Its execution.
        spec: The node.
        params: What was worked out of its params, by name; None for one that has not begun.
    """
    if replay.subject.execution.state.is_final:
        return None
    state = replay.state(spec.id)
    if not replay.subject.live:
        return NodeWait(kind=NodeWaitKind.CARRIER, message="this daemon does not carry it now")
    if state.is_final:
        return NodeWait(kind=NodeWaitKind.CARRIER, message="its end is being journaled")
    if state is NodeState.PENDING:
        return _needs(replay, spec)
    if state is NodeState.QUEUED:
        return _delay(replay, spec) or _place()
    return _running(replay, spec, params)


def _running(replay: Replay, spec: NodeSpec, params: Json) -> NodeWait:
    """Returns what a node waits for that has begun."""
    children = replay.subject.history.children_of(spec.id)
    if children:
        return _children(children)
    attempts = replay.attempts(spec.id)
    if spec.foreach is not None:
        return NodeWait(kind=NodeWaitKind.WORK, message="its items are at work")
    if attempts and attempts[-1].state is not AttemptState.RUNNING:
        return _delay(replay, spec) or _place()
    until = _end_of_wait(replay, spec, params)
    if until is not None:
        return NodeWait(kind=NodeWaitKind.TIME, message="it lets time pass", until=until)
    number = attempts[-1].key.number if attempts else 1
    if params and "probe" in params:
        message = f"attempt {number} probes every {params['every'].value}"
        return NodeWait(kind=NodeWaitKind.WORK, message=message)
    return NodeWait(kind=NodeWaitKind.WORK, message=f"attempt {number} is at work")


def _needs(replay: Replay, spec: NodeSpec) -> NodeWait:
    names: Sequence[str]
    if replay.is_final_part(spec) and not replay.walk.is_complete:
        names = replay.open_before_finally
        what = "all of nodes must end before"
    else:
        names = [need for need in spec.needs if need not in replay.ends]
        what = "its needs must end before"
    if not names:
        return NodeWait(kind=NodeWaitKind.CARRIER, message="it is about to be judged")
    return NodeWait(
        kind=NodeWaitKind.NEEDS,
        message=f"{what}: {_listed(names)}",
        nodes=tuple(names[:_MOST_NAMES]),
    )


def _children(children: Sequence[ExecutionId]) -> NodeWait:
    return NodeWait(
        kind=NodeWaitKind.EXECUTION,
        message=f"it waits for the end of execution {_listed(children)}",
        executions=tuple(children[:_MOST_NAMES]),
    )


def _place() -> NodeWait:
    return NodeWait(kind=NodeWaitKind.PLACE, message="it waits for a place among the processes")


def _delay(replay: Replay, spec: NodeSpec) -> NodeWait | None:
    """Returns the delay of a retry that is not over, the longest that chance may give."""
    due_at = replay.subject.history.standing(spec.id, spec.retry, 0.0).due_at
    if due_at is None or due_at <= replay.subject.asked_at:
        return None
    message = "it waits for its next attempt"
    if spec.retry.jitter:
        message += ", at the latest until then"
    return NodeWait(kind=NodeWaitKind.DELAY, message=message, until=due_at)


def _end_of_wait(replay: Replay, spec: NodeSpec, params: Json) -> datetime | None:
    """Returns when a node of a type that only lets time pass goes on."""
    node, attempts = replay.subject.nodes.get(spec.type, spec.params), replay.attempts(spec.id)
    if node is None or not survives(node, spec) or not params or not attempts:
        return None
    until, duration = params.get("until"), params.get("for")
    if until is not None:
        return parse_moment(until.value) if isinstance(until.value, str) else None
    try:
        written = "" if duration is None else str(duration.value)
        return attempts[-1].started_at + timedelta(seconds=parse_duration(written))
    except ValidationError:
        return None


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _MOST_NAMES
    return ", ".join(items[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
