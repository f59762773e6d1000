"""Promises of `flowrunner.triggers.schedules`: every slot is accounted for, once.

Time begins at 12:00:00 and is virtual; schedules are due at whole minutes unless a test says so.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from flowrunner.errors import RefusedError
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState, SlotOutcome
from flowrunner.triggers.pace import MOST_IN_CROWD, PATIENCE_S
from flowrunner.triggers.slot_keeper import GRACE
from tests.fakes.clock import DEFAULT_START as NOON
from tests.fakes.definitions import broken_text, flow_text, hook, key_of
from tests.unit.triggers.slots import (
    HOUR,
    MINUTE,
    NEVER,
    A,
    B,
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
from tests.unit.triggers.world import SLEEP, World, simulate

SKIPPED, MISSED = SlotOutcome.SKIPPED, SlotOutcome.MISSED


# A slot that starts


def test_now_of_a_slot_is_the_creation_of_its_execution() -> None:
    """A slot that is looked at late has the instant of the look, and so has its execution."""

    async def story(world: World) -> None:
        trigger = every("1m", inputs={"at": "${{ now() }}"})
        await begin(world, flow_text("a", inputs={"at": {}}, triggers=[trigger]))
        await fire(world, MINUTE, late=2.0)
        (execution,) = await world.executions()
        assert execution.created_at == at(MINUTE + 2.0)
        assert execution.inputs == {"at": at(MINUTE + 2.0).isoformat()}

    simulate(story)


def test_due_slot_starts_the_flow_once() -> None:
    """At its slot the flow starts, with the slot as its cause; the ledger's cursor is there."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        (execution,) = await world.executions()
        assert execution.cause.slot_at == at(MINUTE)
        assert (execution.cause.trigger_id, execution.cause.trigger_type) == (
            "schedule",
            "schedule",
        )
        assert await world.storage.slots.cursor(ledger_key()) == at(MINUTE)
        assert await ledger(world) == []
        assert world.decided == []

    simulate(story)


def test_each_slot_starts_in_its_turn() -> None:
    """One slot after the other starts, whatever else wakes the schedule in between."""

    async def story(world: World) -> None:
        await begin(world, due())
        for minute in (1, 2, 3):
            await fire(world, minute * MINUTE, late=0.5)
            await fire(world, minute * MINUTE, late=20)
        assert slots(await world.executions()) == [60, 120, 180]

    simulate(story)


def test_slot_and_execution_are_one_transaction() -> None:
    """The cursor moves with the execution: when that is refused by the store, neither is there."""

    async def story(world: World) -> None:
        await begin(world, due())
        world.disk.fail("create")
        await fire(world, MINUTE)
        assert await world.executions() == []
        assert await world.storage.slots.cursor(ledger_key()) == NOON

    simulate(story)


def test_early_timer_starts_its_slot() -> None:
    """A slot starts though the clock was set back a moment before it was looked at."""

    async def story(world: World) -> None:
        await begin(world, due())
        await wait_until(world, MINUTE)
        now = world.clock.now()
        world.clock.jump(-0.5)
        world.timers.fire_due(now)
        await world.schedules.settle()
        assert slots(await world.executions()) == [60]

    simulate(story)


