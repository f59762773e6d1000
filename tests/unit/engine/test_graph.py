"""How an execution walks its graph: order, branches, skips, failures, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.model.states import ExecutionState, NodeState
from tests.fakes.engine import FAILS, HANGS, OK, Act, World, flow, run_flow, simulate

DIAMOND = """
  - {id: top, run: "true"}
  - {id: left, run: "true"}
  - {id: right, run: "true", needs: [top]}
  - {id: bottom, run: "true", needs: [left, right]}
"""


# Order


def test_list_without_needs_runs_in_order() -> None:
    """A node without `needs` begins after the one above it has ended."""

    async def story(world: World) -> list[str]:
        await world.run(flow("  - {id: a, run: x}\n  - {id: b, run: x}\n  - {id: c, run: x}"))
        return [text for text in world.record if not text.startswith("durable")]

    steps = ["begin {0}.1", "spawn {0}.1", "finish {0}.1 succeeded"]
    expected = [step.format(node) for node in "abc" for step in steps]
    assert simulate(story)[1:-1] == expected


def test_branches_run_side_by_side() -> None:
    """Two nodes that need the same one run at the same time, and their common heir after both."""
    acts = {"left": Act(lasts_s=5), "right": Act(lasts_s=3)}

    async def story(world: World) -> dict[str, float]:
        outcome = await world.run(flow(DIAMOND))
        start = outcome.execution.created_at
        return {
            name: (status.started_at - start).total_seconds()
            for name, status in outcome.nodes.items()
            if status.started_at
        }

    assert simulate(story, acts) == {"top": 0, "left": 0, "right": 0, "bottom": 5}


def test_empty_needs_means_at_once() -> None:
    """A node with `needs: []` does not wait for the one above it."""
    text = flow("  - {id: slow, run: x}\n  - {id: quick, run: x, needs: []}")
    outcome = run_flow(text, {"slow": Act(lasts_s=60), "quick": OK})
    assert list(outcome.states) == ["quick", "slow"]


def test_only_so_many_processes_run_at_once() -> None:
    """The host's limit holds processes back, and nodes without a process pass by."""
    nodes = [f"  - {{id: n{number}, run: x, needs: []}}" for number in range(4)]
    text = flow("\n".join([*nodes, "  - {id: quick, type: noop, needs: []}"]))
    acts = {f"n{number}": Act(lasts_s=10) for number in range(4)}

    async def story(world: World) -> tuple[set[NodeState], list[str], float]:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        live = world.engine.live_states(accepted.id) or {}
        waiting = [name for name, state in live.items() if state is NodeState.QUEUED]
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.ended_at
        lasted = outcome.execution.ended_at - outcome.execution.created_at
        return {live["n0"], live["n1"]}, waiting, lasted.total_seconds()

    expected = {NodeState.RUNNING}, ["n2", "n3"], 20
    assert simulate(story, acts, node_slots=2) == expected


# Conditions


@pytest.mark.parametrize(
    ("act", "condition", "state", "reason"),
    [
        pytest.param(OK, "success()", "succeeded", "", id="success-after-success"),
        pytest.param(FAILS, "success()", "skipped", "if", id="success-after-failure"),
        pytest.param(OK, "failure()", "skipped", "if", id="failure-after-success"),
        pytest.param(FAILS, "failure()", "succeeded", "", id="failure-after-failure"),
        pytest.param(OK, "always()", "succeeded", "", id="always-after-success"),
        pytest.param(FAILS, "always()", "succeeded", "", id="always-after-failure"),
        pytest.param(OK, "cancelled()", "skipped", "if", id="cancelled-without-cancel"),
        pytest.param(OK, "skipped()", "skipped", "if", id="skipped-without-skip"),
        pytest.param(OK, "true", "succeeded", "", id="literal"),
        pytest.param(OK, "false", "skipped", "if", id="never"),
        pytest.param(FAILS, "true", "skipped", "needs", id="implied-success"),
        pytest.param(FAILS, None, "skipped", "needs", id="without-if"),
        pytest.param(FAILS, "failure() && success()", "skipped", "if", id="mixed"),
        pytest.param(OK, "nodes.first.exit_code == 0", "succeeded", "", id="exit-code"),
        pytest.param(OK, "nodes.first.state == 'succeeded'", "succeeded", "", id="state"),
    ],
)
def test_if_decides_whether_a_node_runs(
    act: Act, condition: str | None, state: str, reason: str
) -> None:
    """`if` implies `success()` of the needs unless it calls a status function."""
    text = f', if: "{condition}"' if condition else ""
    outcome = run_flow(
        flow(f"  - {{id: first, run: x}}\n  - {{id: second, run: x{text}}}"), {"first": act}
    )
    assert (outcome.states["second"], outcome.reasons["second"]) == (state, reason)


