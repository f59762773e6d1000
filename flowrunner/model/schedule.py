"""When a schedule is due: cron expressions in time zones, and fixed periods.

The only door to `cronsim`, which knows calendars and nothing of zones here: it runs over naive
wall times, and the rules of daylight saving are ours (`flowrunner.model.zones` has the
arithmetic). Waiting for a slot is `flowrunner.triggers.timers`, what becomes of one is the
dispatcher's. Instants go in aware and come out in UTC.

Source: Debian's cron(8) and crontab(5), for the fields, for the relation of day-of-month and
day-of-week, and for the two kinds of schedules at a change of the clock.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from flowrunner.errors import FlowError, ValidationError
from flowrunner.model.zones import (
    SECOND,
    ZONE_HINT,
    find_zone,
    first_instant,
    instants_of,
    set_back_at,
    wall_time,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
LONGEST_PERIOD_S = 366 * 86_400
EXPRESSION_LIMIT = 500
"""Longest cron expression in characters; every value listed in every field is about 360."""

WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_REFUSED_WORDS = {
    "@annually": "write @yearly",
    "@midnight": "write @daily",
    "@reboot": "write a trigger of `type: start` for this",
    "@every": "write `every: 15m` in place of `cron`",
}
_VALUE = r"(?:[0-9]{1,2}|[A-Z]{3})"
# A step over a range of one value is left out: cronsim would count on to the end of the field.
_TERM = rf"(?!(?P<one>{_VALUE})-(?P=one)/)(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/[0-9]{{1,2}})?"
_FIELDS = (
    ("minute", _TERM, "0-59"),
    ("hour", _TERM, "0-23"),
    ("day-of-month", rf"{_TERM}|L", "1-31, or L for the last"),
    ("month", _TERM, "1-12 or JAN-DEC"),
    (
        "day-of-week",
        rf"{_TERM}|[0-7]L|{_VALUE}#[1-5]",
        "0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second one",
    ),
)
# From here on the search sees 29 February on each day of the week before it gives up.
_LEAP_START = datetime(2000, 1, 1)  # noqa: DTZ001 - cronsim runs over naive wall times


class ScheduleError(ValidationError):
    """A schedule cannot be used.

    Attributes:
        hint: What to write instead.
        field: The key of the trigger at fault: `cron`, `timezone` or `every`.
    """

    default_code = "schedule"

    def __init__(self, message: str, *, hint: str, field: str) -> None:
        super().__init__(message, details={"field": field, "hint": hint})
        self.hint = hint
        self.field = field


class Slots(ABC):
    """What every schedule can do."""

    __slots__ = ()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A short hash of what decides the slots, the same in every process and release."""

    @abstractmethod
    def _find(self, instant: datetime) -> datetime | None:
        """Returns the first slot after an instant in UTC."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Returns the first slot strictly after `instant`, or None when there is none.

        A search ends after 50 years. Raises `FlowError` (``schedule.stuck``) rather than a
        slot that is not later: whoever goes from slot to slot would never come to an end.
        """
        if instant.tzinfo is None:
            raise ValueError("an instant must be aware")
        start = instant.astimezone(UTC)
        slot = self._find(start)
        if slot is not None and slot <= start:
            raise FlowError(
                f"{self} does not advance after {start.isoformat()}", code="schedule.stuck"
            )
        return slot

    def slots_between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yields the slots with `after` < slot <= `until`, in order."""
        slot = self.next_after(after)
        while slot is not None and slot <= until:
            yield slot
            slot = self.next_after(slot)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSchedule(Slots):
    """Due where the wall clock of a zone fits five fields; `parse_cron` makes one from text.

    Attributes:
        expression: Five fields in capitals, one space between them.
        timezone: IANA name.
        written: The expression as a person wrote it, for people; by default the fields.
    """

    expression: str
    timezone: str = "UTC"
    written: str = field(default="", compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses what could never be asked for a slot; raises `ScheduleError`."""
        _calendar(self.expression)
        object.__setattr__(self, "_zone", _load_zone(self.timezone))
        object.__setattr__(self, "written", self.written or self.expression)

    @property
    def fingerprint(self) -> str:
        """A hash of the expression, as normalised, and of the zone's name."""
        return _short_hash("cron", self.expression, self.timezone)

    def walls_between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yields the naive wall times with `start` <= time < `end` that fit the fields, in order.

        Whether the clock of the zone ever shows them is another matter. For short intervals: it
        looks at every hour.
        """
        calendar = _calendar(self.expression)
        hour = start.replace(minute=0, second=0, microsecond=0)
        while hour < end:
            is_due = hour.hour in calendar.hours and hour.month in calendar.months
            if is_due and calendar.match_day(hour.date()):
                walls = (hour.replace(minute=minute) for minute in sorted(calendar.minutes))
                yield from (wall for wall in walls if start <= wall < end)
            hour += _HOUR

    def _find(self, instant: datetime) -> datetime | None:
        if has_fixed_hour(self.expression):
            return self._find_fixed(instant)
        return self._find_elapsed(instant)

    def _find_fixed(self, instant: datetime) -> datetime | None:
        """A fixed hour: each wall time is one slot, whatever the clock does (`first_instant`).

        Wall times lost in one gap fall on the same instant and so are one slot.
        """
        for wall in _walls_after(self.expression, wall_time(instant, self._zone)):
            slot = first_instant(wall, self._zone)
            if slot > instant:
                return slot
        return None

    def _find_elapsed(self, instant: datetime) -> datetime | None:
        """Any hour: due at every instant whose wall time fits, twice in a repeated hour."""
        slot = self._find_shown(instant, wall_time(instant, self._zone))
        change = set_back_at(instant, self._zone)
        if change is None or (slot is not None and slot < change):
            return slot
        # The wall times on from here come only after the ones that the change brings back.
        return self._find_shown(change - SECOND, wall_time(change, self._zone) - SECOND)

    def _find_shown(self, instant: datetime, wall: datetime) -> datetime | None:
        """Returns the first instant after `instant` that shows a fitting time after `wall`."""
        for found in _walls_after(self.expression, wall):
            for slot in instants_of(found, self._zone):
                if slot > instant:
                    return slot
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class EverySchedule(Slots):
    """Due at each multiple of a period since 1970-01-01T00:00:00Z.

    Attributes:
        period_s: Whole seconds, 1 to 31,622,400 (366 days).
    """

    period_s: int

    def __post_init__(self) -> None:
        """Refuses a period out of range; raises `ScheduleError`."""
        if not 1 <= self.period_s <= LONGEST_PERIOD_S:
            raise ScheduleError(
                f"a period of {self.period_s} seconds is out of range",
                hint="whole seconds from 1s to 366d",
                field="every",
            )

    @property
    def fingerprint(self) -> str:
        """A hash of the period."""
        return _short_hash("every", str(self.period_s))

    def _find(self, instant: datetime) -> datetime | None:
        return self.slot(self.number_at(instant) + 1)

    def number_at(self, instant: datetime) -> int:
        """Returns how many periods have passed since the epoch."""
        return (instant - EPOCH) // timedelta(seconds=self.period_s)

    def slot(self, number: int) -> datetime:
        """Returns the slot at the end of that many periods."""
        return EPOCH + timedelta(seconds=self.period_s * number)


Schedule = CronSchedule | EverySchedule


class SlotCount(NamedTuple):
    """How many slots an interval holds; `first` and `last` are None when there are none."""

    total: int
    first: datetime | None
    last: datetime | None


def count_between(schedule: Schedule, after: datetime, until: datetime) -> SlotCount:
    """Counts the slots with `after` < slot <= `until`.

    Constant for a period; for a cron expression linear in the slots, about 10 to 30
    microseconds each.
    """
    if isinstance(schedule, EverySchedule):
        before, last = schedule.number_at(after), schedule.number_at(until)
        if last <= before:
            return SlotCount(0, None, None)
        return SlotCount(last - before, schedule.slot(before + 1), schedule.slot(last))
    total, first, newest = 0, None, None
    for newest in schedule.slots_between(after, until):
        first = first or newest
        total += 1
    return SlotCount(total, first, newest)


def last_between(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """Returns the newest slot with `after` < slot <= `until`, without a walk through all.

    Looks back from `until` over spans that double, and walks only through the first that
    holds a slot.
    """
    span = timedelta(minutes=1)
    while until - span > after:
        slot = schedule.next_after(until - span)
        if slot is not None and slot <= until:
            after = until - span
            break
        span *= 2
    return count_between(schedule, after, until).last


def parse_cron(expression: str, timezone: str = "UTC") -> CronSchedule:
    """Returns the schedule of a cron expression as a person writes it.

    Raises `ScheduleError` for anything but five good fields or a known `@` word, for an
    unknown zone, and for an expression that is never due.
    """
    fields = _expand(expression)
    _calendar(fields)  # complains of what was written, not of what it is in capitals
    written = " ".join(expression.split())
    schedule = CronSchedule(expression=fields.upper(), timezone=timezone, written=written)
    if next(_walls_after(schedule.expression, _LEAP_START), None) is None:
        raise _never_due(written)
    return schedule


def has_fixed_hour(expression: str) -> bool:
    """Whether the hour field of a good expression does not begin with `*`.

    Such a schedule keeps to the wall clock and should name its zone; the others follow
    elapsed time.
    """
    return not _expand(expression).split()[1].startswith("*")


def _expand(expression: str) -> str:
    """Expands an `@` word and puts one space between the fields."""
    if len(expression) > EXPRESSION_LIMIT:
        raise _cron_error(
            f"a cron expression of {len(expression)} characters is too long",
            hint=f"at most {EXPRESSION_LIMIT}; ranges and steps are shorter than lists",
        )
    words = expression.split()
    if not words or not words[0].startswith("@"):
        return " ".join(words)
    word = words[0].lower()
    if len(words) == 1 and word in WORDS:
        return WORDS[word]
    raise _cron_error(
        f"{_cut(expression)} is not known",
        hint=_REFUSED_WORDS.get(word, f"one of {' '.join(WORDS)}, or five fields"),
    )


@lru_cache(maxsize=1_024)  # parsing is half of a search, and many flows share an expression
def _calendar(expression: str) -> CronSim:
    """Parses five fields in any case; the result is a pattern to copy, its time means nothing."""
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise _cron_error(
            f"the cron expression {_cut(expression)} does not have exactly five fields",
            hint="minute hour day-of-month month day-of-week, without seconds, year, zone or user",
        )
    for text, (name, term, _) in zip(texts, _FIELDS, strict=True):
        if not all(re.fullmatch(term, part.upper()) for part in text.split(",")):
            raise _field_error(name, text)
    try:
        return CronSim(expression.upper(), _LEAP_START)
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        names = [known for known, _, _ in _FIELDS]
        if name == "day-of-month" and texts[3] != "*":
            _calendar(" ".join((*texts[:3], "*", texts[4])))  # raises when the day is at fault
            raise _never_due(expression) from error
        raise _field_error(name, texts[names.index(name)]) from error


def _walls_after(expression: str, wall: datetime) -> Iterator[datetime]:
    """Yields the naive wall times after `wall` that fit, until none comes for 50 years."""
    calendar = copy(_calendar(expression))
    calendar.dt = wall.replace(microsecond=0)
    return calendar


def _load_zone(name: str) -> ZoneInfo:
    zone = find_zone(name)
    if zone is None:
        message = f"the time zone {_cut(name)} is not known"
        raise ScheduleError(message, hint=ZONE_HINT, field="timezone")
    return zone


def _field_error(name: str, text: str) -> ScheduleError:
    hint = next(hint for known, _, hint in _FIELDS if known == name)
    return _cron_error(f"{_cut(text)} is no good {name} in a cron expression", hint=hint)


def _never_due(expression: str) -> ScheduleError:
    return _cron_error(
        f"the cron expression {_cut(expression)} is never due",
        hint="no date fits day-of-month, month and day-of-week together",
    )


def _cron_error(message: str, *, hint: str) -> ScheduleError:
    return ScheduleError(message, hint=hint, field="cron")


def _cut(text: str) -> str:
    return f"{text[:80]!r}"


def _short_hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
