"""The text of a cron expression: which are good, and what is wrong with the others.

Which wall times fit a good one is `flowrunner.model.cron_calendar`, when it is due in a zone
`flowrunner.model.schedule`.

Source: Debian's crontab(5), for the fields and for the relation of day-of-month and day-of-week.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from flowrunner.errors import ValidationError
from flowrunner.model.cron_calendar import is_good as fits_cron
from flowrunner.model.cron_calendar import walls_after

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
_DAY, _MONTH = 2, 3
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


@lru_cache(maxsize=4_096)  # asked for the text, and again for the schedule that is made of it
def check_fields(expression: str) -> None:
    """Raises `ScheduleError` for anything but five good fields, of which some day may fit."""
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise _cron_error(
            f"the cron expression {cut(expression)} does not have exactly five fields",
            hint="minute hour day-of-month month day-of-week, without seconds, year, zone or user",
        )
    if not all(map(_is_good, range(len(_FIELDS)), texts)):
        for check in (_check_form, _check_values):  # the form of all of them first
            for index, text in enumerate(texts):
                check(index, text)
    if texts[_DAY] != "*" and texts[_MONTH] != "*" and not fits_cron(expression.upper()):
        raise _never_due(expression)


def normal_fields(expression: str) -> str:
    """Returns the five fields of an expression as a person writes it, in capitals.

    Raises `ScheduleError` for anything but five good fields or a known `@` word, and for an
    expression that is never due.
    """
    fields = expand(expression)
    check_fields(fields)  # complains of what was written, not of what it is in capitals
    if not _has_day(fields.upper().split(maxsplit=2)[2]):
        raise _never_due(" ".join(expression.split()))
    return fields.upper()


@lru_cache(maxsize=4_096)
def has_fixed_hour(expression: str) -> bool:
    """Whether the hour field of a good expression does not begin with `*`.

    Such a schedule keeps to the wall clock and should name its zone; the others follow
    elapsed time.
    """
    return not expand(expression).split()[1].startswith("*")


def expand(expression: str) -> str:
    """Expands an `@` word and puts one space between the fields; raises `ScheduleError`."""
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
        f"{cut(expression)} is not known",
        hint=_REFUSED_WORDS.get(word, f"one of {' '.join(WORDS)}, or five fields"),
    )


@lru_cache(maxsize=1_024)  # thousands of expressions share few fields
def _has_day(days: str) -> bool:
    """Whether some day fits the fields of day, month and day of the week."""
    return next(walls_after(f"0 0 {days}", _LEAP_START), None) is not None


@lru_cache(maxsize=1_024)
def _is_good(index: int, text: str) -> bool:
    """Whether a field raises nothing."""
    try:
        _check_form(index, text)
        _check_values(index, text)
    except ScheduleError:
        return False
    return True


def _check_form(index: int, text: str) -> None:
    name, term, _ = _FIELDS[index]
    if not all(re.fullmatch(term, part.upper()) for part in text.split(",")):
        raise _field_error(name, text)


def _check_values(index: int, text: str) -> None:
    fields = [text if index == other else "*" for other in range(len(_FIELDS))]
    if not fits_cron(" ".join(fields).upper()):
        raise _field_error(_FIELDS[index][0], text)


def _field_error(name: str, text: str) -> ScheduleError:
    hint = next(hint for known, _, hint in _FIELDS if known == name)
    return _cron_error(f"{cut(text)} is no good {name} in a cron expression", hint=hint)


def _never_due(expression: str) -> ScheduleError:
    return _cron_error(
        f"the cron expression {cut(expression)} is never due",
        hint="no date fits day-of-month, month and day-of-week together",
    )


def _cron_error(message: str, *, hint: str) -> ScheduleError:
    return ScheduleError(message, hint=hint, field="cron")


def cut(text: str) -> str:
    """Returns a text quoted for a message, at most 80 characters of it."""
    return f"{text[:80]!r}"
