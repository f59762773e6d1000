"""Promises of catching up: which slots that nobody could look at in time start after all.

Time begins at 12:00:00 and is virtual; schedules are due at whole minutes unless a test says so.
"""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.engine.recovery import recover
from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.ids import Json
from flowrunner.triggers.dispatcher import refuse_all
from flowrunner.triggers.schedules import FIRST_PASS
from tests.fakes.definitions import broken_text, key_of
from tests.unit.triggers.slots import (
    HOUR,
    MINUTE,
    A,
    at,
    begin,
    due,
    fire,
    ledger,
    rows,
    slots,
    turns,
    wait_until,
)
from tests.unit.triggers.world import SLEEP, World, simulate

ALL: dict[str, Json] = {"catchup": "all"}
BRIEF = [{"id": "only", "type": "wait", "params": {"for": "90s"}}]
"""Nodes that take longer than the period of most schedules here."""
TOO_LONG: dict[str, Json] = {
    "vars": {"list": [1, 2]},
    "inputs": {"n": {"type": "integer", "maximum": 1, "default": 1}},
}
"""An input that a trigger of it may bring too large."""


async def restart(world: World, seconds: float, *files: bytes) -> World:
    """The next life begins so long after noon, and its first pass finds these files."""
    after = await world.next_life()
    await wait_until(after, seconds)
    await recover(after.engine, after.services, after.registry.rules_of)
    await begin(after, *files)
    await turns()
    return after


# The newest one


def test_newest_lost_slot_starts_and_the_older_are_superseded() -> None:
    """After a downtime the default starts the newest slot, once, and says what came of the rest."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        after = await restart(world, 10 * MINUTE + 30, due())
        assert slots(await after.executions()) == [60, 600]
        assert await ledger(after) == [("missed", "superseded", 120, 540, 8)]
        (row,) = await after.storage.slots.list(A)
        assert row.evidence == {"by_slot": at(600).isoformat()}
        assert row.digest == after.registry.require(A).digest
        await fire(after, 11 * MINUTE)
        assert slots(await after.executions()) == [60, 600, 660]

    simulate(story)


@pytest.mark.parametrize("how", ["sleep", "jump"])
def test_newest_slot_starts_after_a_sleep_or_a_jump_of_the_clock(how: str) -> None:
    """A host that slept and a clock that was set forward lose slots like a daemon that was down."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        if how == "jump":
            world.clock.jump(10 * MINUTE)
            await fire(world, MINUTE + 5)
        else:
            await fire(world, 11 * MINUTE + 5)
        assert slots(await world.executions()) == [60, 660]
        assert await ledger(world) == [("missed", "superseded", 120, 600, 9)]

    simulate(story)


def test_slot_older_than_the_window_is_missed() -> None:
    """What is later than the window never starts; the rest is caught up."""

    async def story(world: World) -> None:
        flow = due(period="1h", trigger={"catchup_window": "150m"})
        await begin(world, flow)
        after = await restart(world, 10 * HOUR + 60, flow)
        assert slots(await after.executions()) == [10 * HOUR]
        assert await ledger(after) == [
            ("missed", "window", HOUR, 7 * HOUR, 7),
            ("missed", "superseded", 8 * HOUR, 9 * HOUR, 2),
        ]

    simulate(story)


@pytest.mark.parametrize(
    ("late_s", "started"), [(6 * HOUR, [24 * HOUR]), (6 * HOUR + 1, [])], ids=["within", "beyond"]
)
def test_window_is_six_hours_unless_it_is_written(late_s: float, started: list[float]) -> None:
    """A slot that is six hours late still starts, a later one does not."""

    async def story(world: World) -> None:
        await begin(world, due(period="12h"))
        await fire(world, 12 * HOUR)
        after = await restart(world, 24 * HOUR + late_s, due(period="12h"))
        assert slots(await after.executions())[1:] == started

    simulate(story)


