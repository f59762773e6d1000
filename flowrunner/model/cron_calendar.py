"""Which wall times fit the five fields of a good cron expression, found day by day.

The only door to `cronsim`, which says what a field holds and which days fit. It knows nothing of
zones here: all times are naive. It would find a time by stepping through hours and minutes, which
ten thousand schedules feel at a start; here these are sorted numbers. What a field holds is kept
by its text: thousands of expressions share few of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

_DAY = timedelta(days=1)
_OVER_A_MONTH = timedelta(days=32)
LONGEST_YEARS = 50
"""A search ends after so many years, as that of `cronsim`."""
_ANY = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall time, and it means nothing


def is_good(fields: str) -> bool:
    """Whether five fields in capitals hold numbers and names that they may."""
    try:
        CronSim(fields, _ANY)
    except CronSimError:
        return False
    return True


def walls_after(expression: str, wall: datetime) -> Iterator[datetime]:
    """Yields the naive wall times after `wall` that fit, in order, until none comes for 50 years.

    The expression has five good fields in capitals.
    """
    minute, hour, days = expression.split(maxsplit=2)
    hours, minutes, today = _hours(hour), _minutes(minute), wall.date()
    if _fits(days, today):
        for each in _times(hours, minutes, wall.time()):
            yield datetime.combine(today, each)
    day = _next_day(days, today)
    while day is not None:
        for each in _times(hours, minutes):
            yield datetime.combine(day, each)
        day = _next_day(days, day)


def walls_between(expression: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yields the naive wall times with `start` <= time < `end` that fit, in order.

    For short intervals: it looks at every day. The expression is as for `walls_after`.
    """
    minute, hour, days = expression.split(maxsplit=2)
    hours, minutes = _hours(hour), _minutes(minute)
    day = start.date()
    while day <= end.date():
        if _fits(days, day):
            walls = (datetime.combine(day, each) for each in _times(hours, minutes))
            yield from (wall for wall in walls if start <= wall < end)
        day += _DAY


def _times(
    hours: tuple[int, ...], minutes: tuple[int, ...], after: time | None = None
) -> Iterator[time]:
    """Yields the times of a day that fits, or those after one of them."""
    if after is not None:
        hours = hours[bisect_left(hours, after.hour) :]
        if hours and hours[0] == after.hour:
            later = minutes[bisect_right(minutes, after.minute) :]
            yield from (time(after.hour, minute) for minute in later)
            hours = hours[1:]
    yield from (time(hour, minute) for hour in hours for minute in minutes)


@lru_cache(maxsize=4_096)  # thousands of schedules ask on the same day
def _next_day(days: str, day: date) -> date | None:
    """Returns the first day after another that fits."""
    calendar = _days(days)
    last = day.year + LONGEST_YEARS
    day += _DAY
    while day.year <= last:
        if day.month not in calendar.months:
            day = (day.replace(day=1) + _OVER_A_MONTH).replace(day=1)
        elif calendar.match_day(day):
            return day
        else:
            day += _DAY
    return None


@lru_cache(maxsize=1_024)
def _fits(days: str, day: date) -> bool:
    calendar = _days(days)
    return day.month in calendar.months and calendar.match_day(day)


@lru_cache(maxsize=1_024)
def _minutes(field: str) -> tuple[int, ...]:
    return tuple(sorted(CronSim(f"{field} * * * *", _ANY).minutes))


@lru_cache(maxsize=1_024)
def _hours(field: str) -> tuple[int, ...]:
    return tuple(sorted(CronSim(f"* {field} * * *", _ANY).hours))


@lru_cache(maxsize=1_024)
def _days(fields: str) -> CronSim:
    """Returns what knows days, of the fields of day, month and day of the week."""
    return CronSim(f"* * {fields}", _ANY)
