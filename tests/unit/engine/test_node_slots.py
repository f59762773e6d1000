"""Places for processes: bounded, in order, and never lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from flowrunner.engine.node_slots import NodeSlots
from tests.fakes.engine import Act, World, flow, simulate
from tests.fakes.virtual_time import run_virtual


class Site:
    """Takes places under names, and remembers who came when."""

    def __init__(self, most: int, **most_of: int) -> None:
        self.slots = NodeSlots(most, most_of)
        self.came: list[str] = []

    async def work(
        self, name: str, *, by_hand: bool = False, account: str = "default", lasts_s: float = 10
    ) -> None:
        async with self.slots.place(account, by_hand=by_hand):
            self.came.append(name)
            await asyncio.sleep(lasts_s)

    def send(
        self, name: str, *, by_hand: bool = False, account: str = "default"
    ) -> asyncio.Task[None]:
        return asyncio.create_task(self.work(name, by_hand=by_hand, account=account))


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


def test_places_can_become_more_and_fewer() -> None:
    """More places serve who waits at once; fewer hold back until so many have ended."""

    async def story() -> list[list[str]]:
        site, seen = Site(1), []
        tasks = [site.send(name) for name in "abcdef"]
        await asyncio.sleep(1)
        site.slots.resize(3, {})
        await asyncio.sleep(1)
        seen.append(list(site.came))
        site.slots.resize(1, {})
        await asyncio.sleep(9)  # the first has ended, two still run
        seen.append(list(site.came))
        await asyncio.sleep(2)
        seen.append(list(site.came))
        await asyncio.gather(*tasks)
        return [*seen, site.came]

    assert run_virtual(story()) == [list("abc"), list("abc"), list("abcd"), list("abcdef")]


def test_account_can_get_and_lose_a_bound() -> None:
    """A bound holds for those who begin after it; without it everybody who waited goes on."""

    async def story() -> list[list[str]]:
        site, seen = Site(9), []
        site.slots.resize(9, {"web": 1})
        tasks = [site.send(name, account="web") for name in "abc"]
        await asyncio.sleep(1)
        seen.append(list(site.came))
        site.slots.resize(9, {})
        await asyncio.sleep(1)
        seen.append(list(site.came))
        await asyncio.gather(*tasks)
        return seen

    assert run_virtual(story()) == [["a"], ["a", "b", "c"]]


def test_cancelled_waiter_costs_no_place() -> None:
    """Who gives up, even in the moment in which a place came, leaves it to the next."""

    async def story() -> list[str]:
        site = Site(1)
        first, second, third = (site.send(name) for name in "abc")
        await asyncio.sleep(1)
        site.slots._host._give_back()  # as if one more place had come: it goes to the second
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


def test_account_with_a_bound_leaves_the_rest_of_the_host_to_others() -> None:
    """Who waits for its account holds no place of the host, so that others come at once."""

    async def story() -> list[str]:
        site = Site(2, pay=1)
        tasks = [site.send(name, account="pay") for name in ("p1", "p2", "p3")]
        await asyncio.sleep(1)
        tasks.append(site.send("w1", account="web"))
        await asyncio.sleep(1)
        assert site.came == ["p1", "w1"]
        tasks.append(site.send("p4", account="pay", by_hand=True))
        await asyncio.gather(*tasks)
        return site.came

    assert run_virtual(story()) == ["p1", "w1", "p4", "p2", "p3"]


def test_cancelled_waiter_gives_back_the_place_of_its_account() -> None:
    """Who gives up while it waits for the host leaves its account's place to the next."""

    async def story() -> list[str]:
        site = Site(1, pay=1)
        tasks = [site.send("w1", account="web"), site.send("p1", account="pay")]
        await asyncio.sleep(1)
        tasks[1].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[1]
        tasks.append(site.send("p2", account="pay"))
        await asyncio.gather(tasks[0], tasks[2])
        return site.came

    assert run_virtual(story()) == ["w1", "p2"]


def test_nodes_of_an_account_are_bounded_by_its_setting() -> None:
    """Two nodes of a bounded account run one after the other, that of another one beside them."""

    async def story(world: World) -> list[str]:
        for name, account in (("a", "pay"), ("b", "pay"), ("c", "web")):
            spec = world.define(flow(f"  - {{id: {name}, run: x}}", name=name), account=account)
            await world.submit(spec)
        await asyncio.sleep(1)
        spawned = [each.split()[1] for each in world.record if each.startswith("spawn")]
        await world.idle()
        return spawned

    acts = dict.fromkeys("abc", Act(lasts_s=60))
    assert simulate(story, acts, limits={"pay": (9, 1)}) == ["a.1", "c.1"]


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


def test_host_is_crowded_while_none_of_its_places_is_free() -> None:
    """Who waits for its account takes none, and one that ends leaves its place to the next."""

    async def story() -> list[bool]:
        site, seen = Site(2, pay=1), []
        tasks = [site.send("p1", account="pay"), site.send("p2", account="pay")]
        await asyncio.sleep(1)
        seen.append(site.slots.is_crowded)
        tasks.append(site.send("a"))
        await asyncio.sleep(1)
        seen.append(site.slots.is_crowded)
        await asyncio.sleep(8.5)  # p1 has ended, and p2 has come
        seen.append(site.slots.is_crowded)
        await asyncio.gather(*tasks)
        return [*seen, site.slots.is_crowded]

    assert run_virtual(story()) == [False, True, True, False]


def test_a_line_is_long_when_as_many_wait_as_there_are_places() -> None:
    """Then places stay busy for a while, whoever comes next."""

    async def story() -> list[bool]:
        site, seen = Site(2), []
        async with asyncio.TaskGroup() as sent:
            for name in "abcde":
                sent.create_task(site.work(name))
                await asyncio.sleep(1)
                seen.append(site.slots.has_long_line)
        return [*seen, site.slots.has_long_line]

    assert run_virtual(story()) == [False, False, False, True, True, False]
