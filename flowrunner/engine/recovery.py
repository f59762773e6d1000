"""After a restart: what was accepted goes on, from where the journal has it.

First whatever a killed daemon left running is killed: nothing may act for an attempt that has
ended. Nothing queued is lost: it gets back in line. An execution that was running keeps its place,
also when none of its nodes had begun yet, and goes on with those that are not final, even if its
flow is gone or held by now; what becomes of an attempt that was cut short, `on_interrupt` says, in
`flowrunner.engine.part`. A child for which no attempt waits any more is asked to end first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.engine.admission import RulesOf
from flowrunner.engine.children import waited_for
from flowrunner.engine.ending import fail_on_paper
from flowrunner.engine.engine import Engine
from flowrunner.engine.history import History
from flowrunner.engine.making_way import ended_in_line
from flowrunner.engine.runtime import EngineServices, survives
from flowrunner.errors import ValidationError
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, FlowKey
from flowrunner.model.states import AttemptState, ExecutionState, Reason
from flowrunner.system.files import Files

_LOG = logging.getLogger(__name__)
_LOST = Failure(code="definition_lost", message="its definition is gone or damaged")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """How many unfinished executions went which way."""

    restored: int = 0
    resumed: int = 0
    cancelled: int = 0
    lost: int = 0


async def recover(engine: Engine, services: EngineServices, rules: RulesOf) -> RecoveryReport:
    """Decides about every unfinished execution; called once, before triggers are armed.

    Raises:
        StorageError: The journal cannot be read or written.
    """
    unfinished = await services.executions.unfinished()
    await _end_leftovers(services, {str(execution.id) for execution in unfinished})
    recovery = _Recovery(engine, services, rules, waited_for(unfinished))
    counts = Counter[str]()
    for execution in unfinished:
        counts[await recovery.decide(execution)] += 1
    recovery.carry_on()
    for child in filter(engine.is_queued, recovery.orphans()):
        await engine.cancel(child, Reason.PARENT)
    engine.admit_waiting()
    if counts:
        _LOG.info("engine.recovered %s", dict(counts))
    return RecoveryReport(**counts)


async def _end_leftovers(services: EngineServices, unfinished: set[str]) -> None:
    """Kills what attempts of an earlier life left running; removes what ended executions left.

    An execution may have ended in the journal and not on disk, so its folder counts as well.
    """
    files, work = services.files, services.folders.work
    names = await asyncio.to_thread(_names, files, work)
    if killed := await services.leftovers.kill(unfinished.union(names)):
        _LOG.warning("engine.leftovers_killed processes=%d", killed)
    ended = [name for name in names if name not in unfinished]
    await asyncio.to_thread(_clear, files, work, ended)


def _names(files: Files, work: Path) -> Sequence[str]:
    """Returns the executions of which there is a folder."""
    try:
        return files.names(work)
    except FileNotFoundError:
        return ()
    except OSError as error:
        _LOG.warning("engine.work_left folder=%s: %s", work, error)
        return ()


def _clear(files: Files, work: Path, names: Sequence[str]) -> None:
    """Removes folders of executions; what resists is logged and left."""
    for name in names:
        try:
            files.remove_tree(work / name)
        except OSError as error:
            _LOG.warning("engine.work_left folder=%s: %s", work / name, error)


class _Recovery:
    """Decides about executions one by one; compiles each definition once.

    None goes on before all are decided: one may wait for another, or want it to end.

    Args:
        engine: Carries on what goes on.
        services: What the engine uses.
        rules: Of the flows in force.
        children: Unfinished executions, by who waits for them and with which attempt.
    """

    def __init__(
        self,
        engine: Engine,
        services: EngineServices,
        rules: RulesOf,
        children: Mapping[ExecutionId, Mapping[AttemptKey, ExecutionId]],
    ) -> None:
        self._engine = engine
        self._services = services
        self._rules = rules
        self._children = children
        self._decided: list[tuple[Execution, FlowSpec, History]] = []
        self._waiting: set[AttemptKey] = set()
        self._specs: dict[tuple[FlowKey, Digest], FlowSpec | None] = {}

    async def decide(self, execution: Execution) -> str:
        """Returns the field of the report that counts the execution."""
        history = History(
            nodes=await self._services.journal.nodes(execution.id),
            attempts=await self._services.journal.attempts(execution.id),
            children=self._children.get(execution.id, {}),
        )
        has_begun = execution.state is ExecutionState.RUNNING
        if not has_begun and self._rules(execution.flow) is None:
            await self._cancel(execution)
            return "cancelled"
        spec = await self._spec(execution)
        if spec is None:
            await self._fail(execution)
            return "lost"
        self._waiting.update(self._going_on(execution, spec, history))
        self._decided.append((execution, spec, history))
        return "resumed" if has_begun else "restored"

    def _going_on(
        self, execution: Execution, spec: FlowSpec, history: History
    ) -> Iterator[AttemptKey]:
        """Yields the attempts that go on where they stood."""
        going_on = spec.finals if execution.reason else spec.all_nodes
        if execution.reason == Reason.FORCED:
            going_on = ()
        nodes = {node.id: node for node in going_on}
        for attempt in history.attempts:
            node = nodes.get(attempt.key.node)
            if attempt.state is not AttemptState.RUNNING or node is None:
                continue
            if survives(self._services.nodes.require(node.type, node.params), node):
                yield attempt.key

    def carry_on(self) -> None:
        """Hands over to the engine all that goes on, in one turn of the loop.

        An orphan that runs is asked to end by then, so that none of its nodes starts anew. That is
        journaled like any cancel: who cancels it as well is told so once it is on disk.
        """
        orphans = self.orphans()
        for execution, spec, history in self._decided:
            if execution.state is not ExecutionState.RUNNING:
                self._engine.restore(execution, spec, history)
                continue
            is_asked = execution.id in orphans and not execution.reason
            self._engine.resume(execution, spec, history, Reason.PARENT if is_asked else None)

    def orphans(self) -> frozenset[ExecutionId]:
        """Returns what goes on though no attempt waits for it any more, or will."""
        return frozenset(
            child
            for calls in self._children.values()
            for key, child in calls.items()
            if key not in self._waiting
        )

    async def _spec(self, execution: Execution) -> FlowSpec | None:
        key = (execution.flow, execution.digest)
        if key not in self._specs:
            self._specs[key] = await self._compile(execution)
        return self._specs[key]

    async def _compile(self, execution: Execution) -> FlowSpec | None:
        definition = await self._services.definitions.get(execution.digest)
        if definition is None:
            return None
        try:
            return self._services.compiler.compile_definition(execution.flow, definition)
        except ValidationError:
            _LOG.exception("engine.definition_unusable execution=%s", execution.id)
            return None

    async def _fail(self, execution: Execution) -> None:
        ended = await fail_on_paper(self._services, execution, None, _LOST)
        self._services.observer.execution_ended(ended)

    async def _cancel(self, execution: Execution) -> None:
        ended = ended_in_line(execution, Reason.DELETED, self._services.clock.now())
        await self._services.keep(ended)
        self._services.observer.execution_ended(ended)