def test_slot_in_time_is_in_time_whatever_the_window() -> None:
    """A slot less than a minute late starts also under the shortest window."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h", trigger={"catchup_window": "1m"}))
        await fire(world, HOUR, late=59)
        assert slots(await world.executions()) == [HOUR]

    simulate(story)


def test_several_slots_due_together_start_the_newest() -> None:
    """While the loop was busy for half a minute, the newest of its slots is the one that counts."""

    async def story(world: World) -> None:
        await begin(world, due(period="10s"))
        await fire(world, 35)
        assert slots(await world.executions()) == [30]
        assert await ledger(world) == [("missed", "superseded", 10, 20, 2)]

    simulate(story)


# All of them


def test_all_lost_slots_start_one_after_the_other() -> None:
    """The oldest goes first, and the next one when it has ended; none takes another's place."""

    async def story(world: World) -> None:
        flow = due(trigger=ALL, nodes=BRIEF)
        await begin(world, flow)
        after = await restart(world, 3 * MINUTE + 30, flow)
        assert slots(await after.executions()) == [60]
        await wait_until(after, 5 * MINUTE + 1)
        await turns()
        assert slots(await after.executions()) == [60, 120]
        await wait_until(after, 8 * MINUTE)
        await turns()
        found = await after.executions()
        assert slots(found) == [60, 120, 180, 240]  # what came due meanwhile stands in line
        assert [each.reason for each in found] == [""] * 4
        assert await ledger(after) == []

    simulate(story)


def test_slots_beyond_the_window_are_missed_before_all_others_start() -> None:
    """`all` means all within the window."""

    async def story(world: World) -> None:
        flow = due(period="1h", trigger={**ALL, "catchup_window": "2h"})
        await begin(world, flow)
        after = await restart(world, 5 * HOUR + 60, flow)
        await turns()
        assert await ledger(after) == [("missed", "window", HOUR, 3 * HOUR, 3)]
        assert slots(await after.executions()) == [4 * HOUR, 5 * HOUR]

    simulate(story)


def test_catching_up_goes_on_after_a_restart() -> None:
    """What was caught up before a stop is not repeated, and the next slot waits for its end."""

    async def story(world: World) -> None:
        flow = due(trigger=ALL, nodes=BRIEF)
        await begin(world, flow)
        middle = await restart(world, 3 * MINUTE + 30, flow)
        assert slots(await middle.executions()) == [60]
        after = await restart(middle, 3 * MINUTE + 40, flow)
        assert len(await after.executions()) == 1
        assert slots(await after.executions()) == [60]

    simulate(story)


@pytest.mark.parametrize("back_s", [HOUR, 10 * MINUTE])
def test_catching_up_goes_on_when_the_clock_is_set_back_meanwhile(back_s: float) -> None:
    """What is left of it starts when the clock shows its slots again, not with the next new one."""

    async def story(world: World) -> None:
        await begin(world, due(period="15m", trigger=ALL, nodes=BRIEF))
        world.clock.jump(HOUR + 60)
        await fire(world, 0)
        assert slots(await world.executions()) == [900]
        world.clock.jump(-back_s)
        world.timers.recheck()
        await wait_until(world, 5 * MINUTE)
        await turns()
        world.clock.jump(back_s)
        world.timers.recheck()
        await wait_until(world, 12 * MINUTE)
        await turns()
        assert slots(await world.executions()) == [900, 1800, 2700, 3600]
        assert await ledger(world) == []

    simulate(story)


def test_next_slot_of_a_clock_that_was_set_back_is_one_without_an_account() -> None:
    """It is told as the next one that can start, not as one that has an outcome already."""

    async def story(world: World) -> None:
        await begin(world, due(period="10m"))
        world.clock.jump(HOUR + 60)
        await fire(world, 0)
        world.clock.jump(-HOUR)
        world.timers.recheck()
        assert world.schedules.next_slot(A, "schedule") == at(HOUR + 600)
        await fire(world, HOUR + 601 - 60)
        assert slots(await world.executions()) == [HOUR, HOUR + 600]

    simulate(story)


