"""The nodes of an execution, put together from definition, journal and engine.

Pure, and linear in nodes and attempts: there may be 10,000 of either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flowrunner.engine.runtime import log_path
from flowrunner.model.execution import Attempt, Execution, ItemCounts, NodeStatus
from flowrunner.model.ids import AttemptKey
from flowrunner.model.states import AttemptState, NodeState
from flowrunner.service.declared import DeclaredNode
from flowrunner.service.log_pages import LoggedAttempt
from flowrunner.service.views import NodeView

_FAILED = (AttemptState.FAILED, AttemptState.TIMED_OUT)


def node_views(
    declared: Sequence[DeclaredNode],
    live: Mapping[str, NodeState],
    items: Mapping[str, ItemCounts],
    settled: Sequence[NodeStatus],
    attempts: Sequence[Attempt],
) -> tuple[NodeView, ...]:
    """Returns the nodes in the order of the definition.

    Args:
        declared: The nodes.
        live: The states of those that are carried now.
        items: How far those are that go through their items now.
        settled: The final ones.
        attempts: In the order of their keys.
    """
    status = {each.node: each for each in settled}
    own: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        own.setdefault(attempt.key.node, []).append(attempt)
    views: list[NodeView] = []
    for node in declared:
        mine, end = tuple(own.get(node.id, ())), status.get(node.id)
        state = live.get(node.id, NodeState.PENDING) if end is None else end.state
        counts = items.get(node.id) if end is None else None
        if not node.has_items:
            counts = _one(state)
        views.append(
            NodeView(
                id=node.id,
                type=node.type,
                state=state,
                reason="" if end is None else end.reason,
                attempts=mine,
                items=counts or _counted(end, mine),
                outputs=None if end is None else end.outputs,
                error=None if end is None else end.error,
            )
        )
    return tuple(views)


def _one(state: NodeState) -> ItemCounts:
    is_success = state is NodeState.SUCCEEDED
    return ItemCounts(total=1, succeeded=int(is_success), failed=int(state.is_failure))


def _counted(end: NodeStatus | None, attempts: Sequence[Attempt]) -> ItemCounts:
    """Counts the items of a node that is not at work, by the last attempt of each."""
    lasts = {attempt.key.item_index: attempt for attempt in attempts}
    states = [attempt.state for attempt in lasts.values()]
    is_known = end is not None and isinstance(end.outputs, list)
    return ItemCounts(
        total=len(end.outputs) if end is not None and is_known else len(lasts),
        succeeded=states.count(AttemptState.SUCCEEDED),
        failed=sum(map(states.count, _FAILED)),
    )


def logged_attempts(
    execution: Execution,
    declared: Sequence[DeclaredNode],
    live: Mapping[str, NodeState],
    settled: Sequence[NodeStatus],
    attempts: Sequence[Attempt],
    logs: Path,
) -> list[LoggedAttempt]:
    """Returns every attempt that may have a log, in order of start.

    Of a node that runs without an attempt in the journal it is the first.
    """
    ended = {
        attempt.key: attempt.ended_at is not None
        for attempt in sorted(attempts, key=lambda attempt: attempt.started_at)
    }
    of_items = {node.id for node in declared if node.has_items}
    for name, state in live.items():
        if state is NodeState.RUNNING and name not in of_items:
            ended.setdefault(AttemptKey(execution.id, name, 0, 1), False)
    positions = {node.id: position for position, node in enumerate(declared)}
    lasts = _lasts(execution, settled, attempts)
    return [
        LoggedAttempt(
            node=key.node,
            item=key.item_index if key.node in of_items else None,
            number=key.number,
            position=positions.get(key.node),
            has_ended=has_ended,
            is_last=key in lasts,
            path=log_path(logs, execution, key, is_item=key.node in of_items),
        )
        for key, has_ended in ended.items()
    ]


def _lasts(
    execution: Execution, settled: Sequence[NodeStatus], attempts: Sequence[Attempt]
) -> set[AttemptKey]:
    """Returns the attempts that no other of their item follows."""
    final = {status.node for status in settled}
    newest = {(attempt.key.node, attempt.key.item_index): attempt for attempt in attempts}
    return {
        attempt.key
        for attempt in newest.values()
        if attempt.item_end or execution.state.is_final or attempt.key.node in final
    }
