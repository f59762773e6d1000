"""Promises of `flowrunner.model.schedule`: when a schedule is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from flowrunner.errors import FlowError
from flowrunner.model.schedule import (
    CronSchedule,
    DstPolicy,
    EverySchedule,
    Repeated,
    Schedule,
    Skipped,
    SlotCount,
    Slots,
    count_between,
    last_between,
    parse_cron,
)

DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def local_slots(expression: str, zone: str, after: str, number: int) -> list[str]:
    """The next slots as local times with their offset, to read easily."""
    until = datetime(2200, 1, 1, tzinfo=UTC)
    slots = parse_cron(expression, zone).slots_between(utc(after), until)
    return [
        slot.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")
        for slot in islice(slots, number)
    ]


# The calendar


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("0 0 * * 0", "2026-06-07", id="sunday-is-0"),
        pytest.param("0 0 * * 7", "2026-06-07", id="sunday-is-7"),
        pytest.param("0 0 * * 1-5", "2026-06-02", id="one-is-monday"),
        pytest.param("0 0 * * 6-7", "2026-06-06", id="weekend"),
        pytest.param("0 0 L * *", "2026-06-30", id="last-day"),
        pytest.param("0 0 * * 5L", "2026-06-26", id="last-friday"),
        pytest.param("0 0 * * WED#2", "2026-06-10", id="second-wednesday"),
        pytest.param("0 0 13 * 5", "2026-06-05", id="day-or-weekday"),
        pytest.param("0 0 */2 * 5", "2026-06-05", id="day-and-weekday"),
        pytest.param("0 0 13 * */5", "2026-09-13", id="weekday-begins-with-a-star"),
        pytest.param("0 0 29 2 *", "2028-02-29", id="leap-day"),
        pytest.param("0 0 29 2 */7", "2032-02-29", id="leap-day-on-a-sunday"),
    ],
)
def test_next_after_follows_the_fields(expression: str, expected: str) -> None:
    """Fields, names and the relation of the two day fields are those of Vixie cron."""
    slot = parse_cron(expression).next_after(utc("2026-06-01T12:00+00:00"))
    assert slot == utc(f"{expected}T00:00+00:00")


def test_next_after_returns_none_when_no_date_fits() -> None:
    """The search for a date that never comes ends."""
    schedule = CronSchedule(expression="0 0 */9 2 1#5")
    assert schedule.next_after(utc("2026-01-01T00:00+00:00")) is None


@pytest.mark.parametrize(
    "offset",
    [
        pytest.param(timedelta(), id="on-the-slot"),
        pytest.param(timedelta(microseconds=1), id="just-after"),
        pytest.param(timedelta(seconds=59, microseconds=999_999), id="just-before-the-next"),
    ],
)
@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(CronSchedule(expression="* * * * *"), id="elapsed"),
        pytest.param(CronSchedule(expression="* 0-23 * * *"), id="fixed"),
        pytest.param(EverySchedule(period_s=60), id="every"),
    ],
)
def test_next_after_is_strictly_later(schedule: Schedule, offset: timedelta) -> None:
    """An instant on a slot or within its minute gives the following slot."""
    instant = utc("2026-06-01T12:00+00:00")
    assert schedule.next_after(instant + offset) == instant + timedelta(minutes=1)


def test_next_after_takes_any_zone_and_gives_utc() -> None:
    """The zone in which an instant is written does not matter; the answer is in UTC."""
    slot = parse_cron("@daily").next_after(datetime.fromisoformat("2026-06-01T01:00+02:00"))
    assert slot == utc("2026-06-01T00:00+00:00")
    assert slot.tzinfo is UTC


def test_next_after_refuses_a_naive_instant() -> None:
    """A time without zone is a fault of the caller, never taken for the host's zone."""
    with pytest.raises(ValueError, match="aware"):
        parse_cron("@daily").next_after(datetime(2026, 6, 1))


def test_next_after_refuses_to_stand_still() -> None:
    """A schedule that does not advance is an error, not an endless loop."""

    class Stuck(Slots):
        @property
        def fingerprint(self) -> str:
            return "stuck"

        def _find(self, instant: datetime) -> datetime | None:
            return instant

    with pytest.raises(FlowError) as caught:
        Stuck().next_after(utc("2026-06-01T00:00+00:00"))
    assert caught.value.code == "schedule.stuck"


