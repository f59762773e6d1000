"""Places for processes: bounded, in order, and never lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from flowrunner.engine.node_slots import NodeSlots
from tests.fakes.engine import Act, World, flow, simulate
from tests.fakes.virtual_time import run_virtual


class Site:
    """Takes places under names, and remembers who came when."""

    def __init__(self, most: int) -> None:
        self.slots = NodeSlots(most)
        self.came: list[str] = []

    async def work(self, name: str, *, by_hand: bool = False, lasts_s: float = 10) -> None:
        async with self.slots.place(by_hand=by_hand):
            self.came.append(name)
            await asyncio.sleep(lasts_s)

    def send(self, name: str, *, by_hand: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(self.work(name, by_hand=by_hand))


def test_places_go_to_those_by_hand_first_then_in_order() -> None:
    """Whoever waits by hand gets the next place; within a kind the first to come is first."""

    async def story() -> list[str]:
        site = Site(1)
        kinds = {"a": False, "b": False, "c": True, "d": False, "e": True}
        tasks = []
        for name, by_hand in kinds.items():
            tasks.append(site.send(name, by_hand=by_hand))
            await asyncio.sleep(1)
        await asyncio.gather(*tasks)
        return site.came

    assert run_virtual(story()) == ["a", "c", "e", "b", "d"]


def test_cancelled_waiter_costs_no_place() -> None:
    """Who gives up, even in the moment in which a place came, leaves it to the next."""

    async def story() -> list[str]:
        site = Site(1)
        first, second, third = (site.send(name) for name in "abc")
        await asyncio.sleep(1)
        site.slots._give_back()  # as if one more place had come: it goes to the second
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        await asyncio.sleep(1)
        assert site.came == ["a", "c"]
        last = site.send("d")
        waiter = site.send("e")
        await asyncio.sleep(1)
        waiter.cancel()
        await asyncio.gather(first, third, last)
        await site.work("f")
        return site.came

    assert run_virtual(story()) == ["a", "c", "d", "f"]


def test_node_of_a_start_by_hand_passes_those_of_slots() -> None:
    """On a busy host the node of a person's execution gets the next place."""

    async def story(world: World) -> list[str]:
        for name, trigger in (("hog", "webhook"), ("slot", "schedule"), ("hand", "manual")):
            spec = world.define(flow(f"  - {{id: {name}, run: x}}", name=name))
            await world.submit(spec, trigger=trigger)
            await asyncio.sleep(1)
        await world.idle()
        return [each.split()[1] for each in world.record if each.startswith("spawn")]

    assert simulate(
        story, dict.fromkeys(["hog", "slot", "hand"], Act(lasts_s=60)), node_slots=1
    ) == [
        "hog.1",
        "hand.1",
        "slot.1",
    ]
