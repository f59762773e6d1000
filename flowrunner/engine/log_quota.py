"""Bounds what all logs take on disk together: those of the oldest executions go first.

The folders are walked once in a life of the daemon, in slices, and once a day to mend what the
sum has missed; between, it is what was found and what was written, less what was removed. How far
removal has come is one mark for all, on disk before the first file goes: so whoever asks for a log
learns that it went, and a million of them cost no more than one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from flowrunner.storage.protocols import ExecutionQuery, ExecutionStore
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files

SLICE = 200
"""Executions whose folders are looked at, or removed, in one go of a thread."""

PAUSE_S = 0.01
"""Rest after each slice."""

MEND_AFTER = timedelta(days=1)
"""After so long the folders are walked again."""

SPARED = timedelta(days=1)
"""Logs of executions younger than this are not removed only because the disk runs low."""

MARK = "removed-up-to"
"""Name of the file, beside the folders of the days, with the id up to which logs went."""

_PAGE = 1_000
_UNFINISHED = (ExecutionState.QUEUED, ExecutionState.RUNNING)
_MARK_BYTES = 100
_log = logging.getLogger(__name__)


class LogQuota:
    """Knows what the logs take, and removes the oldest.

    Args:
        logs: The folder with a folder for each day.
        executions: Tells which wait or run; their logs stay.
        written: Returns how many bytes of logs were written in this life of the daemon.
        most_bytes: Beyond it the oldest go; 0 for no bound.
    """

    def __init__(
        self,
        *,
        files: Files,
        logs: Path,
        clock: Clock,
        executions: ExecutionStore,
        written: Callable[[], int],
        most_bytes: int,
    ) -> None:
        self._files = files
        self._logs = logs
        self._clock = clock
        self._executions = executions
        self._written = written
        self.most_bytes = most_bytes
        self._found = 0
        self._written_before = 0
        self._walked_at: datetime | None = None

    @property
    def total(self) -> int:
        """Bytes of all logs, as far as they are known."""
        return max(self._found + self._written() - self._written_before, 0)

    async def sweep(self) -> int:
        """Removes logs until all take no more than they may, and returns the bytes that went.

        Raises:
            OSError: A folder cannot be listed, or the mark not be written.
        """
        if not self.most_bytes:
            return 0
        now = self._clock.now()
        if self._walked_at is None or now - self._walked_at >= MEND_AFTER:
            await self._walk()
            self._walked_at = now
        return await self.make_room(self.total - self.most_bytes, before=now + SPARED)

    async def make_room(self, wanted: int, *, before: datetime) -> int:
        """Removes the oldest logs until so many bytes are free, and returns how many are.

        Args:
            wanted: Bytes; nothing is removed for 0 or less.
            before: The logs of executions of this day and of later ones stay.

        Raises:
            OSError: As `sweep`.
        """
        freed = 0
        days = await asyncio.to_thread(self._days) if wanted > 0 else []
        for day in days:
            if freed >= wanted or day >= f"{before:%Y-%m-%d}":
                break
            names = sorted(await asyncio.to_thread(self._files.names, self._logs / day))
            # After the names: who is not in it has ended, or begins anew with another name.
            unfinished = await self.unfinished()
            freed += await self._make_room_in(
                day, [n for n in names if n not in unfinished], wanted - freed
            )
        if freed:
            _log.info("retention.logs_removed bytes=%d", freed)
        return freed

    async def _make_room_in(self, day: str, ended: list[str], wanted: int) -> int:
        freed = 0
        for start in range(0, len(ended), SLICE):
            if freed >= wanted:
                break
            part = ended[start : start + SLICE]
            freed += await asyncio.to_thread(self._remove_oldest, day, part, wanted - freed)
            await asyncio.sleep(PAUSE_S)
        return freed

    async def unfinished(self) -> frozenset[str]:
        """Returns the ids of the executions that wait or run."""
        found: set[str] = set()
        before: ExecutionId | None = None
        while True:
            query = ExecutionQuery(states=_UNFINISHED, before=before, limit=_PAGE)
            page = await self._executions.list(query)
            found.update(execution.id for execution in page)
            if len(page) < _PAGE:
                return frozenset(found)
            before = page[-1].id

    def remove(self, folder: Path) -> int:
        """Removes the folder of an execution's logs, or of a whole day's that has few; blocks.

        One that resists is left, holds up nothing, and is tried again next time: another user may
        own files in it. Returns its bytes, 0 when it stays.
        """
        try:
            size = self._size(folder)
            self._files.remove_tree(folder)
        except OSError as error:
            _log.warning("retention.left folder=%s: %s", folder, error)
            return 0
        self._found -= size
        return size

    def is_gone(self, execution: Execution) -> bool:
        """Whether the logs of an ended execution, which has none, went to make room. Blocks.

        One that printed nothing counts as removed with its neighbours.
        """
        return execution.id <= self._mark()

    def _remove_oldest(self, day: str, names: list[str], wanted: int) -> int:
        """Removes folders, oldest first, until enough is free; the mark goes ahead of them."""
        chosen, size = list[str](), 0
        for name in names:
            if size >= wanted:
                break
            chosen.append(name)
            size += self._size(self._logs / day / name)
        if chosen[-1] > self._mark():
            self._files.replace_durably(self._logs / MARK, chosen[-1].encode())
        return sum(self.remove(self._logs / day / name) for name in chosen)

    def _mark(self) -> str:
        try:
            return self._files.read(self._logs / MARK, limit=_MARK_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return ""

    async def _walk(self) -> None:
        before, found = self._written(), 0
        for day in await asyncio.to_thread(self._days):
            names = await asyncio.to_thread(self._files.names, self._logs / day)
            for start in range(0, len(names), SLICE):
                part = names[start : start + SLICE]
                found += await asyncio.to_thread(self._sizes, day, part)
                await asyncio.sleep(PAUSE_S)
        self._found, self._written_before = found, before

    def _sizes(self, day: str, names: list[str]) -> int:
        return sum(self._size(self._logs / day / name) for name in names)

    def _size(self, folder: Path) -> int:
        """Returns the bytes of the files in a folder; 0 for one that is not there."""
        try:
            names = self._files.names(folder)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        stats = (self._files.stat(folder / name) for name in names)
        return sum(stat.size for stat in stats if stat is not None)

    def _days(self) -> list[str]:
        return sorted(day for day in day_names(self._files, self._logs))


def day_names(files: Files, logs: Path) -> list[str]:
    """Returns the names of the folders of days; blocks, raises `OSError`."""
    try:
        return [name for name in files.names(logs) if day_of(name) is not None]
    except FileNotFoundError:
        return []


def day_of(name: str) -> date | None:
    """Returns the day that a folder is named after; None for another name."""
    try:
        return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
