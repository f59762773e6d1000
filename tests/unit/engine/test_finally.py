"""`finally`: nodes that run when all others are final, however they ended."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, OK, Act, Acts, Outcome, World, flow, run_flow, simulate

NODES = "  - {id: a, run: x}\n  - {id: b, run: x}\n"
FINALLY = "finally:\n  - {id: tidy, run: x}\n  - {id: tell, run: x}"
DEAF = Act(lasts_s=None, on_term_s=None)


def finally_if(condition: str, nodes: str = NODES) -> str:
    """A flow with one node in `finally`, which has this `if`."""
    return flow(nodes, top=f'finally: [{{id: last, run: x, if: "{condition}"}}]')


def cancelled(text: str, acts: Acts, *, force: bool = False, after_s: float = 5) -> Outcome:
    """Runs a flow that is cancelled after some seconds."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(after_s)
        assert await world.engine.cancel(accepted.id, force=force)
        return await world.end_of(accepted.id)

    return simulate(story, acts)


async def resumed(world: World, execution_id: ExecutionId, acts: Acts) -> Outcome:
    """Kills the daemon, starts it again, and waits for the end of the execution."""
    after = world.after_crash(acts)
    await world.engine.drain(0)
    await after.recover()
    outcome = await after.end_of(execution_id)
    await after.idle()
    after.assert_clean()
    assert await after.storage.journal.running() == []
    return outcome


# When they run


def test_finally_runs_when_every_node_is_final() -> None:
    """Its nodes come last, in their order, after branches that take long, too."""
    text = flow("  - {id: a, run: x}\n  - {id: slow, run: x, needs: []}\n", top=FINALLY)
    outcome = run_flow(text, {"slow": Act(lasts_s=60)})
    assert list(outcome.states) == ["a", "slow", "tidy", "tell"]
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_finally_runs_after_a_failure() -> None:
    """A failure keeps nothing of `finally` from running, and stays the execution's error."""
    outcome = run_flow(flow(NODES, top=FINALLY), {"a": FAILS})
    assert outcome.states == {
        "a": "failed",
        "b": "skipped",
        "tidy": "succeeded",
        "tell": "succeeded",
    }
    assert outcome.execution.state is ExecutionState.FAILED
    assert outcome.execution.error is not None
    assert outcome.execution.error.details["node"] == "a"


def test_finally_runs_after_a_cancel() -> None:
    """A cancelled execution tidies up, and is cancelled."""
    outcome = cancelled(flow(NODES, top=FINALLY), {"a": HANGS})
    assert outcome.states == {
        "b": "cancelled",
        "a": "cancelled",
        "tidy": "succeeded",
        "tell": "succeeded",
    }
    assert outcome.execution.state is ExecutionState.CANCELLED


def test_finally_runs_after_the_timeout_and_has_its_own_time() -> None:
    """The flow's `timeout` does not count it; the execution is timed_out."""
    text = flow(NODES, top=f"timeout: 1m\n{FINALLY}")
    outcome = run_flow(text, {"a": HANGS, "tidy": Act(lasts_s=200)})
    assert outcome.states["tidy"] == "succeeded"
    assert outcome.execution.state is ExecutionState.TIMED_OUT
    assert outcome.execution.ended_at is not None
    assert (outcome.execution.ended_at - outcome.execution.created_at).total_seconds() == 260


# What they come to


def test_failed_one_fails_the_execution_and_stops_nobody() -> None:
    """Omitted `needs` only order: the next node runs all the same."""
    outcome = run_flow(flow(NODES, top=FINALLY), {"tidy": FAILS})
    assert (outcome.states["tidy"], outcome.states["tell"]) == ("failed", "succeeded")
    assert outcome.execution.state is ExecutionState.FAILED
    assert outcome.execution.error is not None
    assert outcome.execution.error.message == "node tidy: exit code 1"


