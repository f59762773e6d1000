"""The trace of an execution, page by page: what the journal has of it, and what follows from that.

Working it out takes a thread: an execution may have 10,000 nodes, and its expressions may handle
much data. Source: DESIGN 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.engine.engine import Engine
from flowrunner.engine.history import History
from flowrunner.engine.runtime import EngineServices
from flowrunner.engine.tracing.nodes import trace_nodes, trace_on_paper
from flowrunner.engine.tracing.replay import Replay, Subject
from flowrunner.errors import NotFoundError, ValidationError
from flowrunner.model.conditions import ConditionType
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, FlowKey, Json
from flowrunner.model.states import NodeState
from flowrunner.model.trace import NodeTrace
from flowrunner.registry.registry import FlowRegistry

_LOST = Failure(
    code="definition_lost",
    message="the definition of the execution is gone or of no use any more: "
    "only what is journaled is shown",
)
_MOST_IDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionWait:
    """One thing that a queued execution waits for.

    Attributes:
        kind: `suspended`, `paused`, `flow` (it is gone), `host`, `account`, `group` or `turn`.
        executions: The first of those that hold it up, where they are known.
    """

    kind: str
    message: str
    executions: tuple[ExecutionId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePage:
    """Some nodes of an execution, in the order of its definition.

    Attributes:
        waits: What holds up a queued one; empty otherwise.
        problem: Why nothing could be worked out; None if it could.
        next_cursor: The last of these nodes if there are more; None on the last page.
    """

    execution: Execution
    nodes: tuple[NodeTrace, ...]
    waits: tuple[ExecutionWait, ...] = ()
    problem: Failure | None = None
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What was read of an execution."""

    execution: Execution
    history: History
    live: Mapping[str, NodeState] = field(default_factory=dict)
    asked_at: datetime


