"""Wall time and UTC: what becomes of a local time in a zone whose offset changes.

A local time exists once, twice (the clock was set back) or not at all (it was set forward).
Python tells the cases apart by `fold`; Source: PEP 495. Which of them a schedule wants is
decided in `flowrunner.model.schedule`. Zones are data of the interpreter; nothing here asks
for the time or for the zone of the host. A wall time is naive, an instant aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flowrunner.dataclass import dataclass

SECOND = timedelta(seconds=1)
"""The grain of offset changes: none happens between two seconds."""

ZONE_HINT = "an IANA name such as Europe/Berlin or UTC"

# Files beside the zones: the host's own zone, and variants that no other host need have.
_NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")


def find_zone(name: str) -> ZoneInfo | None:
    """Returns the zone of an IANA name, or None when there is none."""
    if not name.startswith(_NO_ZONES):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # a folder, a path or an unknown name: one answer for all
    return None


_STEP = timedelta(days=1)
"""How closely changes are looked for: two within a day that cancel each other out are unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """A moment at which the clock of a zone is set forward or back.

    Attributes:
        instant: The first instant that shows the new time, in UTC.
        is_gap: Whether wall times are lost; else they come twice.
        start: The first wall time that is lost or comes twice.
        end: The first one after it that is not.
    """

    instant: datetime
    is_gap: bool
    start: datetime
    end: datetime


def changes_between(start: datetime, until: datetime, zone: tzinfo) -> Iterator[ClockChange]:
    """Yields the changes with `start` < instant <= `until`, both aware, in order.

    About a microsecond for each day.
    """
    low = start
    while low < until:
        high = min(low + _STEP, until)
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            instant = _change_between(low, high, zone)
            old = wall_time(instant - SECOND, zone) + SECOND
            new = wall_time(instant, zone)
            yield ClockChange(
                instant=instant, is_gap=new > old, start=min(old, new), end=max(old, new)
            )
        low = high


def wall_time(instant: datetime, zone: tzinfo) -> datetime:
    """Returns what a clock on the wall shows at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instants_of(wall: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """Returns the instants at which the clock shows `wall`: none, one, or two in order."""
    first, second = _readings(wall, zone)
    if first > second:
        return ()
    return (first,) if first == second else (first, second)


def first_instant(wall: datetime, zone: tzinfo) -> datetime:
    """Returns the first instant at which the clock shows `wall` or has skipped it.

    A skipped wall time gives the first instant after its gap, a repeated one its first
    occurrence. Never decreases as `wall` grows.
    """
    first, second = _readings(wall, zone)
    return first if first <= second else _change_between(second, first, zone)


def set_back_at(instant: datetime, zone: tzinfo) -> datetime | None:
    """Returns when the clock will be set back so that it shows the time of `instant` again.

    None when it shows that time only once, or for the second time already.
    """
    second = instant.replace(microsecond=0)
    again = second.astimezone(zone).replace(fold=1).astimezone(UTC)
    return _change_between(second, again, zone) if again > second else None


def _readings(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Reads `wall` with the offset before and with the one after a change nearby.

    Equal far from any change; growing when the time is repeated, falling when it is skipped.
    """
    local = wall.replace(tzinfo=zone, fold=0)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _change_between(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Returns the first second after `low`, at most `high`, with another offset than `low`'s."""
    before = low.astimezone(zone).utcoffset()
    while (seconds := (high - low) // SECOND) > 1:
        middle = low + SECOND * (seconds // 2)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
