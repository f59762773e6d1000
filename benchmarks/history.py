"""Row 16: a history of a million executions: the newest of one flow, and retention beside load.

The floor of the query is one look-up by primary key over the same pool of readers; that of the
deletion is the latest commit of the same load with nobody deleting.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.disk import DISK
from flowrunner.engine.log_quota import LogQuota
from flowrunner.engine.retention import Retention, RetentionRules
from flowrunner.engine.runtime import EngineFolders
from flowrunner.model.execution import Cause, Execution
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Revision
from flowrunner.model.states import ExecutionState
from flowrunner.storage.local.codec import EXECUTION_COLUMNS, execution_row
from flowrunner.storage.local.storage import DATABASE, LocalStorage
from flowrunner.storage.protocols import ExecutionQuery
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles

HISTORY = 1_000_000
FLOWS = 1_000

_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def history() -> Iterator[Path]:
    """Makes a state directory with `HISTORY` executions of `FLOWS` flows, and removes it."""
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        folder = Path(name)
        asyncio.run(_make(folder))
        columns = f"{EXECUTION_COLUMNS}, outputs"
        marks = ", ".join("?" * len(columns.split(",")))
        with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            connection.executemany(
                f"INSERT INTO executions ({columns}) VALUES ({marks})",
                (execution_row(execution(number)) for number in range(HISTORY)),
            )
        yield folder


async def _make(folder: Path) -> None:
    storage = open_at(folder)
    await storage.open()
    await storage.close()


def open_at(folder: Path) -> LocalStorage:
    """Returns a store over a folder; the caller opens it."""
    return LocalStorage(folder, LocalFiles(), SystemClock())


@contextmanager
def opened(folder: Path) -> Iterator[tuple[LocalStorage, asyncio.AbstractEventLoop]]:
    """Opens the store on a loop of its own, and closes both."""
    loop = asyncio.new_event_loop()
    storage = open_at(folder)
    try:
        loop.run_until_complete(storage.open())
        yield storage, loop
        loop.run_until_complete(storage.close())
    finally:
        loop.close()


def execution(number: int, flow: str | None = None) -> Execution:
    """Returns the `number`-th execution that has ended, one each second, flow after flow."""
    at = _SINCE + timedelta(seconds=number)
    base = Execution(
        id=ExecutionId(f"{number:08x}-0000-7000-8000-000000000000"),
        flow=FlowKey("default", flow or f"flow-{number % FLOWS}"),
        state=ExecutionState.SUCCEEDED,
        cause=Cause(trigger_id="nightly", trigger_type="schedule", slot_at=at),
        start_key=f"slot:{number}",
        revision=Revision("4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
        digest=Digest(f"sha256:{number % FLOWS:064x}"),
        inputs={"target": "/srv"},
        created_at=at,
    )
    return replace(base, started_at=at, ended_at=at)


class Newest:
    """Samples of the newest 50 of a flow, and of one look-up, over one open store."""

    def __init__(self, storage: LocalStorage, loop: asyncio.AbstractEventLoop) -> None:
        self._storage = storage
        self._loop = loop
        self._turn = 0

    def page_s(self) -> float:
        """Returns the seconds of a page of 50 of the next flow."""
        self._turn += 1
        flow = f"flow-{self._turn * 37 % FLOWS}"
        query = ExecutionQuery(account="default", flow=flow, limit=50)
        began = time.perf_counter()
        found = self._loop.run_until_complete(self._storage.executions.list(query))
        took = time.perf_counter() - began
        assert len(found) == query.limit
        return took

    def one_s(self) -> float:
        """Returns the seconds of one execution by its id."""
        began = time.perf_counter()
        one = execution(self._turn * 7_919 % HISTORY).id
        assert self._loop.run_until_complete(self._storage.executions.get(one))
        return time.perf_counter() - began


class Load:
    """Commits one execution every few milliseconds, and notes the longest wait for one."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage
        self._next = 2 * HISTORY
        self.longest_s = 0.0

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            self._next += 1
            began = time.perf_counter()
            made = replace(execution(self._next, "live"), state=ExecutionState.RUNNING)
            await self._storage.executions.create(made)
            self.longest_s = max(self.longest_s, time.perf_counter() - began)
            await asyncio.sleep(_EVERY_S)


_EVERY_S = 0.005
_QUIET_S = 10.0


class Deletion:
    """Samples of the latest commit of a live load, with retention beside it and without.

    Each sample with retention removes 100,000 executions: 100 of each flow.
    """

    def __init__(self, storage: LocalStorage, loop: asyncio.AbstractEventLoop, state: Path) -> None:
        self._storage = storage
        self._loop = loop
        self._folders = EngineFolders(
            work=state / "work", logs=state / "logs", flow=lambda _: state / "flows"
        )
        self._keep = HISTORY // FLOWS

    def beside_s(self) -> float:
        """Returns the seconds of the latest commit while 100,000 executions are removed."""
        self._keep -= 100_000 // FLOWS
        return self._loop.run_until_complete(self._latest(self._sweep()))

    def alone_s(self) -> float:
        """Returns the seconds of the latest commit in ten seconds of nothing but load."""
        return self._loop.run_until_complete(self._latest(asyncio.sleep(_QUIET_S, 100_000)))

    async def _sweep(self) -> int:
        files, clock = LocalFiles(), SystemClock()
        quota = LogQuota(
            files=files,
            logs=self._folders.logs,
            clock=clock,
            executions=self._storage.executions,
            written=lambda: 0,
            most_bytes=0,
        )
        return await Retention(
            storage=self._storage,
            files=files,
            folders=self._folders,
            clock=clock,
            rules=RetentionRules(executions=self._keep, age=timedelta(days=3_650)),
            in_force=tuple,
            own=dict,
            quota=quota,
        ).sweep()

    async def _latest(self, meanwhile: Awaitable[int]) -> float:
        load = Load(self._storage)
        loading = asyncio.create_task(load.run())
        removed = await meanwhile
        loading.cancel()
        assert removed >= 100_000, removed
        return load.longest_s