class TraceReader:
    """Traces executions of this host."""

    def __init__(self, services: EngineServices, engine: Engine, registry: FlowRegistry) -> None:
        self._services = services
        self._engine = engine
        self._registry = registry
        self._one_at_a_time = asyncio.Lock()
        self._last: tuple[tuple[FlowKey, Digest], FlowSpec] | None = None
        self._between_pages: Replay | None = None

    async def page(self, execution_id: ExecutionId, *, after: str | None, limit: int) -> TracePage:
        """Returns the trace of nodes; a page may be shorter than its limit.

        Args:
            execution_id: The execution.
            after: The last node of the page before; None for the first page.
            limit: Of nodes, at least 1.

        Raises:
            NotFoundError: There is no such execution.
            ValidationError: ``request.parameter``: it has no node `after`.
        """
        live = self._engine.live_states(execution_id) or {}
        children = self._engine.children(execution_id) if live else {}
        execution = await self._services.executions.get(execution_id)
        if execution is None:
            raise NotFoundError(f"there is no execution {execution_id[:64]!r}")
        replay = self._between_pages
        if replay is not None and replay.subject.execution == execution:
            async with self._one_at_a_time:
                return await asyncio.to_thread(self._page_of, replay, (), after, limit)
        found = await self._read(execution, live, children)
        definition = await self._services.definitions.get(execution.digest)
        waits = self._waits(execution)
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._page, found, definition, waits, after, limit)

    async def _read(
        self,
        execution: Execution,
        live: Mapping[str, NodeState],
        children: Mapping[AttemptKey, ExecutionId],
    ) -> _Found:
        """Returns what is known; what runs was asked first, so that no end is newer than it."""
        journal = self._services.journal
        history = History(
            nodes=await journal.nodes(execution.id),
            attempts=await journal.attempts(execution.id),
            children=children,
        )
        now = self._services.clock.now()
        return _Found(execution=execution, history=history, live=live, asked_at=now)

    def _page(
        self,
        found: _Found,
        definition: Mapping[str, Json] | None,
        waits: tuple[ExecutionWait, ...],
        after: str | None,
        limit: int,
    ) -> TracePage:
        spec = None if definition is None else self._compiled(found.execution, definition)
        if spec is not None:
            return self._page_of(Replay(self._subject(found, spec)), waits, after, limit)
        names = found.history.names
        begin = _begin(names, after)
        traces = trace_on_paper(found.history, names[begin : begin + limit])
        page = TracePage(execution=found.execution, nodes=tuple(traces), waits=waits, problem=_LOST)
        return replace(page, next_cursor=_cursor(names, begin + len(traces)))

    def _page_of(
        self, replay: Replay, waits: tuple[ExecutionWait, ...], after: str | None, limit: int
    ) -> TracePage:
        """Returns some nodes; what is known of an ended execution is kept for its next page.

        It changes no more, and to read 10,000 nodes for each page gives the collector of garbage
        so much to look through that the loop is held up.
        """
        execution, specs = replay.subject.execution, replay.subject.spec.all_nodes
        names = [node.id for node in specs]
        begin = _begin(names, after)
        traces = trace_nodes(replay, specs[begin : begin + limit])
        cursor = _cursor(names, begin + len(traces))
        has_more = cursor is not None and execution.state.is_final
        self._between_pages = replay if has_more else None
        return TracePage(execution=execution, nodes=tuple(traces), waits=waits, next_cursor=cursor)

    def _compiled(self, execution: Execution, definition: Mapping[str, Json]) -> FlowSpec | None:
        """Returns the spec of a definition; the last one is kept for the next page.

        A thread whose caller has gone may still be at it, so what is kept is read once.
        """
        key, last = (execution.flow, execution.digest), self._last
        if last is not None and last[0] == key:
            return last[1]
        try:
            spec = self._services.compiler.compile_definition(execution.flow, definition)
        except ValidationError:  # a type of its nodes has left this host
            return None
        self._last = (key, spec)
        return spec

    def _subject(self, found: _Found, spec: FlowSpec) -> Subject:
        services = self._services
        return Subject(
            execution=found.execution,
            spec=spec,
            history=found.history,
            directories=services.folders.of_execution(found.execution),
            host=services.host,
            nodes=services.nodes,
            live=found.live,
            asked_at=found.asked_at,
        )

    def _waits(self, execution: Execution) -> tuple[ExecutionWait, ...]:
        """Returns what a queued execution waits for, as it is now."""
        wait = self._engine.wait_of(execution.id)
        if wait is None:
            return ()
        found = [*held_waits(self._registry, execution.flow)] if wait.is_held else []
        if wait.is_host_full:
            text = "as many executions run as this host allows"
            found.append(ExecutionWait(kind="host", message=text))
        if wait.is_account_full:
            text = f"as many executions run as account {execution.flow.account} may"
            found.append(ExecutionWait(kind="account", message=text))
        if wait.running:
            text = f"its concurrency group is full ({len(wait.running)} running)"
            ids = wait.running[:_MOST_IDS]
            found.append(ExecutionWait(kind="group", message=text, executions=ids))
        if wait.ahead:
            text = f"others of its concurrency group come first ({wait.ahead})"
            found.append(ExecutionWait(kind="turn", message=text))
        return tuple(found)


def held_waits(registry: FlowRegistry, key: FlowKey) -> Iterator[ExecutionWait]:
    """Yields what keeps a flow from starting."""
    entry = registry.get(key)
    if entry is None or entry.spec is None:
        yield ExecutionWait(kind="flow", message="its flow is not in force")
        return
    if entry.spec.is_suspended:
        yield ExecutionWait(kind="suspended", message="its flow is suspended by its file")
    pause = registry.pause_of(key)
    if pause is not None:
        condition = entry.condition(ConditionType.PAUSED)
        message = condition.message if condition else ""
        yield ExecutionWait(kind="paused", message=message or "its flow is paused")


def _cursor(names: list[str], end: int) -> str | None:
    return names[end - 1] if end < len(names) else None


def _begin(names: list[str], after: str | None) -> int:
    if after is None:
        return 0
    try:
        return names.index(after) + 1
    except ValueError as error:
        text = "parameter 'cursor': must be the next_cursor of the page before"
        raise ValidationError(text, code="request.parameter") from error
