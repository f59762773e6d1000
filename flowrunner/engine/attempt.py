"""One attempt of one node: journal, resolve, execute within its time, classify.

The order is the promise: a node that acts outside is journaled before it acts. Retrying is
decided in `flowrunner.engine.retries`; ending processes is the node's own affair.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from flowrunner.dataclass import dataclass
from flowrunner.engine.output_size import size_of
from flowrunner.engine.runtime import ClosableSink, Cut, ExecutionRuntime, survives
from flowrunner.engine.scope import ContextScope, resolve
from flowrunner.engine.writes import PendingWrites
from flowrunner.errors import ExecutionError
from flowrunner.model.depth import TOO_DEEP, is_deeper
from flowrunner.model.execution import Attempt, Failure
from flowrunner.model.expressions import Template
from flowrunner.model.flow import NodeSpec, OnInterrupt
from flowrunner.model.ids import AttemptKey, Json
from flowrunner.model.secret import SecretValue, revealed
from flowrunner.model.states import AttemptState, Reason
from flowrunner.model.values import text_of
from flowrunner.nodes.base import EndedBeforeError, LeftError, Node, NodeFailedError, NodeResult
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.messages import masked, masked_details
from flowrunner.nodes.outputs import OUTPUT_LIMIT, output_error, refuse_secrets

_LOG = logging.getLogger(__name__)
_LONGEST_CRASH = 500
_INTERRUPTED = "the daemon ended before the attempt did"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """How an attempt ended, and whether another may follow.

    Attributes:
        outputs: What it gave back, or had written until it failed.
    """

    attempt: Attempt
    outputs: Mapping[str, Json] | None = None
    may_retry: bool = False

    @property
    def is_interrupted(self) -> bool:
        """Whether the end of the daemon cut it short."""
        return self.attempt.reason == Reason.INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What an attempt gets, resolved, and the texts that must not be seen of it."""

    params: Mapping[str, Json] = field(default_factory=dict)
    env: Mapping[str, str | SecretValue | None] = field(default_factory=dict)
    stdin: str | SecretValue | None = None
    hidden: tuple[str, ...] = ()


class _TimeoutStruckError(ExecutionError):
    """The attempt's own `timeout` struck; no error that a node raises."""

    default_code = "timeout"


