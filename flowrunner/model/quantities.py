"""Durations and sizes as people write them in flows and settings: `2h30m`, `64KiB`.

Reading and writing only. Which bounds a particular field has is the business of its owner.
Source: FLOW_FORMAT, section 1.
"""

from __future__ import annotations

import re
from functools import lru_cache

from flowrunner.errors import ValidationError

LONGEST_DURATION = 36_525 * 86_400.0
"""Seconds in 100 years: longer ones are typing errors and would not fit into dates."""

LARGEST_SIZE = 1024**5
"""Bytes in 1024 TiB."""

DURATION_PATTERN = "^(?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
"""What JSON Schemas say of a duration; `parse_duration` says the rest."""

SIZE_PATTERN = "^[0-9]+(B|KiB|MiB|GiB|TiB)$"
"""What JSON Schemas say of a size; `parse_size` says the rest."""

_MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES = {"TiB": 1024**4, "GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "B": 1}

# 18 digits: beyond every limit, and far from the length at which Python refuses to convert.
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,18}}){unit})?" for unit in _MILLISECONDS))
_SIZE = re.compile(r"([0-9]{1,18})(TiB|GiB|MiB|KiB|B)")
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?")

_DURATION_HINT = "write whole numbers with the units w d h m s ms, largest first: 90s, 2h30m, 500ms"
_SIZE_HINT = "write a whole number with one of the units B KiB MiB GiB TiB: 64KiB, 20MiB"
_LONGEST_QUOTE = 40


class QuantityError(ValidationError):
    """A text that is no duration or no size.

    Attributes:
        hint: How to write it.
    """

    default_code = "validation.quantity"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def parse_duration(text: object) -> float:
    """Returns the seconds of a duration such as `500ms`, `90s`, `2h30m`, `1w`.

    Whole numbers, each with its unit, units from large to small and each at most once; `1d` is
    24 hours. Takes any value, so that the number of a YAML file gets its own message.

    Raises:
        QuantityError: ``validation.quantity``, also beyond `LONGEST_DURATION`.
    """
    if not isinstance(text, str):
        raise _no_quantity(text, "duration", "s", _DURATION_HINT)
    return _seconds(text)


@lru_cache(maxsize=1_024)
def _seconds(text: str) -> float:
    """Returns the seconds of a duration; a large installation says the same few again and again."""
    match = _DURATION.fullmatch(text) if text else None
    if match is None:
        raise _no_quantity(text, "duration", "s", _DURATION_HINT)
    parts = zip(match.groups(default="0"), _MILLISECONDS.values(), strict=True)
    seconds = sum(int(digits) * factor for digits, factor in parts) / 1000
    if seconds > LONGEST_DURATION:
        raise QuantityError(f"{_quote(text)} is longer than 100 years", hint=_DURATION_HINT)
    return seconds


def parse_size(text: object) -> int:
    """Returns the bytes of a size such as `512B`, `64KiB`, `20MiB`.

    Raises:
        QuantityError: ``validation.quantity``, also beyond `LARGEST_SIZE`.
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _no_quantity(text, "size", "KiB", _SIZE_HINT)
    size = int(match[1]) * _BYTES[match[2]]
    if size > LARGEST_SIZE:
        raise QuantityError(f"{_quote(text)} is more than 1024TiB", hint=_SIZE_HINT)
    return size


def render_duration(seconds: float) -> str:
    """Returns the shortest text that `parse_duration` reads as these seconds.

    Seconds are at least 0; what is finer than a millisecond is rounded.
    """
    rest = round(seconds * 1000)
    text = ""
    for unit, factor in _MILLISECONDS.items():
        count, rest = divmod(rest, factor)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def render_size(size: int) -> str:
    """Returns bytes (at least 0) in the largest unit that divides them: `4MiB`, `1025B`."""
    for unit, factor in _BYTES.items():
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return "0B"


def _no_quantity(value: object, kind: str, unit: str, hint: str) -> QuantityError:
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        return QuantityError(f"{_quote(value)} is not a {kind}", hint=hint)
    if text.isdecimal():
        hint = f"write {text[:_LONGEST_QUOTE]}{unit} if that is what you mean; {hint}"
    return QuantityError(f"{_quote(value)} is a bare number: a {kind} needs a unit", hint=hint)


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
