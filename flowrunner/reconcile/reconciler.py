"""The reconcile loop: one pass at a time, asked for by events, timers, signals and people.

The scan is the truth, an event only a hint: hints are debounced into one pass, and a pass that
looks at everything comes every `resync` anyway (`flowrunner.reconcile.wakes`). After such a pass,
and while the watcher can be relied on, a hint that names files is answered by a look at those files
alone; any doubt leads to a look at everything. A pass that cannot see the whole source changes
nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from flowrunner.definitions.seen import Seen
from flowrunner.errors import FlowError, RefusedError
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.basis import KeepsBasis, NoBasis
from flowrunner.reconcile.conditions import (
    prune_condition,
    source_condition,
    watched_condition,
)
from flowrunner.reconcile.history import PassSeen
from flowrunner.reconcile.outcome import counted, let_go, moved
from flowrunner.reconcile.plan import keep_all
from flowrunner.reconcile.prune import empty_hold
from flowrunner.reconcile.replan import Planner
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import LookAgainError, UnstableSourceError, UnusableSourceError
from flowrunner.reconcile.wakes import ReconcilerTimes, Wakes
from flowrunner.registry.entry import FlowEntry, PassResult, PruneHold
from flowrunner.registry.registry import FlowRegistry
from flowrunner.system.clock import Clock
from flowrunner.system.watcher import Changed, Watcher

_LOG = logging.getLogger(__name__)
_TRIES = 3
"""How often the source is read in one pass when it changes meanwhile."""
_LONGEST_WAIT_S = 40.0
"""How long a pass waits at most until the source can be judged: longer than for a lock of git."""
_LEVELS = {
    "applied": logging.INFO,
    "unchanged": logging.DEBUG,
    "held": logging.WARNING,
    "failed": logging.ERROR,
}


class Upstream(Protocol):
    """Where the root comes from, if it is brought here by the daemon."""

    async def revision_coming(
        self, revision: Revision, entries: Mapping[FlowKey, FlowEntry]
    ) -> None:
        """Gets ready for a revision before a plan is carried out: no crash can come between.

        Raises:
            StorageError: It cannot; the pass fails.
        """

    def why_missing(self) -> str:
        """Returns why there is no root; empty when that is not known."""


class NoUpstream:
    """The root is there by itself."""

    async def revision_coming(
        self, revision: Revision, entries: Mapping[FlowKey, FlowEntry]
    ) -> None:
        """Does nothing."""

    def why_missing(self) -> str:
        """Knows nothing."""
        return ""


class PassObserver(Protocol):
    """Told of each pass after it ended; must be quick and must not fail."""

    def pass_ended(self, result: PassResult) -> None:
        """Learns how a pass ended."""


class _HeldError(Exception):
    """The source cannot be used as it is; everything stays as it was."""

    def __init__(
        self, reason: ConditionReason, message: str, hold: PruneHold | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.hold = hold


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
        self.upstream: Upstream = NoUpstream()
        self.basis: KeepsBasis = NoBasis()
        self._root = root
        self._scanner = scanner
        self._applier = applier
        self._guard = applier.guard
        self._registry = registry
        self._watcher = watcher
        self._clock = clock
        self._debounce_s = times.debounce_s
        self._wakes = Wakes(times)
        self._observer = observer
        self._lock = asyncio.Lock()
        self._planner = Planner()
        self._is_watching = False
        self._is_first = True
        """Whether no pass has ended in this life."""
        self._has_looked = asyncio.Event()
        """Set once a pass that looked at everything was carried out."""
        self._is_sure = False
        """Whether everything was looked at and applied, so that what is new says what there is."""

    async def start(self) -> PassResult:
        """Puts in force what the registry holds already, then runs the first pass."""
        async with self._lock:
            await self._applier.arm(keep_all(self._registry.entries))
        return await self.request("start")

    async def request(self, trigger: str, changed: Changed = None) -> PassResult:
        """Runs a pass that begins after this call and returns how it ended; never raises.

        Args:
            trigger: As in `PassResult`.
            changed: All names that have changed since the pass before; None looks at everything.
        """
        async with self._lock:
            return await self._pass(trigger, changed=changed)

    async def allow_prune(self, revision: Revision) -> PassResult:
        """Runs a pass that lets leave what is held now, and returns how it ended.

        Args:
            revision: What the source was when the person saw what would leave.

        Raises:
            RefusedError: ``prune.none``: nothing is held; ``prune.moved``: the source is another
                one by now, and what it says is held anew.
        """
        async with self._lock:
            hold = self._registry.source.hold
            if hold is None:
                raise RefusedError("no deletion is held", code="prune.none")
            if revision != hold.revision:
                raise moved(revision, hold)
            result = await self._pass("command", hold)
            hold = self._registry.source.hold
        if hold is not None and result.result != "failed":
            raise moved(revision, hold)
        return result

    async def mend(self, damaged: AbstractSet[FlowKey]) -> None:
        """Has records written anew whose files are damaged, by a pass that looks at everything."""
        async with self._lock:
            self._applier.doubt(damaged)
            await self._pass("start")  # of which this is the rest

    async def ignore_lock(self) -> None:
        """Takes a lock of the source that is there now for one that was left behind.

        A pass that waits for it goes on at once. Another lock in its place counts again.
        """
        await asyncio.to_thread(self._scanner.ignore_lock, self._root)

    async def keep_basis(self) -> None:
        """Keeps what the last pass ended with, by which the next life may know its first one."""
        async with self._lock:
            if (snapshot := self._planner.plain) is not None:
                await asyncio.to_thread(self.basis.keep, snapshot, self._registry.entries)

    @property
    def has_looked(self) -> bool:
        """Whether a pass of this life has looked at everything, and was carried out."""
        return self._has_looked.is_set()

    async def looked(self) -> None:
        """Waits until a pass of this life has looked at everything, and was carried out."""
        await self._has_looked.wait()

    def seen(self) -> dict[str, Seen]:
        """Returns what a later life may recall of the files of the last pass."""
        return self._scanner.seen()

    def ask(self, trigger: str) -> None:
        """Asks for a pass that begins after this call, and does not wait for it.

        It is carried out by `run`, without debouncing; until it begins, further calls join it.
        """
        self._wakes.ask(trigger)

    def hint(self, changed: Changed = None) -> None:
        """Learns what may have changed; called in the loop by the watcher."""
        self._wakes.hint(changed)

    async def run(self) -> None:
        """Reconciles until cancelled: when asked, on hints, debounced, and at every resync."""
        await asyncio.to_thread(self._watcher.start, self._root, self.hint)
        self._is_watching = True
        self.hint()  # for what changed between the first pass and the watch
        try:
            while True:
                wake = await self._wakes.next()
                await self.request(wake.trigger, wake.changed)
        finally:
            await asyncio.shield(asyncio.to_thread(self._watcher.stop))

    async def _pass(
        self, trigger: str, approved: PruneHold | None = None, changed: Changed = None
    ) -> PassResult:
        is_sure, self._is_sure = self._is_sure, False
        started_at, began = self._clock.now(), self._clock.monotonic()
        result = PassResult(
            trigger=trigger,
            result="failed",
            revision=self._registry.source.revision,
            started_at=started_at,
            duration_s=0.0,
        )
        try:
            if trigger == "resync":
                await asyncio.to_thread(self._watcher.rearm)
            paths = changed if is_sure and self._watcher.status().is_alive else None
            result = await self._read_and_apply(result, approved, paths)
            is_held = self._registry.source.hold is not None or result.result == "held"
            self._is_sure = self._planner.is_sure and not is_held
        except FlowError as error:
            result = replace(result, message=f"{error.code}: {error.message}")
        except Exception as error:  # noqa: BLE001 - the loop that must survive: the next pass may do
            _LOG.exception("reconcile.crashed")
            result = replace(result, message=f"{type(error).__name__}: {error}"[:300])
        if self._planner.is_sure:
            self._has_looked.set()
        self._is_first = False
        self._note_watch()
        result = replace(result, duration_s=self._clock.monotonic() - began)
        self._registry.source = replace(self._registry.source, last_pass=result)
        self._log(result)
        self._observer.pass_ended(result)
        return result

    async def _read_and_apply(
        self, result: PassResult, approved: PruneHold | None, paths: Changed
    ) -> PassResult:
        observed = self._registry.entries
        try:
            snapshot = await self._glance(paths) or await self._recalled()
            snapshot = snapshot or await self._usable_snapshot(approved)
        except _HeldError as held:
            self._set_source(held.reason, str(held))
            if held.hold is not None:
                self._set_hold(held.hold)
            await self._applier.apply(keep_all(observed))  # secrets come and go without a source
            await self._tell_history(result.revision, held.hold, is_read=False)
            return replace(result, result="held", message=str(held))
        released = let_go(approved, snapshot.revision)
        plan = await asyncio.to_thread(self._planner.plan, snapshot, observed, released)
        self._planner.forget()  # until it is known to be in force
        plan, hold = await self._guard.judge(plan, observed, snapshot.revision, released)
        await self.upstream.revision_coming(snapshot.revision, plan.entries)
        changed = await self._applier.apply(plan)
        if hold is None:  # else the same source must be judged as a whole the next time
            self._planner.carried_out(snapshot, plan)
        self._set_source(ConditionReason.SOURCE_READ, "")
        self._set_hold(hold)
        before = self._registry.source
        is_held = hold is not None and hold.reason is ConditionReason.MASS_DELETION
        self._registry.source = replace(
            before,
            revision=before.revision if is_held else snapshot.revision,
            fresh_at=before.fresh_at if snapshot.glance else self._clock.monotonic(),
            rejected=plan.rejected,
        )
        await self._tell_history(snapshot.revision, hold)
        ended = counted(result, plan, observed, snapshot.revision, changed=changed)
        return replace(ended, result="held", message=hold.message) if hold and is_held else ended

    async def _tell_history(
        self, revision: Revision, hold: PruneHold | None, *, is_read: bool = True
    ) -> None:
        seen = PassSeen(revision=revision, hold=hold, is_read=is_read)
        await self._applier.history.passed(self._registry.entries, seen)

    async def _glance(self, paths: Changed) -> Snapshot | None:
        """Returns the source by what is new in some names; None if that does not say it all."""
        if paths is None:
            return None
        try:
            return await asyncio.to_thread(self._scanner.glance, self._root, paths)
        except (OSError, UnstableSourceError):
            return None  # a look at everything finds it again, and has a name for it

    async def _recalled(self) -> Snapshot | None:
        """Returns the source at the first pass if all is as the life before has left it."""
        if not self._is_first:
            return None
        return await asyncio.to_thread(self.basis.recalled, self._root, self._registry.entries)

    async def _usable_snapshot(self, approved: PruneHold | None) -> Snapshot:
        """Returns the whole source, or raises `_HeldError`: nothing may follow from a part."""
        snapshot = await self._stable_snapshot()
        if snapshot.problem is not None:
            raise _HeldError(snapshot.problem.reason, snapshot.problem.message)
        in_force = self._registry.entries
        is_meant = in_force.keys() <= let_go(approved, snapshot.revision)
        if not snapshot.files and not is_meant:
            message = f"{self._root} holds no flow files; {len(in_force)} flows stay in force"
            hold = empty_hold(snapshot.revision, in_force, message)
            raise _HeldError(ConditionReason.SOURCE_EMPTY, message, hold)
        return snapshot

    async def _stable_snapshot(self) -> Snapshot:
        """Reads until two states are not mixed, or raises `_HeldError`."""
        loop = asyncio.get_running_loop()
        until, tries = loop.time() + _LONGEST_WAIT_S, 0
        while True:
            try:
                return await asyncio.to_thread(self._scanner.scan, self._root)
            except LookAgainError as error:
                message, wait_s = str(error), error.after_s
            except UnstableSourceError as error:
                message, wait_s = str(error), self._debounce_s
                tries += 1
            except UnusableSourceError as error:
                raise _HeldError(error.reason, str(error)) from error
            except (FileNotFoundError, NotADirectoryError) as error:
                text = self.upstream.why_missing() or f"there is no folder {self._root}"
                raise _HeldError(ConditionReason.SOURCE_MISSING, text) from error
            except OSError as error:
                text = f"{error.filename or self._root} cannot be read: {error.strerror or error}"
                raise _HeldError(ConditionReason.SOURCE_UNREADABLE, text) from error
            if tries == _TRIES or loop.time() + wait_s > until:
                raise _HeldError(ConditionReason.SOURCE_UNSTABLE, message)
            await asyncio.sleep(wait_s)

    def _set_source(self, reason: ConditionReason, message: str) -> None:
        source = self._registry.source
        conditions = source_condition(source.conditions, reason, message, self._clock.now())
        self._registry.source = replace(source, conditions=conditions)

    def _set_hold(self, hold: PruneHold | None) -> None:
        source = self._registry.source
        conditions = prune_condition(source.conditions, hold, self._clock.now())
        self._registry.source = replace(source, conditions=conditions, hold=hold)

    def _note_watch(self) -> None:
        if self._is_watching:
            source, now = self._registry.source, self._clock.now()
            conditions = watched_condition(source.conditions, self._watcher.status(), now)
            self._registry.source = replace(source, conditions=conditions)

    def _log(self, result: PassResult) -> None:
        _LOG.log(
            _LEVELS[result.result],
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
