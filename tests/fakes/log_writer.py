"""A log writer without thread and disk, for engines on virtual time."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path


class MemoryLogWriter:
    """Meets `flowrunner.telemetry.attempt_log.Writer`; keeps the files as bytes."""

    def __init__(self) -> None:
        self.files: defaultdict[Path, bytes] = defaultdict(bytes)
        self.finished: list[Path] = []
        self.is_congested = False

    def append(self, path: Path, data: bytes) -> None:
        self.files[path] += data

    async def finish(self, path: Path) -> None:
        self.finished.append(path)
