"""Rows 1 and 2: an execution of 100 nodes running `true`, journaled durably.

The floor is what the blocks cost alone: spawning `true` 100 times and a durable commit for
each, one after the other.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.disk import DISK
from benchmarks.in_daemon import KEY, in_a_daemon
from flowrunner.daemon.build import Parts

NODES = 100


def flow_text(*, chained: bool) -> str:
    """Returns a flow of `NODES` shell nodes, in a chain or side by side."""
    needs = "" if chained else "    needs: []\n"
    nodes = "".join(f"  - id: n{i}\n    run: 'true'\n{needs}" for i in range(NODES))
    return f"version: 1\nname: bench\nnodes:\n{nodes}"


def execution_s(*, chained: bool) -> float:
    """Returns the seconds from start to end of one execution, on a fresh state directory."""
    return in_a_daemon(flow_text(chained=chained), _second)


async def _second(parts: Parts) -> float:
    await _execute(parts)  # opens files, starts threads, compiles: not what is measured
    return await _execute(parts)


async def _execute(parts: Parts) -> float:
    ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    parts.observer.on_ended = (
        lambda execution: ended.set_result(
            ((execution.ended_at or execution.created_at) - execution.created_at).total_seconds()
        ),
    )
    await parts.service.start(KEY, {})
    return await ended


def blocks_s() -> float:
    """Returns the seconds that spawning and committing `NODES` times cost alone."""
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        base = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE t (n INTEGER)")
        began = time.perf_counter()
        for number in range(NODES):
            subprocess.run(["/bin/sh", "-e", "-c", "true"], env=dict(os.environ), check=True)
            base.execute("INSERT INTO t VALUES (?)", (number,))
        took = time.perf_counter() - began
        base.close()
        return took
