"""A wired daemon without servers, on a fresh state directory, for the figures of the engine."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from benchmarks.disk import DISK
from flowrunner.config.settings import Settings, SourceSettings, StorageSettings
from flowrunner.daemon.build import Parts, build
from flowrunner.daemon.garbage import begin
from flowrunner.model.ids import FlowKey
from flowrunner.system.descent import DescentFamilies

T = TypeVar("T")

KEY = FlowKey("default", "bench")
"""The one flow: its file says `name: bench`."""


def folder_of_a_run() -> Path:
    """Returns a new folder on the disk, removed when all is measured.

    Some file systems pass over every inode that was freed in the last minute when they make a new
    one (ext4 without a journal): what one round removes would be paid by the next.
    """
    folder = Path(tempfile.mkdtemp(dir=DISK))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def in_a_daemon(
    text: str, work: Callable[[Parts], Awaitable[T]], secrets: Mapping[str, str] | None = None
) -> T:
    """Returns what some work returns over a daemon with one flow in force.

    Args:
        text: The flow.
        work: What is done.
        secrets: The secret variables of the daemon's environment.
    """
    root = folder_of_a_run()
    (root / "flows").mkdir()
    (root / "flows" / "bench.yaml").write_text(text)
    return asyncio.run(_carried(root, work, secrets or {}))


async def _carried(
    root: Path, work: Callable[[Parts], Awaitable[T]], secrets: Mapping[str, str]
) -> T:
    settings = replace(
        Settings(),
        storage=StorageSettings(path=root / "state"),
        source=SourceSettings(path=root / "flows"),
    )
    parts = build(settings, secrets, DescentFamilies())
    await parts.storage.open()
    try:
        await parts.reconciler.start()
        begin()  # as the daemon does
        return await work(parts)
    finally:
        await parts.engine.drain(10)
        parts.log_writer.close()
        parts.spawner.close()
        await parts.storage.close()
