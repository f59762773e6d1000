"""The life of a pulled repository: asked again and again, and when somebody says so.

A poll comes every interval, give or take a tenth, so that many hosts do not ask at once; after
failures ever more rarely. Git runs in threads and ends with the daemon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.upstream.conditions import pinned_conditions, synced_conditions
from flowrunner.reconcile.upstream.syncer import Syncer
from flowrunner.reconcile.upstream.values import (
    Commit,
    Pin,
    Published,
    SyncOutcome,
    SyncResult,
)
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)
LONGEST_WAIT_S = 600.0
"""Seconds between two polls while they fail, at most, unless the interval is longer."""

LEAST_APART_S = 5.0
"""Seconds from the beginning of one sync to the next, whatever hints come."""

_JITTER = 0.1


class SyncObserver(Protocol):
    """Told of each sync after it ended; must be quick and must not fail."""

    def synced(self, result: str, reached_at: datetime | None) -> None:
        """Learns how a sync ended, and when one last found nothing wrong."""


class Stoppable(Protocol):
    """What runs git."""

    def stop(self) -> None:
        """Ends what runs."""

    def close(self) -> None:
        """Gives back what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamStatus:
    """What is known of the repository.

    Attributes:
        commit: The one in place, None before the first sync.
        last_sync: None before the first in this life of the daemon.
        reached_at: When a sync last found nothing wrong.
    """

    url: str
    ref: str | None
    path: str | None
    commit: Commit | None
    pin: Pin | None
    last_sync: SyncResult | None
    reached_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRules:
    """What the settings say of the repository and its polls."""

    url: str
    ref: str | None
    path: str | None
    interval_s: float
    is_verifying: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLinks:
    """What is asked of others.

    Attributes:
        reconcile: Runs a pass for a trigger.
        needed: Returns the revisions whose files must stay.
        tidied: Called in a thread after other revisions are gone.
        coming: Gets ready for a revision that a pass is to put in force.
    """

    reconcile: Callable[[str], Awaitable[object]]
    needed: Callable[[], Awaitable[set[Revision]]]
    tidied: Callable[[], None]
    coming: Callable[[Revision, Mapping[FlowKey, FlowEntry]], Awaitable[None]]