def test_clock_that_goes_back_starts_nothing_twice() -> None:
    """Slots that come a second time were accounted for the first time."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        await fire(world, 2 * MINUTE)
        world.clock.jump(-2 * MINUTE)
        for minute in (3, 4, 5):
            await fire(world, minute * MINUTE)
        assert slots(await world.executions()) == [60, 120, 180]

    simulate(story)


def test_inputs_and_condition_of_the_trigger_hold() -> None:
    """A schedule brings its inputs; where its `if` is false the slot is skipped."""

    async def story(world: World) -> None:
        inputs = {"who": {"default": "nobody"}}
        triggers = [every("1m", inputs={"who": "${{ trigger.id }}"})]
        await begin(world, flow_text("a", inputs=inputs, triggers=triggers))
        await fire(world, MINUTE)
        assert await world.inputs() == [{"who": "schedule"}]
        triggers = [every("1m", **{"if": "trigger.type == 'webhook'"})]
        await world.apply(flow_text("a", inputs=inputs, triggers=triggers))
        await fire(world, 2 * MINUTE)
        assert len(await world.executions()) == 1
        assert await ledger(world) == [("skipped", "if", 120, 120, 1)]

    simulate(story)


def test_schedules_of_one_flow_are_apart() -> None:
    """Two schedules due at the same moment are two slots, with a cursor each."""

    async def story(world: World) -> None:
        triggers = [every("1m", id="one"), every("2m", id="two")]
        await begin(world, flow_text("a", triggers=triggers, concurrency={"limit": 5}))
        await fire(world, MINUTE)
        await fire(world, 2 * MINUTE)
        found = [(each.cause.trigger_id, each.cause.slot_at) for each in await world.executions()]
        assert sorted(found) == [
            ("one", at(MINUTE)),
            ("one", at(2 * MINUTE)),
            ("two", at(2 * MINUTE)),
        ]

    simulate(story)


# A slot that does not start


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(due(secrets=["KEY"]), "not_ready", id="secret-missing"),
        pytest.param(
            due(nodes=SLEEP, concurrency={"on_conflict": "skip"}), "concurrency", id="concurrency"
        ),
        pytest.param(
            flow_text(
                "a",
                triggers=[every("1m", **{"if": "trigger.headers.x > 'a'"})],
            ),
            "expression",
            id="bad-condition",
        ),
        pytest.param(
            flow_text(
                "a",
                inputs={"n": {"type": "integer"}},
                triggers=[every("1m", inputs={"n": "${{ from_json('[\"x\"]')[0] }}"})],
            ),
            "input.invalid",
            id="inputs-do-not-fit",
        ),
    ],
)
def test_slot_that_cannot_start_is_skipped_with_its_reason(data: bytes, reason: str) -> None:
    """A slot that does not start has a row with the reason; equal ones in a row share it."""

    async def story(world: World) -> None:
        await begin(world, data)
        if reason == "concurrency":
            await world.dispatcher.start_by_hand(A, {}, as_text=False)
        await fire(world, MINUTE)
        await fire(world, 2 * MINUTE)
        assert await ledger(world) == [("skipped", reason, 60, 120, 2)]
        assert world.decided == [("a", SKIPPED, reason, 1)] * 2
        assert await world.storage.slots.cursor(ledger_key()) == at(2 * MINUTE)
        assert slots(await world.executions()) == []

    simulate(story)


def test_trigger_sees_its_slot() -> None:
    """Its `if` and `inputs` know the slot and its date in the zone of the schedule."""
    trigger: dict[str, Json] = {
        "type": "schedule",
        "cron": "* * * * *",
        "timezone": "Pacific/Auckland",
        "if": "date('%M', execution.slot_at) != '01'",
        "inputs": {"day": "${{ execution.slot_date }}"},
    }

    async def story(world: World) -> None:
        inputs: Json = {"day": {"default": ""}}
        await begin(world, flow_text("a", inputs=inputs, triggers=[trigger]))
        await fire(world, MINUTE)
        assert await world.executions() == []
        await fire(world, 2 * MINUTE)
        (started,) = await world.executions()
        assert started.inputs == {"day": "2027-03-02"}

    simulate(story)


def test_slot_while_the_daemon_stops_is_skipped() -> None:
    """A slot that comes while the engine drains is skipped with `draining`."""

    async def story(world: World) -> None:
        await begin(world, due())
        await world.engine.drain(0)
        await fire(world, MINUTE)
        assert await ledger(world) == [("skipped", "draining", 60, 60, 1)]

    simulate(story)


def test_newer_slot_takes_the_place_of_one_that_waits() -> None:
    """Under `queue` one slot of a trigger waits; the older one ends as superseded."""

    async def story(world: World) -> None:
        await begin(world, due(nodes=SLEEP))
        for minute in (1, 2, 3):
            await fire(world, minute * MINUTE)
        found = [(each.state, each.reason) for each in await world.executions()]
        assert found == [
            (ExecutionState.RUNNING, ""),
            (ExecutionState.CANCELLED, "superseded"),
            (ExecutionState.QUEUED, ""),
        ]
        assert await ledger(world) == []

    simulate(story)


def test_flow_that_vanished_at_its_slot_is_accounted_for() -> None:
    """A slot whose flow left between wake and start is skipped with `deleted`."""

    async def story(world: World) -> None:
        await begin(world, due())
        await wait_until(world, MINUTE)
        world.timers.fire_due()
        world.registry.replace({})
        await world.schedules.settle()
        assert await ledger(world) == [("skipped", "deleted", 60, 60, 1)]

    simulate(story)


# Lateness


@pytest.mark.parametrize(
    ("late", "started", "missed"),
    [
        pytest.param(0, [HOUR], [], id="in-time"),
        pytest.param(59.999, [HOUR], [], id="within-a-minute"),
        pytest.param(60.001, [], [("missed", "down", HOUR, HOUR, 1)], id="over-a-minute"),
        pytest.param(1800, [], [("missed", "down", HOUR, HOUR, 1)], id="half-an-hour"),
    ],
)
def test_slot_that_is_too_late_is_missed(
    late: float, started: list[float], missed: list[tuple[str, str, float, float, int]]
) -> None:
    """A slot looked at over 60 s late does not start with `none`: nobody could look in time."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h", trigger=NEVER))
        await fire(world, HOUR, late=late)
        assert slots(await world.executions()) == started
        assert await ledger(world) == missed

    assert timedelta(seconds=60) == GRACE
    simulate(story)


