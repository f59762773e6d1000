"""How late the event loop wakes while 500 programs are started at once.

The floor is the same loop with nothing to do: what the host's own load makes late.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from flowrunner.system.descent import DescentFamilies
from flowrunner.system.output import Stream
from flowrunner.system.process import LocalSpawner, SpawnRequest

PROGRAMS = 500
_STEP_S = 0.001
_IDLE_S = 0.5
_PERCENTILE = 0.99
_REQUEST = SpawnRequest(argv=("true",), env={"PATH": "/usr/bin:/bin"}, cwd=Path("/"))


class _NoSink:
    """Takes what nobody prints."""

    is_congested = False

    def feed(self, stream: Stream, data: bytes) -> None:
        raise AssertionError(f"{stream}: {data!r}")

    def end(self, stream: Stream) -> None:
        pass


def spawning_lag_s() -> float:
    """Returns the lag, its 99th percentile in seconds, from the first start to the last end."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    spawner = LocalSpawner(DescentFamilies())
    try:
        return asyncio.run(_lag_during(_start_all(spawner)))
    finally:
        spawner.close()


def idle_lag_s() -> float:
    """Returns the lag of a loop with nothing else to do."""
    return asyncio.run(_lag_during(asyncio.sleep(_IDLE_S)))


async def _start_all(spawner: LocalSpawner) -> None:
    await asyncio.gather(*(_carry_out(spawner) for _ in range(PROGRAMS)))


async def _carry_out(spawner: LocalSpawner) -> None:
    process = await spawner.spawn(lambda: _REQUEST, _NoSink())
    await process.wait()
    await process.drain()
    await process.close()


async def _lag_during(work: Coroutine[Any, Any, None]) -> float:
    loop, lags = asyncio.get_running_loop(), list[float]()
    working = asyncio.ensure_future(work)
    while not working.done():
        due = loop.time() + _STEP_S
        await asyncio.sleep(_STEP_S)
        lags.append(loop.time() - due)
    await working
    return sorted(lags)[int(len(lags) * _PERCENTILE)]
