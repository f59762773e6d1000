"""Work that marks stand for: each open one is carried in a task of its own, also after a restart.

The marks of an earlier life are read once the flows are in force. What a mark asks for, and when
it goes, is the business of who carries it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from flowrunner.errors import StorageError
from flowrunner.model.mark import MarkKey, MarkKind
from flowrunner.storage.mark_store import MarkStore

_LOG = logging.getLogger(__name__)

AGAIN_S = 10.0
"""Between two tries while the disk gives and takes nothing."""


class MarkWork:
    """Carries the marks of one kind.

    Args:
        marks: Where they are kept.
        kind: Which ones.
        carry: Carries one mark, with its value, until it is done with; cancelled at a stop.
    """

    def __init__(
        self,
        marks: MarkStore,
        kind: MarkKind,
        carry: Callable[[MarkKey, str], Coroutine[Any, Any, None]],
    ) -> None:
        self._marks = marks
        self._kind = kind
        self._carry = carry
        self._tasks: dict[MarkKey, asyncio.Task[None]] = {}
        self._is_open = False

    def begin(self, key: MarkKey, value: str) -> None:
        """Carries a mark that is on disk, unless that is done; `run` finds it if it comes later."""
        if not self._is_open or key in self._tasks:
            return
        task = asyncio.create_task(self._carry(key, value), name=f"{self._kind}:{key.flow}")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key))

    def end(self, key: MarkKey) -> None:
        """Lets go of a mark that is gone."""
        if (task := self._tasks.get(key)) is not None:
            task.cancel()

    async def run(self) -> None:
        """Carries marks until it is cancelled, first those that an earlier life left open.

        Called once the flows are in force.
        """
        self._is_open = True
        try:
            for key, value in (await self._left_open()).items():
                self.begin(key, value)
            await asyncio.Event().wait()
        finally:
            self._is_open = False
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())

    async def _left_open(self) -> dict[MarkKey, str]:
        while True:
            try:
                return await self._marks.list(self._kind)
            except StorageError as error:
                _LOG.error(
                    "marks.not_read kind=%s code=%s: %s", self._kind, error.code, error.message
                )
            await asyncio.sleep(AGAIN_S)
