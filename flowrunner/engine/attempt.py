"""One attempt of one node: journal, resolve, execute within its time, classify.

The order is the promise: a node that acts outside is journaled before it acts. Retrying is
decided in `flowrunner.engine.run`; ending processes is the node's own affair.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from flowrunner.engine.runtime import ClosableSink, ExecutionRuntime
from flowrunner.engine.scope import ContextScope, resolve, text_of
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Attempt, Failure
from flowrunner.model.expressions import Template
from flowrunner.model.flow import NodeSpec
from flowrunner.model.ids import AttemptKey, Json
from flowrunner.model.states import AttemptState, Reason
from flowrunner.nodes.base import Node, NodeFailedError, NodeResult
from flowrunner.nodes.context import Directories, ExecutionContext
from flowrunner.secrets.value import SecretValue

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """How an attempt ended, and whether another may follow."""

    attempt: Attempt
    outputs: Mapping[str, Json] | None = None
    may_retry: bool = False


class AttemptRunner:
    """Carries out attempts of one execution's nodes."""

    def __init__(self, runtime: ExecutionRuntime) -> None:
        self._runtime = runtime
        self._services = runtime.services

    async def run(self, spec: NodeSpec, number: int, scope: ContextScope) -> AttemptOutcome:
        """Carries out one attempt to its end; journals its begin, not its end.

        Cancelling it ends the node's work first and yields a cancelled outcome.

        Raises:
            StorageError: The begin could not be journaled; nothing was done.
        """
        node = self._services.nodes.require(spec.type)
        key = AttemptKey(self._runtime.execution.id, spec.id, 0, number)
        attempt = Attempt(
            key=key, state=AttemptState.RUNNING, started_at=self._services.clock.now()
        )
        log = self._runtime.open_log(key)
        try:
            if node.is_shell_like:
                await self._services.journal.begin(attempt)
            result = await self._execute(node, spec, key, scope, log)
        except (asyncio.CancelledError, TimeoutError, ExecutionError) as error:
            return self._failed(attempt, spec, error)
        finally:
            await asyncio.shield(log.close())
        done = self._ended(attempt, AttemptState.SUCCEEDED, exit_code=result.exit_code)
        return AttemptOutcome(attempt=done, outputs=result.outputs)

    async def _execute(
        self,
        node: Node,
        spec: NodeSpec,
        key: AttemptKey,
        scope: ContextScope,
        log: ClosableSink,
    ) -> NodeResult:
        params = resolve(spec.params, scope)
        context = self._context(spec, key, scope, log)
        try:
            async with asyncio.timeout(spec.timeout_s):
                return await node.execute(context, params)
        except (ExecutionError, TimeoutError):
            raise
        except Exception as error:  # a node type may be foreign code: its fault ends one attempt
            _LOG.exception("node.crashed type=%s", spec.type)
            message = f"{type(error).__name__}: {error}"[:500]
            raise ExecutionError(message, code="internal", final=True) from error

    def _context(
        self, spec: NodeSpec, key: AttemptKey, scope: ContextScope, log: ClosableSink
    ) -> ExecutionContext:
        runtime, now = self._runtime, self._services.clock.now()
        private = runtime.directories.private / f"{key.node}.{key.number}"
        timeout_s = spec.timeout_s
        return ExecutionContext(
            flow=runtime.spec.key,
            key=key,
            node_type=spec.type,
            inputs=runtime.execution.inputs,
            upstream=scope.lookup("nodes"),
            env=self._environment(spec, scope),
            secrets=runtime.secrets,
            declared_outputs=spec.outputs,
            slot_at=runtime.execution.cause.slot_at,
            deadline=None if timeout_s is None else now + timedelta(seconds=timeout_s),
            kill_after_s=spec.kill_after_s,
            payload=runtime.execution.cause.payload,
            directories=Directories(
                work=runtime.directories.work, flow=runtime.directories.flow, private=private
            ),
            sink=log,
            logger=logging.LoggerAdapter(
                _LOG, {"flow": str(runtime.spec.key), "execution": key.execution, "node": key.node}
            ),
            clock=self._services.clock,
        )

    def _environment(self, spec: NodeSpec, scope: ContextScope) -> dict[str, str | SecretValue]:
        """Returns the flow's env under the node's; null removes a variable."""
        merged = {**self._runtime.spec.env, **spec.env}
        values = {
            name: value.evaluate(scope) if isinstance(value, Template) else value
            for name, value in merged.items()
            if value is not None
        }
        return {
            name: value if isinstance(value, SecretValue) else text_of(name, value)
            for name, value in values.items()
        }

    def _failed(self, attempt: Attempt, spec: NodeSpec, error: BaseException) -> AttemptOutcome:
        if isinstance(error, asyncio.CancelledError):
            reason = str(self._runtime.cancel_reason or Reason.CANCELLED)
            return AttemptOutcome(attempt=self._ended(attempt, AttemptState.CANCELLED, reason))
        if isinstance(error, TimeoutError):
            text = f"took longer than its timeout of {spec.timeout_s:g} s"
            failure = Failure(code="timeout", message=text)
            ended = self._ended(attempt, AttemptState.TIMED_OUT, Reason.TIMEOUT, failure)
            return AttemptOutcome(attempt=ended, may_retry=True)
        assert isinstance(error, ExecutionError)  # noqa: S101 - narrows for the type checker
        failure = Failure(code=error.code, message=error.message, details=dict(error.details))
        if isinstance(error, NodeFailedError):
            ended = self._ended(attempt, AttemptState.FAILED, error.reason, failure)
            ended = replace(ended, exit_code=error.exit_code)
        else:
            ended = self._ended(attempt, AttemptState.FAILED, error.code, failure)
        return AttemptOutcome(attempt=ended, may_retry=not error.final)

    def _ended(
        self,
        attempt: Attempt,
        state: AttemptState,
        reason: str = "",
        error: Failure | None = None,
        exit_code: int | None = None,
    ) -> Attempt:
        return replace(
            attempt,
            state=state,
            reason=reason,
            error=error,
            exit_code=exit_code,
            ended_at=self._services.clock.now(),
        )
