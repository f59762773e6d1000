"""The slots of cron expressions against a walk through every minute.

The oracle knows nothing of the code under test: it steps through UTC minutes, looks at the wall
clock of the zone and compares fields whose values Hypothesis drew as sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.model.schedule import CronSchedule, count_between, last_between
from tests.profile import examples

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

CHANGES = (
    ("UTC", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),
    ("Europe/Dublin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T06:00"),
    ("America/Havana", "2026-03-08T05:00"),
    ("America/Havana", "2026-11-01T05:00"),
    ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-02-18T02:00"),
    ("America/Caracas", "2016-05-01T07:00"),
    ("Asia/Pyongyang", "2018-05-04T15:00"),
    ("Asia/Kathmandu", "2026-01-31T18:15"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ("Antarctica/Troll", "2026-03-29T01:00"),
    ("Antarctica/Troll", "2026-10-25T01:00"),
    ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Pacific/Kwajalein", "1993-08-21T12:00"),
)
"""Zones, and the instants in UTC at which their clocks change; two zones know no change."""


@dataclass(frozen=True)
class Field:
    text: str
    fits: Callable[[date | int], bool]


@dataclass(frozen=True)
class Cron:
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        fields = (self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(field.text for field in fields)

    def fits(self, wall: datetime) -> bool:
        return (
            self.minute.fits(wall.minute)
            and self.hour.fits(wall.hour)
            and self.month.fits(wall.month)
            and self._fits_day(wall.date())
        )

    def _fits_day(self, day: date) -> bool:
        answers = self.day.fits(day), self.weekday.fits(day)
        starred = self.day.text.startswith("*") or self.weekday.text.startswith("*")
        return all(answers) if starred else any(answers)


STAR = Field("*", lambda _: True)


def is_in(values: set[int]) -> Callable[[date | int], bool]:
    return lambda value: value in values


@st.composite
def terms(draw: st.DrawFn, low: int, high: int) -> tuple[str, set[int]]:
    """One value, a range or a range with a step."""
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    if first == last:
        return str(first), {first}
    step = draw(st.sampled_from([1, 1, 2, 5, 15]))
    text = f"{first}-{last}" if step == 1 else f"{first}-{last}/{step}"
    return text, set(range(first, last + 1, step))


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> Field:
    """A star, a star with a step, or a list of terms."""
    step = draw(st.sampled_from([1, 2, 7, 15, 20, 0, 0]))
    if step:
        return Field(f"*/{step}" if step > 1 else "*", is_in(set(range(low, high + 1, step))))
    parts = draw(st.lists(terms(low, high), min_size=1, max_size=3))
    return Field(",".join(text for text, _ in parts), is_in(set().union(*(v for _, v in parts))))


def next_month(day: date) -> date:
    return (day.replace(day=1) + 32 * DAY).replace(day=1)


@st.composite
def days(draw: st.DrawFn) -> Field:
    form = draw(st.sampled_from(["star", "star", "star", "list", "last"]))
    if form == "star":
        return STAR
    if form == "last":
        return Field("L", lambda day: isinstance(day, date) and (day + DAY).day == 1)
    numbers = draw(fields(1, 31))
    return Field(numbers.text, lambda day: isinstance(day, date) and numbers.fits(day.day))


@st.composite
def weekdays(draw: st.DrawFn) -> Field:
    form = draw(st.sampled_from(["star", "star", "star", "list", "last", "nth"]))
    number = draw(st.integers(0, 7))
    nth = draw(st.integers(1, 5))

    def is_number(day: date | int) -> bool:
        return isinstance(day, date) and day.isoweekday() % 7 == number % 7

    def is_last(day: date | int) -> bool:
        return isinstance(day, date) and is_number(day) and day + 7 * DAY >= next_month(day)

    def is_nth(day: date | int) -> bool:
        return isinstance(day, date) and is_number(day) and (day.day + 6) // 7 == nth

    if form == "last":
        return Field(f"{number}L", is_last)
    if form == "nth":
        return Field(f"{number}#{nth}", is_nth)
    if form == "star":
        return STAR
    text, values = draw(terms(0, 7))
    return Field(
        text,
        lambda day: (
            isinstance(day, date) and bool(values & {day.isoweekday(), day.isoweekday() % 7})
        ),
    )


def hours() -> st.SearchStrategy[Field]:
    """Any hours, or those of the night in which clocks are changed."""
    night = terms(0, 3).map(lambda term: Field(term[0], is_in(term[1])))
    return st.one_of(fields(0, 23), night)


def months() -> st.SearchStrategy[Field]:
    """Every month, or all but the ends of the year."""
    return st.sampled_from([STAR, Field("2-11", is_in({*range(2, 12)}))])


def crons() -> st.SearchStrategy[Cron]:
    """Times of every day, or of some."""
    always = st.just(STAR)
    return st.one_of(
        st.builds(Cron, fields(0, 59), hours(), always, always, always),
        st.builds(Cron, fields(0, 59), hours(), days(), months(), weekdays()),
    )


@cache
def walls(zone: str, middle: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Every UTC minute of the six days around an instant, with what the wall clock shows."""
    instants = (middle - 3 * DAY + number * MINUTE for number in range(6 * 24 * 60))
    local = ZoneInfo(zone)
    return tuple((at, at.astimezone(local).replace(tzinfo=None, fold=0)) for at in instants)


