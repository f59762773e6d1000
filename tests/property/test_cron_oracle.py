"""The slots of cron schedules against an oracle that walks through every minute.

Each change of the clock of every zone, from 2020 to 2035, with expressions that are due around it
and each policy of `dst`. The short profile takes the odd zones and a part of their changes, the
long one everything.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.model.schedule import DstPolicy, EverySchedule, Repeated, Skipped, parse_cron
from tests.profile import IS_LONG, examples
from tests.property import cron_oracle
from tests.property.cron_oracle import DAY, MINUTE, utc

BEGIN, END = utc(2020), utc(2036)
BEFORE, AFTER = timedelta(hours=14), timedelta(hours=12)
POLICIES = [
    DstPolicy(skipped=skipped, repeated=repeated)
    for skipped, repeated in product(Skipped, Repeated)
]

ODD_ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll"),
    *("Africa/Casablanca", "Africa/El_Aaiun", "Europe/Dublin", "America/Havana"),
    *("America/Santiago", "America/Asuncion", "Asia/Beirut", "Asia/Gaza", "Africa/Cairo"),
    *("Atlantic/Azores", "America/Nuuk", "America/Scoresbysund", "Europe/Volgograd"),
    *("Africa/Juba", "Asia/Almaty", "Antarctica/Casey", "Pacific/Apia", "Asia/Tehran"),
    *("Pacific/Norfolk", "Asia/Amman", "America/St_Johns", "Pacific/Chatham", "UTC"),
)
"""Half hours, two hours, midnight, Ramadan, a negative summer, an end of all changes, no change."""

ODD_DAYS = (
    ("Pacific/Apia", utc(2011, 12, 30, 10)),
    ("Pacific/Fakaofo", utc(2011, 12, 30, 11)),
    ("Pacific/Kwajalein", utc(1993, 8, 21, 12)),
    ("Pacific/Kwajalein", utc(1969, 9, 30, 13)),
    ("Pacific/Kiritimati", utc(1994, 12, 31, 10)),
    ("America/Sao_Paulo", utc(2018, 11, 4, 3)),
    ("America/Caracas", utc(2016, 5, 1, 7)),
    ("Asia/Pyongyang", utc(2018, 5, 4, 15)),
)
"""Days that never were, one that came twice, half hours that are gone: from before 2020."""

EXPRESSIONS = (
    "30 2 * * *",
    "0 0 * * *",
    "*/20 0-4 * * *",
    "15,45 1,2,23 * * 0,6",
    "59 23 L * FRI-SAT",
    "5 3 */2 * 1-5",
    "*/30 * * * *",
    "10 */2 * * 7",
)
"""Six with fixed hours and two that follow elapsed time."""


_PART = 10


def zones() -> list[str]:
    """Every zone, or the odd ones."""
    others = {"Factory", "localtime", "posixrules"}
    return sorted(available_timezones() - others) if IS_LONG else sorted(ODD_ZONES)


def changes_of(zone: str) -> list[datetime]:
    """Every change of a zone, or one in ten, others for each zone; at least one."""
    found = cron_oracle.changes(zone, BEGIN, END) or [utc(2026, 3, 29, 1)]
    return found if IS_LONG else found[sum(zone.encode()) % min(_PART, len(found)) :: _PART]


def compare(expression: str, zone: str, after: datetime, until: datetime) -> int:
    """Compares the slots under each policy with the oracle's, and returns how many there were."""
    fields, count = cron_oracle.fields_of(expression), 0
    found = cron_oracle.hits(fields, cron_oracle.minutes(zone, after - DAY, until))
    for policy in POLICIES[:1] if fields.is_elapsed else POLICIES:
        skip, twice = policy.skipped is Skipped.SKIP, policy.repeated is Repeated.TWICE
        expected = [
            at for at in cron_oracle.due(fields, found, skip=skip, twice=twice) if at > after
        ]
        slots = list(parse_cron(expression, zone, policy).slots_between(after, until))
        assert slots == expected, (expression, zone, policy, after)
        count += len(expected)
    return count


