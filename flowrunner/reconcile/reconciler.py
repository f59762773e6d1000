"""The reconcile loop: one pass at a time, asked for by events, timers, signals and people.

The scan is the truth, an event only a hint: hints are debounced into one pass, and a pass comes
every `resync` anyway. A pass that cannot see the whole source changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from flowrunner.errors import FlowError
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.conditions import source_condition
from flowrunner.reconcile.plan import Plan, make_plan
from flowrunner.reconcile.scan import Scanner, Snapshot, UnstableSourceError
from flowrunner.registry.entry import PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.system.clock import Clock
from flowrunner.system.watcher import Watcher

_LOG = logging.getLogger(__name__)
_TRIES = 3
"""How often a pass is repeated when the source changes under it."""


class PassObserver(Protocol):
    """Told of each pass after it ended."""

    def pass_ended(self, result: PassResult) -> None:
        """Learns how a pass ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerTimes:
    """Seconds: between passes, after the last hint, and at most after the first."""

    resync_s: float
    debounce_s: float
    debounce_limit_s: float


class _HeldError(Exception):
    """The source cannot be used as it is; everything stays as it was."""

    def __init__(self, reason: ConditionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Reconciler:
    """Runs passes one after the other; `run` is its life."""

    def __init__(
        self,
        *,
        root: Path,
        scanner: Scanner,
        applier: Applier,
        registry: FlowRegistry,
        watcher: Watcher,
        clock: Clock,
        times: ReconcilerTimes,
        observer: PassObserver,
    ) -> None:
        self._root = root
        self._scanner = scanner
        self._applier = applier
        self._registry = registry
        self._watcher = watcher
        self._clock = clock
        self._times = times
        self._observer = observer
        self._lock = asyncio.Lock()
        self._hinted = asyncio.Event()

    async def start(self) -> PassResult:
        """Puts in force what the registry holds already, then runs the first pass."""
        self._applier.announce()
        return await self.request("start")

    async def request(self, trigger: str) -> PassResult:
        """Runs a pass that begins after this call and returns how it ended; never raises."""
        async with self._lock:
            return await self._pass(trigger)

    def hint(self) -> None:
        """Learns that something may have changed; called in the loop by the watcher."""
        self._hinted.set()

    async def run(self) -> None:
        """Reconciles until cancelled: on hints, debounced, and at every resync."""
        await asyncio.to_thread(self._watcher.start, self._root, self.hint)
        try:
            while True:
                trigger = await self._next_trigger()
                await self.request(trigger)
        finally:
            await asyncio.shield(asyncio.to_thread(self._watcher.stop))

    async def _next_trigger(self) -> str:
        try:
            async with asyncio.timeout(self._times.resync_s):
                await self._hinted.wait()
        except TimeoutError:
            await asyncio.to_thread(self._watcher.rearm)
            return "resync"
        await self._settle()
        return "watch"

    async def _settle(self) -> None:
        """Waits until no hint came for a while, but not for ever."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._times.debounce_limit_s
        while self._hinted.is_set() and loop.time() < limit:
            self._hinted.clear()
            pause = min(self._times.debounce_s, max(limit - loop.time(), 0))
            try:
                async with asyncio.timeout(pause):
                    await self._hinted.wait()
            except TimeoutError:
                return
        self._hinted.clear()

    async def _pass(self, trigger: str) -> PassResult:
        started_at, began = self._clock.now(), self._clock.monotonic()
        result = PassResult(
            trigger=trigger,
            result="failed",
            revision=self._registry.source.revision,
            started_at=started_at,
            duration_s=0.0,
        )
        try:
            result = await self._read_and_apply(result)
        except _HeldError as held:
            result = replace(result, result="held", message=str(held))
            self._set_source(held.reason, str(held))
        except FlowError as error:
            result = replace(result, message=f"{error.code}: {error.message}")
            _LOG.error("reconcile.failed code=%s: %s", error.code, error.message)
        except Exception as error:  # noqa: BLE001 - the loop that must survive: the next pass may do
            _LOG.exception("reconcile.crashed")
            result = replace(result, message=f"{type(error).__name__}: {error}"[:300])
        result = replace(result, duration_s=self._clock.monotonic() - began)
        self._registry.source = replace(self._registry.source, last_pass=result)
        self._log(result)
        self._observer.pass_ended(result)
        return result

    async def _read_and_apply(self, result: PassResult) -> PassResult:
        snapshot = await self._stable_snapshot()
        observed = self._registry.entries
        if observed and not snapshot.files:
            message = f"{self._root} holds no flow files; {len(observed)} flows stay in force"
            raise _HeldError(ConditionReason.SOURCE_EMPTY, message)
        plan = make_plan(snapshot, observed)
        changed = await self._applier.apply(plan)
        self._set_source(ConditionReason.SOURCE_READ, "")
        self._registry.source = replace(
            self._registry.source,
            revision=snapshot.revision,
            fresh_at=self._clock.monotonic(),
            rejected=plan.rejected,
        )
        return _counted(result, plan, observed.keys(), snapshot.revision, changed=changed)

    async def _stable_snapshot(self) -> Snapshot:
        message = "the source changed while it was read"
        for _ in range(_TRIES):
            try:
                snapshot = await asyncio.to_thread(self._scanner.scan, self._root)
            except UnstableSourceError as error:
                message = str(error)
                continue
            except (FileNotFoundError, NotADirectoryError) as error:
                text = f"there is no folder {self._root}"
                raise _HeldError(ConditionReason.SOURCE_MISSING, text) from error
            except OSError as error:
                text = f"{self._root} cannot be read: {error.strerror}"
                raise _HeldError(ConditionReason.SOURCE_UNREADABLE, text) from error
            if snapshot.problem:
                raise _HeldError(ConditionReason.SOURCE_UNREADABLE, snapshot.problem)
            return snapshot
        raise _HeldError(ConditionReason.SOURCE_UNSTABLE, message)

    def _set_source(self, reason: ConditionReason, message: str) -> None:
        source = self._registry.source
        conditions = source_condition(source.conditions, reason, message, self._clock.now())
        self._registry.source = replace(source, conditions=conditions)

    def _log(self, result: PassResult) -> None:
        level = {"applied": logging.INFO, "unchanged": logging.DEBUG}.get(
            result.result, logging.WARNING
        )
        _LOG.log(
            level,
            "reconcile.%s trigger=%s revision=%s added=%d updated=%d removed=%d errors=%d %s",
            result.result,
            result.trigger,
            result.revision,
            result.added,
            result.updated,
            result.removed,
            result.errors,
            result.message,
        )


def _counted(
    result: PassResult,
    plan: Plan,
    before: AbstractSet[FlowKey],
    revision: Revision,
    *,
    changed: bool,
) -> PassResult:
    added = len(plan.changed - before)
    return replace(
        result,
        result="applied" if changed else "unchanged",
        revision=revision,
        added=added,
        updated=len(plan.changed) - added,
        removed=len(plan.removed),
        errors=plan.errors,
    )
