"""`switch`: the first true case names the node that runs, and the others are left out."""

from __future__ import annotations

import pytest

from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, Act, Outcome, flow, run_flow

ROUTE = """
  - id: route
    type: switch
    params:
      cases:
        - {when: inputs.n == 1, goto: one}
        - {when: "${{ inputs.n <= 2 }}", goto: two}
      default: other
"""
BRANCHES = "  - {id: one, run: x}\n  - {id: two, run: x}\n  - {id: other, run: x}\n"
JOIN = "  - {id: join, run: x, needs: [one, two, other]}\n"
TOP = "inputs: {n: {type: integer, default: 2}}"


def routed(nodes: str, n: Json = 2, acts: dict[str, Act] | None = None) -> Outcome:
    """Runs a flow with one input."""
    return run_flow(flow(nodes, top=TOP), acts, inputs={"n": n})


def ran(outcome: Outcome) -> list[str]:
    """The nodes that ran and succeeded, in the order of their ends."""
    return [name for name, state in outcome.states.items() if state == "succeeded"]


@pytest.mark.parametrize(
    ("n", "chosen"),
    [
        pytest.param(1, "one", id="first-of-two-true-cases"),
        pytest.param(2, "two", id="second"),
        pytest.param(3, "other", id="default"),
    ],
)
def test_first_true_case_chooses(n: int, chosen: str) -> None:
    """One node runs, the others are skipped (not_chosen); `chosen` tells which."""
    outcome = routed(ROUTE + BRANCHES, n)
    assert ran(outcome) == ["route", chosen]
    assert outcome.nodes["route"].outputs == {"chosen": chosen}
    left_out = {"one", "two", "other"} - {chosen}
    assert {outcome.reasons[name] for name in left_out} == {"not_chosen"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_no_case_and_no_default_leaves_all_out() -> None:
    """Nobody is chosen: all targets are skipped, `chosen` is null, the execution succeeds."""
    outcome = routed(
        "  - {id: s, type: switch, params: {cases: [{when: inputs.n == 1, goto: one}]}}\n"
        "  - {id: one, run: x}\n"
    )
    assert (outcome.states["one"], outcome.reasons["one"]) == ("skipped", "not_chosen")
    assert outcome.nodes["s"].outputs == {"chosen": None}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_cases_behind_the_first_true_one_are_not_evaluated() -> None:
    """A case may rely on those before it: what would be an error is never looked at."""
    route = ROUTE.replace("inputs.n <= 2", "trigger.body.x > 2").replace("inputs.n == 1", "true")
    assert ran(routed(route + BRANCHES)) == ["route", "one"]


def test_condition_that_cannot_be_evaluated_fails_the_switch() -> None:
    """No choice is made: the targets are skipped because of their needs, the execution fails."""
    route = ROUTE.replace("inputs.n == 1", "trigger.body.x > 2")
    outcome = routed(route + BRANCHES)
    assert outcome.reasons == {
        "route": "expression",
        **dict.fromkeys(("one", "two", "other"), "needs"),
    }
    assert outcome.execution.state is ExecutionState.FAILED


# What is passed on


@pytest.mark.parametrize(("n", "chosen"), [(1, "one"), (2, "two"), (3, "other")])
def test_branches_come_together(n: int, chosen: str) -> None:
    """A node with at least one need that ran runs, whatever was left out beside it."""
    assert ran(routed(ROUTE + BRANCHES + JOIN, n)) == ["route", chosen, "join"]


def test_left_out_is_passed_on_along_its_branch() -> None:
    """What only a node that was not chosen leads to is left out, and says the same reason."""
    nodes = ROUTE + BRANCHES + "  - {id: below, run: x, needs: [one]}\n"
    outcome = routed(nodes + "  - {id: last, run: x}\n")
    assert (outcome.reasons["below"], outcome.reasons["last"]) == ("not_chosen", "not_chosen")


def test_long_branches_come_together() -> None:
    """The skip of a branch is passed on to the node where branches meet, and stops there."""
    nodes = ROUTE + BRANCHES + "  - {id: b1, run: x, needs: [one]}\n"
    nodes += "  - {id: b2, run: x, needs: [two]}\n  - {id: join, run: x, needs: [b1, b2]}\n"
    outcome = routed(nodes)
    assert ran(outcome) == ["route", "two", "b2", "join"]


def test_failure_beside_what_was_left_out_stays_a_failure() -> None:
    """Where the chosen branch failed, the node behind both is skipped because of its needs."""
    outcome = routed(ROUTE + BRANCHES + JOIN, acts={"two": FAILS})
    assert (outcome.states["join"], outcome.reasons["join"]) == ("skipped", "needs")


def test_chosen_that_skips_itself_is_no_need_that_ran() -> None:
    """A chosen node whose own `if` is false did not run, so the branches have nothing to join."""
    branches = BRANCHES.replace("id: two, run: x", 'id: two, run: x, if: "false"')
    outcome = routed(ROUTE + branches + JOIN)
    assert (outcome.reasons["two"], outcome.reasons["join"]) == ("if", "not_chosen")


# Conditions and switches


@pytest.mark.parametrize("condition", ["true", "always()", "failure() || success()"])
def test_condition_of_a_target_only_narrows(condition: str) -> None:
    """A node that was not chosen does not run, whatever its `if` says."""
    branches = BRANCHES.replace("id: one, run: x", f'id: one, run: x, if: "{condition}"')
    assert routed(ROUTE + branches).reasons["one"] == "not_chosen"


def test_skipped_tells_of_a_need_that_was_left_out() -> None:
    """`skipped()` is true below a node that was not chosen."""
    nodes = ROUTE + BRANCHES + "  - {id: instead, run: x, needs: [one], if: skipped()}\n"
    assert ran(routed(nodes)) == ["route", "two", "instead"]


def test_switch_that_is_skipped_by_its_if_chooses_nobody() -> None:
    """It counts as succeeded, but nobody is chosen."""
    outcome = routed(ROUTE.replace("type: switch", 'type: switch\n    if: "false"') + BRANCHES)
    assert outcome.reasons == {
        "route": "if",
        **dict.fromkeys(("one", "two", "other"), "not_chosen"),
    }


def test_tolerated_failure_of_a_switch_chooses_nobody() -> None:
    """With `continue_on_error` the execution succeeds, and no target runs."""
    route = ROUTE.replace("inputs.n == 1", "trigger.body.x > 2")
    outcome = routed(route.replace("params:", "continue_on_error: true\n    params:") + BRANCHES)
    assert ran(outcome) == []
    assert {outcome.reasons[name] for name in ("one", "two", "other")} == {"not_chosen"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_target_with_always_runs_after_a_switch_that_failed() -> None:
    """A switch that failed made no choice, so the `if` of a target decides."""
    route = ROUTE.replace("inputs.n == 1", "trigger.body.x > 2")
    branches = BRANCHES.replace("id: one, run: x", "id: one, run: x, if: always()")
    assert ran(routed(route + branches)) == ["one"]


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        pytest.param(1, ["first", "second", "t"], id="chosen-by-the-first"),
        pytest.param(2, ["first", "second", "t"], id="chosen-by-the-second"),
        pytest.param(3, ["first", "second"], id="chosen-by-none"),
    ],
)
def test_node_of_two_switches_needs_one_choice(n: int, expected: list[str]) -> None:
    """It waits for both and runs when either has chosen it."""
    nodes = """
  - {id: first, type: switch, params: {cases: [{when: inputs.n == 1, goto: t}]}}
  - {id: second, type: switch, needs: [], params: {cases: [{when: inputs.n == 2, goto: t}]}}
  - {id: t, run: x}
"""
    assert sorted(ran(routed(nodes, n))) == sorted(expected)


def test_switch_below_a_switch_is_left_out_with_its_targets() -> None:
    """A switch that was not chosen makes no choice, and its targets are left out too."""
    nodes = """
  - {id: outer, type: switch, params: {cases: [{when: inputs.n == 1, goto: inner}], default: b}}
  - {id: inner, type: switch, params: {default: a}}
  - {id: a, run: x}
  - {id: b, run: x}
  - {id: join, run: x, needs: [a, b]}
"""
    assert ran(routed(nodes, 1)) == ["outer", "inner", "a", "join"]
    outcome = routed(nodes, 2)
    assert ran(outcome) == ["outer", "b", "join"]
    assert (outcome.reasons["inner"], outcome.reasons["a"]) == ("not_chosen", "not_chosen")
