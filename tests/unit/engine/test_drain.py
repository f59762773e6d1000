"""Stopping: nothing new starts, what runs gets its time, the rest is said or kept."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.errors import RefusedError
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, Act, World, flow, simulate

CHAIN = flow("  - {id: a, run: x}\n  - {id: b, run: x}")


def test_drain_waits_for_what_runs() -> None:
    """An execution that ends within the time ends as if nothing had happened."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CHAIN))
        await world.engine.drain(300)
        assert (await world.outcome(accepted.id)).states == {"a": "succeeded", "b": "succeeded"}

    simulate(story, {"a": Act(lasts_s=60)})


def test_drain_takes_no_more() -> None:
    """A start that comes while the daemon stops is refused as ``draining``."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        await world.submit(spec)
        draining = asyncio.create_task(world.engine.drain(300))
        await asyncio.sleep(1)
        with pytest.raises(RefusedError) as caught:
            await world.submit(spec)
        assert caught.value.code == "draining"
        await draining

    simulate(story, {"a": Act(lasts_s=60)})


def test_drain_interrupts_what_takes_longer() -> None:
    """After the time processes get SIGTERM, then SIGKILL, and the journal says `interrupted`."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CHAIN))
        await world.engine.drain(30)
        assert world.signals("a") == ["SIGTERM", "SIGCONT", "SIGKILL"]
        outcome = await world.outcome(accepted.id)
        assert outcome.states == {"b": "cancelled", "a": "failed"}
        assert set(outcome.reasons.values()) == {"interrupted"}
        (attempt,) = outcome.attempts
        assert (attempt.state, attempt.reason) == ("failed", "interrupted")
        execution = outcome.execution
        assert (execution.state, execution.reason) == (ExecutionState.FAILED, "interrupted")
        assert execution.error is not None
        assert execution.error.code == "interrupted"

    simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})


def test_drain_interrupts_a_retry_delay() -> None:
    """An execution that waits to try again is ended too: it had begun."""

    async def story(world: World) -> None:
        text = flow("  - {id: a, run: x, retry: {max_attempts: 2, delay: 1h}}")
        accepted = await world.submit(world.define(text))
        await world.engine.drain(30)
        outcome = await world.outcome(accepted.id)
        assert outcome.reasons == {"a": "interrupted"}
        assert outcome.execution.reason == "interrupted"

    simulate(story, {"a": FAILS})


def test_drain_leaves_what_is_queued() -> None:
    """What waits for its flow's limit stays in the journal and starts in the next life."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        await world.submit(spec)
        waiting = await world.submit(spec)
        await world.engine.drain(30)
        assert (await world.outcome(waiting.id)).execution.state is ExecutionState.QUEUED
        after = world.after_crash({"a": Act()})
        assert (await after.recover()).restored == 1
        assert (await after.end_of(waiting.id)).execution.state is ExecutionState.SUCCEEDED
        await after.idle()
        after.assert_clean()

    simulate(story, {"a": HANGS})


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param("  - {id: a, run: x}", id="waits-for-its-place"),
        pytest.param("  - {id: a, type: wait, params: {for: 1h}}", id="waits"),
    ],
)
def test_drain_leaves_what_has_begun_nothing(nodes: str) -> None:
    """An execution without an attempt is no worse off by a stop than by a crash: it starts anew."""

    async def story(world: World) -> None:
        await world.submit(world.define(flow("  - {id: hog, run: x}", name="hog")))
        await asyncio.sleep(1)
        accepted = await world.submit(world.define(flow(nodes)))
        await asyncio.sleep(1)
        await world.engine.drain(0)
        outcome = await world.outcome(accepted.id)
        assert (outcome.execution.state, outcome.states) == (ExecutionState.RUNNING, {})
        assert outcome.attempts == []
        assert accepted.id not in [each.id for each in world.observer.ended]
        after = world.after_crash()
        assert (await after.recover()).restored == 1
        assert (await after.end_of(accepted.id)).execution.state is ExecutionState.SUCCEEDED
        await after.idle()
        after.assert_clean()

    simulate(story, {"hog": HANGS}, node_slots=1)


def test_drain_leaves_what_is_being_accepted() -> None:
    """A start that was on its way to the disk is accepted, and carried by the next life."""

    async def story(world: World) -> None:
        world.disk.latency_s = 5
        accepting = asyncio.create_task(world.submit(world.define(CHAIN)))
        await asyncio.sleep(1)
        await world.engine.drain(0)
        accepted = await accepting
        assert world.engine.running_count == 0
        outcome = await world.outcome(accepted.id)
        assert (outcome.execution.state, outcome.attempts) == (ExecutionState.RUNNING, [])

    simulate(story)


def test_drain_of_an_idle_engine_returns_at_once() -> None:
    """There is nothing to wait for."""

    async def story(world: World) -> None:
        await world.engine.drain(300)
        assert world.clock.monotonic() == 0

    simulate(story)
