"""Pauses of flows: by a person, until a time, or because too many executions failed in a row.

What is paused stands in the registry, where everyone who starts something looks; here it is made
durable, lifted when its time has come, and counted. A flow whose file says `suspend` is held by
that alone; lifting one never lifts the other.

The count of failures is not stored: after a restart it is worked out from the executions of the
version in force, back to the last success or to when it was cleared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError, ValidationError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import Digest, FlowKey
from flowrunner.model.pause import ALL_SCHEDULES, Pause, PauseRecord
from flowrunner.model.states import ExecutionState
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.protocols import ExecutionQuery, ExecutionStore, PauseStore
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)
_LONGEST_SLEEP_S = 60.0
"""The clock may be set meanwhile."""

_FAILURES = (ExecutionState.FAILED, ExecutionState.TIMED_OUT)
_COUNTED = (*_FAILURES, ExecutionState.SUCCEEDED)


@dataclass(slots=True)
class _Series:
    """The failures in a row of one version of a flow."""

    digest: Digest
    failures: int = 0


class Pauses:
    """Pauses and resumes flows.

    Args:
        registry: Holds what is paused.
        store: Keeps it.
        executions: Where failures are looked up at start.
        clock: Tells when a pause is over.
        renew: Brings the conditions of a flow up to date.
        lifted: Told when queued executions may go again.
    """

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        store: PauseStore,
        executions: ExecutionStore,
        clock: Clock,
        renew: Callable[[FlowKey], None],
        lifted: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._store = store
        self._executions = executions
        self._clock = clock
        self._renew = renew
        self._lifted = lifted
        self._cleared: dict[FlowKey, datetime] = {}
        self._series: dict[FlowKey, _Series] = {}
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def load(self) -> None:
        """Puts the pauses of an earlier life in force; called before any flow is.

        Raises:
            StorageError: They cannot be read.
        """
        for key, record in (await self._store.list()).items():
            self._registry.set_pause(key, record.pause)
            if record.cleared_at is not None:
                self._cleared[key] = record.cleared_at

    async def count_failures(self) -> None:
        """Counts the failures in a row of the flows in force; a count that is full pauses.

        Raises:
            StorageError: The executions cannot be read.
        """
        for key, entry in self._registry.entries.items():
            if entry.spec is not None and entry.spec.pause_after_failures is not None:
                most = entry.spec.pause_after_failures
                failures = await self._failures_of(key, entry.digest, most)
                self._series[key] = _Series(digest=entry.digest, failures=failures)
                self._judge(key, most)

    async def pause(
        self, key: FlowKey, *, reason: str, until: datetime | None, uid: int | None
    ) -> None:
        """Pauses a flow, in the place of an earlier pause.

        Raises:
            NotFoundError: There is no such flow.
            StorageError: It is not paused.
        """
        self._registry.require(key)
        pause = Pause(at=self._clock.now(), reason=reason, uid=uid, until=until)
        async with self._turn:
            await self._keep(key, pause)
            self._set(key, pause)
        _LOG.info("flow.paused flow=%s uid=%s reason=%r", key, uid, reason)

    async def pause_schedules(
        self, *, reason: str, until: datetime | None, uid: int | None
    ) -> None:
        """Lets no schedule start anything, in the place of an earlier such pause.

        Starts by hand, deliveries and all that runs or waits go on.

        Raises:
            ValidationError: ``request.until``: that time is over.
            StorageError: They are not paused.
        """
        if until is not None and until <= self._clock.now():
            raise ValidationError("the time of 'until' is over", code="request.until")
        pause = Pause(at=self._clock.now(), reason=reason, uid=uid, until=until)
        async with self._turn:
            await self._keep(ALL_SCHEDULES, pause)
            self._set(ALL_SCHEDULES, pause)
        _LOG.warning("schedules.paused uid=%s reason=%r", uid, reason)

    async def resume_schedules(self) -> None:
        """Ends that pause; nothing is caught up.

        Raises:
            StorageError: They stay paused.
        """
        await self._clear(ALL_SCHEDULES)

    async def resume(self, key: FlowKey) -> None:
        """Ends the pause of a flow and forgets its failures; nothing is caught up.

        Raises:
            NotFoundError: There is no such flow.
            StorageError: It stays paused.
        """
        self._registry.require(key)
        await self._clear(key)

    def note_ended(self, execution: Execution) -> None:
        """Counts an end; called before the next execution of the flow may start."""
        entry = self._registry.get(execution.flow)
        if entry is None or entry.spec is None or execution.digest != entry.digest:
            return
        most = entry.spec.pause_after_failures
        if most is None:
            return
        series = self._series_of(entry)
        if execution.state is ExecutionState.SUCCEEDED:
            series.failures = 0
        elif execution.state in _FAILURES:
            series.failures += 1
        self._judge(execution.flow, most)

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        """Lets a new version begin without the failures of the one before.

        What is known of a flow that is not there goes with it, also where a crash came between the
        removal of the flow and that of its record: by the first call all that is to come is there.
        """
        known_of = self._cleared.keys() | self._registry.pauses.keys()
        strays = {key for key in known_of if key not in entries and key != ALL_SCHEDULES}
        for key in removed | strays:
            self._series.pop(key, None)
            known = self._cleared.pop(key, None) is not None
            if self._registry.pause_of(key) is not None or known:
                self._registry.set_pause(key, None)
                self._own(self._try(self._forget(key)))
        for key in self._series.keys() | self._registry.pauses.keys():
            entry, series = entries.get(key), self._series.get(key)
            if entry is None or entry.spec is None:
                continue
            pause = self._registry.pause_of(key)
            is_over = pause is not None and pause.digest not in (None, entry.digest)
            is_old = series is not None and series.digest != entry.digest
            if is_old:
                del self._series[key]
            if is_over or (is_old and series is not None and series.failures):
                self._own(self._try(self._clear(key, only_automatic=True)))

    async def run(self) -> None:
        """Lifts pauses when their time has come, until it is cancelled."""
        while True:
            self._changed.clear()
            now = self._clock.now()
            untils = {key: pause.until for key, pause in self._registry.pauses.items()}
            for key, until in untils.items():
                if until is not None and until <= now:
                    await self._try(self._clear(key))
            later = [until for until in untils.values() if until is not None and until > now]
            wait_s = min(((until - now).total_seconds() for until in later), default=None)
            with suppress(TimeoutError):
                wait_s = _LONGEST_SLEEP_S if wait_s is None else min(wait_s, _LONGEST_SLEEP_S)
                # Not `wait_for`: on Python 3.11 it loses a cancel that comes with the event.
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    async def settle(self) -> None:
        """Waits for what is being written; at stop."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _series_of(self, entry: FlowEntry) -> _Series:
        return self._series.setdefault(entry.key, _Series(digest=entry.digest))

    def _judge(self, key: FlowKey, most: int) -> None:
        """Pauses a flow whose failures are too many; at once, and durably soon."""
        series = self._series[key]
        if series.failures < most or self._registry.pause_of(key) is not None:
            return
        reason = f"{series.failures} executions failed in a row"
        pause = Pause(at=self._clock.now(), reason=reason, digest=series.digest)
        self._set(key, pause)
        _LOG.warning("flow.paused flow=%s failures=%d", key, series.failures)
        self._own(self._try(self._keep_if_current(key, pause)))

    async def _keep_if_current(self, key: FlowKey, pause: Pause) -> None:
        async with self._turn:
            if self._registry.pause_of(key) == pause:
                await self._keep(key, pause)

    async def _clear(self, key: FlowKey, *, only_automatic: bool = False) -> None:
        """Ends a pause, and the count of failures; a person's pause may be left."""
        async with self._turn:
            pause = self._registry.pause_of(key)
            stays = pause if only_automatic and pause and not pause.is_automatic else None
            now = self._clock.now()
            await self._store.put(key, PauseRecord(pause=stays, cleared_at=now))
            self._cleared[key] = now
            self._series.pop(key, None)
            if stays is None and pause is not None:
                self._set(key, None)
                _LOG.info("flow.resumed flow=%s", key)
                self._lifted()

    async def _keep(self, key: FlowKey, pause: Pause) -> None:
        await self._store.put(key, PauseRecord(pause=pause, cleared_at=self._cleared.get(key)))

    async def _forget(self, key: FlowKey) -> None:
        async with self._turn:
            await self._store.delete(key)

    def _set(self, key: FlowKey, pause: Pause | None) -> None:
        self._registry.set_pause(key, pause)
        self._renew(key)
        self._changed.set()

    async def _failures_of(self, key: FlowKey, digest: Digest, most: int) -> int:
        query = ExecutionQuery(account=key.account, flow=key.name, states=_COUNTED, limit=most)
        since, failures = self._cleared.get(key), 0
        for execution in await self._executions.list(query):
            is_old = since is not None and (execution.ended_at or since) <= since
            if is_old or execution.state not in _FAILURES or execution.digest != digest:
                break
            failures += 1
        return failures

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        """Does what nobody waits for; what is not written then is told, and in memory alone."""
        try:
            await work
        except StorageError as error:
            _LOG.error("pauses.not_recorded code=%s: %s", error.code, error.message)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="pauses")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
