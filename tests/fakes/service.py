"""A business without engine and store: it shows what a test puts in and notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flowrunner.errors import FlowError, NotFoundError
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.execution import Failure, ItemCounts
from flowrunner.model.expressions.explain import Came
from flowrunner.model.finding import Finding
from flowrunner.model.flow_events import FlowEvent
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.pause import Pause
from flowrunner.model.states import AttemptState, ExecutionState, NodeState
from flowrunner.model.trace import NodeTrace, Shown, TracedAttempt, TracedExpression
from flowrunner.registry.entry import PassResult, RejectedFile
from flowrunner.service.flow_events import EventPage
from flowrunner.service.traces import TracePage
from flowrunner.service.views import (
    ExecutionView,
    FlowView,
    HealthCheck,
    InputView,
    LastExecution,
    LogChunk,
    LogCursor,
    LogEntry,
    LogPage,
    NodeView,
    Page,
    SourceView,
    StatusView,
    TriggerView,
)
from tests.fakes.ids import sequential_id
from tests.fakes.records import BACKUP, DEFINITION, NOON, REVISION, make_attempt, make_execution

SECRET_INPUT = "only for the eyes of those with full rights"

FINDING = Finding(
    file="backup.yaml",
    line=7,
    column=3,
    code="FR101",
    pointer="/nodes/0",
    message="unknown key 'rnu'",
    hint="did you mean 'run'?",
    excerpt="  rnu: true",
)

SCHEDULES_PAUSED = Pause(at=NOON, reason="moving", uid=1_000, until=NOON + timedelta(hours=1))

READY = Condition(
    type=ConditionType.READY,
    status=Status.TRUE,
    reason=ConditionReason.READY,
    message="",
    last_transition_at=NOON,
)

SOURCE_READY = replace(
    READY, type=ConditionType.SOURCE_READY, reason=ConditionReason.SOURCE_READ, message="read"
)

PASS = PassResult(
    trigger="command",
    result="applied",
    revision=REVISION,
    started_at=NOON,
    duration_s=0.25,
    added=1,
)

EVENT = FlowEvent(
    flow=BACKUP,
    number=7,
    at=NOON,
    type="Ready",
    status=Status.FALSE,
    reason="SecretMissing",
    message="this host has no secret TOKEN",
    revision=REVISION,
    generation=2,
)

UNAUTHORIZED = DeliveryAnswer(
    status=401, result="unauthorized", hook="_unknown", problem="no", code="auth.invalid"
)


def make_flow_view(key: FlowKey = BACKUP) -> FlowView:
    """A ready flow with a schedule and a hook."""
    return FlowView(
        key=key,
        description="Copies the database.",
        labels={"team": "data"},
        path=f"{key.name}.yaml",
        revision=REVISION,
        digest=Digest("sha256:00"),
        generation=2,
        observed_generation=1,
        conditions=(READY,),
        inputs=(
            InputView(name="target", type="string", required=True, description="The host."),
            InputView(name="level", type="integer", required=False, default=3),
        ),
        triggers=(
            TriggerView(
                id="nightly", type="schedule", next_slot_at=NOON, cron="0 12 * * *", timezone="UTC"
            ),
            TriggerView(id="push", type="webhook", path="backup/push"),
        ),
        last_execution=LastExecution(
            id=sequential_id(1), state=ExecutionState.SUCCEEDED, ended_at=NOON
        ),
        findings=(FINDING,),
    )


def make_execution_view(number: int = 1) -> ExecutionView:
    """A failed execution with data in every place that can hold some."""
    failure = Failure(code="exit_code", message="exit 2", details={"stderr": SECRET_INPUT})
    execution = replace(
        make_execution(number, state=ExecutionState.FAILED, slot_at=NOON),
        inputs={"target": SECRET_INPUT},
        outputs={"target": SECRET_INPUT},
        error=failure,
    )
    node = NodeView(
        id="dump",
        type="shell",
        state=NodeState.FAILED,
        reason="exit_code",
        attempts=(make_attempt(execution.id, state=AttemptState.FAILED),),
        items=ItemCounts(total=1, failed=1),
        outputs={"rows": SECRET_INPUT},
        error=failure,
    )
    return ExecutionView(execution=execution, nodes=(node,))


def make_trace_page(view: ExecutionView) -> TracePage:
    """A page with one node, in which data is in every place that can hold some."""
    shown = Shown(value=SECRET_INPUT)
    told = TracedExpression(text="inputs.target", came=Came.EVALUATED, value=shown)
    node = NodeTrace(
        id="dump",
        type="shell",
        is_final_part=False,
        state=NodeState.FAILED,
        reason="exit_code",
        needs=(),
        ended_as=1,
        condition=told,
        params={"script": shown},
        env={"TARGET": shown},
        stdin=shown,
        attempts=(TracedAttempt(attempt=view.nodes[0].attempts[0], retry_if=told),),
        outputs=shown,
        error=view.nodes[0].error,
    )
    return TracePage(execution=view.execution, nodes=(node,))


def make_log_page(*texts: str, is_complete: bool = False) -> LogPage:
    """What the first attempt of one node printed."""
    lines = tuple(LogEntry(at=NOON, stream="stdout", text=text) for text in texts)
    chunks = (LogChunk(node="dump", attempt=1, lines=lines),) if lines else ()
    read = sum(map(len, texts))
    return LogPage(
        chunks=chunks, cursor=LogCursor(offsets={"dump.1.log": read}), is_complete=is_complete
    )


class FakeService:
    """Meets `flowrunner.web.app.Service`.

    Attributes:
        known: The flows.
        seen: The executions, newest first.
        log_pages: Handed out one after the other, then an empty one.
        checks: What the readiness is.
        delivery_answer: The answer to every delivery.
        failure: Raised by the next call of any method but `deliver`.
        calls: Name of each method that was called, with its arguments.
    """

    def __init__(self) -> None:
        self.known = [make_flow_view()]
        self.seen = [make_execution_view()]
        self.log_pages = [make_log_page("hello"), make_log_page("bye")]
        self.checks: tuple[HealthCheck, ...] = (HealthCheck(name="store", status="ok"),)
        self.delivery_answer = UNAUTHORIZED
        self.failure: Exception | None = None
        self.deliveries: list[Delivery] = []
        self.refusals: list[tuple[Delivery, int, DeliveryReason]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def flows(
        self, sees: Callable[[str], bool], *, after: FlowKey | None, limit: int
    ) -> list[FlowView]:
        self._called("flows", after=after, limit=limit)
        behind = (view for view in self.known if after is None or view.key > after)
        return [view for view in behind if sees(view.key.account)][:limit]

    def flow(self, key: FlowKey) -> FlowView:
        self._called("flow", key=key)
        return self._known(key)

    def _known(self, key: FlowKey) -> FlowView:
        found = [view for view in self.known if view.key == key]
        if not found:
            others = [view.key.account for view in self.known if view.key.name == key.name]
            raise NotFoundError(f"there is no flow {key}; but in {others}")
        return found[0]

    def definition(self, key: FlowKey) -> Mapping[str, Json]:
        self.flow(key)
        return DEFINITION

    async def flow_events(self, key: FlowKey, *, before: int | None, limit: int) -> EventPage:
        self._called("flow_events", key=key, before=before, limit=limit)
        self._known(key)
        return EventPage((EVENT,), before=EVENT.number)

    async def executions(
        self,
        *,
        account: str | None = None,
        flow: str | None = None,
        states: tuple[ExecutionState, ...] = (),
        before: ExecutionId | None = None,
        limit: int = 100,
        with_inputs: bool = True,
    ) -> Page:
        self._called(
            "executions",
            account=account,
            flow=flow,
            states=states,
            before=before,
            limit=limit,
            with_inputs=with_inputs,
        )
        found = [
            view
            for view in self.seen
            if account in (None, view.execution.flow.account)
            and (before is None or view.execution.id < before)
        ]
        items = tuple(found[:limit])
        more = len(found) > limit
        return Page(items=items, next_cursor=items[-1].execution.id if more else None)

    async def execution(self, execution_id: str) -> ExecutionView:
        self._called("execution", execution_id=execution_id)
        return self._find(execution_id)

    async def trace(self, execution_id: str, *, after: str | None, limit: int) -> TracePage:
        self._called("trace", execution_id=execution_id, after=after, limit=limit)
        return make_trace_page(self._find(execution_id))

    async def logs(
        self,
        execution_id: str,
        *,
        node: str | None = None,
        item: int | None = None,
        cursor: LogCursor | None = None,
        wait_s: float = 0.0,
    ) -> LogPage:
        more: dict[str, Json] = {"wait_s": wait_s} if wait_s else {}
        if item is not None:
            more["item"] = item
        self._called("logs", node=node, cursor=cursor, **more)
        self._find(execution_id)
        return self.log_pages.pop(0) if self.log_pages else make_log_page()

    async def start(
        self,
        key: FlowKey,
        inputs: Mapping[str, Json],
        *,
        as_text: bool = False,
        force: bool = False,
    ) -> ExecutionId:
        self._called("start", key=key, inputs=inputs, as_text=as_text, force=force)
        return self.seen[0].execution.id

    async def pause(
        self, key: FlowKey, *, reason: str = "", until: datetime | None = None, uid: int | None
    ) -> FlowView:
        self._called("pause", key=key, reason=reason, until=until, uid=uid)
        return self._known(key)

    async def resume(self, key: FlowKey) -> FlowView:
        self._called("resume", key=key)
        return self._known(key)

    async def cancel(
        self, execution_id: str, *, only_queued: bool = False, force: bool = False
    ) -> None:
        self._called("cancel", execution_id=execution_id, only_queued=only_queued, force=force)
        self._find(execution_id)

    async def cancel_queued(self, key: FlowKey) -> tuple[ExecutionId, ...]:
        self._called("cancel_queued", key=key)
        return tuple(view.execution.id for view in self.seen)

    async def retry(
        self, execution_id: str, *, force: bool = False, from_node: str | None = None
    ) -> ExecutionId:
        self._called("retry", execution_id=execution_id, force=force, from_node=from_node)
        return self._find(execution_id).execution.id

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        self.deliveries.append(delivery)
        return self.delivery_answer

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        self.refusals.append((delivery, status, reason))

    async def reconcile(self) -> PassResult:
        self._called("reconcile")
        return PASS

    async def allow_prune(self, revision: str) -> PassResult:
        self._called("allow_prune", revision=revision)
        return PASS

    def reconcile_soon(self) -> None:
        self._called("reconcile_soon")

    async def ignore_lock(self) -> None:
        self._called("ignore_lock")

    async def backup(self, target: str | None) -> str:
        self._called("backup", target=target)
        return target or "/state/backup/flowrunner-1.db"

    async def acknowledge_restored(self) -> None:
        self._called("acknowledge_restored")

    def source(self) -> SourceView:
        self._called("source")
        return SourceView(
            revision=Revision(REVISION),
            conditions=(SOURCE_READY,),
            last_pass=PASS,
            rejected=(RejectedFile(path="broken.yaml", findings=(FINDING,)),),
        )

    async def readiness(self) -> tuple[HealthCheck, ...]:
        self._called("readiness")
        return self.checks

    async def status(self) -> StatusView:
        return StatusView(
            version="0.1.0",
            started_at=NOON,
            source=self.source(),
            flows=2,
            flows_ready=1,
            executions_running=1,
            executions_queued=0,
            checks=self.checks,
            is_observing=True,
            schedules_paused=SCHEDULES_PAUSED,
        )

    def _called(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def _find(self, execution_id: str) -> ExecutionView:
        found = [view for view in self.seen if view.execution.id == execution_id]
        if not found:
            raise NotFoundError(f"there is no execution {execution_id}")
        return found[0]


def failing_service(error: FlowError | Exception) -> FakeService:
    """A service whose first call raises."""
    service = FakeService()
    service.failure = error
    return service
