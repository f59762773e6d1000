"""Promises of `flowrunner.triggers.schedules` about `jitter` and `enabled`.

Time begins at 12:00:00 and is virtual; the flow is due each hour, and starts `DELAY_S` later.
"""

from __future__ import annotations

from flowrunner.model.ids import Json
from flowrunner.model.jitter import jitter_delay
from tests.fakes.definitions import flow_text
from tests.unit.triggers.slots import (
    HOUR,
    MINUTE,
    A,
    at,
    begin,
    due,
    every,
    fire,
    ledger,
    ledger_key,
    slots,
    wait_until,
)
from tests.unit.triggers.world import HOST, World, simulate

DELAY_S = jitter_delay(A, HOST, 40 * MINUTE).total_seconds()


def jittered(jitter: str = "40m", **more: Json) -> bytes:
    return flow_text("a", triggers=[every("1h", jitter=jitter, **more)])


def test_delay_of_these_stories_is_neither_nothing_nor_the_whole_jitter() -> None:
    """Else the stories would tell nothing."""
    assert 5 * MINUTE < DELAY_S < 35 * MINUTE


def test_slot_starts_later_and_stays_the_slot() -> None:
    """Nothing starts at the slot; at its moment it does, and the execution is the slot's."""

    async def story(world: World) -> None:
        await begin(world, jittered())
        await fire(world, HOUR + DELAY_S - 1)
        assert await world.executions() == []
        assert world.schedules.next_slot(A, "schedule") == at(HOUR)
        await fire(world, HOUR + DELAY_S)
        (execution,) = await world.executions()
        assert execution.cause.slot_at == at(HOUR)
        assert execution.created_at == at(HOUR + DELAY_S)
        assert await world.storage.slots.cursor(ledger_key(3_600)) == at(HOUR)
        await fire(world, 3 * HOUR + DELAY_S)
        assert await ledger(world) == [("missed", "superseded", 7_200, 7_200, 1)]
        assert slots(await world.executions()) == [3_600, 10_800]

    simulate(story)


def test_late_by_jitter_alone_is_not_missed() -> None:
    """Only what is looked at later than its moment counts as late."""

    async def story(world: World) -> None:
        await begin(world, jittered())
        await fire(world, HOUR + DELAY_S, late=59)
        assert slots(await world.executions()) == [3_600]
        assert await ledger(world) == []

    simulate(story)


def test_restart_between_slot_and_start_loses_nothing() -> None:
    """The next life starts the slot at its moment, and only once."""

    async def story(world: World) -> None:
        await begin(world, jittered())
        await wait_until(world, HOUR + DELAY_S / 2)
        after = await world.next_life()
        await begin(after, jittered())
        assert await ledger(after) == []
        await fire(after, HOUR + DELAY_S)
        await fire(after, HOUR + DELAY_S + 30)
        assert slots(await after.executions()) == [3_600]

    simulate(story)


def test_restart_after_the_start_was_due_catches_the_slot_up() -> None:
    """A moment that passed while the daemon was down is caught up, like any other."""

    async def story(world: World) -> None:
        await begin(world, jittered())
        await wait_until(world, HOUR - 1)
        after = await world.next_life()
        await wait_until(after, HOUR + DELAY_S + 1)
        await begin(after, jittered())
        assert await ledger(after) == []
        assert slots(await after.executions()) == [3_600]

    simulate(story)


def test_new_schedule_owes_no_slot_from_before_it_was_there() -> None:
    """A slot that lies before the schedule came is not its own, though its moment comes after."""

    async def story(world: World) -> None:
        await wait_until(world, HOUR + 1)
        await begin(world, jittered())
        await fire(world, HOUR + DELAY_S)
        assert await world.executions() == []
        assert await ledger(world) == []
        await fire(world, 2 * HOUR + DELAY_S)
        assert slots(await world.executions()) == [7_200]

    simulate(story)


def test_less_jitter_starts_what_waits_at_once() -> None:
    """A slot whose moment an edit moves into the past is not lost, if it is not long past."""

    async def story(world: World) -> None:
        await begin(world, jittered())
        await wait_until(world, HOUR + 30)
        await begin(world, due(period="1h"))
        assert slots(await world.executions()) == [3_600]
        assert await ledger(world) == []
        await fire(world, 2 * HOUR)
        assert slots(await world.executions()) == [3_600, 7_200]

    simulate(story)


def test_more_jitter_starts_nothing_twice() -> None:
    """A slot that has started does not start again when its moment is moved into the future."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h"))
        await fire(world, HOUR)
        await wait_until(world, HOUR + 1)
        await begin(world, jittered())
        await fire(world, HOUR + DELAY_S)
        assert slots(await world.executions()) == [3_600]
        await fire(world, 2 * HOUR + DELAY_S)
        assert slots(await world.executions()) == [3_600, 7_200]

    simulate(story)


def test_disabled_schedule_skips_its_slots() -> None:
    """None of its slots starts, no next one is shown, and each is accounted for."""

    async def story(world: World) -> None:
        await begin(world, jittered(enabled=False))
        assert world.schedules.next_slot(A, "schedule") is None
        await fire(world, HOUR + DELAY_S)
        await fire(world, 2 * HOUR + DELAY_S)
        assert await world.executions() == []
        assert await ledger(world) == [("skipped", "disabled", 3_600, 7_200, 2)]

    simulate(story)


def test_enabled_again_it_begins_at_now() -> None:
    """It owes nothing of the time it was disabled, also over a restart."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h"))
        await fire(world, HOUR)
        off = flow_text("a", triggers=[every("1h", enabled=False)])
        await begin(world, off)
        after = await world.next_life()
        await begin(after, off)
        await wait_until(after, 5 * HOUR + 1)
        await begin(after, due(period="1h"))
        await fire(after, 6 * HOUR)
        assert slots(await after.executions()) == [3_600, 21_600]
        assert await ledger(after) == [("skipped", "disabled", 7_200, 18_000, 4)]

    simulate(story)
