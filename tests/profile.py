"""How long the tests may look: the profile of the run, from the variable `TEST_PROFILE`.

`short` (default) is what decides about a landing; `long` has the numbers of the issues.
"""

from __future__ import annotations

import os
from typing import Final

PROFILE: Final = os.environ.get("TEST_PROFILE", "short")
IS_LONG: Final = PROFILE == "long"
_TIMES: Final = 20


def examples(short: int) -> int:
    """Returns how many examples a property is tried with, twenty times as many in a long run."""
    return short * _TIMES if IS_LONG else short
