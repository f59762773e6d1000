"""What a caller was told is one write, so that a crash finds all of it or nothing."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState, Reason
from tests.fakes.engine import HANGS, OK, Act, World, flow, simulate

REPLACE = flow("  - {id: a, run: x}", top="concurrency: {on_conflict: replace}")
CLEANED = flow("  - {id: a, run: x}", top="finally: [{id: f, run: x, on_interrupt: rerun}]")
SLOW_TO_END = Act(lasts_s=None, on_term_s=30)


async def next_life(world: World, **acts: Act) -> World:
    """Kills the daemon now and starts it again."""
    after = world.after_crash(acts)
    world.disk.mend()
    world.disk.latency_s = 0
    await world.engine.drain(0)
    await after.recover()
    return after


async def state_of(world: World, execution_id: ExecutionId) -> str:
    execution = (await world.outcome(execution_id)).execution
    return f"{execution.state} {execution.reason}".strip()


# Those who go for a newcomer


def test_who_is_replaced_goes_in_the_write_that_accepts_the_newcomer() -> None:
    """A crash right after it finds the running one asked to end and the waiting one ended."""

    async def story(world: World) -> None:
        spec = world.define(REPLACE)
        runs, waits = [(await world.submit(spec)).id for _ in range(2)]
        world.disk.latency_s = 1
        newer = (await world.submit(spec)).id
        assert f"durable create {newer} and cancelled replaced" in world.record
        assert await state_of(world, runs) == "running replaced"
        after = await next_life(world, a=OK)
        ends = [await after.end_of(each) for each in (runs, newer)]
        assert [str(each.execution.state) for each in ends] == ["cancelled", "succeeded"]
        assert await state_of(after, waits) == "cancelled replaced"
        await after.idle()

    simulate(story, {"a": SLOW_TO_END})


def test_nobody_is_told_to_go_before_the_newcomer_is_durable() -> None:
    """Until then the running one works on, and a newcomer that is not kept changes nothing."""

    async def story(world: World) -> None:
        spec = world.define(REPLACE)
        older = (await world.submit(spec)).id
        await asyncio.sleep(1)
        world.disk.latency_s = 5
        accepting = asyncio.create_task(world.submit(spec))
        await asyncio.sleep(4)
        assert world.signals("a") == []
        newer = (await accepting).id
        await asyncio.sleep(1)
        assert world.signals("a")[0] == "SIGTERM"
        world.acts["a"] = OK
        world.disk.latency_s = 0
        for each in (older, newer):
            await world.end_of(each)

    simulate(story, {"a": HANGS})


def test_who_waits_is_back_in_line_when_the_newcomer_is_not_kept() -> None:
    """The place that gets free meanwhile is taken by it, and not lost."""

    async def story(world: World) -> None:
        spec = world.define(REPLACE)
        runs = (await world.submit(spec)).id
        world.flows[spec.key] = world.define(flow("  - {id: a, run: x}"))
        waits = (await world.submit(spec)).id
        world.define(REPLACE)
        await asyncio.sleep(58)
        world.disk.latency_s = 5
        world.disk.fail("create")
        with pytest.raises(StorageError):
            await world.submit(spec)
        world.disk.latency_s = 0
        world.disk.mend()
        for each in (runs, waits):
            await world.end_of(each)
        await world.idle()
        assert world.engine._admission.is_empty

    simulate(story, {"a": Act(lasts_s=60)})


def test_execution_in_its_finally_is_not_asked_to_go() -> None:
    """The newcomer waits for it; the journal has no reason that nobody acts upon."""

    async def story(world: World) -> None:
        spec = world.define(
            flow(
                "  - {id: a, run: x}",
                top="concurrency: {on_conflict: replace}\nfinally: [{id: f, run: x}]",
            )
        )
        older = (await world.submit(spec)).id
        await asyncio.sleep(1)
        newer = (await world.submit(spec)).id
        assert await state_of(world, older) == "running"
        for each in (older, newer):
            assert (await world.end_of(each)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"f": Act(lasts_s=60)})


# Cancels


def test_force_on_a_running_finally_survives_a_crash() -> None:
    """Its attempt at work is not repeated, whatever its `on_interrupt`; the nodes decide."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CLEANED))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id, force=True)
        assert await state_of(world, accepted.id) == "running forced"
        after = await next_life(world, f=OK)
        outcome = await after.end_of(accepted.id)
        assert outcome.states == {"a": "succeeded", "f": "cancelled"}
        assert outcome.reasons["f"] == "cancelled"
        assert await state_of(after, accepted.id) == "cancelled cancelled"
        assert after.spawned("f") == []
        await after.idle()

    simulate(story, {"f": SLOW_TO_END})


def test_force_that_is_not_durable_is_refused() -> None:
    """Who forces the end of a `finally` hears that a crash would forget it."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CLEANED))
        await asyncio.sleep(1)
        world.disk.fail("update running")
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id, force=True)
        world.disk.mend()
        assert (await world.end_of(accepted.id)).states["f"] == "cancelled"

    simulate(story, {"f": SLOW_TO_END})


def test_force_after_a_cancel_survives_a_crash() -> None:
    """The first reason stays with the nodes that it ended, and `finally` is left out."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CLEANED))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id, Reason.REPLACED)
        await world.engine.cancel(accepted.id, force=True)
        assert await state_of(world, accepted.id) == "running forced"
        after = await next_life(world, a=OK)
        outcome = await after.end_of(accepted.id)
        assert set(outcome.states.values()) == {"cancelled"}
        assert after.record.count("spawn f.1") == 0
        await after.idle()

    simulate(story, {"a": SLOW_TO_END})


@pytest.mark.parametrize("force", [False, True])
def test_cancel_before_the_nodes_are_carried_survives_a_crash(*, force: bool) -> None:
    """One that comes while the execution is only about to begin is journaled, too."""

    async def story(world: World) -> None:
        spec = world.define(CLEANED)
        ids = [(await world.submit(spec)).id for _ in range(2)]
        await asyncio.sleep(49)
        world.disk.latency_s = 10
        await asyncio.sleep(33)  # the first one has ended, the second is being marked as running
        entry = world.engine._running[ids[1]]
        assert entry.run is None
        await world.engine.cancel(ids[1], force=force)
        wanted = "running forced" if force else "running cancelled"
        assert await state_of(world, ids[1]) == wanted
        after = await next_life(world, a=OK)
        outcome = await after.end_of(ids[1])
        assert outcome.states == {"a": "cancelled", "f": "cancelled" if force else "succeeded"}
        await after.idle()

    simulate(story, {"a": Act(lasts_s=50)})


def test_cancel_changes_nothing_about_an_end_that_is_being_journaled() -> None:
    """A wish that comes too late does not bring a failed execution back to life."""
    text = flow("  - {id: a, run: x}", top="secrets: [KEY]")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        world.disk.latency_s = 10
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert await state_of(world, accepted.id) == "failed secret_missing"
        assert outcome.states == {"a": "cancelled"}

    simulate(story)
