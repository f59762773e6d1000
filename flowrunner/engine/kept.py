"""What a retry from one node takes over of the execution that it repeats.

Pure. A node runs anew if it is the one that is named or did not end well, or if it depends on such
a node; every other one keeps its result. Nodes of `finally` always run anew. So a retry from any
node comes to a good end as soon as the causes of all failures are gone.

A node with `foreach` that did not end well, though nothing that it depends on runs anew, keeps the
items that did: their list is the same. Source: FLOW_FORMAT 4, `foreach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from flowrunner.engine.history import History
from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.execution import Attempt, Kept, NodeStatus
from flowrunner.model.expressions import Template, calls, references
from flowrunner.model.flow import FlowSpec, NodeSpec
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import NodeState, Reason

_MOST_NAMES = 20
"""Nodes that a message lists."""

_OF_THIS_ONE = frozenset({"execution", "trigger"})
"""Contexts that are not the same in the new execution: a list made of them may be another."""

_CHANGING = "now"
"""A function of which the same holds."""


def kept_from(spec: FlowSpec, start: str, history: History, new_id: ExecutionId) -> Kept:
    """Returns what the execution `new_id` takes over when it begins with a node.

    Of a node's attempts the last one goes along, since expressions see its exit code; so does that
    of an item.

    Args:
        spec: The version that both executions run.
        start: The node.
        history: Of the ended execution.
        new_id: Of the new one.

    Raises:
        ValidationError: ``request.from``: the flow has no such node, or it is of `finally`.
        RefusedError: ``upstream``: a node that it depends on has not ended well.
    """
    _check_name(spec, start)
    below: dict[str, list[str]] = {node.id: [] for node in spec.nodes}
    above = {node.id: (*node.needs, *node.chosen_by) for node in spec.nodes}
    for name, needed in above.items():
        for need in needed:
            below[need].append(name)
    statuses = {status.node: status for status in history.nodes}
    unwell = [node.id for node in spec.nodes if not _ended_well(node, statuses.get(node.id))]
    _check_upstream(start, _reached([start], above) - {start}, unwell, above, statuses)
    anew = _reached([start, *unwell], below)
    kept = {node.id for node in spec.nodes} - anew
    partly = {
        node.id
        for node in spec.nodes
        if node.id in anew and anew.isdisjoint(above[node.id]) and _keeps_items(node, statuses)
    }
    last = {
        (each.key.node, each.key.item_index): each
        for each in history.attempts
        if each.key.node in kept or (each.key.node in partly and _is_done(each))
    }
    return Kept(
        nodes=tuple(_as_kept(each, new_id) for each in history.nodes if each.node in kept),
        attempts=tuple(
            replace(each, key=each.key._replace(execution=new_id)) for each in last.values()
        ),
    )


def _ended_well(node: NodeSpec, status: NodeStatus | None) -> bool:
    """Whether a node is no reason to run anything again."""
    if status is None:
        return False
    if status.state is NodeState.SKIPPED:
        return status.reason in (Reason.IF_FALSE, Reason.NOT_CHOSEN)
    if status.state.is_failure:
        return node.continue_on_error
    return status.state is NodeState.SUCCEEDED


def _keeps_items(node: NodeSpec, statuses: Mapping[str, NodeStatus]) -> bool:
    """Whether a node that begins anew for its own sake repeats only items that failed it."""
    if node.foreach is None or _is_of_this_one(node.foreach):
        return False
    status = statuses.get(node.id)
    return status is None or status.state is not NodeState.SUCCEEDED


def _is_of_this_one(value: Json) -> bool:
    """Whether a value is worked out of what is another in each execution."""
    if isinstance(value, Template):
        parts = value.expressions
        roots = {each.root for part in parts for each in references(part)}
        is_changing = any(name == _CHANGING for part in parts for name, _ in calls(part))
        return is_changing or not roots.isdisjoint(_OF_THIS_ONE)
    if isinstance(value, Mapping):
        return any(map(_is_of_this_one, value.values()))
    return isinstance(value, list | tuple) and any(map(_is_of_this_one, value))


def _is_done(attempt: Attempt) -> bool:
    """Whether an attempt is the end of an item that ended well."""
    return attempt.item_end is not None and attempt.item_end.outputs is not None


def _as_kept(status: NodeStatus, new_id: ExecutionId) -> NodeStatus:
    """Returns a result as the new execution has it; why a node was skipped still counts."""
    is_skipped = status.state is NodeState.SKIPPED
    reason = status.reason if is_skipped else str(Reason.KEPT)
    return replace(status, execution=new_id, reason=reason)


def _reached(starts: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns some nodes and all that edges lead to from them, at any distance."""
    found, to_go = set[str](), list(starts)
    while to_go:
        name = to_go.pop()
        if name not in found:
            found.add(name)
            to_go.extend(edges[name])
    return found


def _check_name(spec: FlowSpec, start: str) -> None:
    names = [node.id for node in spec.nodes]
    if start in names:
        return
    if any(node.id == start for node in spec.finals):
        text = f"node {start} is of finally, which runs anew whatever --from names"
        raise ValidationError(text, code="request.from")
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    text = f"the execution has no node {start[:64]!r} (nodes: {shown})"
    raise ValidationError(text, code="request.from")


def _check_upstream(
    start: str,
    upstream: set[str],
    unwell: Iterable[str],
    above: Mapping[str, Iterable[str]],
    statuses: Mapping[str, NodeStatus],
) -> None:
    """Refuses a start whose needs would never be met; names the first cause."""
    lacking = {name: None for name in unwell if name in upstream}
    name = next((each for each in lacking if lacking.keys().isdisjoint(above[each])), None)
    if name is None:
        return
    status = statuses.get(name)
    text = f"it is {status.state} ({status.reason})" if status else "it never ran"
    raise RefusedError(
        f"node {start} depends on {name}, which has not ended well: {text}. "
        f"`retry --from {name}` repeats both",
        code="upstream",
    )
