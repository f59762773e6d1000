"""When the next pass comes, and what it need not look at: hints debounced, requests, the resync.

A hint that names what has changed allows a pass that looks at nothing else; such a pass does not
put off the next look at everything, however many hints there are.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.system.watcher import Changed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerTimes:
    """Seconds: between passes, after the last hint, and at most after the first."""

    resync_s: float
    debounce_s: float
    debounce_limit_s: float


class Wake(NamedTuple):
    """Why a pass is due.

    Attributes:
        trigger: As in `PassResult`.
        changed: The names that may have changed since the pass before.
    """

    trigger: str
    changed: Changed = None


class Wakes:
    """Gathers hints and requests in the loop; one waits for the next wake."""

    def __init__(self, times: ReconcilerTimes) -> None:
        self._times = times
        self._has_come = asyncio.Event()
        self._asked = ""
        self._changed: Changed = frozenset()
        self._resync_at: float | None = None
        """When everything is looked at, loop time; None: not before a whole `resync_s`."""

    def ask(self, trigger: str) -> None:
        """Asks for a look at everything, without debouncing; until it is due others join it."""
        self._asked = trigger
        self._has_come.set()

    def hint(self, changed: Changed = None) -> None:
        """Learns which names may have changed."""
        known = self._changed
        self._changed = None if known is None or changed is None else known | changed
        self._has_come.set()

    async def next(self) -> Wake:
        """Waits for what is due next; what is hinted at later is for the wake after it."""
        loop = asyncio.get_running_loop()
        if self._resync_at is None:
            self._resync_at = loop.time() + self._times.resync_s
        try:
            async with asyncio.timeout_at(self._resync_at):
                await self._has_come.wait()
        except TimeoutError:
            return self._taken(Wake("resync"))
        await self._settle()
        if self._asked or self._changed is None:
            return self._taken(Wake(self._asked or "watch"))
        if loop.time() >= self._resync_at:
            return self._taken(Wake("resync"))
        return self._taken(Wake("watch", self._changed))

    def _taken(self, wake: Wake) -> Wake:
        """Forgets what led to a wake."""
        self._has_come.clear()
        self._asked, self._changed = "", frozenset()
        if wake.changed is None:
            self._resync_at = None
        return wake

    async def _settle(self) -> None:
        """Waits until no hint came for a while, but not for ever, nor when a pass is asked for."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._times.debounce_limit_s
        while True:
            self._has_come.clear()
            if self._asked:
                return
            try:
                async with asyncio.timeout_at(min(loop.time() + self._times.debounce_s, limit)):
                    await self._has_come.wait()
            except TimeoutError:
                return