def test_tolerated_failure_in_finally_fails_nothing() -> None:
    """`continue_on_error` holds in `finally` as well."""
    top = "finally: [{id: tidy, run: x, continue_on_error: true}]"
    outcome = run_flow(flow(NODES, top=top), {"tidy": FAILS})
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_failure_in_finally_leaves_a_cancelled_execution_cancelled() -> None:
    """An execution that is cancelled keeps that state."""
    outcome = cancelled(flow(NODES, top=FINALLY), {"a": HANGS, "tidy": FAILS})
    assert outcome.execution.state is ExecutionState.CANCELLED


def test_written_needs_only_order_too() -> None:
    """Nodes of `finally` may run side by side; a failed need does not skip who waits for it."""
    top = """finally:
  - {id: one, run: x}
  - {id: two, run: x, needs: []}
  - {id: three, run: x, needs: [one, two]}"""
    outcome = run_flow(flow(NODES, top=top), {"one": Act(lasts_s=9, exit_code=1)})
    assert list(outcome.states)[2:] == ["two", "one", "three"]
    assert outcome.states["three"] == "succeeded"


def test_finally_timeout_ends_it() -> None:
    """Nodes of `finally` that are not final by then are cancelled, which no success survives."""
    text = flow(NODES, top=f"finally_timeout: 30s\n{FINALLY}")
    outcome = run_flow(text, {"tidy": HANGS})
    assert (outcome.states["tidy"], outcome.states["tell"]) == ("cancelled", "cancelled")
    execution = outcome.execution
    assert (execution.state, execution.reason) == (ExecutionState.TIMED_OUT, "finally_timeout")
    assert execution.error is not None
    assert execution.error.message == "took longer than the finally_timeout of 30s"


def test_finally_has_five_minutes() -> None:
    """Without `finally_timeout` it is ended after 5 minutes; a failure before stays the reason."""
    outcome = run_flow(flow(NODES, top=FINALLY), {"a": FAILS, "tidy": HANGS})
    assert outcome.execution.ended_at is not None
    assert (outcome.execution.ended_at - outcome.execution.created_at).total_seconds() == 300
    assert outcome.execution.reason == "exit_code"


# What they see


@pytest.mark.parametrize(
    ("condition", "after_success", "after_failure"),
    [
        pytest.param("success()", True, False, id="success"),
        pytest.param("failure()", False, True, id="failure"),
        pytest.param("always()", True, True, id="always"),
        pytest.param("skipped()", False, True, id="skipped"),
        pytest.param("cancelled()", False, False, id="cancelled"),
        pytest.param("nodes.b.state == 'succeeded'", True, False, id="state-of-a-node"),
        pytest.param("false", False, False, id="never"),
    ],
)
def test_status_functions_speak_about_all_nodes(
    condition: str, *, after_success: bool, after_failure: bool
) -> None:
    """In `finally` nothing is implied, and they look at all of `nodes`, not at the needs."""
    good = run_flow(finally_if(condition))
    bad = run_flow(finally_if(condition), {"a": FAILS})
    states = {True: "succeeded", False: "skipped"}
    assert good.states["last"] == states[after_success]
    assert bad.states["last"] == states[after_failure]


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        pytest.param("success()", "skipped", id="success"),
        pytest.param("failure()", "skipped", id="failure"),
        pytest.param("cancelled()", "succeeded", id="cancelled"),
    ],
)
def test_status_functions_after_a_cancel(condition: str, state: str) -> None:
    """A cancel is no success and no failure; `cancelled()` tells it."""
    assert cancelled(finally_if(condition), {"a": HANGS}).states["last"] == state


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        pytest.param("success()", "skipped", id="success"),
        pytest.param("failure()", "succeeded", id="failure"),
        pytest.param("cancelled()", "skipped", id="cancelled"),
    ],
)
def test_status_functions_after_the_timeout(condition: str, state: str) -> None:
    """`failure()` counts an execution that timed out, though its nodes are cancelled."""
    text = finally_if(condition) + "\ntimeout: 1m"
    assert run_flow(text, {"a": HANGS}).states["last"] == state


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param("  - {id: a, run: x, continue_on_error: true}\n", id="tolerated-failure"),
        pytest.param(
            "  - {id: s, type: switch, params: {default: b}}\n"
            "  - {id: b, run: x}\n"
            "  - {id: c, type: switch, params: {cases: [{when: false, goto: d}]}, needs: []}\n"
            "  - {id: d, run: x}\n",
            id="not-chosen",
        ),
        pytest.param("  - {id: a, run: x}\n  - {id: b, run: x, if: 'false'}\n", id="own-if"),
    ],
)
def test_success_is_all_that_did_not_fail(nodes: str) -> None:
    """Skips without a failure and failures that are tolerated are success in `finally` too."""
    acts = {"a": FAILS} if "continue" in nodes else {}
    assert run_flow(finally_if("success()", nodes), acts).states["last"] == "succeeded"


