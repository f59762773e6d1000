"""Promises of `flowrunner.model.zones`: where a wall time falls when the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from flowrunner.model.zones import (
    SECOND,
    ClockChange,
    changes_between,
    first_instant,
    instants_of,
    set_back_at,
    wall_time,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        pytest.param("Europe/Berlin", "2026-07-01T12:00", ["2026-07-01T10:00"], id="ordinary"),
        pytest.param("Europe/Berlin", "2026-03-29T02:30", [], id="skipped"),
        pytest.param("Europe/Berlin", "2026-03-29T03:00", ["2026-03-29T01:00"], id="gap-end"),
        pytest.param(
            "Europe/Berlin",
            "2026-10-25T02:30",
            ["2026-10-25T00:30", "2026-10-25T01:30"],
            id="repeated",
        ),
        pytest.param("Pacific/Apia", "2011-12-30T12:00", [], id="skipped-day"),
        pytest.param(
            "Australia/Lord_Howe",
            "2026-04-05T01:45",
            ["2026-04-04T14:45", "2026-04-04T15:15"],
            id="half-hour",
        ),
    ],
)
def test_instants_of_tells_every_instant_in_order(
    zone: str, local: str, expected: list[str]
) -> None:
    """A wall time gives the instants at which it is shown: none, one or two."""
    assert instants_of(wall(local), ZoneInfo(zone)) == tuple(utc(text) for text in expected)


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        pytest.param("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00", id="gap-begin"),
        pytest.param("Europe/Berlin", "2026-03-29T02:59", "2026-03-29T01:00", id="gap-last"),
        pytest.param("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30", id="repeated"),
        pytest.param("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00", id="skipped-day"),
        pytest.param("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00", id="midnight"),
    ],
)
def test_first_instant_takes_the_end_of_a_gap_and_the_first_of_two(
    zone: str, local: str, expected: str
) -> None:
    """A skipped time falls on the end of its gap, a repeated one on its first occurrence."""
    assert first_instant(wall(local), ZoneInfo(zone)) == utc(expected)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        pytest.param("2026-10-25T00:30:00.5", "2026-10-25T01:00", id="first-pass"),
        pytest.param("2026-10-25T00:00", "2026-10-25T01:00", id="first-pass-begin"),
        pytest.param("2026-10-25T01:30", None, id="second-pass"),
        pytest.param("2026-10-24T23:59:59", None, id="just-before"),
        pytest.param("2026-10-25T02:00", None, id="just-after"),
        pytest.param("2026-03-29T01:00", None, id="after-a-gap"),
    ],
)
def test_set_back_at_names_the_change_only_in_the_first_pass(
    instant: str, expected: str | None
) -> None:
    """The change is told exactly while the shown time is still to come a second time."""
    change = set_back_at(utc(instant), ZoneInfo("Europe/Berlin"))
    assert change == (None if expected is None else utc(expected))


def test_wall_time_is_naive_and_without_fold() -> None:
    """A wall time carries nothing of the pass in which it was shown."""
    shown = wall_time(utc("2026-10-25T01:30"), ZoneInfo("Europe/Berlin"))
    assert (shown, shown.tzinfo, shown.fold) == (wall("2026-10-25T02:30"), None, 0)


@pytest.mark.parametrize(
    ("zone", "instant", "is_gap", "start", "end"),
    [
        ("Europe/Berlin", "2027-03-28T01:00", True, "2027-03-28T02:00", "2027-03-28T03:00"),
        ("Europe/Berlin", "2027-10-31T01:00", False, "2027-10-31T02:00", "2027-10-31T03:00"),
        ("America/Havana", "2027-03-14T05:00", True, "2027-03-14T00:00", "2027-03-14T01:00"),
        ("Australia/Lord_Howe", "2027-04-03T15:00", False, "2027-04-04T01:30", "2027-04-04T02:00"),
        ("Pacific/Apia", "2011-12-30T10:00", True, "2011-12-30T00:00", "2011-12-31T00:00"),
    ],
)
def test_change_of_the_clock(zone: str, instant: str, is_gap: bool, start: str, end: str) -> None:  # noqa: FBT001 - a case
    """A change is told with its instant and with the wall times that it takes or brings back."""
    when = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    (change,) = changes_between(
        when - timedelta(days=20), when + timedelta(days=20), ZoneInfo(zone)
    )

    assert change == ClockChange(
        instant=when,
        is_gap=is_gap,
        start=datetime.fromisoformat(start),
        end=datetime.fromisoformat(end),
    )


def test_changes_are_those_after_the_start_and_up_to_the_end() -> None:
    """The interval is open at its start and closed at its end, and a quiet zone has none."""
    change, berlin = datetime(2027, 3, 28, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    day = timedelta(days=1)

    assert len(list(changes_between(change - SECOND, change, berlin))) == 1
    assert list(changes_between(change, change + day, berlin)) == []
    assert list(changes_between(change - day, change - SECOND, berlin)) == []
    assert list(changes_between(change, change + 700 * day, ZoneInfo("Asia/Tokyo"))) == []