def test_newest_of_several_due_slots_starts() -> None:
    """Of slots that are due together the newest starts, the older ones are missed."""

    async def story(world: World) -> None:
        await begin(world, due(period="10s", trigger=NEVER))
        await fire(world, 35)
        assert slots(await world.executions()) == [30]
        assert await ledger(world) == [("missed", "down", 10, 20, 2)]
        assert world.decided == [("a", MISSED, "down", 2)]

    simulate(story)


def test_long_pause_is_one_row() -> None:
    """After a sleep of the host all that was lost stands in one row, and the newest slot starts."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=NEVER))
        await fire(world, 100 * MINUTE, late=10)
        assert slots(await world.executions()) == [6000]
        assert await ledger(world) == [("missed", "down", 60, 5940, 99)]
        await fire(world, 101 * MINUTE)
        assert slots(await world.executions()) == [6000, 6060]

    simulate(story)


def test_clock_that_jumps_ahead_is_a_pause() -> None:
    """Slots that the clock jumped over are missed, and counted."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=NEVER))
        await fire(world, MINUTE)
        world.clock.jump(10 * MINUTE)
        await fire(world, MINUTE + 5)
        assert slots(await world.executions()) == [60, 660]
        assert await ledger(world) == [("missed", "down", 120, 600, 9)]

    simulate(story)


# Restarts


def test_slots_due_while_down_are_missed() -> None:
    """After a restart what was due meanwhile is one row with `none`: `missed (down)`."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=NEVER))
        await fire(world, MINUTE)
        after = await world.next_life()
        await wait_until(after, 10 * MINUTE + 90)
        await begin(after, due(trigger=NEVER))
        assert slots(await after.executions()) == [60]
        assert await ledger(after) == [("missed", "down", 120, 660, 10)]
        assert after.decided == [("a", MISSED, "down", 10)]

    simulate(story)


def test_restart_without_a_lost_slot_records_nothing() -> None:
    """A short restart between two slots leaves no trace."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        after = await world.next_life()
        await wait_until(after, MINUTE + 30)
        await begin(after, due())
        await fire(after, 2 * MINUTE)
        assert slots(await after.executions()) == [60, 120]
        assert await ledger(after) == []

    simulate(story)


