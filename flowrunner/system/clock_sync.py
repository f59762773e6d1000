"""Whether the kernel takes the wall clock for right."""

from __future__ import annotations

import ctypes

_TIME_ERROR = 5
_LARGEST_TIMEX = 512
"""Bytes; `struct timex` has 208 on 64 bits. All zero: `modes` 0 only asks."""


def is_clock_synchronised() -> bool:
    """Returns whether a time service has set the clock of this host since it booted.

    Without such a service, and where we may not ask, it is False. Source: adjtimex(2),
    `TIME_ERROR`, which is also what `timedatectl` goes by.
    """
    timex = ctypes.create_string_buffer(_LARGEST_TIMEX)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    return bool(0 <= state != _TIME_ERROR)
