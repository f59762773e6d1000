"""Whether the daemon can do its work: the checks behind `/readyz` and `/healthz`.

A bad flow file is no reason to be unready; a source that cannot be read, a pass that is stale,
a state that cannot be written and a disk without room are, and so is the stop of the daemon. A
channel that fails is told of, and is none either: flows run all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.errors import StorageError
from flowrunner.model.conditions import ConditionType
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.drain import Drain
from flowrunner.service.store_watch import StoreWatch
from flowrunner.service.views import HealthCheck
from flowrunner.storage.protocols import Storage
from flowrunner.system.clock import Clock

_STALE_RESYNCS = 5
"""Resync periods without a pass that read the source after which the last one is stale."""
_LEAST_STALE_S = 300.0
"""Shorter than this is no time to be unready for: a git may hold a lock, a mount may be slow."""

_HELD_BY = {
    "cgroup": "each attempt has a cgroup of its own",
    "descent": "attempts are told apart by descent and marks; no cgroup is delegated",
}
"""What holds the processes of an attempt together: never a fault, worth to be known."""


class Health:
    """The checks; each call does them anew."""

    def __init__(
        self,
        registry: FlowRegistry,
        storage: Storage,
        watch: StoreWatch,
        drain: Drain,
        clock: Clock,
        *,
        resync_s: float,
        stale_after_s: float = 0.0,
        families: str,
    ) -> None:
        self.channels: ChannelHealth | None = None
        """Knows which channels fail."""
        self._watch = watch
        self._drain = drain
        self._registry = registry
        self._storage = storage
        self._clock = clock
        self._limit_s = stale_after_s or max(resync_s * _STALE_RESYNCS, _LEAST_STALE_S)
        self._processes = HealthCheck(name="processes", status="ok", message=_HELD_BY[families])

    async def checks(self) -> tuple[HealthCheck, ...]:
        """Returns every check with its status and, where it failed, the reason.

        While the daemon stops there is one more, `draining`, which fails.
        """
        checks = (
            self._source(),
            self._fresh(),
            await self._store(),
            self._watch.room(),
            self._processes,
            *self._told_of_channels(),
        )
        progress = self._drain.progress()
        if progress is None:
            return checks
        return (HealthCheck(name="draining", status="failed", message=progress), *checks)

    def _told_of_channels(self) -> Iterator[HealthCheck]:
        """Yields what is known of channels, if there are any: never a fault."""
        text = "" if self.channels is None else self.channels.summary
        if text:
            yield HealthCheck(name="channels", status="ok", message=text)

    def _source(self) -> HealthCheck:
        source = self._registry.source
        if source.is_ready:
            return HealthCheck(name="source", status="ok")
        ready = next((c for c in source.conditions if c.type is ConditionType.SOURCE_READY), None)
        text = f"{ready.reason}: {ready.message}" if ready else "no pass has ended yet"
        return HealthCheck(name="source", status="failed", message=text)

    def _fresh(self) -> HealthCheck:
        fresh_at = self._registry.source.fresh_at
        if fresh_at is None:
            return HealthCheck(name="reconcile", status="failed", message="no pass has ended yet")
        age_s = self._clock.monotonic() - fresh_at
        if age_s <= self._limit_s:
            return HealthCheck(name="reconcile", status="ok")
        message = f"the last pass that read the source was {age_s:.0f} s ago"
        return HealthCheck(name="reconcile", status="failed", message=message)

    async def _store(self) -> HealthCheck:
        try:
            await self._storage.check()
        except StorageError as error:
            message = f"{error.code}: {error.message}"
            return HealthCheck(name="store", status="failed", message=message)
        return HealthCheck(name="store", status="ok")