def test_slot_that_started_does_not_start_again_after_a_restart() -> None:
    """A start that was accepted, but whose cursor got lost, is found by its key."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        after = await world.next_life()
        after.storage.slots._tables.cursors[ledger_key()] = at(0)
        await begin(after, due())
        assert slots(await after.executions()) == [60]
        assert await after.storage.slots.cursor(ledger_key()) == at(MINUTE)

    simulate(story)


def test_slot_of_a_quick_restart_is_missed_too() -> None:
    """A slot that fell into a restart of seconds is missed with `none` like any other."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=NEVER))
        after = await world.next_life()
        await wait_until(after, MINUTE + 20)
        await begin(after, due(trigger=NEVER))
        assert await after.executions() == []
        assert await ledger(after) == [("missed", "down", 60, 60, 1)]

    simulate(story)


def test_a_restart_opens_no_cursor_that_is_open() -> None:
    """What was due meanwhile is accounted for though the ledger would open nothing."""

    async def story(world: World) -> None:
        await begin(world, due())
        after = await world.next_life()
        after.slots.fails.add("open")
        await wait_until(after, MINUTE + 20)
        await begin(after, due())
        assert slots(await after.executions()) == [60]
        await fire(after, 2 * MINUTE)
        assert slots(await after.executions()) == [60, 120]

    simulate(story)


# Schedules that come, change and go


def test_new_schedule_begins_at_now() -> None:
    """Nothing before its flow came into force counts as a slot."""

    async def story(world: World) -> None:
        world.timers.start()
        await wait_until(world, 100 * MINUTE + 30)
        await begin(world, due())
        assert await world.executions() == []
        assert await ledger(world) == []
        await fire(world, 101 * MINUTE)
        assert slots(await world.executions()) == [6060]

    simulate(story)


def test_changed_schedule_begins_at_now() -> None:
    """Another schedule owes nothing of the time before it, and the old one is due no more."""

    async def story(world: World) -> None:
        await begin(world, due(period="1m"))
        await fire(world, MINUTE)
        await wait_until(world, MINUTE + 40)
        await world.apply(due(period="15s"))
        await world.schedules.settle()
        assert slots(await world.executions()) == [60]
        for seconds in (105, 120, 135):
            await fire(world, seconds)
        assert slots(await world.executions()) == [60, 105, 120, 135]
        assert await ledger(world) == []

    simulate(story)


def test_unrelated_edit_leaves_the_schedule_armed_as_it_was() -> None:
    """An edit of anything but the schedule arms nothing anew; the next slot has the new version."""

    async def story(world: World) -> None:
        await begin(world, due())
        world.timers.armed.clear()
        await wait_until(world, 30)
        triggers = [every("1m", inputs={"who": "new"})]
        await world.apply(
            flow_text("a", inputs={"who": {"default": "old"}}, triggers=triggers),
            due("b", "3m"),
        )
        assert world.timers.armed == [(key_of("b"), "schedule")]
        await fire(world, MINUTE)
        assert await world.inputs() == [{"who": "new"}]

    simulate(story)


def test_broken_edit_leaves_the_schedule_armed() -> None:
    """While its file is broken a flow fires as it did."""

    async def story(world: World) -> None:
        await begin(world, due())
        await world.apply(broken_text("a"))
        await fire(world, MINUTE)
        assert slots(await world.executions()) == [60]

    simulate(story)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([], id="flow-removed"),
        pytest.param([flow_text("a")], id="trigger-removed"),
        pytest.param([flow_text("a", triggers=[hook("push")])], id="other-trigger"),
        pytest.param([flow_text("a", triggers=[every("1m", id="new")])], id="renamed"),
    ],
)
def test_schedule_that_is_gone_is_due_no_more(after: list[bytes]) -> None:
    """A schedule that left is disarmed at once."""

    async def story(world: World) -> None:
        await begin(world, due())
        assert world.schedules.next_slot(A, "schedule") == at(MINUTE)
        await world.apply(*after)
        await world.schedules.settle()
        assert world.schedules.next_slot(A, "schedule") is None
        assert (A, "schedule") not in world.timers.keys

    simulate(story)


