"""What is kept of the past: removes old executions with their logs, unused definitions, leftovers.

Everything is removed in small pieces with a rest after each, between the writes of what runs, so
that none of those waits. An execution goes before its logs: what a crash leaves of them goes by
age. Which executions may go is decided by the store; the newest ended one of a flow never does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.engine.log_quota import SPARED, LogQuota, day_names, day_of
from flowrunner.engine.runtime import EngineFolders, log_folder
from flowrunner.errors import StorageError
from flowrunner.model.delivery_record import MOST_PROVEN
from flowrunner.model.execution import Execution
from flowrunner.model.flow import RetentionSpec
from flowrunner.model.ids import Digest, FlowKey
from flowrunner.storage.protocols import Expiry, Storage
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
"""Start keys, rows of the slot ledger, events of flows or deliveries in one write."""

RELIEF_EVERY_S = 60.0
"""Seconds from one removal of logs for want of room to the next, at least."""

KEYS_KEPT = timedelta(days=2)
"""How long the start key of a removed execution stays taken: twice the longest `dedupe.window`."""

_log = logging.getLogger(__name__)


class _Prunes(Protocol):
    async def __call__(self, before: datetime, *, limit: int) -> int:
        """Removes rows from before a moment, at most so many, and returns how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRules:
    """How much is kept of each flow that does not say it itself.

    Attributes:
        executions: So many, the newest.
        age: None that was created longer ago than this, and no logs from before.
    """

    executions: int
    age: timedelta

    def of(self, own: RetentionSpec | None) -> RetentionRules:
        """Returns the rules of a flow; None when nothing of it is in force."""
        if own is None:
            return self
        return RetentionRules(
            executions=own.executions or self.executions,
            age=self.age if own.age_s is None else timedelta(seconds=own.age_s),
        )


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
        own: Returns what flows in force say about how much is kept of them.
        quota: Bounds the bytes of all logs, and removes them.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        files: Files,
        folders: EngineFolders,
        clock: Clock,
        rules: RetentionRules,
        in_force: Callable[[], Collection[Digest]],
        own: Callable[[], Mapping[FlowKey, RetentionSpec]],
        quota: LogQuota,
    ) -> None:
        self._slots = storage.slots
        self._events = storage.events
        self._deliveries = storage.deliveries
        self._own = own
        self._quota = quota
        self._wanted = 0
        self._low = asyncio.Event()
        self._executions = storage.executions
        self._definitions = storage.definitions
        self._files = files
        self._folders = folders
        self._clock = clock
        self._rules = rules
        self._in_force = in_force
        self._pace = Pace()
        self._unused: frozenset[Digest] = frozenset()
        self._looked_at = 0

    async def run(self) -> None:
        """Goes on until it is cancelled; a sweep that fails is logged and made again later."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_often(), name="retention sweeps")
            group.create_task(self._relieve_often(), name="retention relief")

    def follow(self, rules: RetentionRules, log_bytes: int) -> None:
        """Keeps as much as these rules say from the next sweep on.

        Args:
            rules: For flows that do not say it themselves.
            log_bytes: Most bytes of all logs; 0 for no bound.
        """
        self._rules = rules
        self._quota.most_bytes = log_bytes

    def disk_low(self, missing: int) -> None:
        """Asks for room on the disk, in bytes: logs go, the oldest first, none of the last day."""
        self._wanted = missing
        self._low.set()

    def logs_are_gone(self, execution: Execution) -> bool:
        """Whether what an ended execution may have printed was removed before itself. Blocks.

        Raises:
            OSError: The folder of the logs does not answer.
        """
        if self._files.stat(log_folder(self._folders.logs, execution)) is not None:
            return False
        age = self._rules.of(self._own().get(execution.flow)).age
        return execution.created_at < self._clock.now() - age or self._quota.is_gone(execution)

    async def _sweep_often(self) -> None:
        pause_s = AFTER_START_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = EVERY_S
            try:
                await self.sweep()
            except (StorageError, OSError) as error:
                _log.error("retention.failed: %s", error)

    async def _relieve_often(self) -> None:
        while True:
            await self._low.wait()
            self._low.clear()
            try:
                await self._quota.make_room(self._wanted, before=self._clock.now() - SPARED)
            except (StorageError, OSError) as error:
                _log.error("retention.failed: %s", error)
            await asyncio.sleep(RELIEF_EVERY_S)

    async def sweep(self) -> int:
        """Removes all that need not be kept, and returns how many executions went.

        Raises:
            StorageError: The store does not answer; what was removed stays removed.
            OSError: A folder cannot be listed.
        """
        now, own, removed = self._clock.now(), dict(self._own()), 0
        for flow in await self._executions.flows():
            removed += await self._sweep_flow(flow, self._rules.of(own.get(flow)), now)
        oldest = now - max([self._rules.age, *(self._rules.of(each).age for each in own.values())])
        await self._sweep_rows(self._executions.forget_keys, now - KEYS_KEPT)
        await self._sweep_rows(self._slots.prune, oldest)
        await self._sweep_rows(self._events.prune, oldest)
        await self._sweep_deliveries(oldest)
        await self._sweep_definitions()
        await self._sweep_files(oldest)
        await self._sweep_newest(own, now)
        await self._quota.sweep()
        if removed:
            _log.info("retention.removed executions=%d", removed)
        return removed

    async def _sweep_rows(self, prune: _Prunes, before: datetime) -> None:
        freed = _KEYS
        while freed == _KEYS:
            freed = await prune(before, limit=_KEYS)
            await asyncio.sleep(PAUSE_S)

    async def _sweep_deliveries(self, oldest: datetime) -> None:
        """Removes old deliveries, and of each flow those beyond the newest so many."""
        await self._sweep_rows(self._deliveries.prune, oldest)
        for flow in await self._deliveries.flows():
            gone = _KEYS
            while gone == _KEYS:
                gone = await self._deliveries.trim(flow, keep=MOST_PROVEN, limit=_KEYS)
                if gone:
                    await asyncio.sleep(PAUSE_S)

    async def _sweep_flow(self, flow: FlowKey, rules: RetentionRules, now: datetime) -> int:
        """Removes what has expired; a flow that grows as fast does not hold up the others."""
        removed, is_more = 0, True
        while is_more:
            size, keep = self._pace.size, rules.executions
            rule = Expiry(flow=flow, keep=keep, before=now - rules.age, limit=size)
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
            self._quota.remove(log_folder(self._folders.logs, execution))

    async def _sweep_definitions(self) -> None:
        """Removes definitions that two sweeps in a row found unused, and nobody put in between.

        A start puts its definition before its execution, which is there by the second sweep, or
        whose definition has been put since the first. What is in force is asked for once more in
        the turn of the loop that removes: a start after it puts the definition again.
        """
        before, self._looked_at = self._looked_at, self._definitions.mark()
        known = set(await self._definitions.list())
        used = await self._executions.digests()
        unused = frozenset(known - used - set(self._in_force()))
        for digest in sorted(unused & self._unused):
            if digest not in self._in_force():
                await self._definitions.delete(digest, unless_put_since=before)
        self._unused = unused - self._unused

    async def _sweep_newest(self, own: Mapping[FlowKey, RetentionSpec], now: datetime) -> None:
        """Removes the old logs of executions that are kept only as the newest of their flow."""
        newest = await self._executions.last_of_each()
        old = [
            execution
            for flow, execution in newest.items()
            if execution.created_at < now - self._rules.of(own.get(flow)).age
        ]
        for start in range(0, len(old), MOST):
            await asyncio.to_thread(self._remove_logs, old[start : start + MOST])

    async def _sweep_files(self, oldest: datetime) -> None:
        """Removes logs from before a day, and work folders of executions that have ended."""
        days = await asyncio.to_thread(day_names, self._files, self._folders.logs)
        leftovers = await asyncio.to_thread(self._work_folders)
        unfinished = await self._quota.unfinished()
        for day in days:
            at = day_of(day)
            if at is not None and at < oldest.date():
                await asyncio.to_thread(self._remove_day, day, unfinished)
        for name in leftovers:
            if name not in unfinished:
                await asyncio.to_thread(self._remove, self._folders.work / name)

    def _remove_day(self, day: str, unfinished: frozenset[str]) -> None:
        folder = self._folders.logs / day
        names = self._files.names(folder)
        for name in names:
            if name not in unfinished:
                self._quota.remove(folder / name)
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

    def _work_folders(self) -> list[str]:
        try:
            return self._files.names(self._folders.work)
        except FileNotFoundError:
            return []