def test_finally_reads_every_node_and_those_before() -> None:
    """Expressions see all of `nodes` and the nodes of `finally` that come before."""
    top = """finally:
  - {id: one, type: set, params: {values: {code: "${{ nodes.a.exit_code }}"}}}
  - {id: two, type: set, params: {values: {seen: "${{ nodes.one.outputs.code }}"}}}
outputs: {seen: "${{ nodes.two.outputs.seen }}"}"""
    outcome = run_flow(flow(NODES, top=top))
    assert outcome.execution.outputs == {"seen": 0}


# Cancel again, and by force


def test_second_cancel_does_not_disturb() -> None:
    """A cancel while `finally` runs changes nothing: neither its nodes nor the end."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(NODES, top=FINALLY)))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        await asyncio.sleep(5)
        assert await world.engine.cancel(accepted.id)
        return await world.end_of(accepted.id)

    outcome = simulate(story, {"a": HANGS, "tidy": Act(lasts_s=60)})
    assert (outcome.states["tidy"], outcome.states["tell"]) == ("succeeded", "succeeded")
    assert outcome.execution.state is ExecutionState.CANCELLED


def test_cancel_during_finally_leaves_a_success() -> None:
    """When all of `nodes` are final there is nothing to cancel."""
    outcome = cancelled(flow(NODES, top=FINALLY), {"tidy": Act(lasts_s=60)})
    assert outcome.execution.state is ExecutionState.SUCCEEDED


@pytest.mark.parametrize(
    ("acts", "timeout_s", "cancels_first", "withstands"),
    [
        pytest.param({"a": HANGS}, 60, False, False, id="nodes-run"),
        pytest.param({"tidy": HANGS}, 60, False, True, id="finally-runs"),
        pytest.param({"a": HANGS, "tidy": HANGS}, 3, False, True, id="after-the-timeout"),
        pytest.param({"a": HANGS, "tidy": HANGS}, 60, True, False, id="after-a-cancel"),
    ],
)
def test_finally_that_withstands_a_cancel_is_told(
    acts: Acts, timeout_s: int, *, cancels_first: bool, withstands: bool
) -> None:
    """Whoever asks to cancel can learn that it would change nothing; a repeated cancel is none."""

    async def story(world: World) -> bool:
        top = f"timeout: {timeout_s}s\n{FINALLY}"
        accepted = await world.submit(world.define(flow(NODES, top=top)))
        await asyncio.sleep(1)
        if cancels_first:
            await world.engine.cancel(accepted.id)
        await asyncio.sleep(4)
        answer = world.engine.withstands_cancel(accepted.id)
        await world.engine.cancel(accepted.id, force=True)
        await world.end_of(accepted.id)
        return answer

    assert simulate(story, acts) is withstands


def test_cancel_by_force_leaves_finally_out() -> None:
    """With `--force` nothing of `finally` runs."""
    outcome = cancelled(flow(NODES, top=FINALLY), {"a": HANGS}, force=True)
    assert set(outcome.states.values()) == {"cancelled"}
    assert len(outcome.states) == 4
    assert [attempt.key.node for attempt in outcome.attempts] == ["a"]
    assert outcome.execution.state is ExecutionState.CANCELLED


@pytest.mark.parametrize(
    ("act", "state"),
    [
        pytest.param(OK, ExecutionState.CANCELLED, id="no-success-survives"),
        pytest.param(FAILS, ExecutionState.FAILED, id="failure-stays"),
    ],
)
def test_cancel_by_force_ends_a_finally_that_runs(act: Act, state: ExecutionState) -> None:
    """It is the way out of a `finally` that hangs."""
    outcome = cancelled(flow(NODES, top=FINALLY), {"a": act, "tidy": HANGS}, force=True)
    assert (outcome.states["tidy"], outcome.states["tell"]) == ("cancelled", "cancelled")
    assert outcome.execution.state is state


# The end of the daemon


def test_finally_runs_after_a_restart() -> None:
    """An execution that a crash cut short runs its `finally` in the next life."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(NODES, top=FINALLY)))
        await asyncio.sleep(5)
        return await resumed(world, accepted.id, {})

    outcome = simulate(story, {"a": HANGS})
    assert outcome.states == {
        "a": "failed",
        "b": "skipped",
        "tidy": "succeeded",
        "tell": "succeeded",
    }
    assert outcome.execution.reason == "interrupted"