# Changes of the clock

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
APIA, SAO_PAULO = "Pacific/Apia", "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        pytest.param(
            BERLIN,
            "30 2 * * *",
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
            id="berlin-lost-time-runs-after-the-gap",
        ),
        pytest.param(
            BERLIN,
            "*/15 2 * * *",
            "2026-03-29T01:30+01:00",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"],
            id="berlin-one-gap-is-one-slot",
        ),
        pytest.param(
            BERLIN,
            "0,30 2,3 * * *",
            "2026-03-29T01:30+01:00",
            ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00", "2026-03-30T02:00+02:00"],
            id="berlin-no-extra-slot-at-the-end-of-the-gap",
        ),
        pytest.param(
            BERLIN,
            "30 1,2 * * *",
            "2026-03-29T01:00+01:00",
            ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T01:30+02:00"],
            id="berlin-list-of-hours-in-the-gap",
        ),
        pytest.param(
            BERLIN,
            "15 */2 * * *",
            "2026-03-29T00:00+01:00",
            ["2026-03-29T00:15+01:00", "2026-03-29T04:15+02:00"],
            id="berlin-starred-hour-has-no-slot-in-the-gap",
        ),
        pytest.param(
            BERLIN,
            "30 2 * * *",
            "2026-10-25T00:00+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
            id="berlin-repeated-time-runs-once",
        ),
        pytest.param(
            BERLIN,
            "30 2 * * *",
            "2026-10-25T02:10+01:00",
            ["2026-10-26T02:30+01:00"],
            id="berlin-not-again-when-asked-in-the-second-pass",
        ),
        pytest.param(
            BERLIN,
            "*/30 2 * * *",
            "2026-10-25T00:00+02:00",
            ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:00+01:00"],
            id="berlin-minutes-of-a-repeated-fixed-hour-run-once",
        ),
        pytest.param(
            BERLIN,
            "*/30 * * * *",
            "2026-10-25T02:00+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"],
            id="berlin-half-hours-in-both-passes",
        ),
        pytest.param(
            BERLIN,
            "0 * * * *",
            "2026-03-29T00:30+01:00",
            ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"],
            id="berlin-hourly-over-the-gap",
        ),
        pytest.param(
            BERLIN,
            "0 0 * * 1-5",
            "2026-03-27T12:00+01:00",
            ["2026-03-30T00:00+02:00", "2026-03-31T00:00+02:00"],
            id="berlin-monday-after-the-gap",
        ),
        pytest.param(
            NEW_YORK,
            "30 0 * * mon-fri",
            "2026-03-06T12:00-05:00",
            ["2026-03-09T00:30-04:00", "2026-03-10T00:30-04:00"],
            id="new-york-monday-after-the-gap",
        ),
        pytest.param(
            NEW_YORK,
            "30 2 * * *",
            "2026-03-08T00:00-05:00",
            ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"],
            id="new-york-gap",
        ),
        pytest.param(
            NEW_YORK,
            "30 1 * * *",
            "2026-11-01T00:00-04:00",
            ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"],
            id="new-york-overlap",
        ),
        pytest.param(
            LORD_HOWE,
            "15 2 * * *",
            "2026-10-03T12:00+10:30",
            ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
            id="lord-howe-gap-of-half-an-hour",
        ),
        pytest.param(
            LORD_HOWE,
            "15,45 * * * *",
            "2026-10-04T01:30+10:30",
            ["2026-10-04T01:45+10:30", "2026-10-04T02:45+11:00"],
            id="lord-howe-quarters-over-the-gap",
        ),
        pytest.param(
            LORD_HOWE,
            "15,45 * * * *",
            "2026-04-05T01:20+11:00",
            ["2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30", "2026-04-05T02:15+10:30"],
            id="lord-howe-quarters-over-the-overlap",
        ),
        pytest.param(
            APIA,
            "0 */6 * * *",
            "2011-12-29T17:00-10:00",
            ["2011-12-29T18:00-10:00", "2011-12-31T00:00+14:00"],
            id="apia-a-day-that-never-was",
        ),
        pytest.param(
            APIA,
            "0 12 * * *",
            "2011-12-29T13:00-10:00",
            ["2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"],
            id="apia-noon-of-the-lost-day-runs-after-it",
        ),
        pytest.param(
            SAO_PAULO,
            "0 0 * * *",
            "2018-11-03T12:00-03:00",
            ["2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"],
            id="sao-paulo-no-midnight",
        ),
        pytest.param(
            SAO_PAULO,
            "30 23 * * *",
            "2018-02-17T12:00-02:00",
            ["2018-02-17T23:30-02:00", "2018-02-18T23:30-03:00"],
            id="sao-paulo-the-last-hour-twice",
        ),
        pytest.param(
            SAO_PAULO,
            "30 * 17 * *",
            "2018-02-17T23:00-02:00",
            ["2018-02-17T23:30-02:00", "2018-02-17T23:30-03:00", "2018-03-17T00:30-03:00"],
            id="sao-paulo-the-day-itself-ends-twice",
        ),
    ],
)
def test_slots_keep_the_promise_when_the_clock_changes(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    """A fixed hour is due once for each of its days, a starred one follows elapsed time."""
    assert local_slots(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize("expression", ["0 0 * * *", "30 0 * * *", "30 2 * * *", "45 23 * * *"])
@pytest.mark.parametrize(
    ("zone", "year"),
    [(BERLIN, 2026), (NEW_YORK, 2026), (LORD_HOWE, 2026), (SAO_PAULO, 2018)],
)
def test_a_daily_schedule_is_due_once_on_every_day(expression: str, zone: str, year: int) -> None:
    """No day of a year is lost and none counts twice."""
    after = datetime(year, 1, 1, tzinfo=ZoneInfo(zone)) - timedelta(seconds=1)
    slots = parse_cron(expression, zone).slots_between(after, after + 365 * DAY)
    days = [slot.astimezone(ZoneInfo(zone)).date() for slot in slots]
    assert days == [date(year, 1, 1) + number * DAY for number in range(365)]


# What `dst` says

SKIP, TWICE = DstPolicy(skipped=Skipped.SKIP), DstPolicy(repeated=Repeated.TWICE)
SKIP_TWICE = DstPolicy(skipped=Skipped.SKIP, repeated=Repeated.TWICE)


@pytest.mark.parametrize(
    ("zone", "expression", "dst", "after", "expected"),
    [
        pytest.param(
            BERLIN,
            "30 2 * * *",
            SKIP,
            "2026-03-28T12:00+01:00",
            ["2026-03-30T02:30+02:00"],
            id="a-lost-time-is-left-out",
        ),
        pytest.param(
            BERLIN,
            "0,30 2,3 * * *",
            SKIP,
            "2026-03-29T01:30+01:00",
            ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00", "2026-03-30T02:00+02:00"],
            id="the-end-of-the-gap-is-a-slot-of-its-own",
        ),
        pytest.param(
            BERLIN,
            "30 2 * * *",
            TWICE,
            "2026-10-24T12:00+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-26T02:30+01:00"],
            id="a-repeated-time-runs-twice",
        ),
        pytest.param(
            BERLIN,
            "*/30 2 * * *",
            TWICE,
            "2026-10-25T02:10+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"],
            id="both-passes-in-the-order-of-time",
        ),
        pytest.param(
            BERLIN,
            "30 2 * * *",
            TWICE,
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
            id="twice-still-runs-after-a-gap",
        ),
        pytest.param(
            BERLIN,
            "30 2 * * *",
            SKIP_TWICE,
            "2026-03-28T12:00+01:00",
            ["2026-03-30T02:30+02:00"],
            id="skip-and-twice-in-a-gap",
        ),
        pytest.param(
            LORD_HOWE,
            "45 1 * * *",
            TWICE,
            "2026-04-04T12:00+11:00",
            ["2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30", "2026-04-06T01:45+10:30"],
            id="lord-howe-half-an-hour-twice",
        ),
        pytest.param(
            APIA,
            "0 12 * * *",
            SKIP,
            "2011-12-29T13:00-10:00",
            ["2011-12-31T12:00+14:00"],
            id="apia-noon-of-the-lost-day-is-left-out",
        ),
        pytest.param(
            SAO_PAULO,
            "0 0 * * *",
            SKIP,
            "2018-11-03T12:00-03:00",
            ["2018-11-05T00:00-02:00"],
            id="sao-paulo-no-midnight",
        ),
        pytest.param(
            BERLIN,
            "*/30 * * * *",
            SKIP_TWICE,
            "2026-10-25T02:00+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"],
            id="elapsed-time-has-no-policy",
        ),
    ],
)
def test_slots_follow_the_policy_when_the_clock_changes(
    zone: str, expression: str, dst: DstPolicy, after: str, expected: list[str]
) -> None:
    """Lost times are left out where `dst` says so, repeated ones are due twice."""
    until = datetime(2200, 1, 1, tzinfo=UTC)
    slots = parse_cron(expression, zone, dst).slots_between(utc(after), until)
    found = [
        slot.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")
        for slot in islice(slots, len(expected))
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("dst", "expected"),
    [
        pytest.param(DstPolicy(), "2027-03-28T01:00+00:00", id="usual"),
        pytest.param(TWICE, "2027-03-28T01:00+00:00", id="twice"),
        pytest.param(SKIP, None, id="skip"),
        pytest.param(SKIP_TWICE, None, id="skip-and-twice"),
    ],
)
def test_search_ends_where_the_clock_skips_every_time(dst: DstPolicy, expected: str | None) -> None:
    """On the last Sunday of March there is no 02:30 in Berlin, in no year to come."""
    schedule = parse_cron("30 2 * 3 0L", BERLIN, dst)
    slot = schedule.next_after(utc("2026-06-01T12:00+00:00"))
    assert slot == (None if expected is None else utc(expected))


