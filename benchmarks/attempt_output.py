"""Row 15: a node that prints 200 MB, through masking and time stamps to disk.

The comparison is the same program with its output going straight into a file.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from flowrunner.secrets.masking import HiddenTexts
from flowrunner.system.clock import SystemClock
from flowrunner.system.pipes import PipeReader
from flowrunner.telemetry.attempt_log import AttemptLog
from flowrunner.telemetry.log_writer import LogWriter

SIZE = 200_000_000
"""Bytes that the node prints."""

SECRETS = ("hunter2 is no $ecret", "ghp_abcdefghijklmnopqrstuvwxyz0123456789")
_LINE = "2026-03-30 INFO something happened in module orders with id 1234567890abcdef"
_SCRIPT = f"yes '{_LINE}' | head -c {SIZE}"
_TICK_S = 0.005
_LATE = 99
"""Percentile."""


def attempt_s() -> float:
    """Returns the seconds until the whole output is in its log file."""
    return asyncio.run(_attempt())[0]


def lag_s() -> float:
    """Returns the 99th percentile of how late the loop wakes meanwhile."""
    return asyncio.run(_attempt())[1]


def file_s() -> float:
    """Returns the seconds of the same program that writes into a file by itself."""
    with tempfile.TemporaryFile() as file:
        began = time.perf_counter()
        subprocess.run(["/bin/sh", "-c", _SCRIPT], check=True, stdout=file)
        return time.perf_counter() - began


async def _attempt() -> tuple[float, float]:
    writer = LogWriter()
    with tempfile.TemporaryDirectory() as folder:
        log = AttemptLog(
            Path(folder),
            "node.1.log",
            clock=SystemClock(),
            masker=HiddenTexts(SECRETS).masker,
            writer=writer,
            limit_bytes=10 * SIZE,
        )
        lags: list[float] = []
        ticking = asyncio.create_task(_tick(lags))
        began = time.perf_counter()
        await _print_into(log)
        await log.close()
        took = time.perf_counter() - began
        ticking.cancel()
    writer.close()
    return took, statistics.quantiles(lags, n=100)[_LATE - 1]


async def _print_into(log: AttemptLog) -> None:
    ended = asyncio.Event()
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with _start(write_end):
        os.close(write_end)
        PipeReader(
            read_end,
            feed=partial(log.feed, "stdout"),
            is_congested=lambda: log.is_congested,
            on_end=ended.set,
        )
        await ended.wait()


def _start(stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sh", "-c", _SCRIPT], stdout=stdout)


async def _tick(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK_S
        await asyncio.sleep(_TICK_S)
        lags.append(max(loop.time() - due, 0.0))