def test_finally_of_a_cancelled_execution_runs_after_a_restart() -> None:
    """`cancelled()` and the end are what they would have been without the crash."""
    text = finally_if("cancelled()")

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        await asyncio.sleep(1)
        return await resumed(world, accepted.id, {})

    outcome = simulate(story, {"a": DEAF})
    assert outcome.states == {"b": "cancelled", "a": "cancelled", "last": "succeeded"}
    assert outcome.execution.state is ExecutionState.CANCELLED


def test_finally_that_was_cut_short_goes_on() -> None:
    """A node of `finally` in flight has failed, as any other, and the next one runs."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(NODES, top=FINALLY)))
        await asyncio.sleep(5)
        return await resumed(world, accepted.id, {"tidy": OK})

    outcome = simulate(story, {"tidy": HANGS})
    assert (outcome.states["tidy"], outcome.reasons["tidy"]) == ("failed", "interrupted")
    assert outcome.states["tell"] == "succeeded"


def test_finally_timeout_counts_over_a_restart() -> None:
    """It is one bound from the begin of `finally`, however many lives of the daemon it takes."""
    text = flow(NODES, top=f"finally_timeout: 30s\n{FINALLY}")

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(20)
        return await resumed(world, accepted.id, {"tell": HANGS})

    outcome = simulate(story, {"tidy": HANGS})
    assert outcome.states["tell"] == "cancelled"
    assert outcome.execution.ended_at is not None
    assert (outcome.execution.ended_at - outcome.execution.created_at).total_seconds() == 30


def test_finally_timeout_that_strikes_during_a_stop_is_not_forgotten() -> None:
    """What the stop left of `finally` does not run in the next life of the daemon."""
    text = flow(NODES, top=f"finally_timeout: 30s\n{FINALLY}")

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(20)
        await world.engine.drain(60)
        return await resumed(world, accepted.id, {})

    outcome = simulate(story, {"tidy": HANGS})
    assert outcome.reasons["tidy"] == outcome.reasons["tell"] == "finally_timeout"
    assert outcome.execution.state is ExecutionState.TIMED_OUT


def test_time_without_a_daemon_does_not_keep_finally_from_beginning() -> None:
    """A long outage between the nodes and `finally` leaves it its whole time."""
    text = flow(NODES, top=f"finally_timeout: 30s\n{FINALLY}")

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.drain(300)
        await asyncio.sleep(3600)
        return await resumed(world, accepted.id, {"tidy": Act(lasts_s=20)})

    outcome = simulate(story, {"a": Act(lasts_s=5)})
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_stop_leaves_finally_for_the_next_start() -> None:
    """A daemon that drains begins no `finally`."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(NODES, top=FINALLY)))
        await asyncio.sleep(1)
        await world.engine.drain(300)
        assert (await world.outcome(accepted.id)).states == {"a": "succeeded"}
        return await resumed(world, accepted.id, {})

    outcome = simulate(story, {"a": Act(lasts_s=30)})
    assert set(outcome.states.values()) == {"succeeded"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED
