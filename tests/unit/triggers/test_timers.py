"""Promises of `flowrunner.triggers.timers`: who is woken, with which slot, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from flowrunner.errors import FlowError
from flowrunner.model.schedule import CronSchedule, EverySchedule, Slots, last_between, parse_cron
from flowrunner.system.clock import SystemClock
from flowrunner.triggers.timers import ApschedulerTimers, SlotTrigger, Timers
from tests.fakes.clock import FakeClock
from tests.fakes.timers import FakeTimers

NOW = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
SECOND, HOUR, DAY = EverySchedule(period_s=1), parse_cron("@hourly"), parse_cron("@daily")
# Far from their next slot at almost any time, so that none comes between two looks at the clock.
MONTH, YEAR = parse_cron("@monthly"), parse_cron("@yearly")
PATIENCE_S = 20
MakeTimers = Callable[[], Timers]
every_kind = pytest.mark.parametrize(
    "make",
    [
        pytest.param(ApschedulerTimers, id="apscheduler"),
        pytest.param(lambda: FakeTimers(SystemClock()), id="fake"),
    ],
)


def ignore(_: datetime) -> None:
    """A wake that does nothing."""


class Woken:
    """A wake that remembers its slots and can be waited for."""

    def __init__(self) -> None:
        self.slots: list[datetime] = []
        self._event = asyncio.Event()

    def __call__(self, slot: datetime) -> None:
        self.slots.append(slot)
        self._event.set()

    async def wait(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._event.wait()


def make_due(timers: ApschedulerTimers, *keys: str) -> None:
    """Lets the schedules of the keys be due since three years ago."""
    schedules = {timers._schedules[key] for key in keys}
    for schedule in schedules:
        past = schedule.next_after(datetime.now(UTC) - timedelta(days=3 * 366))
        timers._agenda.expect(timers._timers[schedule], past)
    timers._hasten()


async def turn_over() -> None:
    """Lets everything run that the loop already knows of."""
    for _ in range(10):
        await asyncio.sleep(0)


# The trigger


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(SECOND, id="every-second"),
        pytest.param(HOUR, id="hourly"),
        pytest.param(parse_cron("*/15 2 * * *", "Europe/Berlin"), id="fixed-hour"),
    ],
)
def test_trigger_goes_through_the_slots_one_by_one(schedule: Any) -> None:
    """Asked with the slot it gave before, it gives the one after, and loses none."""
    expected = list(islice(schedule.slots_between(NOW, datetime.max.replace(tzinfo=UTC)), 20))
    trigger, given = SlotTrigger(schedule), []
    previous, now = None, NOW
    for _ in expected:
        slot = trigger.get_next_fire_time(previous, now)
        assert slot is not None
        given.append(slot)
        previous = now = slot
    assert given == expected


def test_trigger_joins_what_came_due_together() -> None:
    """After a long sleep the newest slot is next, then the first one to come."""
    trigger, before = SlotTrigger(SECOND), datetime(1970, 1, 1, tzinfo=UTC)
    newest = trigger.get_next_fire_time(before, NOW + timedelta(milliseconds=1))
    assert newest == NOW
    assert trigger.get_next_fire_time(newest, NOW) == NOW + timedelta(seconds=1)


def test_trigger_goes_on_from_its_slot_when_the_clock_was_set_back() -> None:
    """A slot that was given is not given again."""
    slot = datetime(2026, 6, 1, 13, tzinfo=UTC)
    assert SlotTrigger(HOUR).get_next_fire_time(slot, NOW) == slot + timedelta(hours=1)


def test_trigger_ends_when_there_is_no_slot() -> None:
    """A schedule that is never due never fires."""
    never = CronSchedule(expression="0 0 */9 2 1#5")
    assert SlotTrigger(never).get_next_fire_time(None, NOW) is None


def test_trigger_survives_a_schedule_that_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    """A schedule that fails ends its own timer with an error in the log, and no other."""

    class Stuck(Slots):
        @property
        def fingerprint(self) -> str:
            return "stuck"

        def _find(self, instant: datetime) -> datetime | None:
            return instant

    stuck: Any = Stuck()
    with pytest.raises(FlowError):
        stuck.next_after(NOW)
    assert SlotTrigger(stuck).get_next_fire_time(None, NOW) is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "timers.schedule_stuck" in caplog.text


# Every kind of timers


@every_kind
def test_an_armed_key_waits_for_its_next_slot(make: MakeTimers) -> None:
    """The slot a key waits for is the schedule's next one; armed before the start or after it."""

    async def scenario() -> None:
        timers = make()
        timers.arm("early", YEAR, ignore)
        assert timers.next_at("early") is None
        timers.start()
        timers.arm("late", YEAR, ignore)
        expected = YEAR.next_after(datetime.now(UTC))
        assert (timers.next_at("early"), timers.next_at("late")) == (expected, expected)
        timers.stop()

    asyncio.run(scenario())


