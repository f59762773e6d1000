"""Promises of backfills: slots of the past start once each, in order, also over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest

from flowrunner.engine.recovery import recover
from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import Json
from flowrunner.model.mark import MarkKind
from tests.fakes.definitions import flow_text
from tests.unit.triggers.slots import (
    MINUTE,
    A,
    at,
    begin,
    due,
    every,
    fire,
    ledger,
    slots,
    turns,
    wait_until,
)
from tests.unit.triggers.world import SLEEP, World, simulate

T = TypeVar("T")
TAKES_10S = [{"id": "only", "type": "wait", "params": {"for": "10s"}}]
LATE = 10 * MINUTE + 30
"""When most stories here ask for a backfill, in seconds after noon."""


def story_of(body: Callable[[World], Awaitable[T]]) -> T:
    """Runs a story while backfills are carried."""

    async def story(world: World) -> T:
        running = asyncio.create_task(world.backfills.run())
        try:
            return await body(world)
        finally:
            running.cancel()
            await asyncio.wait([running])

    return simulate(story)


async def wanted(world: World, first: float, until: float, **more: object) -> tuple[str, int]:
    known: dict[str, object] = {"trigger": None, **more}
    return await world.backfills.begin(
        A,
        first=at(first),
        until=at(until),
        **known,  # type: ignore[arg-type]  # of the test's own choice
    )


async def filled(world: World) -> list[Execution]:
    """Returns the executions of backfills, oldest first."""
    await turns()
    return [each for each in await world.executions() if each.cause.trigger_type == "backfill"]


def test_each_slot_of_the_interval_starts_once() -> None:
    """The oldest first, from the first moment on, without the last; the slot is theirs."""

    async def story(world: World) -> None:
        await wait_until(world, LATE)
        inputs = {"by": {"default": ""}, "at": {"default": ""}}
        given = {"by": "${{ trigger.id }}", "at": "${{ date('%T', execution.slot_at) }}"}
        trigger = every("1m", inputs=given)
        await begin(world, flow_text("a", inputs=inputs, triggers=[trigger]))
        identity, count = await wanted(world, 60, 240)
        found = await filled(world)
        assert (count, slots(found)) == (3, [60, 120, 180])
        assert [each.inputs for each in found] == [
            {"by": "backfill", "at": f"12:0{minute}:00"} for minute in (1, 2, 3)
        ]
        assert {each.cause.declared_trigger for each in found} == {"schedule"}
        assert await world.storage.marks.list(MarkKind.BACKFILL) == {}
        assert identity

    story_of(story)


@pytest.mark.parametrize(("parallel", "running"), [(1, [60]), (2, [60, 120]), (9, [60, 120, 180])])
def test_so_many_run_at_once(parallel: int, running: list[float]) -> None:
    """The next slot starts when one has ended."""

    async def story(world: World) -> None:
        await wait_until(world, LATE)
        await begin(world, due(nodes=TAKES_10S, concurrency={"on_conflict": "allow"}))
        await wanted(world, 60, 240, parallel=parallel)
        assert slots(await filled(world)) == running
        await asyncio.sleep(10.1)
        await turns()
        await asyncio.sleep(20.1)
        assert slots(await filled(world)) == [60, 120, 180]

    story_of(story)


def test_slot_that_has_started_does_not_start_again() -> None:
    """Not by its schedule, nor by an earlier backfill; with force it does."""

    async def story(world: World) -> None:
        await begin(world, due(trigger={"catchup": "none"}))
        await fire(world, MINUTE)
        await fire(world, 4 * MINUTE + 10)
        assert slots(await world.executions()) == [60, 240]
        await wanted(world, 60, 241)
        assert slots(await filled(world)) == [120, 180]
        await wanted(world, 60, 241)
        assert slots(await filled(world)) == [120, 180]
        await wanted(world, 60, 241, force=True)
        assert slots(await filled(world)) == [120, 180, 60, 120, 180, 240]
        assert [row[:2] for row in await ledger(world)] == [("missed", "down")]

    story_of(story)


def test_backfill_goes_on_after_a_restart() -> None:
    """What had started is not repeated, and what was left follows."""

    async def story(world: World) -> None:
        flow = due(nodes=TAKES_10S)
        await wait_until(world, LATE)
        await begin(world, flow)
        running = asyncio.create_task(world.backfills.run())
        await turns()
        await wanted(world, 60, 240)
        assert slots(await filled(world)) == [60]
        running.cancel()
        await asyncio.wait([running])
        after = await world.next_life()
        await recover(after.engine, after.services, after.registry.rules_of)
        await begin(after, flow)
        running = asyncio.create_task(after.backfills.run())
        await turns()
        assert slots(await filled(after)) == [60]
        for _ in range(3):
            await asyncio.sleep(11)
            await turns()
        assert slots(await filled(after)) == [60, 120, 180]
        running.cancel()
        await asyncio.wait([running])

    simulate(story)


@pytest.mark.parametrize("why", ["skip", "pause"])
def test_backfill_waits_while_the_flow_takes_nothing(why: str) -> None:
    """No slot is lost to a conflict or a pause."""

    async def story(world: World) -> None:
        rules: dict[str, Json] = {"on_conflict": "skip"}
        await wait_until(world, LATE)
        await begin(world, due(period="1h", nodes=TAKES_10S, concurrency=rules))
        if why == "skip":
            await world.dispatcher.start_by_hand(A, {}, as_text=False)
        await wanted(world, -7200, 0)
        if why == "pause":
            await world.pauses.pause(A, reason="", until=None, uid=0)
        await turns()
        assert len(await filled(world)) <= 1
        await asyncio.sleep(30)
        await world.pauses.resume(A)
        await asyncio.sleep(30)
        assert slots(await filled(world)) == [-7200, -3600]

    story_of(story)


def test_backfill_ends_by_command_and_with_its_flow() -> None:
    """What it has started goes on, nothing more starts, also after a restart."""

    async def story(world: World) -> None:
        await wait_until(world, LATE)
        await begin(world, due(nodes=SLEEP))
        await wanted(world, 60, 240)
        await turns()
        assert await world.backfills.cancel(A) == 1
        assert await world.backfills.cancel(A) == 0
        await wanted(world, 60, 240)
        await turns()
        await world.apply()
        await asyncio.sleep(11)
        await turns()
        assert await world.storage.marks.list(MarkKind.BACKFILL) == {}
        assert slots(await filled(world)) == [60]

    story_of(story)


@pytest.mark.parametrize(
    ("first", "until", "trigger", "words"),
    [
        (0.0, 1e6, "one", "lies in the future"),
        (60, 60, "one", "has 0 slots there"),
        (120, 60, "one", "has 0 slots there"),
        (60, 240, None, "the flow has several schedules, say which one is meant: one, two"),
        (60, 240, "three", "no schedule 'three', but these: one, two"),
        (-timedelta(days=8).total_seconds(), 240, "one", "a backfill takes 1 to 10000"),
    ],
)
def test_what_makes_no_sense_is_refused(
    first: float, until: float, trigger: str | None, words: str
) -> None:
    """Nothing begins, and the message says what to do."""

    async def story(world: World) -> None:
        await wait_until(world, LATE)
        triggers = [every("1m", id="one"), every("1h", id="two")]
        await begin(world, flow_text("a", triggers=triggers))
        with pytest.raises(ValidationError, match=words):
            await wanted(world, first, until, trigger=trigger)
        assert await filled(world) == []

    story_of(story)


def test_backfill_of_a_flow_without_a_schedule_is_refused() -> None:
    """It has no slots, and naming a trigger of another type does not make any."""

    async def story(world: World) -> None:
        await wait_until(world, LATE)
        await begin(world, flow_text("a", triggers=[{"type": "start"}]))
        for trigger in (None, "start"):
            with pytest.raises(ValidationError, match="the flow has no schedule, so"):
                await wanted(world, 60, 240, trigger=trigger)

    story_of(story)


def test_backfill_of_a_flow_that_is_held_is_refused() -> None:
    """As a start by hand would be."""

    async def story(world: World) -> None:
        await wait_until(world, LATE)
        await begin(world, due(suspend=True))
        with pytest.raises(RefusedError, match="suspended"):
            await wanted(world, 60, 240)

    story_of(story)
