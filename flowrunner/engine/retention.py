"""What is kept of the past: removes old executions with their logs, unused definitions, leftovers.

Everything is removed in small pieces with a rest after each, between the writes of what runs, so
that none of those waits. An execution goes before its logs: what a crash leaves of them goes by
age. Which executions may go is decided by the store; the newest ended one of a flow never does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from flowrunner.engine.runtime import EngineFolders, log_folder
from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import Digest, ExecutionId, FlowKey
from flowrunner.model.states import ExecutionState
from flowrunner.storage.protocols import (
    DefinitionStore,
    ExecutionQuery,
    ExecutionStore,
    Expiry,
)
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files

AFTER_START_S = 120.0
EVERY_S = 600.0
"""Seconds from the start to the first sweep, and from one sweep to the next."""

FEWEST, MOST = 5, 40
"""Executions removed in one write: as many as the disk removes in about `TARGET_S`."""

TARGET_S = 0.01
"""Seconds that one write should take: what a commit of somebody else waits for, as a rule."""

PAUSE_S = 0.01
"""Least rest after each write; after a longer one, as long as it took."""

_KEYS = 200

KEYS_KEPT = timedelta(days=2)
"""How long the start key of a removed execution stays taken: twice the longest `dedupe.window`."""

_PAGE = 1_000
_UNFINISHED = (ExecutionState.QUEUED, ExecutionState.RUNNING)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """How much is kept of each flow.

    Attributes:
        executions: So many, the newest.
        age: None that was created longer ago than this, and no logs from before.
    """

    executions: int
    age: timedelta


class Pace:
    """How much to remove at once: learnt from how long the last write took.

    Where a row lies decides what its removal costs: a page each on a large history, next to
    nothing on a small one.
    """

    def __init__(self) -> None:
        self.size = FEWEST
        self.rest_s = PAUSE_S

    def learn(self, took_s: float) -> None:
        """Takes note of the seconds of a write of `size` executions."""
        if took_s > TARGET_S:
            self.size = max(self.size // 2, FEWEST)
        elif took_s < TARGET_S / 2:
            self.size = min(self.size * 2, MOST)
        self.rest_s = max(took_s, PAUSE_S)


class Retention:
    """Sweeps again and again.

    Args:
        in_force: Digests of the definitions that may start now; they are never removed.
    """

    def __init__(
        self,
        *,
        executions: ExecutionStore,
        definitions: DefinitionStore,
        files: Files,
        folders: EngineFolders,
        clock: Clock,
        rules: RetentionRules,
        in_force: Callable[[], Collection[Digest]],
    ) -> None:
        self._executions = executions
        self._definitions = definitions
        self._files = files
        self._folders = folders
        self._clock = clock
        self._rules = rules
        self._in_force = in_force
        self._pace = Pace()
        self._unused: frozenset[Digest] = frozenset()

    async def run(self) -> None:
        """Goes on until it is cancelled; a sweep that fails is logged and made again later."""
        pause_s = AFTER_START_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = EVERY_S
            try:
                await self.sweep()
            except (StorageError, OSError) as error:
                _log.error("retention.failed: %s", error)

    async def sweep(self) -> int:
        """Removes all that need not be kept, and returns how many executions went.

        Raises:
            StorageError: The store does not answer; what was removed stays removed.
            OSError: A folder cannot be listed.
        """
        now, removed = self._clock.now(), 0
        for flow in await self._executions.flows():
            removed += await self._sweep_flow(flow, now - self._rules.age)
        freed = _KEYS
        while freed == _KEYS:
            freed = await self._executions.forget_keys(now - KEYS_KEPT, limit=_KEYS)
            await asyncio.sleep(PAUSE_S)
        await self._sweep_definitions()
        await self._sweep_files(now)
        if removed:
            _log.info("retention.removed executions=%d", removed)
        return removed

    async def _sweep_flow(self, flow: FlowKey, before: datetime) -> int:
        """Removes what has expired; a flow that grows as fast does not hold up the others."""
        removed, is_more = 0, True
        while is_more:
            size, keep = self._pace.size, self._rules.executions
            rule = Expiry(flow=flow, keep=keep, before=before, limit=size)
            expired = await self._executions.expired(rule)
            if expired:
                await self._forget(expired)
                removed += len(expired)
            is_more = len(expired) == size
        return removed

    async def _forget(self, expired: Sequence[Execution]) -> None:
        began = self._clock.monotonic()
        await self._executions.prune([execution.id for execution in expired])
        self._pace.learn(self._clock.monotonic() - began)
        await asyncio.to_thread(self._remove_logs, expired)
        await asyncio.sleep(self._pace.rest_s)

    def _remove_logs(self, executions: Iterable[Execution]) -> None:
        for execution in executions:
            self._remove(log_folder(self._folders.logs, execution))

    async def _sweep_definitions(self) -> None:
        """Removes definitions that two sweeps in a row found unused.

        A start puts its definition before its execution; by the second sweep it is there.
        """
        known = set(await self._definitions.list())
        used = await self._executions.digests()
        unused = frozenset(known - used - set(self._in_force()))
        for digest in sorted(unused & self._unused):
            await self._definitions.delete(digest)
        self._unused = unused - self._unused

    async def _sweep_files(self, now: datetime) -> None:
        """Removes logs by age, and work folders of executions that have ended."""
        days = await asyncio.to_thread(self._names, "logs")
        leftovers = await asyncio.to_thread(self._names, "work")
        unfinished = await self._unfinished()
        oldest = (now - self._rules.age).date()
        for day in days:
            at = _date_of(day)
            if at is not None and at < oldest:
                await asyncio.to_thread(self._remove_day, day, unfinished)
        for name in leftovers:
            if name not in unfinished:
                await asyncio.to_thread(self._remove, self._folders.work / name)

    async def _unfinished(self) -> frozenset[str]:
        found: set[str] = set()
        before: ExecutionId | None = None
        while True:
            query = ExecutionQuery(states=_UNFINISHED, before=before, limit=_PAGE)
            page = await self._executions.list(query)
            found.update(execution.id for execution in page)
            if len(page) < _PAGE:
                return frozenset(found)
            before = page[-1].id

    def _remove_day(self, day: str, unfinished: frozenset[str]) -> None:
        folder = self._folders.logs / day
        names = self._files.names(folder)
        for name in names:
            if name not in unfinished:
                self._remove(folder / name)
        if unfinished.isdisjoint(names):
            self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """Removes a folder; one that resists holds up nothing, and is tried again next time.

        A flow may have left files in it that another user owns.
        """
        try:
            self._files.remove_tree(folder)
        except OSError as error:
            _log.warning("retention.left folder=%s: %s", folder, error)

    def _names(self, kind: str) -> list[str]:
        folder = self._folders.logs if kind == "logs" else self._folders.work
        try:
            return self._files.names(folder)
        except FileNotFoundError:
            return []


def _date_of(day: str) -> date | None:
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None