@every_kind
def test_a_disarmed_key_waits_for_nothing(make: MakeTimers) -> None:
    """Disarming ends a key, spares another one with the same schedule, and may be repeated."""

    async def scenario() -> None:
        timers = make()
        timers.start()
        timers.arm("gone", YEAR, ignore)
        timers.arm("kept", YEAR, ignore)
        timers.disarm("gone")
        timers.disarm("gone")
        timers.disarm("never-armed")
        assert timers.next_at("gone") is None
        assert timers.next_at("kept") is not None
        timers.disarm("kept")
        assert timers.next_at("kept") is None
        timers.stop()

    asyncio.run(scenario())


@every_kind
def test_another_schedule_replaces_the_first(make: MakeTimers) -> None:
    """A key that is armed again with another schedule waits for that one's slots."""

    async def scenario() -> None:
        timers = make()
        timers.start()
        timers.arm("flow", YEAR, ignore)
        timers.arm("flow", MONTH, ignore)
        assert timers.next_at("flow") == MONTH.next_after(datetime.now(UTC))
        timers.stop()

    asyncio.run(scenario())


@every_kind
def test_stop_disarms_and_start_begins_anew(make: MakeTimers) -> None:
    """After a stop nothing is armed; both may be called twice, and a start may follow."""

    async def scenario() -> None:
        timers = make()
        timers.stop()
        timers.start()
        timers.start()
        timers.arm("flow", YEAR, ignore)
        timers.stop()
        timers.stop()
        assert timers.next_at("flow") is None
        timers.start()
        assert timers.next_at("flow") is None
        timers.arm("flow", YEAR, ignore)
        assert timers.next_at("flow") is not None
        timers.stop()
        await turn_over()

    asyncio.run(scenario())


# APScheduler's timers


def test_a_key_is_woken_at_its_slot() -> None:
    """A wake comes in the loop, when the slot has come and not before, with the slot in UTC."""

    async def scenario() -> None:
        timers, woken = ApschedulerTimers(), Woken()
        timers.start()
        timers.arm("flow", SECOND, woken)
        await woken.wait()
        slot = woken.slots[0]
        assert slot <= datetime.now(UTC)
        assert (slot.tzinfo, slot.microsecond) == (UTC, 0)
        timers.stop()

    asyncio.run(scenario())


def test_slots_long_past_give_one_wake_with_the_newest() -> None:
    """However late, a due schedule wakes its keys, each of them once."""

    async def scenario() -> None:
        timers, first, second = ApschedulerTimers(), Woken(), Woken()
        timers.start()
        timers.arm("first", MONTH, first)
        timers.arm("second", MONTH, second)
        make_due(timers, "first", "second")
        await first.wait()
        await second.wait()
        await turn_over()
        newest = last_between(MONTH, datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC))
        assert (first.slots, second.slots) == ([newest], [newest])
        assert timers.next_at("first") == MONTH.next_after(datetime.now(UTC))
        timers.stop()

    asyncio.run(scenario())


def test_a_failing_wake_is_reported_and_harms_no_other() -> None:
    """The loop's handler hears of it, the others are woken, and the timer goes on."""

    async def scenario() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        timers, woken = ApschedulerTimers(), Woken()
        timers.start()
        timers.arm("broken", YEAR, lambda _: 1 / 0)  # type: ignore[arg-type]
        timers.arm("sound", YEAR, woken)
        make_due(timers, "broken")
        await woken.wait()
        assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]
        assert timers.next_at("broken") is not None
        timers.stop()

    asyncio.run(scenario())


def test_the_newest_wake_of_a_key_is_called_and_its_timer_goes_on() -> None:
    """Arming again with the same schedule changes who is called, not when."""

    async def scenario() -> None:
        timers, old, new = ApschedulerTimers(), Woken(), Woken()
        timers.start()
        timers.arm("flow", YEAR, old)
        make_due(timers, "flow")
        timers.arm("flow", parse_cron("0 0 1 1 *"), new)
        await new.wait()
        assert old.slots == []
        timers.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("end", ["disarm", "stop"])
def test_a_wake_that_is_under_way_is_called_off(end: str) -> None:
    """After `disarm` and after `stop` a key is not woken, even for a slot already due."""

    async def scenario() -> None:
        timers, woken, other = ApschedulerTimers(), Woken(), Woken()
        timers.start()

        def end_it(slot: datetime) -> None:
            other(slot)
            if end == "disarm":
                timers.disarm("late")
            else:
                timers.stop()

        timers.arm("early", YEAR, end_it)
        timers.arm("late", YEAR, woken)
        make_due(timers, "early")
        await other.wait()
        await turn_over()
        assert woken.slots == []
        timers.stop()

    asyncio.run(scenario())


def test_a_wake_may_disarm_and_arm_its_own_key() -> None:
    """A wake is free to change the timers; the scheduler goes on."""

    async def scenario() -> None:
        timers, woken = ApschedulerTimers(), Woken()
        timers.start()

        def again(_: datetime) -> None:
            timers.disarm("flow")
            timers.arm("flow", MONTH, woken)
            make_due(timers, "flow")

        timers.arm("flow", YEAR, again)
        make_due(timers, "flow")
        await woken.wait()
        assert len(woken.slots) == 1
        timers.stop()

    asyncio.run(scenario())


