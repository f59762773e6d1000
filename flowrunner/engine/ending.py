"""How an execution ends: by its nodes, or on paper when they cannot be carried on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from flowrunner.engine.runtime import EngineServices, ExecutionRuntime
from flowrunner.model.execution import Attempt, Execution, Failure, NodeStatus
from flowrunner.model.flow import FlowSpec
from flowrunner.model.quantities import render_duration
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, Reason


def end_by_nodes(
    runtime: ExecutionRuntime,
    nodes: Iterable[NodeStatus],
    finals: Iterable[NodeStatus],
    at: datetime,
) -> Execution:
    """Returns an execution in the final state that its nodes decide; all of them are final.

    They come in the order in which they ended: the first failure without `continue_on_error` is
    the execution's error. Those of `finally` can only take a success away.
    """
    end = partial(replace, runtime.execution, ended_at=at)
    for part in (tuple(nodes), tuple(finals)):
        found = _cut(runtime, end, part) or _failed(runtime, end, part)
        if found is not None:
            return found
    return end(state=ExecutionState.SUCCEEDED, reason="")


def _cut(
    runtime: ExecutionRuntime, end: Callable[..., Execution], part: Sequence[NodeStatus]
) -> Execution | None:
    """Returns the end of an execution a part of which was ended early, or None."""
    cut = next((status for status in part if status.state is NodeState.CANCELLED), None)
    if cut is None:
        return None
    bounds = {
        Reason.TIMEOUT: ("its timeout", runtime.timeout_s),
        Reason.FINALLY_TIMEOUT: ("the finally_timeout", runtime.spec.finally_timeout_s),
    }
    if cut.reason not in bounds:
        return end(state=ExecutionState.CANCELLED, reason=cut.reason)
    name, bound_s = bounds[Reason(cut.reason)]
    text = f"took longer than {name} of {render_duration(bound_s)}"
    failure = Failure(code=cut.reason, message=text)
    return end(state=ExecutionState.TIMED_OUT, reason=cut.reason, error=failure)


def _failed(
    runtime: ExecutionRuntime, end: Callable[..., Execution], part: Sequence[NodeStatus]
) -> Execution | None:
    """Returns the end of an execution a node of which failed, or None."""
    tolerated = {node.id for node in runtime.spec.all_nodes if node.continue_on_error}
    failures = (status for status in part if status.state.is_failure)
    first = next((status for status in failures if status.node not in tolerated), None)
    if first is None:
        return None
    cause = first.error or Failure(code=first.reason, message=first.reason)
    failure = replace(
        cause,
        message=f"node {first.node}: {cause.message}",
        details={**cause.details, "node": first.node},
    )
    return end(state=ExecutionState.FAILED, reason=first.reason, error=failure)


async def fail_on_paper(
    services: EngineServices, execution: Execution, spec: FlowSpec | None, failure: Failure
) -> Execution:
    """Journals an execution as failed with all its nodes, and returns it so; runs nothing.

    An attempt that never ended has failed, with its node; a node that never came to be is
    cancelled: the code of `failure` is the reason of all of them. Without a spec only the nodes
    that had begun are known.

    Raises:
        StorageError: The journal cannot be read or written.
    """
    journal, now = services.journal, services.clock.now()
    settled = {status.node for status in await journal.nodes(execution.id)}
    writes: list[asyncio.Future[None]] = []
    for attempt in await journal.attempts(execution.id):
        if attempt.state is AttemptState.RUNNING:
            ended = replace(
                attempt,
                state=AttemptState.FAILED,
                reason=failure.code,
                error=failure,
                ended_at=now,
            )
            writes.append(journal.finish(ended, _node_of(ended)))
            settled.add(attempt.key.node)
    missing = [
        NodeStatus(
            execution=execution.id,
            node=node.id,
            state=NodeState.CANCELLED,
            reason=failure.code,
            ended_at=now,
        )
        for node in (spec.all_nodes if spec else ())
        if node.id not in settled
    ]
    if missing:
        writes.append(journal.settle(missing))
    failed = replace(
        execution, state=ExecutionState.FAILED, reason=failure.code, error=failure, ended_at=now
    )
    await asyncio.gather(*writes, services.keep(failed))
    return failed


def _node_of(attempt: Attempt) -> NodeStatus:
    return NodeStatus(
        execution=attempt.key.execution,
        node=attempt.key.node,
        state=NodeState.FAILED,
        reason=attempt.reason,
        error=attempt.error,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
    )