def elapsed_slots(cron: Cron, zone: str, middle: datetime) -> Iterator[datetime]:
    """A starred hour: every minute whose wall time fits."""
    return (at for at, wall in walls(zone, middle) if cron.fits(wall))


def fixed_slots(cron: Cron, zone: str, middle: datetime) -> Iterator[datetime]:
    """A fixed hour: a minute is due for every wall time that it is the first to reach or pass."""
    _, newest = walls(zone, middle)[0]
    for at, wall in walls(zone, middle)[1:]:
        reached = (newest + number * MINUTE for number in range(1, (wall - newest) // MINUTE + 1))
        if any(cron.fits(shown) for shown in reached):
            yield at
        newest = max(newest, wall)


def spans() -> st.SearchStrategy[timedelta]:
    """Some hours or a day and a half, to the second."""
    hour = 3_600
    return st.one_of(st.integers(hour // 2, 4 * hour), st.integers(hour // 2, 36 * hour)).map(
        lambda seconds: timedelta(seconds=seconds)
    )


@settings(max_examples=examples(200))
@given(
    cron=crons(),
    change=st.sampled_from(CHANGES),
    before=spans(),
    beyond=spans(),
)
def test_slots_are_those_of_a_walk_through_every_minute(
    cron: Cron, change: tuple[str, str], before: timedelta, beyond: timedelta
) -> None:
    """Across a change of the clock each minute due by the rules is a slot, and no other is."""
    zone, middle = change[0], datetime.fromisoformat(change[1]).replace(tzinfo=UTC)
    after, until = middle - before, middle + beyond
    slots_of = elapsed_slots if cron.hour.text.startswith("*") else fixed_slots
    expected = [slot for slot in slots_of(cron, zone, middle) if after < slot <= until]

    schedule = CronSchedule(expression=cron.text, timezone=zone)

    assert list(schedule.slots_between(after, until)) == expected
    assert count_between(schedule, after, until).total == len(expected)
    assert last_between(schedule, after, until) == (expected[-1] if expected else None)


@settings(max_examples=examples(100))
@given(cron=crons(), change=st.sampled_from(CHANGES), offset=st.integers(-7_200, 93_600))
def test_next_after_is_the_first_minute_of_the_walk(
    cron: Cron, change: tuple[str, str], offset: int
) -> None:
    """Asked at any second near a change, the next slot is the first minute that is due."""
    zone, middle = change[0], datetime.fromisoformat(change[1]).replace(tzinfo=UTC)
    instant = middle + timedelta(seconds=offset)
    slots_of = elapsed_slots if cron.hour.text.startswith("*") else fixed_slots
    expected = next((slot for slot in slots_of(cron, zone, middle) if slot > instant), None)

    found = CronSchedule(expression=cron.text, timezone=zone).next_after(instant)

    assert found == expected or (expected is None and found is not None and found > middle + DAY)


@settings(max_examples=examples(100))
@given(
    cron=crons(),
    change=st.sampled_from(CHANGES),
    offsets=st.lists(st.integers(-7_200, 93_600), min_size=2, max_size=8),
)
def test_what_was_asked_before_changes_no_answer(
    cron: Cron, change: tuple[str, str], offsets: list[int]
) -> None:
    """A schedule that knows its last answer says what one says that was never asked."""
    zone, middle = change[0], datetime.fromisoformat(change[1]).replace(tzinfo=UTC)
    asked = CronSchedule(expression=cron.text, timezone=zone)
    for offset in offsets:
        instant = middle + timedelta(seconds=offset)
        fresh = CronSchedule(expression=cron.text, timezone=zone)
        assert asked.next_after(instant) == fresh.next_after(instant)