def test_failure_is_seen_at_any_distance() -> None:
    """`failure()` is true when a node far above failed and those between were skipped."""
    text = flow("""
  - {id: a, run: x}
  - {id: b, run: x}
  - {id: c, run: x}
  - {id: rescue, run: x, if: failure()}
  - {id: other, run: x, needs: [], if: failure()}
""")
    outcome = run_flow(text, {"a": FAILS})
    states = {"a": "failed", "b": "skipped", "c": "skipped", "rescue": "succeeded"}
    assert outcome.states == {**states, "other": "skipped"}


def test_skipped_speaks_of_direct_needs_only() -> None:
    """`skipped()` is true below a skipped node, not two below it."""
    text = flow("""
  - {id: a, run: x, if: "false"}
  - {id: b, run: x, if: skipped()}
  - {id: c, run: x, if: skipped()}
""")
    assert run_flow(text).states == {"a": "skipped", "b": "succeeded", "c": "skipped"}


def test_own_skip_counts_as_success_with_null_outputs() -> None:
    """A node skipped by its own `if` does not stop its dependants, which see null outputs."""
    text = flow("""
  - {id: a, type: set, if: "false", params: {values: {x: 1}}}
  - {id: b, type: set, params: {values: {seen: "${{ nodes.a.outputs.x }}"}}}
""")
    outcome = run_flow(text)
    assert outcome.states == {"a": "skipped", "b": "succeeded"}
    assert outcome.nodes["a"].outputs is None
    assert outcome.nodes["b"].outputs == {"seen": None}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_skip_because_of_needs_is_passed_on() -> None:
    """What cannot run because of its needs keeps its own dependants from running too."""
    text = flow("  - {id: a, run: x}\n  - {id: b, run: x}\n  - {id: c, run: x}")
    outcome = run_flow(text, {"a": FAILS})
    assert outcome.states == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert outcome.reasons == {"a": "exit_code", "b": "needs", "c": "needs"}


def test_one_skipped_need_among_others_passes_the_skip_on() -> None:
    """A node with several needs is skipped when any of them passed a skip on."""
    text = flow("""
  - {id: bad, run: x}
  - {id: below_bad, run: x}
  - {id: good, run: x, needs: []}
  - {id: both, run: x, needs: [below_bad, good]}
""")
    outcome = run_flow(text, {"bad": FAILS})
    assert (outcome.states["both"], outcome.reasons["both"]) == ("skipped", "needs")


def test_if_that_cannot_be_evaluated_fails_its_node() -> None:
    """An `if` over values it cannot compare is a failure, not a silent skip; no attempt is made."""
    text = flow("""
  - {id: a, run: x, outputs: {n: {type: integer}}}
  - {id: b, run: x, if: nodes.a.outputs.n > 1}
""")
    outcome = run_flow(text)
    assert (outcome.states["b"], outcome.reasons["b"]) == ("failed", "expression")
    assert [attempt.key.node for attempt in outcome.attempts] == ["a"]
    assert outcome.execution.error is not None
    assert outcome.execution.error.message.startswith("node b: if: ")


# How the execution ends


def test_independent_branches_go_on_after_a_failure() -> None:
    """A failed node stops only what needs it."""
    text = flow("""
  - {id: bad, run: x}
  - {id: below, run: x}
  - {id: other, run: x, needs: []}
  - {id: last, run: x}
""")
    outcome = run_flow(text, {"bad": FAILS, "other": Act(lasts_s=30)})
    expected = {"bad": "failed", "below": "skipped", "other": "succeeded", "last": "succeeded"}
    assert outcome.states == expected
    assert outcome.execution.state is ExecutionState.FAILED


