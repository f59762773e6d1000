"""What the daemon answers, made by the code that makes it there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowrunner.model.conditions import ConditionReason, Status
from flowrunner.model.execution import ItemCounts
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.model.pause import Pause
from flowrunner.model.states import AttemptState
from flowrunner.registry.entry import RejectedFile
from flowrunner.service.views import (
    HealthCheck,
    LogChunk,
    LogEntry,
    LogPage,
    SourceView,
    StatusView,
)
from flowrunner.web.status_wire import status_json
from flowrunner.web.wire import (
    execution_json,
    flow_json,
    log_page_json,
    page_json,
    pass_json,
    source_json,
)
from tests.fakes.records import NOON, REVISION, make_attempt, minutes
from tests.fakes.service import (
    FINDING,
    PASS,
    READY,
    SOURCE_READY,
    make_execution_view,
    make_flow_view,
    make_log_page,
)

BROKEN = RejectedFile(path="broken.yaml", findings=(replace(FINDING, file="broken.yaml"),))
EXECUTION_ID = make_execution_view().execution.id


def flow(*, findings: tuple[Finding, ...] = (), **more: Any) -> dict[str, Any]:
    """A ready flow without findings."""
    view = replace(make_flow_view(), findings=findings, **more)
    return dict(flow_json(view, redacted=False))


def invalid_flow() -> dict[str, Any]:
    """A flow of another account whose new version has a finding."""
    condition = replace(
        READY, status=Status.FALSE, reason=ConditionReason.INVALID_NEW_VERSION, message="see below"
    )
    view = make_flow_view(FlowKey("ops", "deploy"))
    return dict(
        flow_json(
            replace(
                view,
                conditions=(condition,),
                findings=(replace(FINDING, file="deploy.yaml"),),
                triggers=(),
                last_execution=None,
                revision=Revision(f"{REVISION}-dirty"),
                inputs=(),
            ),
            redacted=False,
        )
    )


def flow_below_broken() -> dict[str, Any]:
    """A flow that is kept out by a file that is rejected."""
    condition = replace(
        READY,
        status=Status.FALSE,
        reason=ConditionReason.DEFAULTS_INVALID,
        message="broken.yaml:7:3: FR101",
    )
    return flow(findings=BROKEN.findings, conditions=(condition,))


def lacking_flow() -> dict[str, Any]:
    """A valid flow that lacks a secret."""
    condition = replace(
        READY,
        status=Status.FALSE,
        reason=ConditionReason.SECRET_MISSING,
        message="the secret DEPLOY is not on this host",
    )
    return flow(conditions=(condition,))


def source(*, rejected: bool = False, missing: bool = False) -> dict[str, Any]:
    """The source after a pass."""
    condition = replace(
        SOURCE_READY,
        status=Status.FALSE,
        reason=ConditionReason.SOURCE_MISSING,
        message="there is no folder /srv/flows",
    )
    view = SourceView(
        revision=REVISION,
        conditions=(condition if missing else SOURCE_READY,),
        last_pass=PASS,
        rejected=(BROKEN,) if rejected else (),
    )
    return dict(source_json(view))


def execution(**more: Any) -> dict[str, Any]:
    """A failed execution with one node and two attempts."""
    view = make_execution_view()
    attempts = tuple(
        replace(make_attempt(view.execution.id, number=number), ended_at=minutes(1), exit_code=2)
        for number in (1, 2)
    )
    nodes = tuple(replace(node, attempts=attempts, outputs=None) for node in view.nodes)
    times = {"started_at": minutes(1), "ended_at": minutes(2)}
    record = replace(view.execution, reason="exit_code", **{**times, **more})
    return dict(execution_json(replace(view, execution=record, nodes=nodes), redacted=False))


def execution_with_items(total: int, *, failed: int) -> dict[str, Any]:
    """A failed execution with a node of so many items, the last of which failed."""
    view = make_execution_view()
    states = [AttemptState.SUCCEEDED] * (total - failed) + [AttemptState.FAILED] * failed
    attempts = tuple(
        make_attempt(view.execution.id, item_index=index, state=state)
        for index, state in enumerate(states)
    )
    counts = ItemCounts(total=total, succeeded=total - failed, failed=failed)
    nodes = tuple(
        replace(node, attempts=attempts, items=counts, outputs=[{}] * total) for node in view.nodes
    )
    return dict(execution_json(replace(view, nodes=nodes), redacted=False))


def page(*items: Any, next_cursor: str | None = None) -> dict[str, Any]:
    """A page of a list."""
    return dict(page_json(items, next_cursor))


def log_page(*texts: str, is_complete: bool = False) -> dict[str, Any]:
    """What the node `dump` printed at noon."""
    return dict(log_page_json(make_log_page(*texts, is_complete=is_complete)))


def parallel_log_page() -> dict[str, Any]:
    """Two nodes that printed in turns."""

    def chunk(node: str, *seconds: float) -> LogChunk:
        lines = (
            LogEntry(at=minutes(0).replace(microsecond=int(s * 1e6)), stream="stderr", text=f"{s}")
            for s in seconds
        )
        return LogChunk(node=node, attempt=1, lines=tuple(lines))

    chunks = (chunk("first", 0, 0.5), chunk("second", 0.25, 0.75))
    return dict(log_page_json(LogPage(chunks=chunks, is_complete=True)))


def reconcile_result(**more: Any) -> dict[str, Any]:
    """How a pass ended."""
    return dict(pass_json(replace(PASS, **more)))


def status(*, is_observing: bool = False, pause: Pause | None = None) -> dict[str, Any]:
    """The daemon at a glance, one check failing."""
    view = StatusView(
        version="0.1.0",
        started_at=NOON,
        source=SourceView(
            revision=REVISION, conditions=(SOURCE_READY,), last_pass=PASS, rejected=()
        ),
        flows=2,
        flows_ready=1,
        executions_running=1,
        executions_queued=0,
        checks=(
            HealthCheck(name="source", status="ok"),
            HealthCheck(name="store", status="failed", message="storage.full: no space"),
        ),
        is_observing=is_observing,
        schedules_paused=pause,
    )
    return dict(status_json(view, redacted=False))


def status_of_accounts() -> dict[str, Any]:
    """The daemon with two accounts, one of them idle."""
    accounts = [
        {
            "name": name,
            "flows": 2,
            "flows_ready": 1,
            "executions_running": n,
            "executions_queued": 0,
        }
        for name, n in (("pay", 1), ("web", 0))
    ]
    return {**status(), "accounts": accounts}


def item_log_page() -> dict[str, Any]:
    """What two items of the node `map` printed."""
    chunks = tuple(
        replace(chunk, node="map", item=index)
        for text, index in (("one", 0), ("two", 12))
        for chunk in make_log_page(text).chunks
    )
    return dict(log_page_json(LogPage(chunks=chunks, is_complete=True)))
