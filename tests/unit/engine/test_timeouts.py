"""The `timeout` of a flow: from the start of the execution, on the wall clock."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, TIMEOUT_S, Act, Acts, Outcome, World, flow, simulate

TOP = "timeout: 1m"
CHAIN = "  - {id: a, run: x}\n  - {id: b, run: x}\n  - {id: c, run: x, if: always()}"


def bounded(nodes: str, acts: Acts | None = None, *, top: str = TOP) -> Outcome:
    """Runs a flow that has a minute."""

    async def story(world: World) -> Outcome:
        return await world.run(flow(nodes, top=top))

    return simulate(story, acts)


def lasted(outcome: Outcome) -> float:
    """Seconds from the start of the execution to its end."""
    execution = outcome.execution
    assert execution.started_at is not None
    assert execution.ended_at is not None
    return (execution.ended_at - execution.started_at).total_seconds()


async def settled(world: World, execution_id: ExecutionId) -> Outcome:
    """Waits for the end of everything in a later life and checks that it left nothing."""
    outcome = await world.end_of(execution_id)
    await world.idle()
    world.assert_clean()
    return outcome


def test_timeout_cancels_what_is_not_final() -> None:
    """Nodes that had ended stay so, all others are cancelled (timeout), whatever their `if`."""
    outcome = bounded(CHAIN, {"b": HANGS})
    assert outcome.states == {"a": "succeeded", "c": "cancelled", "b": "cancelled"}
    assert (outcome.reasons["b"], outcome.reasons["c"]) == ("timeout", "timeout")
    execution = outcome.execution
    assert (execution.state, execution.reason) == (ExecutionState.TIMED_OUT, "timeout")
    assert execution.error is not None
    assert execution.error.message == "took longer than its timeout of 1m"
    assert lasted(outcome) == 60


def test_timeout_gives_processes_their_time() -> None:
    """What runs gets SIGTERM, and SIGKILL after `kill_after`."""

    async def story(world: World) -> float:
        text = flow("  - {id: a, run: x, kill_after: 20s}", top=TOP)
        outcome = await world.run(text)
        assert world.signals("a") == ["SIGTERM", "SIGCONT", "SIGKILL"]
        return lasted(outcome)

    assert simulate(story, {"a": Act(lasts_s=None, on_term_s=None)}) == 80


@pytest.mark.parametrize(
    ("node", "acts"),
    [
        pytest.param("{id: a, type: wait, params: {for: 2m}}", {}, id="wait"),
        pytest.param(
            "{id: a, run: x, retry: {max_attempts: 9, delay: 50s}}", {"a": FAILS}, id="retry-delays"
        ),
    ],
)
def test_waits_and_delays_count(node: str, acts: Acts) -> None:
    """The bound holds for all time since the start, whatever fills it."""
    # A limit that contradicts another one is a warning, so the flow is in force.
    outcome = bounded(f"  - {node}", acts)
    assert (outcome.states, lasted(outcome)) == ({"a": "cancelled"}, 60)
    assert outcome.execution.state is ExecutionState.TIMED_OUT


def test_time_in_the_queue_does_not_count() -> None:
    """The bound begins with the start, not with the acceptance."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}", top=TOP))
        ids = [(await world.submit(spec)).id for _ in range(2)]
        outcomes = [await world.end_of(each) for each in ids]
        assert [str(outcome.execution.state) for outcome in outcomes] == ["succeeded"] * 2

    simulate(story, {"a": Act(lasts_s=40)})


def test_time_of_a_downtime_counts() -> None:
    """An execution whose time was over while the daemon was down ends at the start of the next."""

    async def story(world: World) -> None:
        nodes = "  - {id: a, run: x, on_interrupt: rerun}\n  - {id: b, run: x}"
        accepted = await world.submit(world.define(flow(nodes, top=TOP)))
        await asyncio.sleep(5)
        after = world.after_crash()
        await world.engine.drain(0)
        await asyncio.sleep(3600)
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.states == {"a": "cancelled", "b": "cancelled"}
        assert outcome.execution.state is ExecutionState.TIMED_OUT
        assert after.spawner.requests == []
        assert await after.storage.journal.running() == []

    simulate(story, {"a": HANGS})


def test_timeout_that_struck_survives_a_crash() -> None:
    """An execution that was being ended for its timeout ends so after the restart."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(CHAIN, top=TOP)))
        await asyncio.sleep(65)
        after = world.after_crash()
        assert (await after.outcome(accepted.id)).execution.reason == "timeout"
        await world.engine.drain(0)
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.execution.state is ExecutionState.TIMED_OUT

    simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})


def test_wall_clock_decides() -> None:
    """When the clock is set forward, as after a sleep of the host, the bound is noticed soon."""

    async def story(world: World) -> float:
        text = flow("  - {id: a, run: x}", top="timeout: 1d")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(30)
        world.clock.jump(86_400)
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.TIMED_OUT
        return world.clock.monotonic()

    assert simulate(story, {"a": HANGS}) == 60


def test_cancel_that_came_first_stays() -> None:
    """An execution that is being cancelled when its time is over ends as cancelled."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(CHAIN, top=TOP)))
        await asyncio.sleep(55)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert lasted(outcome) == 65
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})


def test_cancel_that_comes_later_changes_nothing() -> None:
    """An execution whose time was over ends as timed out, also when it is cancelled then."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(CHAIN, top=TOP)))
        await asyncio.sleep(65)
        assert await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.TIMED_OUT

    simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})


def test_host_has_a_bound_for_flows_without_one() -> None:
    """A flow that names no `timeout` has that of the settings."""
    assert lasted(bounded("  - {id: a, run: x}", {"a": HANGS}, top="")) == TIMEOUT_S


def test_timeout_in_time_is_not_heard_of() -> None:
    """An execution that ends within its bound leaves nothing behind and no reason."""
    outcome = bounded(CHAIN)
    assert outcome.execution.state is ExecutionState.SUCCEEDED
    assert outcome.execution.reason == ""
