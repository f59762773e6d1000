"""Backups by the clock: one when the newest is older than the period, whatever was down between."""

from __future__ import annotations

import asyncio
import logging

from flowrunner.errors import StorageError
from flowrunner.storage.protocols import Storage
from flowrunner.system.clock import Clock

AFTER_START_S = 60.0
"""Seconds from the start to the first look: a start has other things to do."""

AGAIN_S = 3_600.0
"""Longest pause: a failed backup is tried again, a clock that jumped is noticed."""

_log = logging.getLogger(__name__)


class BackupDuty:
    """Makes a backup of the state every so many seconds; 0 for never."""

    def __init__(self, storage: Storage, clock: Clock, every_s: float) -> None:
        self._storage = storage
        self._clock = clock
        self._every_s = every_s

    async def run(self) -> None:
        """Goes on until it is cancelled; a failure is logged and tried again within the hour."""
        pause_s = AFTER_START_S
        while self._every_s:
            await asyncio.sleep(pause_s)
            pause_s = await self.look()

    async def look(self) -> float:
        """Makes a backup if one is due, and returns after how many seconds to look again."""
        try:
            due_in_s = await self._due_in_s()
            if due_in_s > 0:
                return min(due_in_s, AGAIN_S)
            path = await self._storage.backup()
        except StorageError as error:
            _log.error("backup.failed code=%s: %s", error.code, error.message)
            return AGAIN_S
        _log.info("backup.made path=%s", path)
        return min(self._every_s, AGAIN_S)

    async def _due_in_s(self) -> float:
        newest = await self._storage.last_backup()
        if newest is None:
            return 0.0
        return self._every_s - (self._clock.now() - newest).total_seconds()