class GitSource:
    """Keeps the folder of flows at what a repository says; `run` is its life.

    Args:
        syncer: Does the work, in threads.
        rules: The settings.
        registry: Holds the conditions of the source.
        clock: The time.
        chance: Returns a random number from 0 to 1.
        links: What it asks of others.
        observer: Counts.
        tools: What runs git.
    """

    def __init__(
        self,
        *,
        syncer: Syncer,
        rules: UpstreamRules,
        registry: FlowRegistry,
        clock: Clock,
        chance: Callable[[], float],
        links: SourceLinks,
        observer: SyncObserver,
        tools: Stoppable,
    ) -> None:
        self._syncer = syncer
        self._rules = rules
        self._registry = registry
        self._clock = clock
        self._chance = chance
        self._links = links
        self._observer = observer
        self._tools = tools
        self._lock = asyncio.Lock()
        self._hinted = asyncio.Event()
        self._failures = 0
        self._last: SyncResult | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether a rollback holds."""
        return self._syncer.memory.pin is not None

    async def load(self) -> None:
        """Takes up what is remembered; before the first pass."""
        try:
            await asyncio.to_thread(self._syncer.load)
        except OSError as error:
            _LOG.error("source.state_failed: %s", error)
        self._show_pin()

    async def run(self) -> None:
        """Syncs at once, then until cancelled; whatever git is doing then is ended."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                self._hinted.clear()
                try:
                    await self.sync()
                except Exception:  # noqa: BLE001 - the loop that must survive: the next one may do
                    _LOG.exception("source.sync_crashed")
                    self._failures += 1
                await self._rest(began)
        finally:
            self._tools.stop()

    def close(self) -> None:
        """Gives back what it holds, after `run` has ended."""
        self._tools.close()

    def hint(self) -> None:
        """Learns that there may be something new: a sync comes soon, one for many hints."""
        self._hinted.set()

    async def sync(self) -> SyncResult:
        """Asks the repository now; what is new is in force, as far as it is valid, at the end."""
        async with self._lock:
            before = self._syncer.checkouts.current()
            result = await asyncio.to_thread(self._syncer.sync)
            self._note(result)
            if self._syncer.checkouts.current() != before:
                await self._links.reconcile("sync")
            await self._tidy()
            return result

    async def rollback(self, revision: str, *, uid: int | None, reason: str) -> Revision:
        """Pins a revision and puts it in force; raises as `Syncer.rollback`.

        Raises:
            StorageError: It cannot be kept.
        """
        async with self._lock:
            try:
                found = await asyncio.to_thread(
                    self._syncer.rollback, revision, uid=uid, reason=reason
                )
            except OSError as error:
                raise StorageError(f"the rollback cannot be kept: {error}") from error
            finally:
                self._show_pin()
            _LOG.warning("source.pinned revision=%s uid=%s %s", found, uid, reason)
            await self._links.reconcile("sync")
            return found

    async def unpin(self) -> bool:
        """Ends the pin, and asks the repository; returns whether there was a pin.

        Raises:
            StorageError: It cannot be kept.
        """
        async with self._lock:
            try:
                was_pinned = await asyncio.to_thread(self._syncer.unpin)
            except OSError as error:
                raise StorageError(f"the end of the pin cannot be kept: {error}") from error
            self._show_pin()
        if was_pinned:
            _LOG.warning("source.unpinned")
            await self.sync()
        return was_pinned

    def status(self) -> UpstreamStatus:
        """Returns what is known."""
        memory = self._syncer.memory
        revision = self._syncer.checkouts.current()
        return UpstreamStatus(
            url=self._rules.url,
            ref=self._rules.ref,
            path=self._rules.path,
            commit=None if revision is None else memory.known(revision),
            pin=memory.pin,
            last_sync=self._last,
            reached_at=memory.fetched_at,
        )

    def history(self) -> tuple[Published, ...]:
        """Returns what was put in place, the newest first."""
        return self._syncer.memory.history

    async def revision_coming(
        self, revision: Revision, entries: Mapping[FlowKey, FlowEntry]
    ) -> None:
        """Writes down where the flows of a revision are; see `FlowPlaces`."""
        await self._links.coming(revision, entries)

    def why_missing(self) -> str:
        """Returns why nothing is checked out yet."""
        if self._last is None:
            return "the repository was not fetched yet"
        return f"the repository was not fetched: {self._last.message}"

    async def _rest(self, began: float) -> None:
        """Waits until the next poll, or a hint, but at least some seconds."""
        loop = asyncio.get_running_loop()
        wait_s = self._rules.interval_s
        if self._failures:
            longest = max(LONGEST_WAIT_S, wait_s)
            wait_s = min(wait_s * 2 ** min(self._failures, 20), longest)
        wait_s *= 1 - _JITTER + 2 * _JITTER * self._chance()
        try:
            async with asyncio.timeout(wait_s):
                await self._hinted.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(began + LEAST_APART_S - loop.time(), 0))

    def _note(self, result: SyncResult) -> None:
        is_news = self._last is None or self._said(self._last) != self._said(result)
        self._last = result
        self._failures = self._failures + 1 if result.outcome is SyncOutcome.FAILED else 0
        source = self._registry.source
        conditions = synced_conditions(
            source.conditions, result, is_verifying=self._rules.is_verifying
        )
        self._registry.source = replace(source, conditions=conditions)
        self._show_pin()
        self._observer.synced(str(result.outcome), self._syncer.memory.fetched_at)
        if is_news or result.outcome is SyncOutcome.PUBLISHED:
            level = logging.INFO if result.is_good else logging.ERROR
            text = "source.%s newest=%s %s"
            _LOG.log(level, text, result.outcome, result.newest or "-", result.message)

    def _said(self, result: SyncResult) -> tuple[object, ...]:
        return (result.outcome, result.newest, result.message)

    def _show_pin(self) -> None:
        source = self._registry.source
        pin, now = self._syncer.memory.pin, self._clock.now()
        self._registry.source = replace(
            source, conditions=pinned_conditions(source.conditions, pin, now)
        )

    async def _tidy(self) -> None:
        """Removes checkouts; what is needed is asked for after the pass, before they go."""
        try:
            if await asyncio.to_thread(self._syncer.has_spare):
                needed = await self._links.needed()
                await asyncio.to_thread(self._syncer.tidy, needed)
                await asyncio.to_thread(self._links.tidied)
        except (OSError, StorageError) as error:
            _LOG.warning("source.tidy_failed: %s", error)
