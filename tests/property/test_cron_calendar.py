"""The wall times of an expression are those that `cronsim` steps to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile

from cronsim import CronSim, CronSimError
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.cron_calendar import walls_after, walls_between


def field(low: int, high: int, *others: str) -> st.SearchStrategy[str]:
    """Fields of a number, a list, a range, a step, or one of some words."""
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    lists = st.lists(number, min_size=1, max_size=4).map(lambda each: ",".join(map(str, each)))
    steps = st.integers(2, high).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), lists, ranges, steps, st.sampled_from(["*", *others]))


def _exists(expression: str) -> bool:
    """Whether cronsim takes it: 31 February it does not, nor does the compiler."""
    try:
        CronSim(expression, datetime(2000, 1, 1))
    except CronSimError:
        return False
    return True


everything = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 28, "L", "31", "29,L"),
    field(1, 12, "FEB", "JAN-MAR"),
    field(0, 7, "MON", "5L", "2#2", "1#5"),
)
expressions = everything.map(" ".join).filter(_exists)
walls = st.datetimes(datetime(1999, 1, 1), datetime(2060, 1, 1)).map(
    lambda wall: wall.replace(microsecond=0)
)


@given(expressions, walls)
def test_times_are_those_of_cronsim(expression: str, wall: datetime) -> None:
    """The next times are the same, whatever the time to begin with."""
    found = list(islice(walls_after(expression, wall), 5))
    assert found == list(islice(_stepped(expression, wall), 5))


@given(expressions, walls, st.integers(0, 3 * 86_400))
def test_times_of_an_interval_are_those_of_cronsim(
    expression: str, start: datetime, length_s: int
) -> None:
    """An interval holds its start and not its end."""
    end = start + timedelta(seconds=length_s)
    stepped = _stepped(expression, start - timedelta(seconds=1))
    assert list(walls_between(expression, start, end)) == list(
        takewhile(lambda wall: wall < end, stepped)
    )


def _stepped(expression: str, wall: datetime) -> Iterator[datetime]:
    return iter(CronSim(expression, wall))
