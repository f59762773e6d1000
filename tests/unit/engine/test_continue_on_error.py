"""`continue_on_error`: the node has failed, and nobody else takes notice."""

from __future__ import annotations

import pytest

from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, Act, flow, run_flow

TOLERATED = "  - {id: a, run: x, continue_on_error: true, timeout: 5s}\n"


@pytest.mark.parametrize(
    ("act", "state"),
    [pytest.param(FAILS, "failed", id="failed"), pytest.param(HANGS, "timed_out", id="timed-out")],
)
def test_tolerated_failure_stops_nobody_and_fails_nothing(act: Act, state: str) -> None:
    """The node keeps its state, those after it run, the execution succeeds without an error."""
    outcome = run_flow(flow(TOLERATED + "  - {id: b, run: x}"), {"a": act})
    assert outcome.states == {"a": state, "b": "succeeded"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED
    assert outcome.execution.error is None


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        pytest.param("success()", "succeeded", id="success-counts-it"),
        pytest.param("failure()", "skipped", id="failure-ignores-it"),
        pytest.param("nodes.a.state == 'failed'", "succeeded", id="its-state-is-told"),
        pytest.param("nodes.a.exit_code == 1", "succeeded", id="its-exit-code-is-told"),
    ],
)
def test_conditions_below_a_tolerated_failure(condition: str, state: str) -> None:
    """`success()` counts it as success, `failure()` ignores it, `nodes.a.state` stays `failed`."""
    text = flow(f'{TOLERATED}  - {{id: b, run: x, if: "{condition}"}}')
    outcome = run_flow(text, {"a": FAILS})
    assert outcome.states == {"a": "failed", "b": state}


def test_tolerated_failure_is_not_seen_from_afar() -> None:
    """`failure()` ignores it at any distance, and still sees another one beside it."""
    text = flow(f"""{TOLERATED}
  - {{id: b, run: x}}
  - {{id: c, run: x, if: failure()}}
  - {{id: bad, run: x, needs: []}}
  - {{id: d, run: x, needs: [b, bad], if: failure()}}
""")
    outcome = run_flow(text, {"a": FAILS, "bad": FAILS})
    assert (outcome.states["c"], outcome.states["d"]) == ("skipped", "succeeded")


def test_error_is_that_of_the_first_failure_that_counts() -> None:
    """An earlier failure that is tolerated does not give the execution its error."""
    text = flow(TOLERATED + "  - {id: b, run: x}")
    execution = run_flow(text, {"a": FAILS, "b": Act(exit_code=7)}).execution
    assert execution.state is ExecutionState.FAILED
    assert execution.error is not None
    assert execution.error.details["node"] == "b"


def test_condition_that_cannot_be_evaluated_is_tolerated_too() -> None:
    """A node that fails at its own `if` has failed like any other."""
    text = flow("""
  - {id: a, run: x, outputs: {n: {type: integer}}}
  - {id: b, run: x, if: nodes.a.outputs.n > 1, continue_on_error: true}
  - {id: c, run: x}
""")
    outcome = run_flow(text)
    assert outcome.states == {"a": "succeeded", "b": "failed", "c": "succeeded"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_attempts_are_used_up_before_a_failure_is_tolerated() -> None:
    """`retry` comes first: only the last failure is the node's."""
    text = flow("  - {id: a, run: x, continue_on_error: true, retry: {max_attempts: 3}}")
    outcome = run_flow(text, {"a": FAILS})
    assert [str(attempt.state) for attempt in outcome.attempts] == ["failed"] * 3
    assert outcome.execution.state is ExecutionState.SUCCEEDED
