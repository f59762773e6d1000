"""Stopping: nothing new starts, what is at work gets its time, the rest stays where it stands."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.engine.recovery import RecoveryReport
from flowrunner.errors import RefusedError
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, OK, WORK, Act, Outcome, World, flow, simulate

CHAIN = flow("  - {id: a, run: x}\n  - {id: b, run: x}")


async def settled(world: World, execution_id: ExecutionId) -> Outcome:
    """Waits for the end of everything in a later life and checks that it left nothing."""
    outcome = await world.end_of(execution_id)
    await world.idle()
    world.assert_clean()
    return outcome


def test_drain_waits_for_attempts_at_work() -> None:
    """An attempt that ends within the time ends as if nothing had happened."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CHAIN))
        await asyncio.sleep(1)
        await world.engine.drain(300)
        outcome = await world.outcome(accepted.id)
        assert (world.clock.monotonic(), outcome.states) == (60, {"a": "succeeded"})
        assert outcome.execution.state is ExecutionState.RUNNING
        after = world.after_crash()
        assert await after.recover() == RecoveryReport(resumed=1)
        outcome = await settled(after, accepted.id)
        assert outcome.states == {"a": "succeeded", "b": "succeeded"}
        assert after.spawned("a") == []

    simulate(story, {"a": Act(lasts_s=60)})


def test_drain_ends_an_execution_whose_last_attempt_ends() -> None:
    """Where nothing is to come after it, the end of an attempt is the end of its execution."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow("  - {id: a, run: x}")))
        await asyncio.sleep(1)
        await world.engine.drain(300)
        outcome = await world.outcome(accepted.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert world.files.names(WORK) == []

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


@pytest.mark.parametrize(
    ("keys", "states"),
    [
        pytest.param("", {"a": "failed"}, id="fails"),
        pytest.param(", on_interrupt: rerun", {}, id="runs-again-later"),
    ],
)
def test_drain_interrupts_what_takes_longer(keys: str, states: dict[str, str]) -> None:
    """After the time processes get SIGTERM, then SIGKILL, and the journal says `interrupted`."""
    text = flow(f"  - {{id: a, run: x{keys}}}\n  - {{id: b, run: x}}")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.drain(30)
        assert world.signals("a") == ["SIGTERM", "SIGCONT", "SIGKILL"]
        outcome = await world.outcome(accepted.id)
        assert outcome.states == states
        (attempt,) = outcome.attempts
        assert (attempt.state, attempt.reason) == ("failed", "interrupted")
        assert outcome.execution.state is ExecutionState.RUNNING

    simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})


@pytest.mark.parametrize(
    "node",
    [
        pytest.param("{id: a, run: x, retry: {max_attempts: 2, delay: 1h}}", id="retry-delay"),
        pytest.param("{id: a, type: wait, params: {for: 1h}}", id="wait"),
        pytest.param("{id: a, run: x, needs: [], if: 'true'}", id="place-on-the-host"),
    ],
)
def test_drain_does_not_wait_for_what_only_waits(node: str) -> None:
    """Waits, retry delays and those in line for a place stay where they are; the stop is quick."""

    async def story(world: World) -> None:
        await world.submit(world.define(flow("  - {id: hog, run: x}", name="hog")))
        await asyncio.sleep(1)
        accepted = await world.submit(world.define(flow(f"  - {node}")))
        await asyncio.sleep(5)
        world.acts["hog"] = OK
        began = world.clock.monotonic()
        await world.engine.drain(300)
        assert world.clock.monotonic() - began == 14
        outcome = await world.outcome(accepted.id)
        assert (outcome.execution.state, outcome.states) == (ExecutionState.RUNNING, {})

    is_place = "needs" in node
    simulate(story, {"hog": Act(lasts_s=20), "a": FAILS}, node_slots=1 if is_place else 2)


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
        assert (await settled(after, waiting.id)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"a": HANGS})


def test_drain_leaves_what_has_begun_nothing() -> None:
    """An execution without an attempt is no worse off by a stop than by a crash: it starts anew."""

    async def story(world: World) -> None:
        await world.submit(world.define(flow("  - {id: hog, run: x}", name="hog")))
        await asyncio.sleep(1)
        accepted = await world.submit(world.define(flow("  - {id: a, run: x}")))
        await asyncio.sleep(1)
        await world.engine.drain(0)
        outcome = await world.outcome(accepted.id)
        assert (outcome.execution.state, outcome.states) == (ExecutionState.RUNNING, {})
        assert outcome.attempts == []
        assert accepted.id not in [each.id for each in world.observer.ended]
        after = world.after_crash()
        assert (await after.recover()).resumed == 1
        assert (await settled(after, accepted.id)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"hog": HANGS}, node_slots=1)


def test_cancel_during_a_drain_is_not_forgotten() -> None:
    """What is at work ends as cancelled now, what was left becomes cancelled in the next life."""
    text = flow("  - {id: a, run: x}\n  - {id: b, type: wait, params: {for: 1h}, needs: []}")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        draining = asyncio.create_task(world.engine.drain(300))
        await asyncio.sleep(1)
        assert await world.engine.cancel(accepted.id)
        await draining
        assert (await world.outcome(accepted.id)).states == {"a": "cancelled"}
        after = world.after_crash()
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.states == {"a": "cancelled", "b": "cancelled"}
        assert outcome.execution.state is ExecutionState.CANCELLED
        assert await after.storage.journal.running() == []

    simulate(story, {"a": HANGS})


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