class AttemptRunner:
    """Carries out attempts of one execution's nodes."""

    def __init__(self, runtime: ExecutionRuntime, cut: Cut, writes: PendingWrites) -> None:
        self._runtime = runtime
        self._cut = cut
        self._writes = writes
        self._services = runtime.services

    async def run(
        self,
        spec: NodeSpec,
        number: int,
        scope: ContextScope,
        *,
        item: int = 0,
        resumed: Attempt | None = None,
    ) -> AttemptOutcome:
        """Carries out one attempt to its end; journals its begin, not its end.

        Cancelling it ends the node's work first and yields a cancelled outcome, or an
        interrupted one when the daemon stops; an attempt that survives the stop, is left by its
        node, or whose begin is only being journaled, is cancelled without an outcome. `item` is the
        index of its item, `resumed` is one that goes on.

        Raises:
            StorageError: The begin could not be journaled; nothing was done.
        """
        node = self._services.nodes.require(spec.type, spec.params)
        attempt = resumed or Attempt(
            key=AttemptKey(self._runtime.execution.id, spec.id, item, number),
            state=AttemptState.RUNNING,
            started_at=self._services.clock.now(),
        )
        given, has_begun = _Given(hidden=self._runtime.hidden_texts()), resumed is not None
        try:
            if not has_begun:
                await self._begin(node, spec, attempt)
                has_begun = True
            given = self._resolve(spec, scope)
            result = await self._execute(node, spec, attempt, scope, given)
        except asyncio.CancelledError:
            is_stopped = self._cut.reason in (None, Reason.INTERRUPTED)
            if is_stopped and not has_begun:
                raise  # an end could be kept while that of a node before it was lost
            if survives(node, spec) and (self._cut.is_held or is_stopped):
                raise
            return self._cut_short(attempt)
        except LeftError:
            raise asyncio.CancelledError from None
        except ExecutionError as error:
            return self._failed(attempt, error, given.hidden)
        done = self._ended(attempt, AttemptState.SUCCEEDED, exit_code=result.exit_code)
        return AttemptOutcome(attempt=done, outputs=result.outputs)

    async def _begin(self, node: Node, spec: NodeSpec, attempt: Attempt) -> None:
        """Journals the begin where a restart must know of it: durably, if the node acts outside."""
        if node.is_shell_like or spec.on_interrupt is OnInterrupt.FAIL:
            await self._services.journal.begin(attempt)
        elif node.survives_restart:
            self._writes.add(self._services.journal.begin(attempt))

    async def _execute(
        self,
        node: Node,
        spec: NodeSpec,
        attempt: Attempt,
        scope: ContextScope,
        given: _Given,
    ) -> NodeResult:
        """Returns what the node gives back; every way to fail is an `ExecutionError`."""
        is_item = spec.foreach is not None
        log = self._runtime.open_log(attempt.key, given.hidden, is_item=is_item)
        context = self._context(spec, attempt, scope, given, log)
        bound = asyncio.timeout(self._time_left_s(node, spec, attempt))
        try:
            async with bound:
                result = await node.execute(context, given.params)
        except LeftError:
            raise
        except Exception as error:  # a node type may be foreign code: its fault ends one attempt
            was_up = spec.timeout_s is not None and isinstance(error, EndedBeforeError)
            if bound.expired() or was_up:
                text = f"took longer than its timeout of {spec.timeout_s:g} s"
                raise _TimeoutStruckError(text) from error
            if isinstance(error, ExecutionError):
                raise
            told = masked(f"{type(error).__name__}: {error}", given.hidden)[:_LONGEST_CRASH]
            # Logged in the place of the error, whose text or causes may quote a secret.
            stand_in = ExecutionError(told)
            facts = (type(stand_in), stand_in, error.__traceback__)
            _LOG.error("node.crashed type=%s", spec.type, exc_info=facts)
            text = "the node type failed in an unforeseen way"
            details = {"error": told}
            raise ExecutionError(text, code="internal", details=details, final=True) from error
        finally:
            await _close(log)
        if result.outputs:
            size = _check_outputs(result.outputs)
            refuse_secrets(result.outputs, given.hidden)
            self._runtime.keep_outputs(size)
        return result

    def _time_left_s(self, node: Node, spec: NodeSpec, attempt: Attempt) -> float | None:
        """Returns the bound of the time to come; of an attempt that goes on some is gone.

        Never more than all of it: the clock of a host may begin in the past.
        """
        if spec.timeout_s is None or not survives(node, spec):
            return spec.timeout_s
        passed = self._services.clock.now() - attempt.started_at
        return min(spec.timeout_s, max(0.0, spec.timeout_s - passed.total_seconds()))

    def _resolve(self, spec: NodeSpec, scope: ContextScope) -> _Given:
        """Returns what the node is given, before anything can be said about it."""
        params, merged = resolve(spec.params, scope), {**self._runtime.spec.env, **spec.env}
        env: dict[str, str | SecretValue | None] = {}
        computed: list[Json] = []
        for name, value in merged.items():
            if isinstance(value, Template):
                computed.append(value.evaluate(scope))
                env[name] = _variable(computed[-1])
            else:
                env[name] = value
        stdin = spec.process.stdin
        if isinstance(stdin, Template):
            computed.append(stdin.evaluate(scope))
            stdin = _variable(computed[-1])
        hidden = self._runtime.hidden_texts(params, computed)
        return _Given(params=params, env=env, stdin=stdin, hidden=hidden)

    def _context(
        self,
        spec: NodeSpec,
        attempt: Attempt,
        scope: ContextScope,
        given: _Given,
        log: ClosableSink,
    ) -> ExecutionContext:
        runtime, key = self._runtime, attempt.key
        limit = None if spec.timeout_s is None else timedelta(seconds=spec.timeout_s)
        facts = {"flow": str(runtime.spec.key), "execution": key.execution, "node": key.node}
        return ExecutionContext(
            flow=runtime.spec.key,
            key=key,
            node_type=spec.type,
            inputs=runtime.execution.inputs,
            upstream=MappingProxyType(scope.lookup("nodes")),
            is_item=spec.foreach is not None,
            env=given.env,
            secrets=runtime.secrets,
            hidden=given.hidden,
            process=spec.process,
            stdin=given.stdin,
            declared_outputs=spec.outputs,
            success_exit_codes=spec.success_exit_codes,
            slot_at=runtime.execution.cause.slot_at,
            started_at=attempt.started_at,
            deadline=None if limit is None else attempt.started_at + limit,
            kill_after_s=spec.kill_after_s,
            payload=runtime.execution.cause.payload,
            directories=runtime.directories,
            place=runtime.place,
            sink=log,
            logger=logging.LoggerAdapter(_LOG, facts),
            clock=self._services.clock,
        )

    def _cut_short(self, attempt: Attempt) -> AttemptOutcome:
        reason = self._cut.reason or Reason.CANCELLED
        if reason is Reason.INTERRUPTED:
            return AttemptOutcome(attempt=interrupted(attempt, self._services.clock.now()))
        return AttemptOutcome(attempt=self._ended(attempt, AttemptState.CANCELLED, reason))

    def _failed(
        self, attempt: Attempt, error: ExecutionError, hidden: tuple[str, ...]
    ) -> AttemptOutcome:
        failure = Failure(
            code=error.code,
            message=masked(error.message, hidden),
            details=masked_details(error.details, hidden),
            quotes_data=error.quotes_data,
        )
        state, reason, exit_code = AttemptState.FAILED, error.code, None
        outputs: Mapping[str, Json] = {}
        if isinstance(error, _TimeoutStruckError):
            state, reason = AttemptState.TIMED_OUT, str(Reason.TIMEOUT)
        elif isinstance(error, NodeFailedError):
            reason, exit_code, outputs = error.reason, error.exit_code, error.outputs
        ended = self._ended(attempt, state, reason, failure, exit_code)
        return AttemptOutcome(attempt=ended, outputs=outputs, may_retry=not error.final)

    def _ended(
        self,
        attempt: Attempt,
        state: AttemptState,
        reason: str = "",
        error: Failure | None = None,
        exit_code: int | None = None,
    ) -> Attempt:
        return Attempt(
            key=attempt.key,
            state=state,
            reason=str(reason),
            exit_code=exit_code,
            error=error,
            started_at=attempt.started_at,
            ended_at=self._services.clock.now(),
        )


