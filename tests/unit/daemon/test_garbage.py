"""The collector of garbage looks seldom, and between executions."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from flowrunner.daemon import garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


def test_what_is_there_is_left_alone() -> None:
    """Modules and flows that are there when the daemon is ready are not looked at again."""
    gc.disable()
    garbage.begin()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


class Ring:
    """Knows itself, so that only a look for garbage frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_all_are_looked_at_once_many_have_come() -> None:
    """A look at all objects comes after many have come since the last one, and not before."""
    garbage.begin()
    ring = Ring()
    left = weakref.ref(ring)
    gc.collect()  # the ring is among the oldest from now on
    del ring
    garbage.collect_if_due()
    assert left() is not None
    for _ in range(5):
        gc.collect(1)  # as it comes after many others
    garbage.collect_if_due()
    assert left() is None
