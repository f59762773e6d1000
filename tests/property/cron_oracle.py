"""When a cron expression is due, worked out minute by minute and without any of our code.

The fields are read here anew, each UTC minute is shown on the clock of the zone, and what that
clock shows is compared with the fields. Slow and simple: what the product finds out by
arithmetic is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def number(text: str) -> int:
    """Reads a value; names are those of Debian's crontab(5)."""
    name = text.upper()
    if name in _MONTHS:
        return _MONTHS.index(name) + 1
    return _DAYS.index(name) if name in _DAYS else int(text)


def values(field: str, low: int, high: int) -> set[int]:
    """The values of lists, ranges and steps; a value with a step counts on to the end."""
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        start = low if span == "*" else number(first)
        end = number(last) if last else high if step or span == "*" else start
        found.update(range(start, end + 1, int(step or 1)))
    return found


@dataclass(frozen=True)
class Fields:
    """Five fields, of which the days stay text: their words ask for a date.

    Attributes:
        times: The minutes of the day that fit.
    """

    times: frozenset[int]
    day: str
    months: frozenset[int]
    weekday: str
    is_elapsed: bool

    def fits(self, wall: datetime) -> bool:
        """Whether a wall time fits all five fields."""
        return wall.hour * 60 + wall.minute in self.times and self.fits_day(wall.date())

    def fits_day(self, day: date) -> bool:
        """Whether a date does; Source: crontab(5), the note on day-of-month and day-of-week."""
        if day.month not in self.months:
            return False
        of_month = any(_is_day(term, day) for term in self.day.split(","))
        of_week = any(_is_weekday(term, day) for term in self.weekday.split(","))
        if self.day.startswith("*") or self.weekday.startswith("*"):
            return of_month and of_week
        return of_month or of_week


def fields_of(expression: str) -> Fields:
    """Reads five good fields."""
    minute, hour, day, month, weekday = expression.split()
    minutes = values(minute, 0, 59)
    return Fields(
        times=frozenset(60 * h + m for h in values(hour, 0, 23) for m in minutes),
        day=day,
        months=frozenset(values(month, 1, 12)),
        weekday=weekday,
        is_elapsed=hour.startswith("*"),
    )


def _is_day(term: str, day: date) -> bool:
    if term == "L":
        return (day + DAY).day == 1
    return day.day in values(term, 1, 31)


def _is_weekday(term: str, day: date) -> bool:
    today = day.isoweekday() % 7
    if term.endswith("L") and term[:-1].isdigit():
        return today == int(term[:-1]) % 7 and (day + 7 * DAY).month != day.month
    if "#" in term:
        name, nth = term.split("#")
        return today == number(name) % 7 and (day.day - 1) // 7 + 1 == int(nth)
    return today in {value % 7 for value in values(term, 0, 7)}


@dataclass(frozen=True)
class Minute:
    """One minute of a zone's clock.

    Attributes:
        wall: What the clock shows.
        is_again: Whether it showed that before.
        lost: The wall times that it has skipped since the minute before.
    """

    at: datetime
    wall: datetime
    is_again: bool
    lost: tuple[datetime, ...]


@lru_cache(maxsize=64)
def minutes(zone: str, start: datetime, end: datetime) -> tuple[Minute, ...]:
    """Every minute with `start` < minute <= `end`, as the clock of a zone shows it.

    A wall time is known to have been shown before when that was after `start`.
    """
    return tuple(_minutes(ZoneInfo(zone), start, end))


def _minutes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Minute]:
    newest = before = _shown(start, zone)
    at = start + MINUTE
    while at <= end:
        wall = _shown(at, zone)
        jump = (wall - before) // MINUTE
        skipped = (before + n * MINUTE for n in range(1, jump))
        lost = tuple(time for time in skipped if time > newest)
        yield Minute(at, wall, is_again=wall <= newest, lost=lost)
        newest, before = max(newest, wall), wall
        at += MINUTE


def _shown(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


class Hit(NamedTuple):
    """A minute that one schedule or another may be due at.

    Attributes:
        is_shown: Whether the clock shows a time that fits.
        is_after_lost: Whether it has just skipped one.
    """

    minute: Minute
    is_shown: bool
    is_after_lost: bool


def hits(fields: Fields, clock: Iterable[Minute]) -> list[Hit]:
    """The minutes of a clock, from `minutes`, that count for a schedule under any policy."""
    found = (
        Hit(minute, fields.fits(minute.wall), any(map(fields.fits, minute.lost)))
        for minute in clock
    )
    return [hit for hit in found if hit.is_shown or hit.is_after_lost]


def due(
    fields: Fields, found: Iterable[Hit], *, skip: bool = False, twice: bool = False
) -> list[datetime]:
    """The minutes among the hits of a schedule at which it is due.

    Args:
        fields: Of the schedule; one that is elapsed knows no policy.
        found: From `hits`.
        skip: Whether lost times are left out; else they are due once, right after the gap.
        twice: Whether a time that is shown again is due again.
    """
    if fields.is_elapsed:
        return [hit.minute.at for hit in found if hit.is_shown]
    return [
        hit.minute.at
        for hit in found
        if (hit.is_shown and (twice or not hit.minute.is_again)) or (hit.is_after_lost and not skip)
    ]


@lru_cache(maxsize=64)
def changes(zone: str, start: datetime, end: datetime) -> list[datetime]:
    """The first minutes with another offset than the minute before; none within half a day."""
    local, found = ZoneInfo(zone), []
    at, offset = start, start.astimezone(local).utcoffset()
    while at < end:
        later = at + DAY / 2
        if later.astimezone(local).utcoffset() != offset:
            first = at
            while first.astimezone(local).utcoffset() == offset:
                first += 15 * MINUTE
            while (first - MINUTE).astimezone(local).utcoffset() != offset:
                first -= MINUTE
            found.append(first)
        at, offset = later, later.astimezone(local).utcoffset()
    return found


def utc(year: int, month: int = 1, day: int = 1, hour: int = 0) -> datetime:
    """An instant."""
    return datetime(year, month, day, hour, tzinfo=UTC)
