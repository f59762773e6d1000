"""Promises of `flowrunner.service.drain`: a stop tells how far it has come."""

from __future__ import annotations

import asyncio

from flowrunner.service.drain import Drain
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import run_virtual


def test_drain_tells_what_runs_and_for_how_long() -> None:
    """Nothing is told before the stop; then what runs now, and the time of all that there is."""

    async def story() -> list[str | None]:
        running = [3]
        drain = Drain(lambda: running[0], FakeClock())
        told = [drain.progress()]
        await asyncio.sleep(100)
        drain.begin(300)
        told.append(drain.progress())
        await asyncio.sleep(12.4)
        running[0] = 2
        told.append(drain.progress())
        return told

    assert run_virtual(story()) == [None, "3 running, 0 s of 5m", "2 running, 12 s of 5m"]
