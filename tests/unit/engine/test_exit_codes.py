"""`success_exit_codes`: which ends of a program are none of its failures."""

from __future__ import annotations

import pytest

from tests.fakes.engine import Act, flow, run_flow


@pytest.mark.parametrize(
    ("codes", "act", "state"),
    [
        pytest.param("[0, 1]", Act(exit_code=1), "succeeded", id="listed"),
        pytest.param("[0, 1]", Act(exit_code=2), "failed", id="not-listed"),
        pytest.param("[1]", Act(exit_code=0), "failed", id="zero-left-out"),
        pytest.param("[0, 137]", Act(signal="SIGKILL"), "failed", id="signal-is-no-exit-code"),
    ],
)
def test_listed_exit_codes_are_success(codes: str, act: Act, state: str) -> None:
    """The list says it all: 0 counts only when it stands there, a signal never does."""
    outcome = run_flow(flow(f"  - {{id: a, run: x, success_exit_codes: {codes}}}"), {"a": act})
    assert outcome.states == {"a": state}


def test_exit_code_of_a_success_is_told() -> None:
    """A node that succeeded with another code than 0 tells it, with its outputs."""
    text = flow("""
  - {id: a, run: x, success_exit_codes: [0, 3], outputs: {n: {}}}
  - id: b
    type: set
    params: {values: {c: "${{ nodes.a.exit_code }}", n: "${{ nodes.a.outputs.n }}"}}
""")
    outcome = run_flow(text, {"a": Act(exit_code=3, outputs=b"n=5\n")})
    assert outcome.nodes["b"].outputs == {"c": 3, "n": "5"}