def test_error_is_that_of_the_node_that_failed_first() -> None:
    """The execution's error names the first failure in time, whatever the order in the file."""
    text = flow("""
  - {id: late, run: x, needs: []}
  - {id: early, type: fail, needs: [], params: {message: no rows, code: no_rows}}
""")
    outcome = run_flow(text, {"late": Act(lasts_s=5, exit_code=3)})
    error = outcome.execution.error
    assert error is not None
    assert (error.code, error.message) == ("no_rows", "node early: no rows")
    assert error.details == {"node": "early"}
    assert outcome.execution.reason == "no_rows"


def test_error_of_a_process_tells_its_exit_code() -> None:
    """The error of a failed process has its exit code among the details."""
    outcome = run_flow(flow("  - {id: a, run: x}"), {"a": Act(exit_code=7)})
    error = outcome.execution.error
    assert error is not None
    assert (error.code, error.message) == ("node_failed", "node a: exit code 7")
    assert error.details == {"exit_code": 7, "reason": "exit_code", "node": "a"}
    (attempt,) = outcome.attempts
    assert (attempt.exit_code, attempt.reason) == (7, "exit_code")


def test_rescued_failure_is_still_a_failure() -> None:
    """A node that runs because another failed does not make the execution succeed."""
    text = flow("  - {id: a, run: x}\n  - {id: rescue, run: x, if: failure()}")
    assert run_flow(text, {"a": FAILS}).execution.state is ExecutionState.FAILED


def test_observer_hears_of_start_attempts_and_end() -> None:
    """Metrics and logs are told each attempt with its type, and the start and end once."""

    async def story(world: World) -> None:
        text = flow("  - {id: a, run: x}\n  - {id: b, type: noop}")
        outcome = await world.run(text)
        seen = world.observer
        assert seen.started == [outcome.execution.id]
        assert seen.queued == []
        assert [(kind, each.key.node) for kind, each in seen.attempts] == [
            ("shell", "a"),
            ("noop", "b"),
        ]
        assert seen.ended == [outcome.execution]

    simulate(story)


# Size


def test_chain_of_1000_nodes_ends() -> None:
    """A long chain needs no deep stack, and every node is journaled."""
    nodes = "\n".join(f"  - {{id: n{number}, type: noop}}" for number in range(1_000))
    outcome = run_flow(flow(nodes))
    assert list(outcome.states.values()) == ["succeeded"] * 1_000
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_fan_of_1000_nodes_ends() -> None:
    """A thousand nodes at once and one that needs them all."""
    names = [f"n{number}" for number in range(1_000)]
    nodes = "\n".join(f"  - {{id: {name}, type: noop, needs: []}}" for name in names)
    last = f"  - {{id: last, type: noop, needs: [{', '.join(names)}]}}"
    outcome = run_flow(flow(f"{nodes}\n{last}"))
    assert len(outcome.states) == 1_001
    assert list(outcome.states)[-1] == "last"
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_skip_of_1000_nodes_is_one_write() -> None:
    """A skip that runs down a long chain needs no deep stack and is journaled at once."""
    nodes = "\n".join(f"  - {{id: n{number}, type: noop}}" for number in range(1_000))

    async def story(world: World) -> None:
        outcome = await world.run(flow(f"  - {{id: bad, run: x}}\n{nodes}"))
        assert list(outcome.states.values()) == ["failed"] + ["skipped"] * 1_000
        assert sum(text.startswith("settle") for text in world.record) == 1

    simulate(story, {"bad": FAILS})


def test_live_states_follow_the_execution() -> None:
    """What runs can be asked for the states of its nodes; what has ended cannot."""

    async def story(world: World) -> None:
        text = flow("  - {id: a, run: x}\n  - {id: b, run: x}")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        live = world.engine.live_states(accepted.id)
        assert live == {"a": NodeState.RUNNING, "b": NodeState.PENDING}
        await world.engine.cancel(accepted.id)
        await world.end_of(accepted.id)
        assert world.engine.live_states(accepted.id) is None

    simulate(story, {"a": HANGS})
