"""Signed bodies of the life before: a copy of one is a duplicate after a restart, too.

Where a provider signs neither id nor time, bodies are kept in mind for some minutes, because a copy
under another id would pass. What was accepted in the last of them is on disk with its body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.storage.protocols import ExecutionQuery, ExecutionStore
from flowrunner.triggers.dedupe import SAME_BODY_S, Duplicates
from flowrunner.triggers.hook_cases import Hook

MOST_RECALLED = 5_000
"""Bodies that are read, the newest: a start shall not wait for those of a storm for long."""

MOST_RECALLED_BYTES = 256 * 1024**2
"""What they may have together; no more are read then."""

_PAGE = 100
_NEWEST = 1_000
"""Executions among which the flows are found that have one: most have none of the last minutes."""


async def recall_bodies(
    executions: ExecutionStore,
    duplicates: Duplicates,
    hooks: Mapping[FlowKey, Sequence[Hook]],
    now: datetime,
) -> None:
    """Keeps in mind again what was signed by bodies alone.

    Args:
        executions: Those of the life before.
        duplicates: Keeps bodies in mind.
        hooks: Those in force, of each flow.
        now: Bodies count for some minutes before it.

    Raises:
        StorageError: They cannot be read.
    """
    by_trigger = {
        (flow, hook.trigger.id): hook
        for flow, of_flow in hooks.items()
        for hook in of_flow
        if _is_known_by_its_body(hook)
    }
    if not by_trigger:
        return
    since = now - timedelta(seconds=SAME_BODY_S)
    flows = await _lately_started(executions, {flow for flow, _ in by_trigger}, since)
    found = [
        (execution, hook)
        for flow in sorted(flows)
        async for execution in _latest(executions, flow, since)
        if (hook := by_trigger.get((flow, execution.cause.trigger_id))) is not None
    ]
    found.sort(key=lambda each: each[0].id, reverse=True)
    bodies: list[tuple[str, str, Execution]] = []
    left_bytes = MOST_RECALLED_BYTES
    for execution, hook in found[:MOST_RECALLED]:
        whole = await executions.get(execution.id)
        if whole is not None and whole.cause.payload is not None:
            identity = Duplicates.body_identity(whole.cause.payload)
            bodies.append((hook.label, identity, execution))
            left_bytes -= len(whole.cause.payload)
            if left_bytes < 0:
                break
    for label, identity, execution in reversed(bodies):  # what came first is forgotten first
        left_s = (execution.created_at - since).total_seconds()
        duplicates.remember_body(label, identity, execution.id, left_s)


async def _lately_started(
    executions: ExecutionStore, flows: set[FlowKey], since: datetime
) -> set[FlowKey]:
    """Returns the flows that may have an execution of since then; one question, if it were few."""
    newest = await executions.list(ExecutionQuery(limit=_NEWEST))
    late = {execution.flow for execution in newest if execution.created_at >= since}
    is_all = len(newest) < _NEWEST or newest[-1].created_at < since
    return flows & late if is_all else flows


async def _latest(
    executions: ExecutionStore, flow: FlowKey, since: datetime
) -> AsyncIterator[Execution]:
    """Yields what was created of a flow since then, the newest first, up to `MOST_RECALLED`."""
    before: ExecutionId | None = None
    for _ in range(MOST_RECALLED // _PAGE):
        query = ExecutionQuery(account=flow.account, flow=flow.name, before=before, limit=_PAGE)
        page = await executions.list(query)
        for execution in page:
            if execution.created_at < since:
                return
            yield execution
        if len(page) < _PAGE:
            return
        before = page[-1].id


def _is_known_by_its_body(hook: Hook) -> bool:
    """Whether what a hook's deliveries sign is their body alone."""
    proof = hook.trigger.auth.proof
    return proof.signs_body and not proof.has_time