def test_next_slot_is_that_of_the_timer() -> None:
    """The next slot is known for an armed schedule, once the timers run."""

    async def story(world: World) -> None:
        await world.apply(due())
        assert world.schedules.next_slot(A, "schedule") is None
        world.timers.start()
        assert world.schedules.next_slot(A, "schedule") == at(MINUTE)
        assert world.schedules.next_slot(A, "other") is None
        assert world.schedules.next_slot(B, "schedule") is None

    simulate(story)


# A store that fails


@pytest.fixture
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.usefixtures("_quiet")
def test_store_fault_leaves_the_slot_to_the_next_wake() -> None:
    """A slot that could not be written is decided by the next wake, while it is not too late."""

    async def story(world: World) -> None:
        await begin(world, due(period="10s", trigger=NEVER))
        world.disk.fail("create")
        await fire(world, 10)
        assert await world.executions() == []
        world.disk.mend()
        await fire(world, 20)
        assert slots(await world.executions()) == [20]
        assert await ledger(world) == [("missed", "disk", 10, 10, 1)]

    simulate(story)


@pytest.mark.usefixtures("_quiet")
def test_row_that_cannot_be_written_is_written_by_the_next_wake() -> None:
    """A skipped slot whose row failed is not forgotten."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=NEVER, secrets=["KEY"]))
        world.slots.fails = {"record"}
        await fire(world, MINUTE)
        assert world.decided == []
        world.slots.fails = set()
        await fire(world, 2 * MINUTE)
        assert await ledger(world) == [
            ("missed", "disk", 60, 60, 1),
            ("skipped", "not_ready", 120, 120, 1),
        ]

    simulate(story)


@pytest.mark.usefixtures("_quiet")
def test_cursor_that_cannot_be_opened_loses_no_slot() -> None:
    """A new schedule begins when it was armed, also when the ledger could not be asked then."""

    async def story(world: World) -> None:
        world.slots.fails = {"open"}
        await begin(world, due())
        world.slots.fails = set()
        await fire(world, MINUTE, late=5)
        assert slots(await world.executions()) == [60]

    simulate(story)


def test_store_fault_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """What could not be written is an error of the log, with its code."""

    async def story(world: World) -> None:
        await begin(world, due())
        world.disk.fail("create")
        with caplog.at_level(logging.ERROR):
            await fire(world, MINUTE)

    simulate(story)
    assert "slots.not_recorded flow=default/a code=storage.full" in caplog.text


def test_wake_waits_for_the_slot_before_it() -> None:
    """Wakes that come while a slot is being written decide about later slots alone."""

    async def story(world: World) -> None:
        await begin(world, due(period="10s", secrets=["KEY"]))
        world.slots.takes_s = 25
        for seconds in (10, 20, 30):
            await wait_until(world, seconds)
            world.timers.fire_due()
        await world.schedules.settle()
        assert [row[2:] for row in await ledger(world)] == [
            (10, 10, 1),
            (20, 20, 1),  # the newest slot of a wake is tried, those before it are missed
            (30, 30, 1),
            (40, 70, 4),
            (80, 80, 1),
        ]

    simulate(story)


def test_settle_waits_for_the_slots_being_decided() -> None:
    """At stop every slot that was looked at is decided before the store closes."""

    async def story(world: World) -> None:
        await begin(world, due())
        await wait_until(world, MINUTE)
        world.timers.fire_due()
        await world.schedules.settle()
        assert slots(await world.executions()) == [60]

    simulate(story)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize(
    ("healed_after", "started", "missed"),
    [
        pytest.param(30, [HOUR], [], id="within-the-grace"),
        pytest.param(600, [], [("missed", "disk", HOUR, HOUR, 1)], id="later"),
    ],
)
def test_slot_is_accounted_for_when_the_store_heals(
    healed_after: float, started: list[float], missed: list[tuple[str, str, float, float, int]]
) -> None:
    """What could not be recorded is recorded then, and not only at the next slot hours later."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h", trigger=NEVER))
        world.disk.fail("create")
        await fire(world, HOUR)
        world.disk.mend()
        await wait_until(world, HOUR + healed_after)
        world.schedules.store_healed()
        await world.schedules.settle()
        assert slots(await world.executions()) == started
        assert await ledger(world) == missed

    simulate(story)


