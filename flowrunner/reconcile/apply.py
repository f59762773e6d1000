"""Carrying a plan out: the store first, then the registry and the triggers in one turn.

If the store fails, nothing changes in memory and the pass fails. If the daemon dies between the
two, the next start finds the new definitions in the store: each flow has its old or its new one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.conditions import flow_conditions
from flowrunner.reconcile.plan import Plan
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.lookup import Secrets
from flowrunner.storage.protocols import FlowRecord, FlowStore
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)


class FlowsSubscriber(Protocol):
    """Told of the applied difference, in the same turn of the loop; must not await."""

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        """Learns the whole new set and what left it."""


class Applier:
    """Applies plans to the store, the registry and the subscribers."""

    def __init__(
        self,
        registry: FlowRegistry,
        store: FlowStore,
        secrets: Secrets,
        clock: Clock,
        subscribers: tuple[FlowsSubscriber, ...],
    ) -> None:
        self._registry = registry
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._subscribers = subscribers

    async def apply(self, plan: Plan) -> bool:
        """Makes the plan true and returns whether anything changed.

        Raises:
            StorageError: The store could not be written; the registry is as before.
        """
        before = self._registry.entries
        await self._keep(plan, before)
        missing = await asyncio.to_thread(self._missing_secrets, plan.entries)
        now = self._clock.now()
        entries = {}
        for key, entry in plan.entries.items():
            known = replace(entry, missing_secrets=missing.get(key, ()))
            conditions = flow_conditions(known, now)
            settled = replace(known, conditions=conditions)
            entries[key] = before[key] if before.get(key) == settled else settled
        if dict(before) == entries:
            return False
        self._registry.replace(entries)
        self.announce(plan.removed)
        return True

    def announce(self, removed: frozenset[FlowKey] = frozenset()) -> None:
        """Tells every subscriber what is in force; all in one turn of the loop."""
        for subscriber in self._subscribers:
            subscriber.flows_changed(self._registry.entries, removed)

    async def _keep(self, plan: Plan, before: Mapping[FlowKey, FlowEntry]) -> None:
        """Writes the last good definitions that changed, then makes all of them durable."""
        stale = [
            entry
            for key, entry in plan.entries.items()
            if entry.spec is not None and _record_differs(entry, before.get(key))
        ]
        for entry in stale:
            record = _record(entry, self._clock)
            old = before.get(entry.key)
            if old is not None and old.spec is not None:
                await self._store.update(record)
            else:
                await self._store.create(record)
        for key in plan.removed:
            await self._store.delete(key)
        if stale or plan.removed:
            await self._store.sync()

    def _missing_secrets(
        self, entries: Mapping[FlowKey, FlowEntry]
    ) -> dict[FlowKey, tuple[str, ...]]:
        """Looks for every secret the flows need; runs in a thread, secrets may be files."""
        wanted = {
            (key.account, name)
            for key, entry in entries.items()
            if entry.spec
            for name in entry.spec.secrets_in_use
        }
        absent = {pair for pair in wanted if self._secrets.lookup(*pair) is None}
        return {
            key: tuple(sorted(n for n in entry.spec.secrets_in_use if (key.account, n) in absent))
            for key, entry in entries.items()
            if entry.spec and absent
        }


def _record_differs(entry: FlowEntry, before: FlowEntry | None) -> bool:
    if before is None or before.spec is None:
        return True
    same = (entry.digest, entry.path, entry.revision, entry.observed_generation)
    return same != (before.digest, before.path, before.revision, before.observed_generation)


def _record(entry: FlowEntry, clock: Clock) -> FlowRecord:
    return FlowRecord(
        key=entry.key,
        path=entry.path,
        revision=entry.revision,
        digest=entry.digest,
        definition=dict(entry.definition),
        generation=entry.generation,
        updated_at=clock.now(),
    )