def test_a_schedule_that_is_due_first_need_not_wait_for_the_others() -> None:
    """What is armed later may be due earlier; what was due with it is woken too, and no other."""

    async def scenario() -> None:
        timers, woken, early, other = ApschedulerTimers(), Woken(), Woken(), Woken()
        timers.start()
        timers.arm("year", YEAR, other)
        await turn_over()
        timers.arm("month", MONTH, woken)
        timers.arm("day", DAY, early)
        make_due(timers, "month", "day")
        await woken.wait()
        await early.wait()
        await turn_over()
        assert (len(woken.slots), len(early.slots), other.slots) == (1, 1, [])
        assert timers.next_at("year") == YEAR.next_after(datetime.now(UTC))
        timers.stop()

    asyncio.run(scenario())


def test_a_clock_that_was_set_back_is_woken_for_what_it_passes_again() -> None:
    """After a look anew nobody waits for what was next before, and what is due is not lost."""

    async def scenario() -> None:
        timers, woken, due = ApschedulerTimers(), Woken(), Woken()
        timers.start()
        for key, schedule in (("year", YEAR), ("second", SECOND)):
            timers.arm(key, schedule, woken)
            later = schedule.next_after(datetime.now(UTC) + timedelta(days=3 * 366))
            timers._agenda.expect(timers._timers[schedule], later)
        timers.arm("month", MONTH, due)
        make_due(timers, "month")
        timers.recheck()
        await woken.wait()
        await due.wait()
        assert timers.next_at("year") == YEAR.next_after(datetime.now(UTC))
        assert len(due.slots) == 1
        timers.stop()

    asyncio.run(scenario())


def test_schedules_that_come_and_go_leave_nothing_behind() -> None:
    """A flow whose schedule is edited every minute for years takes no more memory."""

    async def scenario() -> None:
        timers = ApschedulerTimers()
        timers.start()
        timers.arm("year", YEAR, ignore)
        for period_s in range(1_000, 2_000):
            timers.arm("flow", EverySchedule(period_s=period_s), ignore)
        assert len(timers._agenda._waiting) < 100
        timers.disarm("flow")
        assert timers.next_at("flow") is None
        assert timers._agenda.first == timers.next_at("year")
        timers.stop()

    asyncio.run(scenario())


def test_timers_can_be_started_again() -> None:
    """After a stop a new start wakes what is armed then, in whichever loop."""
    timers = ApschedulerTimers()

    async def scenario() -> None:
        woken = Woken()
        timers.start()
        timers.arm("flow", MONTH, woken)
        make_due(timers, "flow")
        await woken.wait()
        timers.arm("late", YEAR, ignore)
        timers.stop()

    asyncio.run(scenario())
    asyncio.run(scenario())


def test_lateness_is_never_left_to_apscheduler() -> None:
    """The one job of all timers is without grace time, joins what is late, and its zone is UTC."""

    async def scenario() -> None:
        timers = ApschedulerTimers()
        timers.start()
        timers.arm("first", YEAR, ignore)
        timers.arm("second", YEAR, ignore)
        timers.arm("third", MONTH, ignore)
        await turn_over()
        carried = timers._scheduler.get_jobs()
        assert len(carried) == 1
        assert {(job.misfire_grace_time, job.coalesce) for job in carried} == {(None, True)}
        assert timers._scheduler.timezone is UTC
        timers.stop()

    asyncio.run(scenario())


# The fake


def test_fake_wakes_what_is_due_once() -> None:
    """A test decides what time it is; each key with a slot since then is woken once."""
    clock = FakeClock(NOW)
    timers = FakeTimers(clock)
    slots: list[datetime] = []
    timers.arm("hourly", HOUR, slots.append)
    timers.arm("daily", DAY, slots.append)
    assert timers.fire_due(NOW + timedelta(hours=1)) == []
    timers.start()
    assert timers.fire_due(NOW + timedelta(hours=2)) == ["hourly"]
    assert timers.fire_due(NOW + timedelta(hours=2)) == []
    assert slots == [datetime(2026, 6, 1, 14, tzinfo=UTC)]
    clock.advance(86_400)
    assert timers.fire_due() == ["hourly", "daily"]


def test_fake_wakes_again_for_what_a_clock_passes_again() -> None:
    """As the real ones do: set back and looked at anew, it waits for the slots that follow now."""
    clock = FakeClock(NOW)
    timers = FakeTimers(clock)
    timers.start()
    timers.arm("hourly", HOUR, ignore)
    clock.jump(2 * 3_600)
    assert timers.fire_due() == ["hourly"]
    clock.jump(-3_600)
    timers.recheck()
    assert timers.next_at("hourly") == datetime(2026, 6, 1, 14, tzinfo=UTC)
    clock.advance(3_600)
    assert timers.fire_due() == ["hourly"]
