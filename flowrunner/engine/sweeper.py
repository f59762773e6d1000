"""Removes the work folders of executions that have ended, those that wait together in one go.

Each on its own was a way to a thread and back, and several threads at it at a time took the
processor from the executions that go on.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from flowrunner.model.ids import ExecutionId
from flowrunner.system.files import Files

_LOG = logging.getLogger(__name__)
_MOST_AT_ONCE = 100
"""Folders of one go, after which the loop hears of it."""


class Sweeper:
    """Knows which folders are to go; `work` holds one for each execution."""

    def __init__(self, files: Files, work: Path) -> None:
        self._files = files
        self._work = work
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
                some = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                await asyncio.to_thread(self._remove, some)
        finally:
            self._is_at_work = False

    def _remove(self, some: list[ExecutionId]) -> None:
        for execution_id in some:
            try:
                self._files.remove_tree(self._work / execution_id)
            except OSError as error:
                _LOG.warning("execution.work_left id=%s: %s", execution_id, error)