def test_store_that_heals_wakes_no_schedule_that_lost_nothing() -> None:
    """Slots are decided when they are due, not because the disk is well."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h"))
        await wait_until(world, 2 * HOUR)
        world.schedules.store_healed()
        await world.schedules.settle()
        assert slots(await world.executions()) == []
        assert await ledger(world) == []

    simulate(story)


def test_downtime_after_a_healed_store_is_down_again() -> None:
    """The reason `disk` ends with the failure it stands for."""

    async def story(world: World) -> None:
        await begin(world, due(period="10s", trigger=NEVER))
        world.slots.fails = {"record"}
        world.disk.fail("create")
        await fire(world, 10)
        world.slots.fails = set()
        world.disk.mend()
        await fire(world, 20)
        await fire(world, 200)
        assert [row[:2] for row in await ledger(world)] == [
            ("missed", "disk"),
            ("missed", "down"),
        ]

    simulate(story)


def test_slot_without_room_is_skipped() -> None:
    """Below the floor of the disk a slot is skipped, with `disk` as its reason."""

    async def story(world: World) -> None:
        await begin(world, due())
        world.refusal = RefusedError("no room", code="disk")
        await fire(world, MINUTE)
        assert await ledger(world) == [("skipped", "disk", 60, 60, 1)]
        world.refusal = None
        await fire(world, 2 * MINUTE)
        assert slots(await world.executions()) == [120]

    simulate(story)


def test_a_store_that_heals_after_the_end_decides_about_no_slot() -> None:
    """What could not be recorded is left to the next life, and no task to a loop that ends."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h", trigger=NEVER))
        world.disk.fail("create")
        await fire(world, HOUR)
        world.disk.mend()
        await world.schedules.close()
        world.schedules.store_healed()
        await turns()
        assert slots(await world.executions()) == []
        assert await ledger(world) == []

    simulate(story)


def test_slots_due_together_wait_while_nobody_finds_a_place() -> None:
    """Some start all the same, the others when the line is short; none is lost or comes twice."""

    async def story(world: World) -> None:
        many = 3 * MOST_IN_CROWD
        await begin(world, *(due(f"f{number}") for number in range(many)))
        world.services.node_slots.resize(1, {})
        async with asyncio.TaskGroup() as crowd:
            for _ in range(2):
                crowd.create_task(hold_a_place(world, MINUTE + PATIENCE_S / 2))
            await wait_until(world, MINUTE)
            world.timers.fire_due()
            await turns()
            assert len(await world.executions()) == MOST_IN_CROWD
            await asyncio.sleep(PATIENCE_S * 0.9)
            started = [execution.flow.name for execution in await world.executions()]
        assert sorted(started) == sorted(f"f{number}" for number in range(many))

    simulate(story)


async def hold_a_place(world: World, seconds: float) -> None:
    """Takes a place of the host for some time."""
    async with world.services.node_slots.place("default", by_hand=False):
        await asyncio.sleep(seconds)
