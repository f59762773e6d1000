"""Promises of `flowrunner.triggers.sla`: what a flow promised and did not keep is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Self

from flowrunner.engine.recovery import recover
from flowrunner.model.execution import Execution
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.mark import MarkKey, MarkKind
from flowrunner.model.sla import Breach, SlaKind
from flowrunner.model.states import SlotOutcome
from flowrunner.triggers.sla import LONGEST_SLEEP_S, SlaWatch
from tests.fakes.definitions import entry, flow_text, key_of
from tests.fakes.ids import sequential_id
from tests.unit.triggers.slots import HOUR, MINUTE, every, fire, turns
from tests.unit.triggers.world import World, simulate

DAY = 24 * HOUR
FAIL = [{"id": "only", "type": "fail", "params": {"message": "no"}}]


def lasting(period: str) -> Json:
    return [{"id": "only", "type": "wait", "params": {"for": period}}]


def flow(name: str = "a", *, sla: Json, **top: Json) -> bytes:
    return flow_text(name, sla=sla, **{"triggers": [every("1h")], **top})


class Watching:
    """The promises of one life, watched until the end of the block."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.breaches: list[Breach] = []
        self.made: dict[str, Collection[SlaKind]] = {}
        self.watch = SlaWatch(
            registry=world.registry,
            executions=world.storage.executions,
            marks=world.storage.marks,
            clock=world.clock,
            host="host-1",
            told=self,
        )
        world.hear(self.watch)

    def promises_made(self, flow: FlowKey, kinds: Collection[SlaKind]) -> None:
        self.made[flow.name] = kinds

    def left_by_breach(self, breach: Breach) -> dict[MarkKey, str]:
        return {}

    def promise_broken(self, breach: Breach) -> None:
        self.breaches.append(breach)

    @property
    def told(self) -> list[tuple[str, str, int]]:
        return [(each.flow.name, str(each.kind), each.count) for each in self.breaches]

    async def __aenter__(self) -> Self:
        await self.watch.load()
        await recover(self._world.engine, self._world.services, self._world.registry.rules_of)
        await self._world.arm_last_good()
        self._running = asyncio.create_task(self.watch.run())
        await turns()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running


async def start(world: World, name: str = "a") -> Execution:
    """Starts a flow by hand; returns its newest execution."""
    await world.dispatcher.start_by_hand(key_of(name), {}, as_text=False)
    await turns()
    return (await world.executions())[-1]


def test_execution_that_takes_too_long_is_told_while_it_runs() -> None:
    """The breach is told when the time is over, once, and not again at the end."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_duration": "10m"}, nodes=lasting("1h")))
            assert watching.made == {"a": (SlaKind.MAX_DURATION,)}
            execution = await start(world)
            await asyncio.sleep(599)
            assert watching.breaches == []
            await asyncio.sleep(2)
            (breach,) = watching.breaches
            assert (breach.kind, breach.execution) == (SlaKind.MAX_DURATION, execution.id)
            assert (breach.since, breach.limit_s) == (execution.started_at, 600)
            await asyncio.sleep(2 * HOUR)
            assert watching.told == [("a", "max_duration", 1)]
        assert await world.storage.marks.list(MarkKind.SLA) == {}

    simulate(story)


def test_execution_that_is_quick_breaks_nothing() -> None:
    """Whoever ends in time is not told, and leaves nothing to be watched."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_duration": "10m"}, nodes=lasting("9m")))
            await start(world)
            await asyncio.sleep(HOUR)
        assert watching.breaches == []

    simulate(story)


def test_breach_is_not_told_again_after_a_restart() -> None:
    """An execution that was told to be late goes on in the next life; there it is known."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_duration": "10m"}, nodes=lasting("2h")))
            await start(world)
            await asyncio.sleep(HOUR)
        assert watching.told == [("a", "max_duration", 1)]
        later = await world.next_life()
        async with Watching(later) as again:
            await asyncio.sleep(3 * HOUR)
            assert again.breaches == []
        assert await later.storage.marks.list(MarkKind.SLA) == {}

    simulate(story)


def test_time_that_runs_out_while_the_daemon_is_down_is_told_by_the_next_life() -> None:
    """The wall clock goes on: what is late by then is told at once, once."""

    async def story(world: World) -> None:
        async with Watching(world):
            await world.apply(flow(sla={"max_duration": "10m"}, nodes=lasting("2h")))
            await start(world)
            await asyncio.sleep(60)
        await world.end()
        await asyncio.sleep(HOUR)
        later = await world.next_life()
        async with Watching(later) as watching:
            await turns()
            assert watching.told == [("a", "max_duration", 1)]

    simulate(story)


def test_slot_that_waits_too_long_is_told_once() -> None:
    """A slot in line breaks `start_within` when the time is over, not again at its start."""

    async def story(world: World) -> None:
        world.timers.start()
        async with Watching(world) as watching:
            await world.apply(flow(sla={"start_within": "5m"}, nodes=lasting("30m")))
            await asyncio.sleep(45 * MINUTE)
            await start(world)
            await fire(world, HOUR)
            await asyncio.sleep(4 * MINUTE)
            assert watching.breaches == []
            await asyncio.sleep(2 * MINUTE)
            assert watching.told == [("a", "start_within", 1)]
            await asyncio.sleep(40 * MINUTE)
            assert len(world.observer.started) == 2
        assert watching.told == [("a", "start_within", 1)]

    simulate(story)


def test_late_slot_and_missed_slots_are_told_with_their_number() -> None:
    """What starts late, and what never starts, is told; a start by hand has no slot to be late."""

    async def story(world: World) -> None:
        world.timers.start()
        async with Watching(world) as watching:
            await world.apply(flow(sla={"start_within": "10s"}))
            await start(world)
            await fire(world, HOUR, late=5)
            assert watching.breaches == []
            await fire(world, 2 * HOUR, late=15)
            assert watching.told == [("a", "start_within", 1)]
            watching.watch.slot_decided(key_of("a"), SlotOutcome.MISSED, "down", 7)
            watching.watch.slot_decided(key_of("a"), SlotOutcome.MISSED, "superseded", 2)
            watching.watch.slot_decided(key_of("a"), SlotOutcome.SKIPPED, "paused", 3)
            watching.watch.slot_decided(key_of("b"), SlotOutcome.MISSED, "down", 4)
        assert watching.told == [("a", "start_within", 1), ("a", "start_within", 7)]

    simulate(story)


def test_success_that_is_overdue_is_told_once_until_the_next() -> None:
    """The time begins with the flow, and again with each success; failures do not count."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_since_success": "1d"}, triggers=[]))
            await asyncio.sleep(DAY - 60)
            assert watching.breaches == []
            await asyncio.sleep(2 * DAY)
            assert watching.told == [("a", "max_since_success", 1)]
            await start(world)
            await asyncio.sleep(DAY - 60)
            assert len(watching.breaches) == 1
            await world.apply(flow(sla={"max_since_success": "1d"}, triggers=[], nodes=FAIL))
            await start(world)
            await asyncio.sleep(120)
            assert len(watching.breaches) == 2

    simulate(story)


