"""A log writer without thread and disk, for engines on virtual time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path


class MemoryLogWriter:
    """Meets `flowrunner.telemetry.attempt_log.Writer`; keeps the files as bytes.

    Attributes:
        finish_takes_s: How slow the disk is, in the loop's time.
    """

    def __init__(self) -> None:
        self.files: defaultdict[Path, bytes] = defaultdict(bytes)
        self.finished: list[Path] = []
        self.is_congested = False
        self.finish_takes_s = 0.0

    def append(self, path: Path, data: bytes) -> None:
        self.files[path] += data

    async def finish(self, path: Path) -> None:
        if self.finish_takes_s:
            await asyncio.sleep(self.finish_takes_s)
        self.finished.append(path)
