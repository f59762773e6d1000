"""Rows 7 and 8: what the engine itself costs, for an execution and for a node, journal included.

The floor is the journal alone: as many rows in one transaction as the subject writes at least.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.disk import DISK
from benchmarks.in_daemon import KEY, in_a_daemon
from flowrunner.daemon.build import Parts

NODES = 1_000
EXECUTIONS = 500


def node_s() -> float:
    """Returns the seconds for each node of a chain of `NODES` noop nodes."""
    nodes = "".join(f"  - {{id: n{number}, type: noop}}\n" for number in range(NODES))
    return _in_a_daemon(f"version: 1\nname: bench\nnodes:\n{nodes}", _one) / NODES


def execution_s(node: str) -> float:
    """Returns the seconds for each of `EXECUTIONS` executions of one node, all at once."""
    text = f"version: 1\nname: bench\nconcurrency: {{limit: 1000}}\nnodes:\n  - {{id: a, {node}}}\n"
    return _in_a_daemon(text, _many) / EXECUTIONS


def row_s() -> float:
    """Returns the seconds for each of `NODES` rows written in one durable transaction."""
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        base = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE t (n INTEGER, text TEXT)")
        began = time.perf_counter()
        base.execute("BEGIN")
        for number in range(NODES):
            base.execute("INSERT INTO t VALUES (?, ?)", (number, "a row of the journal"))
        base.execute("COMMIT")
        took = time.perf_counter() - began
        base.close()
        return took / NODES


def _in_a_daemon(text: str, work: Callable[[Parts], Awaitable[None]]) -> float:
    """Returns the seconds that some work takes after one execution."""

    async def timed(parts: Parts) -> float:
        await _one(parts)  # opens files, starts threads: not what is measured
        began = time.perf_counter()
        await work(parts)
        return time.perf_counter() - began

    return in_a_daemon(text, timed)


async def _one(parts: Parts) -> None:
    await _ends(parts, 1)


async def _many(parts: Parts) -> None:
    await _ends(parts, EXECUTIONS)


async def _ends(parts: Parts, count: int) -> None:
    """Starts executions by hand, all at once, and returns when the last has ended."""
    ended: asyncio.Queue[None] = asyncio.Queue()
    parts.observer.on_ended = (lambda _: ended.put_nowait(None),)
    await asyncio.gather(*(parts.service.start(KEY, {}) for _ in range(count)))
    for _ in range(count):
        await ended.get()
