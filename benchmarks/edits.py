"""A daemon over many flows that hardly change: an edit, and a look at all that is as it was."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.disk import DISK
from benchmarks.flow_files import flow_text, write_flows
from flowrunner.config.settings import Settings, SourceSettings, StorageSettings
from flowrunner.daemon.build import Parts, build
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey
from flowrunner.reconcile.tree import FolderTree
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.files import LocalFiles

T = TypeVar("T")

EDITED = 5
KEY = FlowKey("default", f"export-{EDITED}")
_TURN_S = 0.0005
_RACY_S = 2.5
"""Longer than a time stamp can hide a second write."""


class ManyFlows:
    """A wired daemon over many flows, in a loop of its own."""

    def __init__(self, root: Path, flows: int, *, is_checkout: bool) -> None:
        self.flows = root / "flows"
        write_flows(self.flows, flows)
        if is_checkout:
            self._git("init", "--quiet")
            self._commit()
        self._numbers = count()
        self._loop = asyncio.new_event_loop()
        self._parts = self._run(self._started(root))
        self._life = self._loop.create_task(self._parts.reconciler.run())
        self._run(asyncio.sleep(_RACY_S))
        self.resync_cpu_s()

    def edit_s(self) -> float:
        """Edits a file and waits until the new version is in force, with no debounce."""

        async def edited() -> float:
            before = self._parts.registry.entries[KEY].digest
            path = self.flows / f"team-{EDITED // 100}" / f"export-{EDITED}.yaml"
            staged = path.with_name(".staged")
            staged.write_text(flow_text(EDITED).replace("Exports", f"E{next(self._numbers)}"))
            began = time.perf_counter()
            staged.replace(path)
            while self._parts.registry.entries[KEY].digest == before:  # noqa: ASYNC110 - measured
                await asyncio.sleep(_TURN_S)
            return time.perf_counter() - began

        taken_s = self._run(edited())
        self._run(asyncio.sleep(_RACY_S))
        return taken_s

    def compile_s(self) -> float:
        """Compiles the text of one flow: what an edit costs at least."""
        began = time.perf_counter()
        self._parts.compiler.read(
            flow_text(EDITED).encode(), file="x.yaml", account=DEFAULT_ACCOUNT
        )
        return time.perf_counter() - began

    def resync_cpu_s(self) -> float:
        """Runs a pass that finds nothing new; returns seconds of processor, git's included."""
        before = _cpu_s()
        self._run(self._parts.reconciler.request("resync"))
        return _cpu_s() - before

    def walk_cpu_s(self) -> float:
        """Looks at every name once."""
        before = _cpu_s()
        found = FolderTree(LocalFiles(), self.flows.resolve()).walk
        assert found.entries
        return _cpu_s() - before

    def close(self) -> None:
        """Ends the daemon."""
        self._run(self._stopped())
        self._loop.close()

    async def _started(self, root: Path) -> Parts:
        settings = replace(
            Settings(),
            storage=StorageSettings(path=root / "state"),
            source=SourceSettings(path=self.flows, debounce=0.0),
        )
        parts = build(settings, {}, DescentFamilies())
        await parts.storage.open()
        await parts.reconciler.start()
        return parts

    async def _stopped(self) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)
        await self._parts.schedules.settle()
        await self._parts.engine.drain(10)
        self._parts.log_writer.close()
        self._parts.spawner.close()
        await self._parts.storage.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def _commit(self) -> None:
        self._git("add", "--all")
        self._git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "all")

    def _git(self, *arguments: str) -> None:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        subprocess.run(["git", "-C", str(self.flows), *arguments], env=environment, check=True)


def _cpu_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@contextmanager
def many_flows(flows: int, *, is_checkout: bool = False) -> Iterator[ManyFlows]:
    """Yields a daemon over so many flows, in a plain folder or a clean checkout."""
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        daemon = ManyFlows(Path(folder), flows, is_checkout=is_checkout)
        try:
            yield daemon
        finally:
            daemon.close()
