"""`retry`: how the delays grow, what chance takes off them, and what its `if` narrows."""

from __future__ import annotations

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.flow import Backoff, RetrySpec
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, OK, Act, Acts, Outcome, World, flow, run_flow, simulate

GONE = ExecutionError("command not found", code="command_not_found", final=True)


def delays(outcome: Outcome) -> list[float]:
    """Seconds from the end of each attempt to the start of the next."""
    pairs = zip(outcome.attempts, outcome.attempts[1:], strict=False)
    return [
        (later.started_at - earlier.ended_at).total_seconds()
        for earlier, later in pairs
        if earlier.ended_at is not None
    ]


def retried(retry: str, acts: Acts | None = None, *, top: str = "", chance: float = 0.0) -> Outcome:
    """Runs one node, which fails unless told otherwise, with this `retry`."""

    async def story(world: World) -> Outcome:
        world.chance = chance
        return await world.run(flow(f"  - {{id: a, run: x, timeout: 9s, {retry}}}", top=top))

    return simulate(story, acts or {"a": FAILS})


# Delays


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        pytest.param("max_attempts: 4", [1, 1, 1], id="one-second-by-default"),
        pytest.param("max_attempts: 4, delay: 2s, backoff: constant", [2, 2, 2], id="constant"),
        pytest.param("max_attempts: 4, delay: 2s, backoff: linear", [2, 4, 6], id="linear"),
        pytest.param(
            "max_attempts: 5, delay: 2s, backoff: exponential", [2, 4, 8, 16], id="exponential"
        ),
        pytest.param(
            "max_attempts: 5, delay: 2s, backoff: exponential, max_delay: 7s",
            [2, 4, 7, 7],
            id="max-delay",
        ),
        pytest.param(
            "max_attempts: 4, delay: 2m, backoff: exponential", [120, 240, 300], id="five-minutes"
        ),
        pytest.param("max_attempts: 3, delay: 10m", [600, 600], id="longer-than-five-minutes"),
        pytest.param(
            "max_attempts: 3, delay: 10m, backoff: linear", [600, 600], id="its-own-bound"
        ),
    ],
)
def test_delays_grow_as_written_up_to_their_bound(retry: str, expected: list[float]) -> None:
    """`backoff` multiplies the delay; `max_delay` bounds it: 5m, or a longer `delay` itself."""
    assert delays(retried(f"retry: {{{retry}}}")) == expected


@pytest.mark.parametrize(
    ("jitter", "chance", "expected"),
    [
        pytest.param("0", 1.0, [10, 20], id="none"),
        pytest.param("0.5", 0.0, [10, 20], id="nothing-taken-off"),
        pytest.param("0.5", 0.5, [7.5, 15], id="in-the-middle"),
        pytest.param("0.5", 1.0, [5, 10], id="half-of-it"),
        pytest.param("1", 1.0, [0, 0], id="all-of-it"),
    ],
)
def test_jitter_takes_a_random_part_off(jitter: str, chance: float, expected: list[float]) -> None:
    """A delay is between `1 - jitter` of itself and all of it, as the random source says."""
    retry = f"retry: {{max_attempts: 3, delay: 10s, backoff: linear, jitter: {jitter}}}"
    assert delays(retried(retry, chance=chance)) == expected


def test_delay_after_the_thousandth_attempt() -> None:
    """Doubling a long delay hundreds of times stays within its bound."""
    retry = RetrySpec(delay_s=86_400, backoff=Backoff.EXPONENTIAL, max_delay_s=172_800)
    assert retry.delay_after(999, 0.0) == 172_800


# Defaults


def test_keys_of_defaults_and_node_are_joined() -> None:
    """A node takes from `defaults.retry` what it does not say, also the `if`."""
    top = "defaults: {retry: {delay: 2s, backoff: linear, if: attempt.number < 3}}"
    assert delays(retried("retry: {max_attempts: 9}", top=top)) == [2, 4]


# The condition


@pytest.mark.parametrize(
    ("condition", "act", "attempts"),
    [
        pytest.param("attempt.exit_code == 1", FAILS, 3, id="exit-code"),
        pytest.param("attempt.exit_code == 2", FAILS, 1, id="another-exit-code"),
        pytest.param("${{ attempt.number < 2 }}", FAILS, 2, id="number-in-a-wrapper"),
        pytest.param("attempt.reason == 'timeout'", HANGS, 3, id="timeout"),
        pytest.param("attempt.exit_code == null", HANGS, 3, id="no-exit-code"),
        pytest.param("attempt.reason == 'timeout'", FAILS, 1, id="no-timeout"),
        pytest.param(
            "starts_with(attempt.reason, 'signal:')", Act(signal="SIGKILL"), 3, id="signal"
        ),
        pytest.param("attempt.error.code == 'node_failed'", FAILS, 3, id="error-code"),
        pytest.param("contains(attempt.error.message, 'code 1')", FAILS, 3, id="error-message"),
        pytest.param(
            "attempt.outputs.again == 'yes'",
            Act(exit_code=1, outputs=b"again=yes\n"),
            3,
            id="outputs",
        ),
        pytest.param("attempt.outputs.again == 'yes'", FAILS, 1, id="no-outputs"),
        pytest.param(
            "attempt.outputs.again == null",
            Act(exit_code=1, outputs=b"bad line"),
            3,
            id="malformed",
        ),
        pytest.param("flow.name == 'other'", FAILS, 1, id="other-contexts"),
        pytest.param("false", FAILS, 1, id="never"),
    ],
)
def test_if_narrows_what_is_repeated(condition: str, act: Act, attempts: int) -> None:
    """Its context is the attempt that has just ended: number, code, error, outputs, reason."""
    outcome = retried(f'retry: {{max_attempts: 3, if: "{condition}"}}', {"a": act})
    assert len(outcome.attempts) == attempts
    assert outcome.execution.state is ExecutionState.FAILED


def test_if_does_not_widen() -> None:
    """An error that no retry can cure stays final, and a success is not repeated."""
    retry = "retry: {max_attempts: 3, if: 'true'}"
    assert len(retried(retry, {"a": Act(raises=GONE)}).attempts) == 1
    assert len(retried(retry, {"a": OK}).attempts) == 1


def test_if_that_cannot_be_evaluated_wants_no_other_attempt() -> None:
    """The node keeps the error of its attempt, whose details tell about the condition."""
    outcome = retried('retry: {max_attempts: 3, if: "attempt.outputs.n > 1"}')
    (attempt,) = outcome.attempts
    assert attempt.error is not None
    assert attempt.error.code == "node_failed"
    assert "null" in attempt.error.details["retry_if"]
    assert outcome.reasons == {"a": "exit_code"}


def test_outputs_of_a_failed_attempt_stay_its_own() -> None:
    """What a failed node had written is seen by its `retry.if` alone; for others it is null."""
    text = flow("""
  - {id: a, run: x, outputs: {n: {}}, retry: {max_attempts: 2, if: attempt.outputs.n == '1'}}
  - {id: b, type: set, if: always(), params: {values: {n: "${{ nodes.a.outputs.n }}"}}}
""")
    outcome = run_flow(text, {"a": Act(exit_code=1, outputs=b"n=1\n")})
    assert len(outcome.attempts) == 3
    assert outcome.nodes["a"].outputs is None
    assert outcome.nodes["b"].outputs == {"n": None}
