"""Promises of `flowrunner.triggers.followers`: an end starts each follower, once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from flowrunner.engine.children import MOST_DEPTH
from flowrunner.engine.recovery import recover
from flowrunner.errors import RefusedError
from flowrunner.model.delivery import Delivery
from flowrunner.model.execution import CHAIN_DEPTH, Cause
from flowrunner.model.ids import Json
from flowrunner.model.mark import MarkKind
from flowrunner.model.states import ExecutionState
from flowrunner.triggers.dispatcher import Start
from flowrunner.triggers.mark_work import AGAIN_S
from tests.fakes.definitions import flow_text, hook, key_of
from tests.unit.triggers.slots import turns
from tests.unit.triggers.world import SLEEP, World, simulate

FAIL = [{"id": "only", "type": "fail", "params": {"message": "no"}}]


def after(flow: str = "a", *states: str, **more: Json) -> Json:
    """A trigger that follows a flow."""
    return {"type": "flow", "flow": flow, **({"states": [*states]} if states else {}), **more}


def follower(name: str, trigger: Json | None = None, **top: Json) -> bytes:
    return flow_text(name, triggers=[trigger or after()], **top)


class Following:
    """The followers of a world at work, until the end of the block."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __aenter__(self) -> None:
        self._running = asyncio.create_task(self._world.followers.run())
        await turns()

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running


async def start(world: World, name: str = "a") -> None:
    """Starts a flow by hand and lets follow what follows."""
    await world.dispatcher.start_by_hand(key_of(name), {}, as_text=False)
    await turns()


async def flows(world: World) -> list[str]:
    return [each.flow.name for each in await world.executions()]


async def left(world: World) -> int:
    """How many completions are still to be followed, on disk."""
    return len(await world.storage.marks.list(MarkKind.COMPLETION))


def test_end_starts_its_follower_once() -> None:
    """A success starts who follows it, with the name of the flow that ended; the mark is gone."""

    async def story(world: World) -> None:
        inputs: Json = {"x": {}}
        trigger = after(inputs={"x": "${{ trigger.flow }} ${{ trigger.type }} ${{ trigger.id }}"})
        await world.apply(flow_text("a"), follower("b", trigger, inputs=inputs))
        async with Following(world):
            await start(world)
        assert await flows(world) == ["a", "b"]
        (_, second) = await world.executions()
        assert second.inputs == {"x": "a flow flow"}
        assert second.parent is None
        assert await left(world) == 0

    simulate(story)


@pytest.mark.parametrize(
    ("nodes", "states", "follows"),
    [
        pytest.param(FAIL, (), False, id="failure-by-default"),
        pytest.param(FAIL, ("failed",), True, id="failure"),
        pytest.param(FAIL, ("succeeded", "timed_out", "cancelled"), False, id="others"),
        pytest.param(SLEEP, ("timed_out",), True, id="timeout"),
    ],
)
def test_state_of_the_end_decides(*, nodes: Json, states: tuple[str, ...], follows: bool) -> None:
    """Only an end in one of the states of the trigger starts the follower."""

    async def story(world: World) -> None:
        await world.apply(
            flow_text("a", nodes=nodes, timeout="1m"), follower("b", after("a", *states))
        )
        async with Following(world):
            await start(world)
            await asyncio.sleep(120)
        assert await flows(world) == (["a", "b"] if follows else ["a"])
        assert await left(world) == 0

    simulate(story)


def test_end_in_line_is_an_end() -> None:
    """A cancelled execution that never began is followed, in the write that cancels it."""

    async def story(world: World) -> None:
        await world.apply(
            flow_text("a", nodes=SLEEP), follower("b", after("a", "cancelled"), nodes=SLEEP)
        )
        async with Following(world):
            await start(world)
            await start(world)
            waiting = (await world.executions())[1]
            assert await world.engine.cancel(waiting.id)
            await turns()
        assert await flows(world) == ["a", "a", "b"]

    simulate(story)


def test_end_of_one_that_makes_way_is_an_end() -> None:
    """Who goes for a newcomer under `replace` is followed, and nobody where that is refused."""

    async def story(world: World) -> None:
        await world.apply(
            flow_text("a", nodes=SLEEP, concurrency={"on_conflict": "replace"}),
            follower("b", after("a", "cancelled")),
        )
        async with Following(world):
            await start(world)
            await start(world)
            world.disk.fail("create")
            with suppress(Exception):
                await start(world)
            world.disk.mend()
            await start(world)
        assert await flows(world) == ["a", "a", "b", "a", "b"]

    simulate(story)


def test_crash_between_end_and_start_loses_and_doubles_nothing() -> None:
    """What an end has left is started by the next life, once, however often it looks."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), follower("b"), follower("c"))
        await start(world)
        assert await flows(world) == ["a"]
        assert await left(world) == 2
        later = await world.next_life()
        await later.arm_last_good()
        for _ in range(2):
            async with Following(later):
                await turns()
        assert await flows(later) == ["a", "b", "c"]
        assert await left(later) == 0

    simulate(story)


def test_end_during_recovery_is_followed() -> None:
    """An execution that recovery ends, since its definition is lost, is followed as any other."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", nodes=SLEEP), follower("b", after("a", "failed")))
        await start(world)
        (running,) = await world.executions()
        later = await world.next_life()
        await later.storage.definitions.delete(running.digest)
        later.followers.flows_changed(later.registry.entries, frozenset())
        await recover(later.engine, later.services, later.registry.rules_of)
        await later.arm_last_good()
        async with Following(later):
            await turns()
        assert await flows(later) == ["a", "b"]

    simulate(story)