def test_all_in_steady_state_keeps_the_rules_of_concurrency() -> None:
    """A schedule that is not behind queues and supersedes like any other."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=ALL, nodes=SLEEP))
        for minute in (1, 2, 3):
            await fire(world, minute * MINUTE)
        assert [each.reason for each in await world.executions()] == ["", "superseded", ""]

    simulate(story)


def test_flow_that_is_held_catches_nothing_up() -> None:
    """Lost slots of a suspended flow are skipped with that reason, and none waits for its end."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=ALL, nodes=SLEEP))
        await fire(world, MINUTE)
        held = due(trigger=ALL, nodes=SLEEP, suspend=True)
        after = await restart(world, 5 * MINUTE + 30, held)
        assert slots(await after.executions()) == [60]
        assert await ledger(after) == [("skipped", "suspended", 120, 300, 4)]
        await after.apply(due(trigger=ALL, nodes=SLEEP))
        await after.schedules.settle()
        assert slots(await after.executions()) == [60]

    simulate(story)


def test_slot_that_is_being_caught_up_at_a_stop_is_left_to_the_next_life() -> None:
    """A stop in the middle of catching up skips nothing."""

    async def story(world: World) -> None:
        flow = due(trigger=ALL)
        await begin(world, flow)
        middle = await world.next_life()
        await wait_until(middle, 5 * MINUTE + 90)
        await middle.engine.drain(0)
        await begin(middle, flow)
        assert await ledger(middle) == []
        after = await restart(middle, 8 * MINUTE, flow)
        await turns()
        assert slots(await after.executions())[:6] == [60, 120, 180, 240, 300, 360]

    simulate(story)


# When it may begin


def test_nothing_is_caught_up_before_the_first_pass() -> None:
    """An old version does not start because a new one has not been read yet."""

    async def story(world: World) -> None:
        await begin(world, due(inputs={"who": {"default": "old"}}))
        after = await world.next_life()
        await wait_until(after, 5 * MINUTE + 30)
        after.timers.start()
        await after.arm_last_good()
        await after.schedules.settle()
        assert await after.executions() == []
        assert await ledger(after) == []
        await after.apply(due(inputs={"who": {"default": "new"}}))
        after.schedules.lift_catchup(FIRST_PASS)
        await after.schedules.settle()
        assert await after.inputs() == [{"who": "new"}]

    simulate(story)


def test_cursor_that_is_read_after_the_first_pass_is_caught_up_from() -> None:
    """A ledger that answers late makes nothing wait for the next slot."""

    async def story(world: World) -> None:
        await begin(world, due())
        after = await world.next_life()
        await wait_until(after, 5 * MINUTE + 30)
        after.timers.start()
        after.slots.opens_s = 5.0
        await after.arm_last_good()
        await asyncio.sleep(1)
        after.schedules.lift_catchup(FIRST_PASS)
        await after.schedules.settle()
        assert slots(await after.executions()) == [300]

    simulate(story)


def test_last_good_version_is_caught_up_when_the_new_one_is_broken() -> None:
    """After the first pass what is in force catches up, whichever version that is."""

    async def story(world: World) -> None:
        await begin(world, due())
        after = await restart(world, 5 * MINUTE + 30, broken_text("a"))
        assert slots(await after.executions()) == [300]

    simulate(story)


def test_catching_up_waits_for_every_reason() -> None:
    """With the clock in doubt nothing of the past starts; slots of now do."""

    async def story(world: World) -> None:
        await begin(world, due())
        after = await world.next_life()
        await wait_until(after, 5 * MINUTE + 30)
        after.schedules.hold_catchup("clock")
        await begin(after, due(), due("b"))
        assert await after.executions() == []
        await fire(after, 6 * MINUTE)
        assert [each.flow.name for each in await after.executions()] == ["b"]
        after.schedules.lift_catchup("clock")
        await after.schedules.settle()
        assert slots(await after.executions()) == [360, 360]
        assert await ledger(after) == [("missed", "superseded", 60, 300, 5)]

    simulate(story)


