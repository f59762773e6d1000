"""Which cron expressions are never due, against all dates of a whole cycle of the calendar.

In 28 years every date falls on every day of the week, leap days included.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.cron_text import ScheduleError
from flowrunner.model.schedule import parse_cron

DAY = timedelta(days=1)
DATES = [date(2000, 1, 1) + n * DAY for n in range(28 * 365 + 7)]
LAST = {day: monthrange(day.year, day.month)[1] for day in DATES}

numbers = st.integers(26, 31).map(str)
steps = st.sampled_from([2, 7, 28, 29, 30, 31]).map(lambda step: f"*/{step}")
days = st.one_of(st.just("*"), steps, st.lists(st.one_of(numbers, st.just("L")), min_size=1))
months = st.one_of(
    st.just([*range(1, 13)]), st.lists(st.sampled_from([2, 2, 4, 6, 9, 1]), min_size=1)
)
weekday = st.integers(0, 7)
nth = st.tuples(weekday, st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}")
last = st.integers(0, 7).map(lambda day: f"{day}L")
weekdays = st.one_of(
    st.just("*"), st.sampled_from(["*/2", "*/7"]), st.lists(st.one_of(nth, last), min_size=1)
)


def text_of(field: str | list[str]) -> str:
    return field if isinstance(field, str) else ",".join(dict.fromkeys(field))


def fits_day(field: str, day: date) -> bool:
    """Whether a date is in a field of days of the month."""
    if field.startswith("*"):
        return (day.day - 1) % int(field[2:] or 1) == 0
    terms = field.split(",")
    return str(day.day) in terms or ("L" in terms and day.day == LAST[day])


def fits_weekday(field: str, day: date) -> bool:
    """Whether a date is in a field of days of the week, where 0 and 7 are Sunday."""
    sunday_first = day.isoweekday() % 7
    if field.startswith("*"):
        return any(n % 7 == sunday_first for n in range(0, 8, int(field[2:] or 1)))
    return any(_fits_term(term, day, sunday_first) for term in field.split(","))


def _fits_term(term: str, day: date, sunday_first: int) -> bool:
    if int(term[0]) % 7 != sunday_first:
        return False
    if term.endswith("L"):
        return day.day + 7 > LAST[day]
    return (day.day + 6) // 7 == int(term[2:])


def is_due(day_field: str, months_in: set[int], weekday_field: str) -> bool:
    both = day_field.startswith("*") or weekday_field.startswith("*")
    join = all if both else any
    return any(
        join((fits_day(day_field, day), fits_weekday(weekday_field, day)))
        for day in DATES
        if day.month in months_in
    )


@given(days, months, weekdays)
def test_expression_is_refused_exactly_when_no_date_fits(
    day: str | list[str], month: list[int], weekday_field: str | list[str]
) -> None:
    """Leap days, last days, nth weekdays and the relation of both fields all count."""
    day_text, weekday_text = text_of(day), text_of(weekday_field)
    month_text = ",".join(map(str, dict.fromkeys(month)))
    cron = f"0 0 {day_text} {month_text} {weekday_text}"

    if is_due(day_text, set(month), weekday_text):
        assert parse_cron(cron).expression == cron
        return
    with pytest.raises(ScheduleError, match="is never due"):
        parse_cron(cron)


def test_cycle_holds_each_leap_day_on_each_weekday() -> None:
    """The dates looked at are a whole cycle: each date of the year, on each day of the week."""
    seen = {(day.month, day.day, day.weekday()) for day in DATES}

    assert len(seen) == 366 * 7
    assert max(chain(LAST.values())) == 31
