"""Dates and instants on the command line, and the slots that lie between two of them.

A date is the whole day in a zone, an instant half-open. Source: FLOW_FORMAT 7, `slots`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from flowrunner.cli.errors import UsageError
from flowrunner.dataclass import dataclass
from flowrunner.model.schedule import CronSchedule, Schedule
from flowrunner.model.zones import ZONE_HINT, find_zone, first_instant

FIRST_YEAR, LAST_YEAR = 1970, 2200
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9-]{10}[Tt ][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})")
_HINT = "2026-03-29 for a whole day, or 2026-03-29T02:30:00+02:00"
_TICK = timedelta(microseconds=1)
_LAST = datetime(LAST_YEAR, 12, 31, tzinfo=UTC)
# The zones in which a day ends last and begins first.
_LATEST, _EARLIEST = ZoneInfo("Etc/GMT+12"), ZoneInfo("Etc/GMT-14")

Moment = date | datetime
"""A whole day, or an aware instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was asked for.

    Attributes:
        start: The first moment, in.
        end: The last one: a day is in, an instant is out; None for no end.
        zone: What days are days of; None: of the zone of each schedule.
    """

    start: Moment
    end: Moment | None = None
    zone: ZoneInfo | None = None

    @property
    def is_backwards(self) -> bool:
        """Whether its end lies before its start, in every zone there is."""
        if self.end is None:
            return False
        if not isinstance(self.start, datetime) and not isinstance(self.end, datetime):
            return self.end < self.start
        return _after(self.end, _LATEST) <= _begin(self.start, _EARLIEST)

    def slots(self, schedule: Schedule) -> Iterator[datetime]:
        """Yields the slots of a schedule that lie in it, in order."""
        zone = self.zone or zone_of(schedule)
        after = _LAST if self.end is None else _after(self.end, zone)
        return schedule.slots_between(_begin(self.start, zone) - _TICK, after - _TICK)


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Returns the zone that a schedule speaks of."""
    return ZoneInfo(schedule.timezone if isinstance(schedule, CronSchedule) else "UTC")


def parse_zone(name: str | None) -> ZoneInfo | None:
    """Returns the zone of `--tz`; raises `UsageError` for an unknown one."""
    if name is None:
        return None
    zone = find_zone(name)
    if zone is None:
        raise UsageError(f"--tz: the time zone {name[:80]!r} is not known", hint=ZONE_HINT)
    return zone


def parse_moment(option: str, text: str) -> Moment:
    """Returns the date or the instant of an option.

    Raises:
        UsageError: It is neither, its offset is missing, or its year is out of range.
    """
    try:
        found = _read(text)
    except (ValueError, OverflowError):
        message = f"{option} {text[:40]!r} is neither a date nor an instant with its offset"
        raise UsageError(message, hint=_HINT) from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        message = f"{option} {text[:40]!r} is not within {FIRST_YEAR} and {LAST_YEAR}"
        raise UsageError(message)
    return found


def _read(text: str) -> Moment:
    if _DATE.fullmatch(text):
        return date.fromisoformat(text)
    if _INSTANT.fullmatch(text):
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    raise ValueError(text)


def _begin(moment: Moment, zone: ZoneInfo) -> datetime:
    """Returns the first instant of a day, or the instant itself."""
    if isinstance(moment, datetime):
        return moment
    return first_instant(datetime(moment.year, moment.month, moment.day), zone)  # noqa: DTZ001 - a wall time


def _after(moment: Moment, zone: ZoneInfo) -> datetime:
    """Returns the first instant after a day, or the instant itself, which is out."""
    if isinstance(moment, datetime):
        return moment
    return _begin(moment + timedelta(days=1), zone)
