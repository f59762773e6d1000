"""Which channels lack a secret, found before anything has to be sent over them.

Secrets are read when something is sent, so that they can be changed at any time. Without this look
a slip in a name would be seen when a failure is to be told, by nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

from flowrunner.secrets.lookup import Secrets
from flowrunner.system.threads import InThread

_LOG = logging.getLogger(__name__)

PERIOD_S = 60.0
"""Between two looks."""


class Wanted(NamedTuple):
    """The secrets that a channel needs, by their names, and whose they are."""

    account: str
    names: tuple[str, ...]


class HearsOfLacks(Protocol):
    """Told what each look has found."""

    def lack(self, found: Mapping[str, tuple[str, ...]]) -> None:
        """Learns which channels lack which secrets now."""


class ChannelSecrets:
    """Looks now and then, and at once when the settings have changed.

    Args:
        secrets: Where they are looked up.
        health: Told of each look.
        in_thread: Reads them, which are files.
        wanted: What each channel needs, by its label.
    """

    def __init__(
        self,
        secrets: Secrets,
        health: HearsOfLacks,
        in_thread: InThread,
        wanted: Mapping[str, Wanted],
    ) -> None:
        self._secrets = secrets
        self._health = health
        self._in_thread = in_thread
        self._wanted = wanted
        self._told: Mapping[str, tuple[str, ...]] = {}
        self._changed = asyncio.Event()

    def follow(self, wanted: Mapping[str, Wanted]) -> None:
        """Learns which channels there are now."""
        self._wanted = wanted
        self._changed.set()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            self._changed.clear()
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_S):
                    await self._changed.wait()

    async def _look(self) -> None:
        wanted = self._wanted
        found = await self._in_thread(lambda: self._lacking(wanted))
        for label in found:
            if self._told.get(label) != found[label]:
                text = "notify.secret_missing channel=%s secret=%s"
                _LOG.warning(text, label, ",".join(found[label]))
        self._told = found
        self._health.lack(found)

    def _lacking(self, wanted: Mapping[str, Wanted]) -> Mapping[str, tuple[str, ...]]:
        """Blocks."""
        found = {}
        for label, (account, names) in wanted.items():
            gone = tuple(it for it in names if self._secrets.lookup(account, it) is None)
            if gone:
                found[label] = gone
        return found
