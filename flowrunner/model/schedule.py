"""When a schedule is due: cron expressions in time zones, and fixed periods.

The rules of daylight saving are ours: `flowrunner.model.cron_calendar` knows which wall times fit
an expression, `flowrunner.model.zones` at which instants a clock shows them. Waiting for a slot is
`flowrunner.triggers.timers`, what becomes of one is the dispatcher's. Instants go in aware and
come out in UTC.

Source: Debian's cron(8), for the two kinds of schedules at a change of the clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from itertools import takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

from flowrunner.dataclass import dataclass
from flowrunner.errors import FlowError
from flowrunner.model.cron_calendar import LONGEST_YEARS, walls_after, walls_between
from flowrunner.model.cron_text import (
    ScheduleError,
    check_fields,
    cut,
    has_fixed_hour,
    normal_fields,
)
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
LONGEST_PERIOD_S = 366 * 86_400


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
        start = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
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


class Skipped(StrEnum):
    """What becomes of the wall times that are lost when the clock is set forward."""

    __hash__ = str.__hash__  # that of `Enum` is ten times slower, and schedules are keys

    RUN_AFTER = "run_after"
    SKIP = "skip"


class Repeated(StrEnum):
    """What becomes of the wall times that come twice when the clock is set back."""

    __hash__ = str.__hash__

    ONCE = "once"
    TWICE = "twice"


class DstPolicy(NamedTuple):
    """What a schedule with a fixed hour does when the clock is changed.

    Attributes:
        skipped: Whether the times lost in one gap are one slot, at the first instant after it.
        repeated: Whether only the first occurrence is a slot.
    """

    skipped: Skipped = Skipped.RUN_AFTER
    repeated: Repeated = Repeated.ONCE


USUAL_DST = DstPolicy()
"""What holds where nobody says otherwise. Source: FLOW_FORMAT 3, and Debian's cron(8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSchedule(Slots):
    """Due where the wall clock of a zone fits five fields; `parse_cron` makes one from text.

    Attributes:
        expression: Five fields in capitals, one space between them.
        timezone: IANA name.
        dst: Has no effect when the hour field begins with `*`.
        written: The expression as a person wrote it, for people; by default the fields.
    """

    expression: str
    timezone: str = "UTC"
    dst: DstPolicy = USUAL_DST
    written: str = field(default="", compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _answer: tuple[datetime, datetime] | None = field(
        init=False, repr=False, compare=False, default=None
    )
    """The last one: from an instant until a slot there is none between the two."""
    _fingerprint: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        """Refuses what could never be asked for a slot; raises `ScheduleError`."""
        check_fields(self.expression)
        object.__setattr__(self, "_zone", _load_zone(self.timezone))
        object.__setattr__(self, "written", self.written or self.expression)

    @property
    def fingerprint(self) -> str:
        """A hash of the expression, as normalised, of the zone's name and of an unusual policy."""
        if not self._fingerprint:
            dst = () if self.dst == USUAL_DST else (self.dst.skipped, self.dst.repeated)
            made = _short_hash("cron", self.expression, self.timezone, *dst)
            object.__setattr__(self, "_fingerprint", made)
        return self._fingerprint

    def walls_between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yields the naive wall times with `start` <= time < `end` that fit the fields, in order.

        Whether the clock of the zone ever shows them is another matter. For short intervals: it
        looks at every day.
        """
        return walls_between(self.expression, start, end)

    def _find(self, instant: datetime) -> datetime | None:
        known = self._answer
        if known is not None and known[0] <= instant < known[1]:
            return known[1]
        slot = self._search(instant)
        if slot is not None and slot > instant:
            object.__setattr__(self, "_answer", (instant, slot))
        return slot

    def _search(self, instant: datetime) -> datetime | None:
        if not has_fixed_hour(self.expression):
            return self._find_elapsed(instant)
        once = self._find_once(instant)
        if self.dst.repeated is Repeated.ONCE:
            return once
        # Both occurrences are what an elapsed schedule has; ours adds the ends of gaps.
        shown = self._find_elapsed(instant)
        return min((slot for slot in (once, shown) if slot is not None), default=None)

    def _walls(self, wall: datetime) -> Iterator[datetime]:
        """Yields the wall times after `wall` that fit, those of the next 50 years.

        The clock may skip each of them, as it does on one Sunday in March, and no slot be found.
        """
        last = wall.year + LONGEST_YEARS
        return takewhile(lambda each: each.year <= last, walls_after(self.expression, wall))

    def _find_once(self, instant: datetime) -> datetime | None:
        """A fixed hour: each wall time is one slot, whatever the clock does (`first_instant`).

        Wall times lost in one gap fall on the same instant and so are one slot.
        """
        leaves_out = self.dst.skipped is Skipped.SKIP
        for wall in self._walls(wall_time(instant, self._zone)):
            slot = first_instant(wall, self._zone)
            if slot > instant and not (leaves_out and wall_time(slot, self._zone) != wall):
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
        for found in self._walls(wall):
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


def count_between(schedule: Slots, after: datetime, until: datetime) -> SlotCount:
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


def last_between(schedule: Slots, after: datetime, until: datetime) -> datetime | None:
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


@lru_cache(maxsize=4_096)  # thousands of flows share some, and a schedule never changes
def parse_cron(expression: str, timezone: str = "UTC", dst: DstPolicy = USUAL_DST) -> CronSchedule:
    """Returns the schedule of a cron expression as a person writes it.

    Raises `ScheduleError` for anything but five good fields or a known `@` word, for an
    unknown zone, and for an expression that is never due.
    """
    fields, written = normal_fields(expression), " ".join(expression.split())
    return CronSchedule(expression=fields, timezone=timezone, dst=dst, written=written)


def _load_zone(name: str) -> ZoneInfo:
    zone = find_zone(name)
    if zone is None:
        message = f"the time zone {cut(name)} is not known"
        raise ScheduleError(message, hint=ZONE_HINT, field="timezone")
    return zone


@lru_cache(maxsize=4_096)  # as of `parse_cron`
def _short_hash(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