def interrupted(attempt: Attempt, at: datetime) -> Attempt:
    """Returns an attempt as the end of the daemon leaves it: failed (interrupted)."""
    return replace(
        attempt,
        state=AttemptState.FAILED,
        reason=str(Reason.INTERRUPTED),
        error=Failure(code=str(Reason.INTERRUPTED), message=_INTERRUPTED),
        ended_at=at,
    )


def _variable(value: Json) -> str | SecretValue:
    text = text_of(revealed(value))
    return SecretValue(text) if isinstance(value, SecretValue) else text


def _check_outputs(outputs: Mapping[str, Json]) -> int:
    """Refuses outputs that could not be told as JSON, or are too large or too deep to be kept.

    Returns how many bytes they take.
    """
    try:
        size = size_of(outputs)
    except (TypeError, ValueError, RecursionError) as error:
        raise output_error("an output cannot be written as JSON") from error
    if size > OUTPUT_LIMIT:
        raise output_error(f"the outputs are larger than {OUTPUT_LIMIT // 1024} KiB")
    for name, value in outputs.items():
        if is_deeper(value):
            raise output_error(f"output {name} {TOO_DEEP}")
    return size


async def _close(log: ClosableSink) -> None:
    """Closes the log to its end, also when the attempt is cancelled meanwhile.

    What the attempt came to is known by then, and must not get lost.
    """
    while True:
        try:
            return await log.close()
        except asyncio.CancelledError:
            continue
