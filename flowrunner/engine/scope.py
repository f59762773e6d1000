"""What expressions see: the contexts of the flow format, filled for one place and moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from flowrunner.model.body import CONTENT, body_value
from flowrunner.model.execution import CALLING_FLOW, FILE_PATH, Cause, Execution, NodeStatus
from flowrunner.model.expressions import Condition, Template
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json
from flowrunner.model.schedule import CronSchedule
from flowrunner.model.states import NodeState
from flowrunner.nodes.context import Directories
from flowrunner.nodes.environment import HostFacts


class ContextScope:
    """A scope over given contexts; status functions are answered by a callable.

    A context may be given as a callable, which is asked whenever it is looked up. `moment` is
    what `now()` stands for in all that is evaluated over this scope.
    """

    def __init__(
        self,
        contexts: Mapping[str, Json | Callable[[], Json]],
        status: Callable[[str], bool],
        moment: datetime,
    ) -> None:
        self._contexts = contexts
        self._status = status
        self._moment = moment

    def with_context(self, name: str, value: Json) -> ContextScope:
        """Returns the same scope with one context more."""
        return ContextScope({**self._contexts, name: value}, self._status, self._moment)

    def with_item(self, item: Json, index: int) -> ContextScope:
        """Returns the same scope for one item of a `foreach`."""
        contexts = {**self._contexts, "item": item, "index": index}
        return ContextScope(contexts, self._status, self._moment)

    def lookup(self, name: str) -> Json:
        """Returns a context by its root name; null for one that is not offered here."""
        value = self._contexts.get(name)
        return value() if callable(value) else value

    def status(self, name: str) -> bool:
        """Answers `success()`, `failure()`, `always()`, `cancelled()` or `skipped()`."""
        return self._status(name)

    def now(self) -> datetime:
        """Returns the moment that the scope was made for."""
        return self._moment


class Once:
    """A context that is made when somebody first asks for it; most executions ask for none."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Json]) -> None:
        self._make: Callable[[], Json] | None = make
        self._made: Json = None

    def __call__(self) -> Json:
        """Returns the same value each time."""
        if self._make is not None:
            self._made, self._make = self._make(), None
        return self._made


def flow_contexts(spec: FlowSpec) -> dict[str, Json]:
    """Returns the contexts that depend on the flow alone; `env` has its literal values."""
    return {"vars": spec.vars, "env": Once(lambda: _env(spec)), "flow": Once(lambda: _flow(spec))}


def _env(spec: FlowSpec) -> dict[str, Json]:
    return {name: value for name, value in spec.env.items() if isinstance(value, str)}


def _flow(spec: FlowSpec) -> dict[str, Json]:
    return {
        "name": spec.key.name,
        "account": spec.key.account,
        "labels": dict(spec.labels),
    }


def execution_contexts(
    execution: Execution,
    spec: FlowSpec,
    directories: Directories,
    host: HostFacts,
    nodes: Mapping[str, Json],
) -> dict[str, Json]:
    """Returns every context but `secrets`; a body is parsed when somebody first asks for it."""
    return {
        **flow_contexts(spec),
        "inputs": execution.inputs,
        "trigger": Once(lambda: trigger_context(execution.cause, body_of(execution.cause))),
        "execution": Once(lambda: execution_context(execution, spec, directories)),
        "host": {"name": host.name, "labels": list(host.labels), "facts": host.facts},
        "nodes": nodes,
    }


def body_of(cause: Cause) -> Json:
    """Returns the body of a delivery, which was checked before it became a cause."""
    return body_value(cause.payload, cause.context.get(CONTENT))


def trigger_context(cause: Cause, body: Json) -> dict[str, Json]:
    """Returns what `trigger` is for a cause, with its body as it was read."""
    return {
        "id": cause.trigger_id,
        "type": cause.trigger_type,
        "headers": cause.context.get("headers", {}),
        "query": cause.context.get("query", {}),
        "flow": cause.context.get(CALLING_FLOW),
        "path": cause.context.get(FILE_PATH),
        "body": body,
    }


def execution_context(
    execution: Execution, spec: FlowSpec, directories: Directories
) -> dict[str, Json]:
    """Returns what `execution` is; times are RFC 3339, the date is that in the trigger's zone."""
    return {
        "id": execution.id,
        "revision": execution.revision,
        "retry_of": execution.retry_of,
        **times_context(execution.cause, spec, execution.created_at),
        "work_dir": str(directories.work),
        "flow_dir": str(directories.flow),
    }


def times_context(cause: Cause, spec: FlowSpec, created_at: datetime) -> dict[str, Json]:
    """Returns what is known of `execution` before there is one."""
    slot_at = cause.slot_at
    return {
        "slot_at": None if slot_at is None else slot_at.isoformat(),
        "slot_date": None if slot_at is None else _slot_date(slot_at, cause, spec),
        "created_at": created_at.isoformat(),
    }


def _slot_date(slot_at: datetime, cause: Cause, spec: FlowSpec) -> str:
    """Returns the date of a slot in the zone of its schedule; one without a zone is in UTC."""
    found = (each for each in spec.schedules if each.id == cause.declared_trigger)
    schedule = next((each.schedule for each in found), None)
    zone = ZoneInfo(schedule.timezone) if isinstance(schedule, CronSchedule) else UTC
    return slot_at.astimezone(zone).date().isoformat()


def node_context(status: NodeStatus, exit_code: int | None) -> dict[str, Json]:
    """Returns what `nodes.<id>` is; outputs of anything but a success are null.

    Those of a node with items are a list whatever became of it, null for what did not succeed.
    A node that was cancelled has no exit code, whatever those attempts had that ended before.
    """
    error = status.error
    is_told = status.state is NodeState.SUCCEEDED or isinstance(status.outputs, list)
    return {
        "state": str(status.state),
        "exit_code": None if status.state is NodeState.CANCELLED else exit_code,
        "outputs": status.outputs if is_told else None,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "duration_s": _duration_s(status.started_at, status.ended_at),
    }


def _duration_s(started_at: datetime | None, ended_at: datetime | None) -> float | None:
    if started_at is None or ended_at is None:
        return None
    return (ended_at - started_at).total_seconds()


def resolve(value: Json, scope: ContextScope) -> Json:
    """Returns a value with every template in it evaluated, at any depth.

    In the place of a condition stands a call that tells its truth.

    Raises:
        ExecutionError: ``expression`` when one cannot be evaluated.
    """
    if isinstance(value, Template):
        return value.evaluate(scope)
    if isinstance(value, Condition):
        return partial(value.holds, scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, scope) for item in value]
    return value
