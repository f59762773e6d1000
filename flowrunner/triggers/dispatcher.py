"""From a trigger to the engine: may the flow start, do `if` and `inputs` hold, then submit.

Every kind of start passes through here, so that all are judged by the same rules. What became
of a slot or a delivery is for its own module to record.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from flowrunner.dataclass import dataclass
from flowrunner.engine.engine import Engine
from flowrunner.engine.requests import StartRequest
from flowrunner.engine.scope import (
    ContextScope,
    Once,
    flow_contexts,
    resolve,
    times_context,
    trigger_context,
)
from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.accounts import NO_ACCOUNTS, AccountMap
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import Cause, Execution, FormerKey, Parent, ScheduleKey
from flowrunner.model.expressions import Template, truth, why_null
from flowrunner.model.flow import FlowSpec, Trigger
from flowrunner.model.ids import ExecutionId, FlowKey, Json, Revision
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.model.states import Reason
from flowrunner.model.values import convert_text, problem_with
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.protocols import Submitted
from flowrunner.system.ids import IdSource

_NO_REASONS: Mapping[str, str] = MappingProxyType({})
"""Nothing is said of inputs that are null."""

_MOST_NAMES = 20
"""Inputs that a message lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start asked for by a trigger; all but the cause and inputs as the engine takes them."""

    cause: Cause
    inputs: Mapping[str, Json]
    start_key: str | None = None
    former: FormerKey | None = None
    cursor: ScheduleKey | None = None
    judged_at: datetime | None = None
    is_forced: bool = False
    parent: Parent | None = None
    marks: MarkChange = NO_MARKS
    delivery: DeliveryRecord | None = None


class Dispatcher:
    """Submits starts of flows in force.

    `gate` raises `RefusedError` while this host takes no start of any flow; `accounts` says who may
    use which node types.
    """

    def __init__(
        self,
        registry: FlowRegistry,
        engine: Engine,
        ids: IdSource,
        gate: Callable[[], None] = lambda: None,
        accounts: AccountMap = NO_ACCOUNTS,
    ) -> None:
        self._registry = registry
        self._engine = engine
        self._ids = ids
        self._gate = gate
        self._accounts = accounts

    @property
    def is_crowded(self) -> bool:
        """Whether those who wait for a place of the host keep all places busy for a while."""
        return self._engine.is_crowded

    def startable(self, entry: FlowEntry, *, is_forced: bool = False) -> FlowSpec:
        """Returns the version in force of a flow that may start now.

        Raises:
            RefusedError: ``not_ready``; ``other_host``; ``suspended`` or ``paused`` unless it is
                forced; or what the host's gate says (``disk``).
        """
        spec = ready_spec(entry)
        labels = self._registry.lacking_labels(spec)
        if labels:
            text = (
                f"flow {entry.key} runs on other hosts: this one has no label {', '.join(labels)}"
            )
            raise RefusedError(text, code="other_host")
        hold = self._registry.hold_of(entry.key)
        if hold is not None and not is_forced:
            raise RefusedError(f"flow {entry.key} is {hold}", code=str(hold))
        self._gate()
        return spec

    def judged(self, entry: FlowEntry) -> FlowSpec:
        """Does as `startable`, but does not say ``observe``: of that `submit` speaks, as the last.

        So a daemon that only observes says it of nothing but what would have started.
        """
        try:
            return self.startable(entry)
        except RefusedError as error:
            if error.code != Reason.OBSERVE:
                raise
            return ready_spec(entry)

    def require_types(self, spec: FlowSpec) -> None:
        """Refuses an earlier version of a flow whose node types its account may not use any more.

        Raises:
            RefusedError: ``not_ready``.
        """
        account = spec.key.account
        refused = self._accounts.refused_types(account, spec.node_types)
        if refused:
            text = f"account {account} may not use the node type {', '.join(refused)} any more"
            raise RefusedError(text, code="not_ready")

    def is_here(self, entry: FlowEntry) -> bool:
        """Whether the version in force of a flow runs on this host."""
        return not self._registry.lacking_labels(entry.spec)

    def revision_of(self, entry: FlowEntry) -> Revision:
        """Returns the revision of an execution of a flow that is created now."""
        return self._registry.revision_of(entry)

    def started_by(self, flow: FlowKey, trigger_id: str) -> int:
        """Returns how many executions of a trigger of a flow wait or are under way."""
        return self._engine.started_by(flow, trigger_id)

    def submit(self, entry: FlowEntry, start: Start) -> Coroutine[Any, Any, Submitted]:
        """Submits a start with inputs that fit already.

        Raises:
            RefusedError: ``not_ready``, ``other_host``, ``suspended``, ``paused`` (unless it is
                forced), ``disk``, ``draining``, ``concurrency``, ``queue_full`` or
                ``concurrency_deadlock``.
            ValidationError: ``input.group``.
            StorageError: Nothing was accepted.
        """
        spec = self.startable(entry, is_forced=start.is_forced)
        delivery = start.delivery
        execution_id = (delivery and delivery.execution) or self._ids.execution_id()
        return self._engine.submit(
            StartRequest(
                id=execution_id,
                spec=spec,
                definition=entry.definition,
                revision=self._registry.revision_of(entry),
                cause=start.cause,
                inputs=dict(start.inputs),
                start_key=start.start_key,
                former=start.former,
                cursor=start.cursor,
                judged_at=start.judged_at,
                is_forced=start.is_forced,
                parent=start.parent,
                marks=start.marks,
                delivery=delivery,
            )
        )

    async def end_of(self, execution_id: ExecutionId, timeout_s: float) -> Execution | None:
        """Returns an execution once it has ended; None when it has not within so many seconds.

        Raises:
            StorageError: It cannot be read.
        """
        return await self._engine.ends.within(execution_id, timeout_s)

    async def start_by_hand(
        self, key: FlowKey, inputs: Mapping[str, Json], *, as_text: bool, force: bool = False
    ) -> ExecutionId:
        """Starts a flow by hand.

        Args:
            key: The flow.
            inputs: Those that are given.
            as_text: Converts them by their types first.
            force: Starts it even while it is suspended or paused.

        Raises:
            NotFoundError: There is no such flow.
            ValidationError: ``input.*``.
            RefusedError: As `submit`.
            StorageError: Nothing was accepted.
        """
        entry = self._registry.require(key)
        spec = self.startable(entry, is_forced=force)
        values = typed_inputs(spec, inputs) if as_text else inputs
        cause = Cause(trigger_id="manual", trigger_type="manual")
        start = Start(cause=cause, inputs=complete_inputs(spec, values), is_forced=force)
        return (await self.submit(entry, start)).id


def refuse_all() -> None:
    """Refuses every start: the gate of a daemon that only observes; raises `RefusedError`."""
    raise RefusedError("this daemon only observes (serve --observe)", code=str(Reason.OBSERVE))


def ready_spec(entry: FlowEntry) -> FlowSpec:
    """Returns the version in force of a flow that may start.

    Raises:
        RefusedError: ``not_ready`` with the reason.
    """
    if entry.spec is None:
        raise RefusedError(f"flow {entry.key} has no valid definition yet", code="not_ready")
    if entry.bar is not None:
        raise RefusedError(f"flow {entry.key}: {entry.bar.message}", code="not_ready")
    if entry.missing_secrets:
        names = ", ".join(entry.missing_secrets)
        raise RefusedError(f"flow {entry.key} lacks the secret {names}", code="not_ready")
    if entry.refused_user:
        raise RefusedError(f"flow {entry.key}: {entry.refused_user}", code="not_ready")
    return entry.spec


def trigger_scope(
    spec: FlowSpec, cause: Cause, moment: datetime, body: Json = None
) -> ContextScope:
    """Returns what `if`, `inputs` and `dedupe.key` of a trigger see.

    Args:
        spec: The flow.
        cause: What asks for it.
        moment: Their `now()`.
        body: That of a delivery, as it was read.
    """
    contexts: dict[str, Json] = {
        **flow_contexts(spec),
        "trigger": Once(lambda: trigger_context(cause, body)),
        "execution": Once(lambda: times_context(cause, spec, moment)),
    }
    return ContextScope(contexts, lambda name: name in ("success", "always"), moment)


def wants_start(trigger: Trigger, scope: ContextScope) -> bool:
    """Whether the trigger's `if` holds; without one it always does.

    Raises:
        ExecutionError: ``expression``.
    """
    return trigger.condition is None or truth(trigger.condition.evaluate(scope))


def trigger_inputs(spec: FlowSpec, trigger: Trigger, scope: ContextScope) -> dict[str, Json]:
    """Returns the complete inputs that a trigger brings.

    Raises:
        ExecutionError: ``expression``.
        ValidationError: ``input.*``.
    """
    if not (trigger.inputs or spec.inputs):
        return {}
    values = {name: resolve(value, scope) for name, value in trigger.inputs.items()}
    nulls = {
        name: _why_null(trigger.inputs[name], scope) for name in values if values[name] is None
    }
    return complete_inputs(spec, values, nulls)


def _why_null(value: object, scope: ContextScope) -> str:
    """Returns what is missing in a value that came to null; empty where nothing is."""
    expression = value.sole_expression if isinstance(value, Template) else None
    return why_null(expression, scope) if expression is not None else ""


def complete_inputs(
    spec: FlowSpec, given: Mapping[str, Json], nulls: Mapping[str, str] = _NO_REASONS
) -> dict[str, Json]:
    """Returns the inputs of an execution: those given, and the defaults of the others.

    Args:
        spec: The flow.
        given: Those that are given.
        nulls: Why some of them are null, as far as there is more to say.

    Raises:
        ValidationError: ``input.invalid`` with a finding per input that is unknown, missing or
            does not fit.
    """
    problems = {name: _unknown(spec) for name in given if name not in spec.inputs}
    values: dict[str, Json] = {}
    for name, declared in spec.inputs.items():
        if name in given:
            problem = problem_with(given[name], declared)
            if problem and nulls.get(name):
                problem = f"{problem}: {nulls[name]}"
            values[name] = given[name]
        else:
            problem = "is required" if declared.required else None
            values[name] = declared.default
        if problem:
            problems[name] = problem
    if problems:
        text = "; ".join(f"input {name!r} {problem}" for name, problem in problems.items())
        findings = [{"input": name, "message": text} for name, text in problems.items()]
        raise ValidationError(text, code="input.invalid", findings=findings)
    return values


def typed_inputs(spec: FlowSpec, given: Mapping[str, Json]) -> dict[str, Json]:
    """Returns inputs with every text converted to the type that the flow declares for it.

    Raises:
        ValidationError: ``input.invalid``: one means nothing of its type.
    """
    return {name: _as_typed(spec, name, value) for name, value in given.items()}


def _unknown(spec: FlowSpec) -> str:
    """Returns what is wrong with an input that the flow does not have, and what it has."""
    names = list(spec.inputs)
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    return f"is not an input of this flow ({f'inputs: {shown}' if names else 'it has none'})"


def _as_typed(spec: FlowSpec, name: str, value: Json) -> Json:
    declared = spec.inputs.get(name)
    if declared is None or not isinstance(value, str):
        return value
    try:
        return convert_text(value, declared.type)
    except ValidationError as error:
        message = f"input {name!r} {error.message}"
        raise ValidationError(message, code="input.invalid") from error