def test_overdue_success_survives_restarts() -> None:
    """A life that comes later neither begins the time anew nor tells the same breach again."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_since_success": "1d"}, triggers=[]))
            await asyncio.sleep(20 * HOUR)
        second = await world.next_life()
        async with Watching(second) as watching:
            await asyncio.sleep(5 * HOUR)
            assert watching.told == [("a", "max_since_success", 1)]
        third = await second.next_life()
        async with Watching(third) as watching:
            await asyncio.sleep(DAY)
            assert watching.breaches == []
            await start(third)
            await asyncio.sleep(DAY + 60)
            assert watching.told == [("a", "max_since_success", 1)]
        world.successor = third

    simulate(story)


def test_suspended_flow_owes_no_success() -> None:
    """While its file suspends it the time stands still; it begins anew when that is lifted."""

    async def story(world: World) -> None:
        sla = {"max_since_success": "1d"}
        async with Watching(world) as watching:
            await world.apply(flow(sla=sla, triggers=[]))
            await asyncio.sleep(HOUR)
            await world.apply(flow(sla=sla, triggers=[], suspend=True))
            await asyncio.sleep(3 * DAY)
            assert watching.breaches == []
            await world.apply(flow(sla=sla, triggers=[]))
            await asyncio.sleep(DAY - 60)
            assert watching.breaches == []
            await asyncio.sleep(120)
        assert watching.told == [("a", "max_since_success", 1)]

    simulate(story)


def test_marks_leave_with_their_flow() -> None:
    """Nothing is kept of a flow that is gone, nor of a promise that it takes back."""

    async def story(world: World) -> None:
        async with Watching(world):
            sla = {"max_since_success": "1d"}
            await world.apply(flow("a", sla=sla), flow("b", sla=sla))
            await asyncio.sleep(2 * DAY)
            assert len(await world.storage.marks.list(MarkKind.SLA)) == 4
            await world.apply(flow("b", sla={"max_duration": "1d"}))
            await turns()
        assert await world.storage.marks.list(MarkKind.SLA) == {}

    simulate(story)


def test_marks_of_a_promise_that_was_taken_back_while_down_leave() -> None:
    """Most flows promise nothing and are not looked at; one that did is."""

    async def story(world: World) -> None:
        async with Watching(world):
            await world.apply(flow(sla={"max_since_success": "1d"}, triggers=[]))
            await asyncio.sleep(2 * DAY)
        (record,), bare = await world.storage.flows.list(), entry("a")
        taken_back = replace(record, digest=bare.digest, definition=bare.definition)
        await world.storage.flows.put([taken_back])  # by a life that died before it saw to them
        after = await world.next_life()
        async with Watching(after):
            await turns()
        assert await after.storage.marks.list(MarkKind.SLA) == {}

    simulate(story)


def test_clock_that_is_set_forward_is_noticed() -> None:
    """Promises are made by the wall clock, which is looked at again after a while."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_duration": "10h"}, nodes=lasting("12h")))
            await start(world)
            await asyncio.sleep(1)
            world.clock.jump(11 * HOUR)
            await asyncio.sleep(LONGEST_SLEEP_S)
            assert watching.told == [("a", "max_duration", 1)]

    simulate(story)


def test_ten_thousand_executions_leave_nothing_behind() -> None:
    """What has ended in time is neither watched nor carried along for ever."""

    async def story(world: World) -> None:
        async with Watching(world) as watching:
            await world.apply(flow(sla={"max_duration": "10h"}))
            execution = await start(world)
            for number in range(10_000):
                each = replace_id(execution, number)
                watching.watch.execution_started(each)
                watching.watch.execution_ended(each)
            assert len(watching.watch._watches._heap) < 2_000
        assert watching.breaches == []

    simulate(story)


def replace_id(execution: Execution, number: int) -> Execution:
    return replace(execution, id=sequential_id(number))