# Schedules that left force


def test_schedule_that_leaves_while_it_catches_up_starts_nothing_more() -> None:
    """Its slots are none of the version that takes its place."""

    async def story(world: World) -> None:
        await begin(world, due(period="1h", trigger={**ALL, "catchup_window": "2h"}))
        after = await world.next_life()
        await wait_until(after, 5 * HOUR + 60)
        after.slots.takes_s = 5.0
        after.timers.start()
        await after.arm_last_good()
        after.schedules.lift_catchup(FIRST_PASS)
        await turns()
        await after.apply(due(period="7h"))
        await after.schedules.settle()
        assert await after.executions() == []
        assert await ledger(after) == [
            ("missed", "window", HOUR, 3 * HOUR, 3),
            ("skipped", "deleted", 4 * HOUR, 5 * HOUR, 2),
        ]

    simulate(story)


def test_slots_of_a_schedule_that_was_changed_while_down_are_missed() -> None:
    """The old schedule's slots are accounted for, and the new one owes nothing."""

    async def story(world: World) -> None:
        await begin(world, due(period="1m"))
        await fire(world, MINUTE)
        after = await restart(world, 5 * MINUTE + 30, due(period="2m"))
        assert slots(await after.executions()) == [60]
        assert await ledger(after) == [("missed", "down", 120, 300, 4)]
        await fire(after, 6 * MINUTE)
        assert slots(await after.executions()) == [60, 360]

    simulate(story)


def test_slot_due_in_the_moment_of_removal_is_skipped_as_deleted() -> None:
    """A slot whose schedule leaves before its timer has told is not forgotten."""

    async def story(world: World) -> None:
        await begin(world, due())
        await wait_until(world, MINUTE)
        await world.apply()
        await world.schedules.settle()
        assert await ledger(world) == [("skipped", "deleted", 60, 60, 1)]

    simulate(story)


def test_clock_set_back_accounts_for_no_slot_again() -> None:
    """A schedule that leaves and comes back under a clock that was set back owes nothing twice."""

    async def story(world: World) -> None:
        await begin(world, due())
        for minute in range(1, 6):
            await fire(world, minute * MINUTE)
        await world.apply(due(period="2m"))
        world.clock.jump(-4 * MINUTE)
        await world.apply(due())
        await world.schedules.settle()
        for minute in range(6, 11):
            await fire(world, minute * MINUTE)
        assert slots(await world.executions()) == [60, 120, 180, 240, 300, 360]

    simulate(story)


# Evidence


