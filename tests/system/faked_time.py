"""Daemons whose time is not the host's, by libfaketime; and what they have recorded of it.

Source: faketime(1), and the README of libfaketime for what stands in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from flowrunner.model.execution import Execution, SlotRun
from flowrunner.model.ids import FlowKey
from flowrunner.storage.factory import make_storage
from flowrunner.storage.protocols import ExecutionQuery
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles
from tests.system.daemon import RunningDaemon
from tests.system.flow_files import replace_file

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
_MOST = 10_000


def fast_time(start: datetime, rate: int) -> Mapping[str, str]:
    """Returns the environment of a daemon whose two clocks begin at a moment and go faster."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME": f"@{start:%Y-%m-%d %H:%M:%S} x{rate}",
        "TZ": "UTC",
    }


class SetClock:
    """A wall clock that can be set while a daemon lives by it; its monotonic clock goes on.

    Args:
        path: Where the daemon reads it, anew each second.
        start: What it shows now; it goes as fast as the host's.
    """

    def __init__(self, path: Path, start: datetime) -> None:
        self._path = path
        self._offset_s = round((start - datetime.now(UTC)).total_seconds())
        self.set(timedelta(0))

    def set(self, ahead: timedelta) -> None:
        """Sets it so far ahead of what it would show, had nobody set it."""
        replace_file(self._path, f"{self._offset_s + ahead.total_seconds():+.0f}\n")

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of the daemon."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }


def clock_of(running: RunningDaemon) -> datetime:
    """Returns the time of the last line that a daemon has logged."""
    times = re.findall(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z ", running.output, re.MULTILINE)
    return datetime.fromisoformat(f"{times[-1]}+00:00")


class Recorded(NamedTuple):
    """What a state knows of the slots of a flow: those that started, and the rows of the rest."""

    executions: Sequence[Execution]
    rows: Sequence[SlotRun]


async def recorded(state: Path, flow: FlowKey) -> Recorded:
    """Reads the state of a daemon that has ended."""
    storage = make_storage("local", folder=state, files=LocalFiles(), clock=SystemClock())
    await storage.open()
    try:
        query = ExecutionQuery(flow=flow.name, limit=_MOST)
        return Recorded(
            await storage.executions.list(query), await storage.slots.list(flow, limit=_MOST)
        )
    finally:
        await storage.close()
