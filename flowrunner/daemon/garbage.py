"""When Python looks for garbage that only a look at all objects finds.

Such a look holds the loop for a quarter of a microsecond for each object, and by default one comes
whenever the number of objects has grown by a quarter: with 10,000 nodes under way several of them,
each of a tenth of a second. Nearly everything here is freed without one.
"""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 5_000, 3, 500
"""Objects more than before until the youngest are looked at; how often until the next older are.

So 20,000 at most are looked at in one go as long as work is under way, which takes some 4 ms: with
a thousand executions at a time nearly all of them are in use, and a look frees next to nothing.
"""

_MANY = 5
"""Looks at the middle ones, after which all are worth one: 100,000 objects have come and stayed."""


def begin() -> None:
    """Leaves alone what there is by now, modules and flows, and looks for garbage from now on."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    gc.enable()


def collect_if_due() -> None:
    """Looks at all objects if many have come since the last time; for when nothing is under way."""
    if gc.get_count()[2] >= _MANY:
        gc.collect()