def test_flow_that_begins_to_follow_has_missed_what_ended_before() -> None:
    """An end counts for those who follow at that moment; who has left by then is not started."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), follower("b"))
        await start(world)
        await world.apply(flow_text("a"), follower("c"))
        async with Following(world):
            await turns()
            assert await flows(world) == ["a"]
            assert await left(world) == 0
            await start(world)
        assert await flows(world) == ["a", "a", "c"]

    simulate(story)


def test_held_follower_is_skipped_and_that_is_said() -> None:
    """Suspended, not Ready or kept by `if`: none starts, now or later, each with its reason."""

    async def story(world: World) -> None:
        await world.apply(
            flow_text("a"),
            follower("b", suspend=True),
            follower("c", secrets=["NOBODY_HAS"]),
            follower("d", after("a", **{"if": "trigger.flow != 'a'"})),
            follower("e", runs_on="elsewhere"),
        )
        async with Following(world):
            await start(world)
        assert await flows(world) == ["a"]
        assert sorted(world.skipped) == [
            ("b", "flow", "flow", "suspended"),
            ("c", "flow", "flow", "not_ready"),
            ("d", "flow", "flow", "if"),
        ]
        assert await left(world) == 0

    simulate(story)


def test_full_disk_puts_a_follower_off() -> None:
    """While the host takes nothing the start waits; it comes when there is room, once."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), follower("b"))
        async with Following(world):
            await start(world)
            assert await flows(world) == ["a", "b"]
            await world.dispatcher.start_by_hand(key_of("a"), {}, as_text=False)
            world.refusal = RefusedError("no room", code="disk")
            await asyncio.sleep(AGAIN_S * 1.5)
            assert await flows(world) == ["a", "b", "a"]
            assert await left(world) == 1
            world.refusal = None
            await asyncio.sleep(AGAIN_S)
        assert await flows(world) == ["a", "b", "a", "b"]
        assert world.skipped == []

    simulate(story)


def test_stop_leaves_followers_to_the_next_life() -> None:
    """What ends while the daemon drains starts nothing then, and its follower after the restart."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", nodes=SLEEP), follower("b", after("a", "cancelled")))
        async with Following(world):
            await start(world)
            (running,) = await world.executions()
            await world.engine.cancel(running.id)
            await world.engine.drain(60)
            await turns()
        assert await flows(world) == ["a"]
        later = await world.next_life()
        await later.arm_last_good()
        async with Following(later):
            await turns()
        assert await flows(later) == ["a", "b"]

    simulate(story)


def test_queue_limit_counts_deliveries_and_completions_together() -> None:
    """With one place in line, taken by a delivery, a completion is skipped as `queue_full`."""

    async def story(world: World) -> None:
        world.secrets.texts["TOKEN"] = "secret"
        await world.apply(
            flow_text("a"),
            flow_text(
                "b",
                triggers=[after(), hook("push")],
                concurrency={"queue_limit": 1},
                nodes=SLEEP,
            ),
        )
        async with Following(world):
            await start(world, "b")
            assert (await deliver(world)) == 202
            await start(world)
            assert world.skipped == [("b", "flow", "flow", "queue_full")]
            assert (await deliver(world)) == 429

    simulate(story)


async def deliver(world: World) -> int:
    headers = {"authorization": "Bearer secret", "content-type": "application/json"}
    delivery = Delivery(path="default/push", method="POST", headers=headers, query={}, body=b"")
    return (await world.webhooks.deliver(delivery)).status


def test_chain_without_end_is_cut() -> None:
    """A chain of starts as long as children may be deep goes no further."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), follower("b"))
        entry = world.registry.require(key_of("a"))
        async with Following(world):
            for depth in (MOST_DEPTH - 1, MOST_DEPTH):
                context = {CHAIN_DEPTH: depth}
                cause = Cause(trigger_id="t", trigger_type="flow", context=context)
                await world.dispatcher.submit(entry, Start(cause=cause, inputs={}))
                await turns()
        assert await flows(world) == ["a", "b", "a"]
        assert world.skipped == [("b", "flow", "flow", "flow_depth")]
        assert (await world.executions())[1].depth == MOST_DEPTH

    simulate(story)


def test_removed_history_does_not_start_a_follower_again() -> None:
    """When both executions are gone from the store, a restart knows of nothing to do."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), follower("b"))
        async with Following(world):
            await start(world)
        store = world.storage.executions
        await store.prune([each.id for each in await world.executions()])
        await store.forget_keys(world.clock.now() + timedelta(days=1), limit=10)
        later = await world.next_life()
        await later.arm_last_good()
        async with Following(later):
            await turns()
        assert await flows(later) == []

    simulate(story)


def test_many_ends_start_as_many_followers() -> None:
    """Each of a hundred ends in a row has its own follower, in the order of `queue`."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", concurrency={"on_conflict": "allow"}), follower("b"))
        async with Following(world):
            for _ in range(100):
                await world.dispatcher.start_by_hand(key_of("a"), {}, as_text=False)
            await turns()
            await asyncio.sleep(1)
        found = await world.executions()
        ended = [each for each in found if each.state is ExecutionState.SUCCEEDED]
        assert len([each for each in ended if each.flow.name == "b"]) == 100

    simulate(story)
