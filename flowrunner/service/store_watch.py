"""Looks after the store between writes: is there room, and does a degraded one work again?

A store that failed is probed with growing pauses, so that the mode ends without a person as soon
as the disk is back. Below a floor of free space no execution is taken: what runs needs the rest
to journal its end. That a write works is known by the store itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.quantities import render_size
from flowrunner.model.states import Reason
from flowrunner.service.views import HealthCheck
from flowrunner.storage.protocols import Storage

LOOK_S = 5.0
"""Seconds between two looks at the free space."""

FIRST_PROBE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""Seconds from one probe of a degraded store to the next: they double from the first to this."""

AMPLE = 1.5
"""So many floors of free space are enough; with less, others are asked to make room."""

_log = logging.getLogger(__name__)


class StoreWatch:
    """Watches one store.

    Args:
        storage: Probed while it is degraded.
        free_bytes: Returns the room left for the state; blocks, may raise `OSError`.
        floor: Bytes below which no execution is taken; 0 for no floor.

    Attributes:
        on_low: Learns, at each look, how many bytes are missing to `AMPLE` floors.
    """

    def __init__(self, storage: Storage, free_bytes: Callable[[], int], floor: int) -> None:
        self._storage = storage
        self._free_bytes = free_bytes
        self._floor = floor
        self.on_low: Callable[[int], None] = lambda _: None
        self._lacking: int | None = None
        self._pause_s = FIRST_PROBE_S

    async def run(self) -> None:
        """Looks again and again until it is cancelled."""
        while True:
            pause_s = await self.look()
            await asyncio.sleep(pause_s)

    async def look(self) -> float:
        """Looks once, and returns after how many seconds to look again."""
        if self._floor:
            await self._look_at_room()
        if self._storage.health.state.is_healthy:
            self._pause_s = FIRST_PROBE_S
            return LOOK_S
        return await self._probe()

    def refuse_without_room(self) -> None:
        """Raises `RefusedError` (``disk``) while the disk has less room than the floor."""
        if self._lacking is not None:
            raise RefusedError(self._shortage(), code=str(Reason.DISK))

    def room(self) -> HealthCheck:
        """Returns the check `disk` of `/readyz`."""
        if self._lacking is None:
            return HealthCheck(name="disk", status="ok")
        return HealthCheck(name="disk", status="failed", message=self._shortage())

    def is_well(self) -> bool:
        """Whether the store works and has room; safe from any thread."""
        return self._lacking is None and self._storage.health.state.is_healthy

    def note(self) -> str:
        """Returns what is wrong, in a few words; empty for nothing."""
        state = self._storage.health.state
        if not state.is_healthy:
            return f"store {state}"
        return "disk below storage.min_free" if self._lacking is not None else ""

    async def _probe(self) -> float:
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        try:
            await self._storage.check()
        except StorageError:
            return pause_s  # the store has told its health why
        return LOOK_S

    async def _look_at_room(self) -> None:
        try:
            free = await asyncio.to_thread(self._free_bytes)
        except OSError as error:
            _log.warning("disk.unknown: %s", error)
            return
        ample = int(AMPLE * self._floor)
        if free < ample:
            self.on_low(ample - free)
        before, self._lacking = self._lacking, free if free < self._floor else None
        if before is None and self._lacking is not None:
            _log.error("disk.low: %s", self._shortage())
        elif before is not None and self._lacking is None:
            _log.info("disk.has_room free=%d", free)

    def _shortage(self) -> str:
        free = self._lacking or 0
        return (
            f"the disk of the state has {free:,} bytes left, less than storage.min_free "
            f"({render_size(self._floor)}): no execution is taken"
        )
