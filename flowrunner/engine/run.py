"""One execution from its first node to its end, in this life of the daemon or over several.

Carrying nodes is the work of `flowrunner.engine.part`. The end of the execution waits for all that
was written before.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from flowrunner.engine.deadline import Deadline
from flowrunner.engine.ending import end_by_nodes
from flowrunner.engine.history import NOTHING, History
from flowrunner.engine.part import PartRun
from flowrunner.engine.result import with_outputs
from flowrunner.engine.runtime import ExecutionRuntime, Shared
from flowrunner.engine.scope import execution_contexts, node_context
from flowrunner.engine.writes import PendingWrites
from flowrunner.errors import FlowError, StorageError
from flowrunner.model.execution import Execution, ItemCounts
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from flowrunner.model.states import NodeState, Reason

_LOG = logging.getLogger(__name__)


class ExecutionRun:
    """Carries one execution; made for it and thrown away after it."""

    def __init__(self, runtime: ExecutionRuntime, history: History = NOTHING) -> None:
        self._runtime = runtime
        self._services = runtime.services
        runtime.output_bytes = history.output_bytes
        self._error: BaseException | None = None
        self._node_contexts: dict[str, Json] = {
            status.node: node_context(status, history.exit_code(status)) for status in history.nodes
        }
        self._writes = PendingWrites(self._give_up)
        self._contexts = self._make_contexts()
        shared = Shared(
            contexts=self._contexts,
            node_contexts=self._node_contexts,
            writes=self._writes,
            give_up=self._give_up,
        )
        self._nodes = PartRun(runtime, runtime.spec.nodes, shared, history)
        finals = runtime.spec.finals
        self._finals = PartRun(runtime, finals, shared, history, about=self._nodes.walk)
        self._finally_began = history.began_at({node.id for node in finals}) if finals else None
        started_at = runtime.execution.started_at or runtime.execution.created_at
        self._deadline = Deadline(
            self._services.clock,
            started_at + timedelta(seconds=runtime.timeout_s),
            lambda: self.cancel(Reason.TIMEOUT),
        )

    @property
    def states(self) -> dict[str, NodeState]:
        """Where each node stands, in the order of the flow."""
        return {**self._nodes.walk.states, **self._finals.walk.states}

    @property
    def asked_to_end(self) -> Execution:
        """The execution as it is journaled, with the reason for which it is asked to end."""
        return self._runtime.asked_to_end

    @property
    def takes_cancel(self) -> bool:
        """Whether a cancel without `force` would change anything."""
        return self._runtime.cancel_reason is None and not self._nodes.walk.is_complete

    @property
    def items(self) -> dict[str, ItemCounts]:
        """How far each node is that goes through its items now."""
        return {**self._nodes.items, **self._finals.items}

    @property
    def withstands_cancel(self) -> bool:
        """Whether its `finally` is all that is left, and not because it is being cancelled."""
        runtime = self._runtime
        is_cancelled = runtime.is_forced or runtime.cancel_reason not in (None, Reason.TIMEOUT)
        return not (is_cancelled or self._finals.walk.is_complete) and self._nodes.walk.is_complete

    @property
    def is_held(self) -> bool:
        """Whether nothing more of it starts; what goes on in another life is left."""
        return self._nodes.is_held

    async def run(self) -> Execution | None:
        """Carries the execution to its end and returns it as it ended; journals the nodes.

        None means that it was left as the journal has it, for the next start of the daemon.

        Raises:
            StorageError: The journal could not be written; processes are ended, the execution
                stays as it was last journaled.
        """
        asked_before = self._runtime.cancel_reason
        if asked_before is not None:
            self._nodes.cut(asked_before)
            if self._runtime.is_forced:
                self._finals.cut(asked_before)
        await _within(self._deadline, self._nodes)
        if self._nodes.walk.is_complete and self._runtime.spec.finals:
            bound = timedelta(seconds=self._runtime.spec.finally_timeout_s)
            deadline = Deadline(
                self._services.clock,
                (self._finally_began or self._services.clock.now()) + bound,
                lambda: self._finals.cut(Reason.FINALLY_TIMEOUT),
            )
            await _within(deadline, self._finals)
        await self._writes.settled()
        if self._error is not None:
            raise self._error
        return self._ended()

    def cancel(self, reason: Reason, *, force: bool = False) -> None:
        """Asks every node to end; `run` returns when they have, and `finally` after them.

        The first reason stays, and a second call changes nothing, but that `force` leaves out
        `finally` or ends it. The reason is journaled, so that a restart meanwhile does not forget
        it.
        """
        runtime, is_asked, is_forced = self._runtime, self.takes_cancel, False
        if is_asked:
            runtime.cancel_reason = reason
        if force and not (runtime.is_forced or self._finals.walk.is_complete):
            runtime.is_forced = is_forced = True
        if is_asked or is_forced:
            self._writes.add(self._services.executions.update(runtime.asked_to_end))
        if is_asked:
            self._nodes.cut(reason)
        if is_forced:
            self._finals.cut(reason)

    async def written(self) -> None:
        """Returns when all that this run has decided until now is journaled.

        Raises:
            StorageError: It cannot be, or something before could not: the run ends what it has at
                work.
        """
        await self._writes.written()
        if isinstance(self._error, StorageError):
            raise self._error

    def hold(self) -> None:
        """Starts nothing any more; attempts that are at work may go on."""
        self._nodes.hold()
        self._finals.hold()

    def stop(self) -> None:
        """Ends what is at work as interrupted; `run` returns when it has."""
        self._nodes.stop()
        self._finals.stop()

    def forget(self) -> None:
        """Lets go of all that knows it; the run has ended, and nobody asks it anything any more.

        Else its hundred objects, and ten more for each node, stayed until Python looked for
        garbage, which holds the loop for as long as there are many.
        """
        self._nodes.forget()
        self._finals.forget()
        self._node_contexts.clear()
        del self._nodes, self._finals, self._writes, self._deadline

    def _ended(self) -> Execution | None:
        nodes, finals = self._nodes.walk, self._finals.walk
        if not (nodes.is_complete and finals.is_complete):
            return None
        now = self._services.clock.now()
        ended = end_by_nodes(self._runtime, nodes.final.values(), finals.final.values(), now)
        return with_outputs(ended, self._runtime.spec, self._contexts)

    def _give_up(self, error: BaseException) -> None:
        """Ends what runs: nothing more may happen that cannot be journaled."""
        if self._error is None:
            self._error = error
            code = error.code if isinstance(error, FlowError) else type(error).__name__
            _LOG.error("execution.given_up id=%s code=%s", self._runtime.execution.id, code)
            self.stop()

    def _make_contexts(self) -> dict[str, Json]:
        runtime = self._runtime
        contexts = execution_contexts(
            runtime.execution,
            runtime.spec,
            runtime.directories,
            runtime.services.host,
            self._node_contexts,
        )
        secrets = SecretValue({name: each.reveal() for name, each in runtime.secrets.items()})
        return {**contexts, "secrets": secrets}


async def _within(deadline: Deadline, part: PartRun) -> None:
    """Carries a part as long as its time lasts."""
    deadline.arm()
    try:
        await part.run()
    finally:
        deadline.disarm()
