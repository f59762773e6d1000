"""Removes the work folders of executions that have ended, those that wait together in one go.

Each on its own was a way to a thread and back, and several threads at it at a time took the
processor from the executions that go on. While all places to start in are taken, removing waits,
too: it takes the disk and the interpreter from those who start, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from flowrunner.model.ids import ExecutionId
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files

_LOG = logging.getLogger(__name__)
_MOST_AT_ONCE = 100
"""Folders of one go, after which the loop hears of it."""

LONGEST_S = 3.0
"""Seconds that a folder waits at most, however many executions wait to start."""

_LOOK_S = 0.1


class Sweeper:
    """Knows which folders are to go.

    Args:
        files: Removes them.
        work: Holds one for each execution.
        clock: Tells how long they have waited.
        is_crowded: Whether all places to start in are taken: then the removal may wait.
    """

    def __init__(
        self,
        files: Files,
        work: Path,
        clock: Clock,
        is_crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._files = files
        self._work = work
        self._clock = clock
        self._is_crowded = is_crowded
        self._waiting: list[ExecutionId] = []
        self._is_at_work = False

    async def remove(self, execution_id: ExecutionId) -> None:
        """Removes a folder, and all that come meanwhile; returns at once when that is under way.

        What cannot be removed is logged and left.
        """
        self._waiting.append(execution_id)
        if self._is_at_work:
            return
        self._is_at_work = True
        try:
            while self._waiting:
                await self._lull()
                due, self._waiting = self._waiting, []
                for start in range(0, len(due), _MOST_AT_ONCE):
                    some = due[start : start + _MOST_AT_ONCE]
                    await asyncio.to_thread(self._remove, some)
        finally:
            self._is_at_work = False

    async def _lull(self) -> None:
        """Returns when a place is free, or the first folder has waited long enough."""
        until = self._clock.monotonic() + LONGEST_S
        while self._is_crowded() and self._clock.monotonic() < until:  # noqa: ASYNC110 - a line that empties tells nobody
            await asyncio.sleep(_LOOK_S)

    def _remove(self, some: list[ExecutionId]) -> None:
        for execution_id in some:
            try:
                self._files.remove_tree(self._work / execution_id)
            except OSError as error:
                _LOG.warning("execution.work_left id=%s: %s", execution_id, error)