@pytest.mark.parametrize("zone", zones())
def test_slots_around_each_change_are_those_of_the_walk(zone: str) -> None:
    """Whatever a zone's clock does, each minute due by the rules is a slot, and no other is."""
    count = 0
    for change in changes_of(zone):
        for expression in EXPRESSIONS:
            count += compare(expression, zone, change - BEFORE, change + AFTER)
    assert count > 0


@pytest.mark.parametrize(("zone", "change"), ODD_DAYS)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_slots_around_days_that_never_were_are_those_of_the_walk(
    zone: str, change: datetime, expression: str
) -> None:
    """A clock that is moved by a day is no other case than one that is moved by an hour."""
    compare(expression, zone, change - 2 * DAY, change + 3 * DAY)


def terms(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """A star, a value, a name, a range, and any of them but a lone name with a step."""
    one = st.integers(low, high)
    spans = (
        st.tuples(one, one)
        .filter(lambda pair: pair[0] < pair[1])
        .map(lambda pair: f"{pair[0]}-{pair[1]}")
    )
    steps = st.tuples(
        st.one_of(st.just("*"), spans, one.map(str)), st.integers(1, max(2, high // 2))
    ).map(lambda pair: f"{pair[0]}/{pair[1]}")
    plain = st.one_of(one.map(str), spans, steps)
    return st.one_of(plain, st.sampled_from(names)) if names else plain


def lists(term: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), st.lists(term, min_size=1, max_size=3).map(",".join))


nights = st.sampled_from(["0", "1", "2", "3", "0-4", "1-3/2", "2,3", "23", "*", "*/2", "*/3"])
weekday_words = st.one_of(
    st.integers(0, 7).map(lambda day: f"{day}L"),
    st.tuples(st.integers(0, 7), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
    st.just("wed#2"),
)
expressions = st.tuples(
    lists(terms(0, 59)),
    st.one_of(nights, lists(terms(0, 23))),
    st.one_of(st.just("*"), st.just("*"), lists(st.one_of(terms(1, 31), st.just("L")))),
    st.one_of(st.just("*"), lists(terms(1, 12, ("mar", "OCT", "Nov"))), st.just("*/2")),
    st.one_of(st.just("*"), lists(st.one_of(terms(0, 7, ("mon", "SUN", "Fri")), weekday_words))),
).map(" ".join)


@settings(max_examples=examples(30))
@given(expressions, st.sampled_from(ODD_ZONES), st.integers(0, 40), st.integers(-2_000, 900))
def test_slots_of_any_expression_are_those_of_the_walk(
    expression: str, zone: str, number: int, minutes: int
) -> None:
    """Lists, ranges, steps, names, last and nth days mean what crontab(5) says they mean."""
    found = cron_oracle.changes(zone, utc(2024), utc(2030)) or [utc(2028, 2, 29)]
    after = found[number % len(found)] + minutes * MINUTE
    compare(expression, zone, after, after + DAY)


@pytest.mark.parametrize("period_s", [1, 60, 420, 3_600, 5_400, 86_400, 604_800])
def test_periods_are_multiples_since_the_epoch(period_s: int) -> None:
    """A period knows no zone and no leap: its slots are the seconds that it divides."""
    start, seconds = utc(2028, 2, 28, 23), 8 * 86_400 if period_s >= 60 else 600
    first = int(start.timestamp())
    expected = [
        start + timedelta(seconds=n) for n in range(1, seconds) if (first + n) % period_s == 0
    ]
    until = start + timedelta(seconds=seconds - 1)
    assert list(EverySchedule(period_s=period_s).slots_between(start, until)) == expected


@pytest.mark.parametrize(
    "expression", ["0 12 29 2 *", "0 12 29 2 1", "0 12 29 2 */7", "0 12 L 2 *"]
)
def test_leap_days_are_those_of_the_calendar(expression: str) -> None:
    """29 February is due in leap years alone, and the last of February each year."""
    fields = cron_oracle.fields_of(expression)
    noons = (utc(2020, 1, 1, 12) + n * DAY for n in range(45 * 366))
    expected = [noon for noon in noons if fields.fits_day(noon.date())]
    found = parse_cron(expression).slots_between(
        utc(2020), utc(2020, 1, 1, 12) + (45 * 366 - 1) * DAY
    )
    assert list(found) == expected
