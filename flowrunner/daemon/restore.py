"""Metrics that outlive a restart: what the journal knows of each flow's last executions."""

from __future__ import annotations

from flowrunner.daemon.build import Parts
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import ExecutionState
from flowrunner.storage.protocols import ExecutionQuery

_LOOK_BACK = 100
"""Executions of a flow looked at for its last success and its run of failures."""
_FINAL = tuple(state for state in ExecutionState if state.is_final)


async def restore_metrics(parts: Parts) -> None:
    """Restores the gauges of every flow in force that has run before."""
    newest = await parts.storage.executions.last_of_each()
    for key, last in newest.items():
        if key not in parts.registry.entries:
            continue
        if last.state is ExecutionState.SUCCEEDED:
            parts.metrics.restore_flow(key, last.ended_at, last.ended_at, 0)
        else:
            await _restore_failing(parts, key)


async def _restore_failing(parts: Parts, key: FlowKey) -> None:
    query = ExecutionQuery(account=key.account, flow=key.name, states=_FINAL, limit=_LOOK_BACK)
    failures, last_success = 0, None
    history = await parts.storage.executions.list(query)
    for execution in history:
        if execution.state is ExecutionState.SUCCEEDED:
            last_success = execution.ended_at
            break
        if execution.state is not ExecutionState.CANCELLED:
            failures += 1
    parts.metrics.restore_flow(key, history[0].ended_at, last_success, failures)