# Periods, counts, fingerprints


@pytest.mark.parametrize(
    ("period_s", "expected"),
    [
        pytest.param(900, "2026-06-01T12:15+00:00", id="quarter"),
        pytest.param(7, "2026-06-01T12:07:36+00:00", id="seven-seconds"),
        pytest.param(86_400, "2026-06-02T00:00+00:00", id="day"),
        pytest.param(604_800, "2026-06-04T00:00+00:00", id="week-from-a-thursday"),
    ],
)
def test_every_is_aligned_to_the_epoch(period_s: int, expected: str) -> None:
    """A period's slots are its multiples since 1970, whenever the daemon starts."""
    slot = EverySchedule(period_s=period_s).next_after(utc("2026-06-01T12:07:30+00:00"))
    assert slot == utc(expected)


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(EverySchedule(period_s=900), id="every"),
        pytest.param(parse_cron("*/7 2 * * *", BERLIN), id="fixed"),
        pytest.param(parse_cron("*/20 * * * *", BERLIN), id="elapsed"),
        pytest.param(parse_cron("0 12 29 2 *"), id="rare"),
    ],
)
def test_count_and_last_agree_with_the_walk(schedule: Schedule) -> None:
    """Counting and looking back give what a walk through all slots gives."""
    marks = [utc("2026-03-27T02:14+01:00") + number * timedelta(hours=7) for number in range(9)]
    for after, until in pairwise(marks):
        slots = list(schedule.slots_between(after, until))
        ends = (slots[0], slots[-1]) if slots else (None, None)
        assert count_between(schedule, after, until) == SlotCount(len(slots), *ends)
        assert last_between(schedule, after, until) == ends[1]


