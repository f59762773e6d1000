"""The attempts of a node, and why each was followed by another or was the last.

Whether an error is final is not journaled: that no other attempt followed, where nothing else kept
it from it, is how it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.engine.retries import attempt_context
from flowrunner.engine.tracing.replay import Replay
from flowrunner.engine.tracing.told import Teller
from flowrunner.model.execution import Attempt
from flowrunner.model.expressions import Template, references
from flowrunner.model.flow import NodeSpec, OnInterrupt
from flowrunner.model.states import AttemptState, NodeState, Reason
from flowrunner.model.trace import TracedAttempt, TracedExpression

_FAILURES = frozenset({AttemptState.FAILED, AttemptState.TIMED_OUT})
_OF_ITEM = "not worked out: a trace goes through some items of a foreach alone"
_NOT_KEPT = "not worked out: the outputs of a failed attempt are not kept"


def traced_attempts(
    replay: Replay, spec: NodeSpec, teller: Teller, items: Mapping[int, Teller]
) -> tuple[TracedAttempt, ...]:
    """Returns the attempts of a node in their order; `items` evaluate for some of its items."""
    return tuple(_traced(replay, spec, teller, items))


def _traced(
    replay: Replay, spec: NodeSpec, teller: Teller, items: Mapping[int, Teller]
) -> Iterator[TracedAttempt]:
    attempts = replay.attempts(spec.id)
    cut_short = 0
    for index, attempt in enumerate(attempts):
        if attempt.key.number == 1:  # the first of another item
            cut_short = 0
        following = attempts[index + 1].key[:3] if index + 1 < len(attempts) else None
        is_open = spec.id not in replay.ends and following is None
        if spec.foreach is not None:
            is_open = spec.id not in replay.ends and attempt.item_end is None
        is_followed = following == attempt.key[:3] or is_open
        if attempt.reason == Reason.INTERRUPTED:
            cut_short += 1
            yield TracedAttempt(attempt=attempt, verdict=_of_interrupted(is_followed=is_followed))
        elif attempt.state in _FAILURES:
            tries = attempt.key.number - cut_short
            own = teller if spec.foreach is None else items.get(attempt.key.item_index)
            told, holds = _retry_if(spec, own, teller, attempt, tries)
            if is_followed:
                yield _followed(spec, attempt, tries, told)
            else:
                verdict = _why_last(replay, spec, attempt, tries, holds=holds)
                yield TracedAttempt(attempt=attempt, verdict=verdict, retry_if=told)
        else:
            yield TracedAttempt(attempt=attempt)


def _of_interrupted(*, is_followed: bool) -> str:
    word = OnInterrupt.RERUN if is_followed else OnInterrupt.FAIL
    return f"on_interrupt: {word}"


def _retry_if(
    spec: NodeSpec, own: Teller | None, teller: Teller, attempt: Attempt, tries: int
) -> tuple[TracedExpression | None, bool | None]:
    """Returns the `if` of `retry`, where it was asked, and whether it holds.

    Without `own` it is that of an item that is not gone through.
    """
    condition = spec.retry.condition
    if condition is None or tries >= spec.retry.max_attempts:
        return None, None
    if own is None:
        return teller.unasked(condition, error=_OF_ITEM), None
    return _asked(condition, attempt, own)


def _followed(
    spec: NodeSpec, attempt: Attempt, tries: int, told: TracedExpression | None
) -> TracedAttempt:
    return TracedAttempt(
        attempt=attempt,
        verdict=f"retried: it was try {tries} of {spec.retry.max_attempts}",
        retry_if=told,
        delay_s=spec.retry.delay_after(tries, 0.0),
        delay_is_longest=spec.retry.jitter > 0,
    )


def _asked(
    condition: Template, attempt: Attempt, teller: Teller
) -> tuple[TracedExpression, bool | None]:
    """Returns the `if` of `retry` and whether it holds; outputs of failures are not on disk."""
    if any(_reads_outputs(each.root, each.path) for each in references(condition.expressions[0])):
        return teller.unasked(condition, error=_NOT_KEPT), None
    answer = teller.within("attempt", attempt_context(attempt, {})).condition(condition)
    return answer.told, answer.holds


def _reads_outputs(root: str, path: tuple[str | int, ...]) -> bool:
    return root == "attempt" and path[:1] in ((), ("outputs",))


def _why_last(
    replay: Replay, spec: NodeSpec, attempt: Attempt, tries: int, *, holds: bool | None
) -> str:
    most = spec.retry.max_attempts
    if most == 1:
        return ""
    if tries >= most:
        return f"not retried: it was the last of {most} tries"
    if replay.ends[spec.id].state is NodeState.CANCELLED:
        return "not retried: the execution was ended before"
    details = attempt.error.details if attempt.error else {}
    if "retry_if" in details:
        return "not retried: retry.if could not be evaluated"
    if holds is False:
        return "not retried: retry.if is not true"
    return "not retried: its error is final, or the execution was being ended"
