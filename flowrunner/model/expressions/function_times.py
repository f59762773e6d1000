"""Functions over instants, which are RFC 3339 texts like `execution.slot_at`.

Nothing here asks a clock: `now()` is the scope's instant. Names of months and days are English
on every host, so `date` does not use the C library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flowrunner.model.expressions.errors import ExpressionError
from flowrunner.model.expressions.evaluation import Given
from flowrunner.model.expressions.function_table import (
    TEXT,
    Function,
    literal_error,
    literal_text,
)
from flowrunner.model.expressions.syntax import Node
from flowrunner.model.quantities import QuantityError, parse_duration
from flowrunner.model.zones import ZONE_HINT, find_zone

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LAYOUT_WORK = 16
_INSTANT_HINT = "an instant is an RFC 3339 text such as 2026-03-30T02:30:00+02:00"
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _offset(local: datetime) -> str:
    """Returns the offset from UTC as `+0200`; the seconds of zones before 1900 are dropped."""
    minutes = int((local.utcoffset() or timedelta()).total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "m": lambda t: f"{t.month:02}",
    "d": lambda t: f"{t.day:02}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{(t.hour - 1) % 12 + 1:02}",
    "M": lambda t: f"{t.minute:02}",
    "S": lambda t: f"{t.second:02}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",  # noqa: PLR2004 - noon
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "G": lambda t: f"{t.isocalendar().year:04}",
    "V": lambda t: f"{t.isocalendar().week:02}",
    "u": lambda t: str(t.isoweekday()),
    "a": lambda t: _DAYS[t.weekday()][:3],
    "A": lambda t: _DAYS[t.weekday()],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "F": lambda t: f"{t.year:04}-{t.month:02}-{t.day:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "z": _offset,
    "s": lambda t: str(int(t.timestamp() // 1)),
    "%": lambda _: "%",
}
"""What stands after a `%`. Source: strftime(3), the C locale; `z` is RFC 3339's offset without
its colon, `s` the seconds since 1970."""

_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)


def _now(given: Given) -> str:
    return given.evaluation.scope.now().isoformat()


def _date(given: Given) -> str:
    layout, instant = given.handled(0, _LAYOUT_WORK), _instant(given, 1)
    problem = _layout_problem(layout)
    if problem:
        raise given.error(0, *problem)
    zone = find_zone(given.values[2] if len(given.values) > 2 else "UTC")  # noqa: PLR2004
    if zone is None:
        raise given.error(2, "the time zone is not known", ZONE_HINT)
    local = _shown_in(zone, instant, given)
    shown = _DIRECTIVE.sub(lambda found: DIRECTIVES[found[1]](local), layout)
    return given.bounded((shown,))


def _shown_in(zone: ZoneInfo, instant: datetime, given: Given) -> datetime:
    try:
        return instant.astimezone(zone)
    except OverflowError:
        raise _out_of_range(given, 1) from None


def _check_date(arguments: Sequence[Node]) -> None:
    layout, zone = literal_text(arguments, 0), literal_text(arguments, 2)
    problem = None if layout is None else _layout_problem(layout)
    if problem:
        raise literal_error(arguments[0], *problem)
    if zone is not None and find_zone(zone) is None:
        raise literal_error(arguments[2], f"the time zone {zone[:80]!r} is not known", ZONE_HINT)


def _layout_problem(layout: str) -> tuple[str, str] | None:
    """Returns what is wrong with the layout of a date, and a hint."""
    for found in _DIRECTIVE.finditer(layout):
        if found[1] not in DIRECTIVES:
            shown = found[0] if found[0].isprintable() else "%"
            known = " ".join(f"%{sign}" for sign in DIRECTIVES)
            return "date does not know a directive", f"{shown} is none; there are {known}"
    return None


def _add(given: Given) -> str:
    instant = _instant(given, 0)
    try:
        return (instant + _duration(given.values[1])).isoformat()
    except QuantityError as error:
        raise given.error(1, "the string is not a duration", error.hint) from None
    except OverflowError:
        raise _out_of_range(given, 0) from None


def _check_add(arguments: Sequence[Node]) -> None:
    duration = literal_text(arguments, 1)
    if duration is None:
        return
    try:
        _duration(duration)
    except QuantityError as error:
        raise literal_error(arguments[1], error.message, error.hint) from error


def _duration(text: str) -> timedelta:
    is_back = text.startswith("-")
    seconds = parse_duration(text[1:] if is_back else text)
    return timedelta(seconds=-seconds if is_back else seconds)


def _instant(given: Given, index: int) -> datetime:
    text = given.values[index]
    try:
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # a date, an hour or an offset that does not exist
    raise given.error(index, "the string is not an instant", _INSTANT_HINT)


def _out_of_range(given: Given, index: int) -> ExpressionError:
    return given.error(index, "the instant is outside of the years 1 to 9999")


TIME_FUNCTIONS: dict[str, Function] = {
    "add": Function(takes=(TEXT, TEXT), gives=TEXT, run=_add, check=_check_add),
    "date": Function(
        takes=(TEXT, TEXT, TEXT), optional=1, gives=TEXT, run=_date, check=_check_date
    ),
    "now": Function(gives=TEXT, run=_now),
}
