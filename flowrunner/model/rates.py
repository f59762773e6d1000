"""Rates as people write them in flows and settings: `100/1s`, `30/1m`."""

from __future__ import annotations

import re
from typing import NamedTuple

RATE_PATTERN = "^([1-9][0-9]{0,6})/(([1-9][0-9]{0,4})(s|m|h))$"
"""What JSON Schemas say of a rate, and all there is to say."""

_SECONDS = {"s": 1, "m": 60, "h": 3_600}


class Rate(NamedTuple):
    """So many in a time: as many at once, then one after the other.

    Attributes:
        most: How many; at least 1.
        period_s: Seconds in which as many come again.
        text: As it was written.
    """

    most: int
    period_s: float
    text: str


def parse_rate(text: str) -> Rate | None:
    """Returns the rate that a text is; None if it is none."""
    found = re.fullmatch(RATE_PATTERN, text)
    if found is None:
        return None
    number, _whole, length, unit = found.groups()
    return Rate(int(number), float(int(length) * _SECONDS[unit]), text)