@pytest.mark.parametrize("schedule", [EverySchedule(period_s=1), parse_cron("* * * * *")])
def test_count_is_zero_when_the_interval_is_empty(schedule: Schedule) -> None:
    """Nothing lies between an instant and itself or an earlier one."""
    now = utc("2026-06-01T12:00+00:00")
    nothing = SlotCount(0, None, None)
    assert count_between(schedule, now, now) == nothing
    assert count_between(schedule, now, now - DAY) == nothing


def test_bounds_are_open_below_and_closed_above() -> None:
    """An interval holds its upper end and not its lower one."""
    start = utc("2026-06-01T00:00+00:00")
    assert list(parse_cron("@daily").slots_between(start, start + DAY)) == [start + DAY]


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(EverySchedule(period_s=1), id="every"),
        pytest.param(parse_cron("* * * * *"), id="every-minute"),
    ],
)
def test_last_is_found_at_once_after_decades(schedule: Schedule) -> None:
    """Looking back does not walk through all the slots since a clock of 1970."""
    now = utc("2026-06-01T12:00:30+00:00")
    last = last_between(schedule, datetime(1970, 1, 2, tzinfo=UTC), now)
    assert last == now.replace(second=30 if schedule == EverySchedule(period_s=1) else 0)


@pytest.mark.parametrize(
    ("schedule", "fingerprint"),
    [
        pytest.param(parse_cron("@daily", BERLIN), "0d819ee89b942227", id="cron"),
        pytest.param(EverySchedule(period_s=900), "ae454449979a6a34", id="every"),
    ],
)
def test_fingerprint_never_changes(schedule: Schedule, fingerprint: str) -> None:
    """The ledger's cursor is keyed by it, so another release must give the same."""
    assert schedule.fingerprint == fingerprint


def test_fingerprint_tells_schedules_apart_and_not_spellings() -> None:
    """Another expression, zone or period is another schedule; another spelling is not."""
    different = [
        parse_cron("0 2 * * *"),
        parse_cron("0 2 * * *", BERLIN),
        parse_cron("0 2 * * *", BERLIN, SKIP),
        parse_cron("0 2 * * *", BERLIN, TWICE),
        parse_cron("0 2 * * *", BERLIN, SKIP_TWICE),
        parse_cron("1 2 * * *"),
        EverySchedule(period_s=60),
        EverySchedule(period_s=61),
    ]
    assert len({schedule.fingerprint for schedule in different}) == len(different)
    spellings = [parse_cron("@weekly"), parse_cron("0  0 * * 0")]
    assert len({schedule.fingerprint for schedule in spellings}) == 1
