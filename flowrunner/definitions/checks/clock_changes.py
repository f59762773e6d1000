"""Fixed hours that the clock skips or shows twice: a warning with the dates of two years.

The rule itself is `flowrunner.model.schedule`'s; this tells a person beforehand. Findings are for
the month of `Subject.as_of`, so that whoever keeps them knows when to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from flowrunner.definitions import codes
from flowrunner.definitions.checks.subject import Subject
from flowrunner.model.cron_text import ScheduleError, has_fixed_hour
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json
from flowrunner.model.schedule import parse_cron
from flowrunner.model.zones import ClockChange, changes_between

YEARS = 2
"""How far dates are looked for, from the first day of the month of the check."""

_KEPT = 4_096
_ZONES = 1_024
"""More than there are zones."""

_HINTS = {
    "skipped": "choose an hour at which the clock never changes, or timezone: UTC, or write "
    "dst: {skipped: run_after} if you mean it; skip leaves it out",
    "repeated": "choose an hour at which the clock never changes, or timezone: UTC, or write "
    "dst: {repeated: once} if you mean it; twice starts it both times",
}


def check_clock_changes(subject: Subject) -> Iterator[Finding]:
    """Yields a warning for lost and one for repeated times of each schedule with fixed hours.

    Where the author wrote the policy of `dst`, the case has been thought of.
    """
    for index, raw in enumerate(subject.triggers):
        if not _is_zoned_cron(raw):
            continue
        written = _written_policies(raw)
        for policy, message in _warnings(raw["cron"], raw["timezone"], subject.as_of):
            if policy not in written:
                yield subject.document.finding(
                    codes.CLOCK_CHANGE,
                    message,
                    path=("triggers", index, "cron"),
                    hint=_HINTS[policy],
                    severity=Severity.WARNING,
                )


def _written_policies(raw: Mapping[str, Json]) -> Mapping[str, Json]:
    written = raw.get("dst")
    return written if isinstance(written, Mapping) else {}


def depends_on_date(data: Mapping[str, Json]) -> bool:
    """Whether the findings about data of any shape may be others in another month."""
    triggers = data.get("triggers")
    return isinstance(triggers, list) and any(map(_is_zoned_cron, triggers))


def _is_zoned_cron(raw: Json) -> bool:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("cron"), str):
        return False
    return isinstance(raw.get("timezone"), str) and raw["timezone"] != "UTC"


@lru_cache(maxsize=_KEPT)  # many flows share an expression and a zone
def _warnings(cron: str, timezone: str, as_of: date) -> tuple[tuple[str, str], ...]:
    """Returns messages, each with the key of `dst` that decides; none for texts that are bad."""
    try:
        if not has_fixed_hour(cron):
            return ()
        schedule = parse_cron(cron, timezone)
    except (ScheduleError, IndexError):
        return ()  # told elsewhere
    affected = [
        (change, walls)
        for change in _changes(timezone, as_of)
        if (walls := tuple(schedule.walls_between(change.start, change.end)))
    ]
    told = (
        (policy, _message([pair for pair in affected if pair[0].is_gap is is_gap], timezone))
        for policy, is_gap in (("skipped", True), ("repeated", False))
    )
    return tuple((policy, message) for policy, message in told if message)


def _message(affected: list[tuple[ClockChange, tuple[datetime, ...]]], timezone: str) -> str:
    """Returns a sentence about the first change, and the dates of the others."""
    if not affected:
        return ""
    (change, walls), *more = affected
    about = _about_gap if change.is_gap else _about_repeat
    others = ", ".join(f"{walls[0]:%Y-%m-%d}" for _, walls in more)
    return about(change, walls, timezone) + (f"; likewise on {others}" if others else "")


def _about_gap(change: ClockChange, walls: tuple[datetime, ...], timezone: str) -> str:
    """Tells what `dst: {skipped: run_after}`, the default, does."""
    is_same_day = change.end.date() == walls[0].date()
    start = f"{change.end:%H:%M}" if is_same_day else f"{change.end:%Y-%m-%d %H:%M}"
    if len(walls) == 1:
        return f"{walls[0]:%Y-%m-%d %H:%M} does not exist in {timezone}: it starts at {start}"
    return f"{_range(walls)} do not exist in {timezone}: they start once, at {start}"


def _about_repeat(_change: ClockChange, walls: tuple[datetime, ...], timezone: str) -> str:
    """Tells what `dst: {repeated: once}`, the default, does."""
    if len(walls) == 1:
        return f"{walls[0]:%Y-%m-%d %H:%M} comes twice in {timezone}: it starts the first time"
    return f"{_range(walls)} come twice in {timezone}: each starts the first time"


def _range(walls: tuple[datetime, ...]) -> str:
    first, last = walls[0], walls[-1]
    end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} to {end}"


@lru_cache(maxsize=_ZONES)
def _changes(timezone: str, as_of: date) -> tuple[ClockChange, ...]:
    """Returns the changes of a zone in the years to come."""
    start = datetime.combine(as_of, time(), UTC)
    until = start.replace(year=start.year + YEARS)
    return tuple(changes_between(start, until, ZoneInfo(timezone)))