@pytest.mark.parametrize(
    ("trigger", "top", "reason", "evidence"),
    [
        pytest.param({}, {"secrets": ["KEY"]}, "not_ready", "KEY", id="not-ready"),
        pytest.param({"if": "1 == 2"}, {}, "if", "1 == 2", id="if"),
        pytest.param(
            {}, {"concurrency": {"on_conflict": "skip"}}, "concurrency", "", id="concurrency"
        ),
        pytest.param({}, {}, "paused", "repairs", id="paused"),
    ],
)
def test_row_holds_what_stood_in_the_way(
    trigger: dict[str, Json], top: dict[str, Json], reason: str, evidence: str
) -> None:
    """The rule, the execution, the pause or the secret that kept a slot from starting is named."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=trigger, nodes=SLEEP, **top))
        expected = evidence
        if reason == "concurrency":
            expected = await world.dispatcher.start_by_hand(A, {}, as_text=False)
        if reason == "paused":
            await world.pauses.pause(A, reason="repairs", until=None, uid=7)
        await fire(world, MINUTE)
        await fire(world, 2 * MINUTE)
        (row,) = await world.storage.slots.list(A)
        assert rows([row]) == [("skipped", reason, 60, 120, 2)]
        assert expected in str(row.evidence)
        entry = world.registry.require(A)
        assert (row.digest, row.revision) == (entry.digest, entry.revision)
        assert entry.revision

    simulate(story)


def test_refusal_of_the_whole_host_needs_no_evidence() -> None:
    """The reason says it, and no figure that changes splits the row."""

    async def story(world: World) -> None:
        await begin(world, due())
        for minute in (1, 2):
            world.refusal = RefusedError(f"{minute} bytes are free", code="disk")
            await fire(world, minute * MINUTE)
        assert await ledger(world) == [("skipped", "disk", 60, 120, 2)]

    simulate(story)


def test_daemon_that_observes_records_what_would_have_started() -> None:
    """Every slot is skipped with `observe`, a delivery and a start by hand are refused."""

    async def story(world: World) -> None:
        await begin(world, due())
        try:
            refuse_all()
        except RefusedError as error:
            world.refusal = error
        for minute in (1, 2):
            await fire(world, minute * MINUTE)
        assert await ledger(world) == [("skipped", "observe", 60, 120, 2)]
        with pytest.raises(RefusedError, match="only observes"):
            await world.dispatcher.start_by_hand(A, {}, as_text=False, force=True)

    simulate(story)


def test_observing_daemon_names_what_would_have_kept_a_slot_from_starting() -> None:
    """`observe` is said of what would have started alone, not of what a rule forbids anyway."""

    async def story(world: World) -> None:
        world.refusal = RefusedError("only observes", code="observe")
        await begin(world, due(trigger={"if": "trigger.type == 'webhook'"}))
        await fire(world, MINUTE)
        await world.pauses.pause_schedules(reason="repairs", until=None, uid=7)
        await fire(world, 2 * MINUTE)
        await world.pauses.resume_schedules()
        await world.apply(due(trigger={"inputs": {"n": "${{ length(vars.list) }}"}}, **TOO_LONG))
        await fire(world, 3 * MINUTE)
        assert [row[:2] for row in await ledger(world)] == [
            ("skipped", "if"),
            ("skipped", "paused"),
            ("skipped", "input.invalid"),
        ]
        assert await world.executions() == []

    simulate(story)


def test_all_schedules_are_paused_over_a_restart_until_the_time_has_come() -> None:
    """Slots are skipped with who paused them and why; starts by hand go on; then they start."""

    async def story(world: World) -> None:
        await begin(world, due())
        end = at(4 * MINUTE + 30)
        await world.pauses.pause_schedules(reason="repairs", until=end, uid=7)
        await fire(world, MINUTE)
        assert await world.dispatcher.start_by_hand(A, {}, as_text=False)
        after = await world.next_life()
        await begin(after, due())
        lifting = asyncio.create_task(after.pauses.run())
        await fire(after, 2 * MINUTE)
        (row,) = await after.storage.slots.list(A)
        assert rows([row]) == [("skipped", "paused", 60, 120, 2)]
        assert row.evidence["pause_reason"] == "repairs"
        await fire(after, 5 * MINUTE)
        assert slots(await after.executions()) == [300]
        assert await ledger(after) == [
            ("skipped", "paused", 60, 120, 2),
            ("missed", "superseded", 180, 240, 2),
        ]
        lifting.cancel()
        await asyncio.wait([lifting])

    simulate(story)


def test_all_schedules_are_resumed_by_command() -> None:
    """Nothing is caught up, and the pause of a flow of its own stays."""

    async def story(world: World) -> None:
        await begin(world, due(), due("b"))
        await world.pauses.pause(key_of("b"), reason="", until=None, uid=0)
        await world.pauses.pause_schedules(reason="", until=None, uid=0)
        await fire(world, MINUTE)
        await world.pauses.resume_schedules()
        await fire(world, 2 * MINUTE)
        assert slots(await world.executions()) == [120]
        with pytest.raises(ValidationError):
            await world.pauses.pause_schedules(reason="", until=at(0), uid=0)

    simulate(story)
