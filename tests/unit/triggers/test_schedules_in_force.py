"""Promises of `flowrunner.triggers.schedules` about coming into force: what is new begins at now.

Only a schedule that was in force up to the daemon's end goes on at its cursor. Time begins at
12:00:00 and is virtual.
"""

from __future__ import annotations

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.ids import Json
from tests.fakes.definitions import flow_text
from tests.unit.triggers.slots import (
    MINUTE,
    at,
    begin,
    due,
    every,
    fire,
    ledger,
    ledger_key,
    slots,
    turns,
    wait_until,
)
from tests.unit.triggers.world import World, simulate

AWAY: list[list[bytes]] = [[], [flow_text("a")], [due(period="1h")], [due("other")]]
AWAY_IDS = ["file-deleted", "trigger-removed", "schedule-changed", "flow-renamed"]


async def minutes_away(world: World) -> None:
    """Lets time pass up to 12:06:30, past the slots of minutes 2 to 6."""
    await wait_until(world, 6 * MINUTE + 30)


@pytest.mark.parametrize("away", AWAY, ids=AWAY_IDS)
def test_schedule_that_comes_back_begins_at_now(away: list[bytes]) -> None:
    """It owes nothing of the time it was out of force."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        await begin(world, *away)
        await minutes_away(world)
        await begin(world, due())
        assert await ledger(world) == []
        await fire(world, 7 * MINUTE)
        assert slots(await world.executions()) == [60, 420]

    simulate(story)


@pytest.mark.parametrize("away", AWAY, ids=AWAY_IDS)
def test_schedule_that_left_before_the_end_begins_at_now(away: list[bytes]) -> None:
    """Nor after a restart, if it came back while the daemon was down."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        await begin(world, *away)
        after = await world.next_life()
        await minutes_away(after)
        await begin(after, due())
        assert await ledger(after) == []
        assert await after.storage.slots.cursor(ledger_key()) == at(6 * MINUTE + 30)

    simulate(story)


@pytest.mark.parametrize("away", AWAY, ids=AWAY_IDS)
def test_schedule_that_left_while_down_begins_at_now(away: list[bytes]) -> None:
    """Up to the start that saw the change its slots were missed; then it was out of force."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        after = await world.next_life()
        await wait_until(after, 2 * MINUTE + 30)
        await begin(after, *away)
        assert await ledger(after) == [("missed", "down", 120, 120, 1)]
        await minutes_away(after)
        await begin(after, due())
        assert await ledger(after) == [("missed", "down", 120, 120, 1)]

    simulate(story)


def test_death_while_it_comes_back_makes_up_no_slot() -> None:
    """When the store has it in force again, its old cursor is gone, whatever happens next."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        await begin(world)
        await minutes_away(world)
        world.slots.fails = {"open"}  # the daemon dies before it can open the cursor
        await begin(world, due())
        after = await world.next_life()
        await wait_until(after, 9 * MINUTE + 30)
        await begin(after, due())
        assert await ledger(after) == []
        assert await after.storage.slots.cursor(ledger_key()) == at(9 * MINUTE + 30)

    simulate(story)


def test_schedule_comes_back_only_without_its_cursor() -> None:
    """While the old cursor cannot be removed the pass fails: nothing is stored, nothing armed."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        await begin(world)
        world.slots.fails = {"forget"}
        with pytest.raises(StorageError):
            await world.apply(due())
        assert await world.storage.flows.list() == []
        assert world.registry.entries == {}
        world.slots.fails = set()
        await minutes_away(world)
        await begin(world, due())
        assert await ledger(world) == []

    simulate(story)


def test_slot_still_being_decided_does_not_bring_the_cursor_back() -> None:
    """A row that is written while its schedule leaves and comes back belongs to the time before."""

    async def story(world: World) -> None:
        lacking: dict[str, Json] = {"secrets": ["KEY"]}
        await begin(world, due(**lacking))
        world.slots.takes_s = 5 * MINUTE
        await wait_until(world, MINUTE)
        world.timers.fire_due()
        await turns()
        await world.apply()
        await world.apply(due(**lacking))
        world.slots.takes_s = 0
        await world.schedules.settle()
        assert await ledger(world) == [("skipped", "not_ready", 60, 60, 1)]
        assert await world.storage.slots.cursor(ledger_key()) == at(6 * MINUTE)

    simulate(story)


def test_other_schedules_of_the_flow_keep_their_cursors() -> None:
    """What comes back beside a schedule takes nothing from it."""
    first = every("1m", id="one", catchup="none")
    both = flow_text("a", triggers=[first, every("1m", id="two")])
    one = flow_text("a", triggers=[first])

    async def story(world: World) -> None:
        await begin(world, both)
        await begin(world, one)
        after = await world.next_life()
        await wait_until(after, 2 * MINUTE + 30)
        await begin(after, both)
        assert await ledger(after) == [("missed", "down", 60, 120, 2)]

    simulate(story)


def test_a_start_opens_no_cursor_that_it_has_found(caplog: pytest.LogCaptureFixture) -> None:
    """A ledger that takes nothing costs a schedule of an earlier life nothing, if none is due."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        after = await world.next_life()
        after.slots.fails = {"open"}
        await begin(after, due())
        assert "slots.not_recorded" not in caplog.text
        await fire(after, 2 * MINUTE)
        assert slots(await after.executions()) == [60, 120]

    simulate(story)
