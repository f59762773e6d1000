"""Whether and when an attempt is followed by another: the rules of `retry`.

Source: FLOW_FORMAT 4, `retry`. The waiting itself, and what a cancel does to it, is left to
`flowrunner.engine.part`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flowrunner.engine.attempt import AttemptOutcome
from flowrunner.engine.scope import ContextScope
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Attempt
from flowrunner.model.expressions import Template, truth
from flowrunner.model.flow import RetrySpec
from flowrunner.model.ids import Json

_CODE_OF_IF = "retry_if"


def judged(
    retry: RetrySpec, outcome: AttemptOutcome, scope: ContextScope, *, tries: int
) -> AttemptOutcome:
    """Returns the outcome of an attempt with the last word on whether another follows.

    An `if` that cannot be evaluated wants no other; the node keeps the error of its attempt, which
    tells so in its details (`retry_if`). `tries` is how many attempts count, this one included.
    """
    if not outcome.may_retry:
        return outcome
    if tries >= retry.max_attempts:
        return replace(outcome, may_retry=False)
    if retry.condition is None:
        return outcome
    try:
        is_wanted = truth(_wanted(retry.condition, outcome, scope))
    except ExecutionError as error:
        return _explained(outcome, error.message)
    return replace(outcome, may_retry=is_wanted)


def _wanted(condition: Template, outcome: AttemptOutcome, scope: ContextScope) -> Json:
    seen = attempt_context(outcome.attempt, outcome.outputs or {})
    return condition.evaluate(scope.with_context("attempt", seen))


def attempt_context(attempt: Attempt, outputs: Mapping[str, Json]) -> Mapping[str, Json]:
    """Returns what `attempt` is after an attempt that failed.

    Args:
        attempt: As it ended.
        outputs: What it had written until then.
    """
    error = attempt.error
    return {
        "number": attempt.key.number,
        "exit_code": attempt.exit_code,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "outputs": dict(outputs),
        "reason": attempt.reason,
    }


def _explained(outcome: AttemptOutcome, message: str) -> AttemptOutcome:
    error = outcome.attempt.error
    if error is not None:
        error = replace(error, details={**error.details, _CODE_OF_IF: message})
    return replace(outcome, attempt=replace(outcome.attempt, error=error), may_retry=False)
