"""The clock of the host, and the one of the tests."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from flowrunner.system.clock import Clock, SystemClock
from tests.fakes.clock import DEFAULT_START, FakeClock
from tests.fakes.virtual_time import run_virtual


def test_system_clock_tells_wall_time_in_utc() -> None:
    """Wall time is aware, so that no local zone can slip in."""
    clock: Clock = SystemClock()
    assert clock.now().tzinfo is UTC


def test_system_clock_never_goes_back() -> None:
    """Durations measured with it are not negative."""
    clock = SystemClock()
    first = clock.monotonic()
    assert clock.monotonic() >= first


def test_fake_clock_stands_still_outside_of_a_virtual_loop() -> None:
    """Without a loop only the test moves time."""
    clock: Clock = FakeClock()
    assert clock.now() == clock.now() == DEFAULT_START


def test_fake_clock_follows_the_running_virtual_loop() -> None:
    """A sleep on virtual time moves both times of the clock."""
    clock = FakeClock()

    async def scenario() -> tuple[datetime, float]:
        await asyncio.sleep(90)
        return clock.now(), clock.monotonic()

    assert run_virtual(scenario()) == (DEFAULT_START + timedelta(seconds=90), 90.0)


def test_fake_clock_jump_moves_the_wall_only() -> None:
    """A jump of the wall clock can be told by the monotonic one, as on a host."""
    clock = FakeClock()
    clock.advance(10)
    clock.jump(-3600)
    assert clock.now() == DEFAULT_START + timedelta(seconds=10 - 3600)
    assert clock.monotonic() == 10


def test_fake_clock_refuses_a_naive_start() -> None:
    """A test cannot smuggle in local time."""
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2027, 1, 1))
