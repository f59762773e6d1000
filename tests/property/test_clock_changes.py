"""The dates of the warning FR503 against a walk through every minute of the wall clock.

The oracle asks Python for each local minute whether it exists once, and the daemon's own schedule
for the slots of the day.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.schedule import parse_cron
from tests.fakes.clock import FakeClock
from tests.fakes.nodes import builtin_nodes

START, END = datetime(2027, 3, 1), datetime(2029, 3, 1)
MINUTE, QUARTER, DAY = timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1)
ZONES = (
    *("Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo", "Asia/Tokyo"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "Antarctica/Troll"),
)
COMPILER = Compiler(builtin_nodes(), FakeClock(START.replace(tzinfo=UTC)))
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def instants(wall: datetime, zone: ZoneInfo) -> set[datetime]:
    """Returns the instants at which the clock shows a wall time."""
    found = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return {i for i in found if i.astimezone(zone).replace(tzinfo=None) == wall}


@cache
def odd_minutes(name: str) -> dict[datetime, int]:
    """Returns the wall minutes that do not exist exactly once, and how often they do.

    Looks at each quarter first, since all changes of these years are at one.
    """
    zone = ZoneInfo(name)
    quarters = (START + QUARTER * n for n in range((END - START) // QUARTER))
    odd = [quarter for quarter in quarters if len(instants(quarter, zone)) != 1]
    minutes = (quarter + MINUTE * n for quarter in odd for n in range(15))
    return {wall: len(instants(wall, zone)) for wall in minutes}


@st.composite
def crons(draw: st.DrawFn) -> tuple[str, set[int], set[int], set[int]]:
    """A fixed hour near a change, some minutes, on some days of the week."""
    minutes = draw(st.sets(st.sampled_from([0, 1, 15, 30, 59]), min_size=1))
    hours = draw(st.sets(st.integers(0, 3), min_size=1))
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    fields = (",".join(map(str, sorted(values))) for values in (minutes, hours))
    weekdays = ",".join(str((day + 1) % 7) for day in sorted(days))
    return " ".join((*fields, "* *", weekdays)), minutes, hours, days


def named(cron: str, zone: str, kind: str) -> set[str]:
    """Returns the dates that the warnings of a kind name as those of a slot."""
    text = "version: 1\nname: x\nnodes: [{id: a, run: x}]\ntriggers: [{type: schedule, "
    text += f"cron: '{cron}', timezone: {zone}}}]\n"
    found = COMPILER.read(text.encode(), file="f", account="default").findings
    messages = [f.message for f in found if f.code == "FR503" and kind in f.message]
    return {date for message in messages for date in _DATE.findall(message)}


@given(crons(), st.sampled_from(ZONES))
def test_dates_named_are_those_of_lost_and_repeated_minutes(
    cron: tuple[str, set[int], set[int], set[int]], zone: str
) -> None:
    """Each date on which a time of the schedule is lost or comes twice is named, and no other."""
    text, minutes, hours, days = cron
    due = {
        wall: count
        for wall, count in odd_minutes(zone).items()
        if wall.minute in minutes and wall.hour in hours and wall.weekday() in days
    }
    lost = {f"{wall:%Y-%m-%d}" for wall, count in due.items() if count == 0}
    repeated = {f"{wall:%Y-%m-%d}" for wall, count in due.items() if count == 2}

    assert named(text, zone, "not exist") == lost
    assert named(text, zone, " twice ") == repeated


@given(crons(), st.sampled_from(ZONES))
def test_schedule_does_on_those_dates_what_the_warning_says(
    cron: tuple[str, set[int], set[int], set[int]], zone: str
) -> None:
    """Lost times become one slot right after the gap, a repeated time is its first occurrence."""
    text, minutes, hours, days = cron
    schedule, tz = parse_cron(text, zone), ZoneInfo(zone)
    for wall, count in odd_minutes(zone).items():
        if wall.minute not in minutes or wall.hour not in hours or wall.weekday() not in days:
            continue
        midnight = wall.replace(hour=0, minute=0).replace(tzinfo=tz).astimezone(UTC)
        slots = list(schedule.slots_between(midnight - DAY, midnight + 2 * DAY))
        if count == 2:
            first, second = sorted(instants(wall, tz))
            assert first in slots
            assert second not in slots
        else:
            gap_end = wall
            while not instants(gap_end, tz):
                gap_end += MINUTE
            assert slots.count(min(instants(gap_end, tz))) == 1
