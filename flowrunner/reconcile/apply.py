"""Carrying a plan out: the store first, then the registry and the triggers in one turn.

If the store fails, nothing changes in memory and the pass fails. If the daemon dies between the
two, the next start finds the new definitions in the store: each flow has its old or its new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Protocol, TypeVar

from flowrunner.model.accounts import NO_ACCOUNTS, AccountMap
from flowrunner.model.channels import ANY_CHANNELS
from flowrunner.model.conditions import Condition, merge_conditions
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.bars import bar_of
from flowrunner.reconcile.conditions import Alike, is_invalid, unread_conditions
from flowrunner.reconcile.history import NO_HISTORY, KeepsHistory
from flowrunner.reconcile.lacking import Lacking, Lacks
from flowrunner.reconcile.missing_secrets import SecretNeeds
from flowrunner.reconcile.plan import Plan
from flowrunner.reconcile.prune import PruneGuard
from flowrunner.reconcile.refused_users import refused_users
from flowrunner.registry.channels import ChannelDirectory
from flowrunner.registry.entry import Bar, FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.lookup import Secrets
from flowrunner.storage.flow_store import FlowRecord, FlowStore
from flowrunner.system.clock import Clock
from flowrunner.system.users import OWN_USER, Users

T = TypeVar("T")

_AT_ONCE = 100
"""Records that are written, or removed, at once."""


class FlowsSubscriber(Protocol):
    """Told of the applied difference, in the same turn of the loop; must not await."""

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        """Learns the whole new set and what left it."""


class FlowsPreparer(Protocol):
    """Asked before new versions are stored: what it makes durable no crash can come before."""

    async def flows_coming(
        self, coming: Iterable[FlowEntry], before: Mapping[FlowKey, FlowEntry]
    ) -> None:
        """Gets ready for versions that come into force; raises `StorageError`: the pass fails."""


class Applier:
    """Applies plans to the store, the registry and the subscribers; one plan at a time."""

    def __init__(
        self,
        registry: FlowRegistry,
        store: FlowStore,
        secrets: Secrets,
        clock: Clock,
        subscribers: tuple[FlowsSubscriber, ...],
        *,
        preparers: tuple[FlowsPreparer, ...] = (),
        users: Users = OWN_USER,
        accounts: AccountMap = NO_ACCOUNTS,
    ) -> None:
        self.guard = PruneGuard(store)
        """Judges what leaves, before a plan comes here."""
        self.history: KeepsHistory = NO_HISTORY
        """Learns what is in force after each pass."""
        self.channels = ChannelDirectory()
        """Knows the channels that flows may name."""
        self._registry = registry
        self._store = store
        self._secrets = secrets
        self._users = users
        self._accounts = accounts
        self._clock = clock
        self._subscribers = subscribers
        self._preparers = preparers
        self._unsure: set[FlowKey] = set()
        """Records that may say something else than memory: of a pass that failed, or damaged."""
        self._unannounced: frozenset[FlowKey] | None = frozenset()
        """What left since the subscribers were last told; None when they know everything."""
        self._needs = SecretNeeds()
        self._with_users: Mapping[FlowKey, FlowSpec] = {}
        self._lacking = Lacks({}, {})
        self._is_reading, self._was_read = False, False
        """Whether the source was read in this life: until then conditions are not the last word."""
        self._alike = Alike()
        self._unread: set[FlowKey] = set()
        """Flows of which the first look at the source may say something else than was said."""
        self._is_first = True
        """Whether conditions are still those that an earlier life has told."""
        self._has_moved = False
        """Whether a pause or channels came or went since a plan was last looked at."""
        self._is_inherited = True
        """Whether an earlier life may have died between writing the records and their sync."""

    def doubt(self, keys: AbstractSet[FlowKey]) -> None:
        """Learns of records that are damaged: the next plan has them written anew."""
        self._unsure |= keys

    async def arm(self, plan: Plan) -> bool:
        """Makes a plan true that puts in force what is kept already; writes nothing for it.

        A start shall not fail because the disk does. What is kept may have been written and not
        synced before the daemon was killed: the next `apply` makes it durable.

        Raises:
            StorageError: As `apply`, for what differs all the same.
        """
        return await self._apply(plan, must_sync=False)

    async def apply(self, plan: Plan) -> bool:
        """Makes the plan true and returns whether anything changed.

        Subscribers that failed to take in the last change are told again.

        Raises:
            StorageError: The store or a preparer could not write; the registry is as before.
        """
        return await self._apply(plan, must_sync=self._is_inherited)

    async def _apply(self, plan: Plan, *, must_sync: bool) -> bool:
        before = self._registry.entries
        coming = [plan.entries[key] for key in plan.changed]
        for preparer in self._preparers:
            await preparer.flows_coming(coming, before)
        must_sync = await self._write(plan, before) or must_sync
        self._has_moved, lasting = False, asyncio.create_task(self._make_last(must=must_sync))
        try:  # the disk needs no processor
            lacks = await asyncio.to_thread(self._lacks, plan)
            settled = self._all_settled(plan, before, lacks)
        finally:
            await lasting
        if self._has_moved:
            settled = self._all_settled(plan, before, lacks)
        current = self._registry.entries
        self._lacking, self._was_read = lacks, self._was_read or plan.is_read
        self._is_first = False
        self._alike.forget()
        changed = self._put(plan, settled, current)
        if changed:
            self._unannounced = (self._unannounced or frozenset()) | plan.removed
        if self._unannounced is not None:
            self.announce(self._unannounced)
        return changed

    def _all_settled(
        self, plan: Plan, before: Mapping[FlowKey, FlowEntry], lacks: Lacks
    ) -> dict[FlowKey, FlowEntry]:
        """Returns the entries that may be other ones than are in force, with all that they say."""
        now = self._clock.now()
        touched = self._touched(plan, before) | (lacks.news(self._lacking) & plan.entries.keys())
        self._is_reading = plan.is_read
        try:
            return {
                key: self._settled(plan.entries[key], before.get(key), lacks.of(key), now)
                for key in touched
            }
        finally:
            self._is_reading = False  # what is in force meanwhile was not read

    def _put(
        self, plan: Plan, settled: Mapping[FlowKey, FlowEntry], current: Mapping[FlowKey, FlowEntry]
    ) -> bool:
        """Puts entries in force; returns whether any is new, or one has left."""
        changed = any(entry is not current.get(key) for key, entry in settled.items())
        if plan.touched is not None:  # the same flows are there, and nobody looks at the others
            if changed:
                self._registry.edit(settled)
            return changed
        rest = {key: current.get(key, entry) for key, entry in plan.entries.items()}
        entries = {**rest, **settled}
        changed = changed or entries.keys() != current.keys()
        if changed:
            self._registry.replace(entries)
        return changed

    def _touched(self, plan: Plan, before: Mapping[FlowKey, FlowEntry]) -> AbstractSet[FlowKey]:
        """Returns the flows whose entry may be another one than is in force.

        At a first look at the source, also those of which it may say more than was known.
        """
        if plan.touched is not None:
            return plan.touched if self._was_read else plan.touched | (self._unread & before.keys())
        if self._is_first:
            return plan.entries.keys()
        return {
            key
            for key, entry in plan.entries.items()
            if entry is not before.get(key) or self._may_differ(entry)
        }

    def renew_conditions(self, key: FlowKey) -> None:
        """Makes the conditions of a flow say what is known of its pause."""
        entry, self._has_moved = self._registry.get(key), True
        if entry is not None:
            labels = self._registry.lacking_labels(entry.spec)
            renewed = self._conditioned(entry, labels, self._clock.now())
            self._registry.edit({key: renewed})
            self.history.renewed(renewed, self._registry.source.revision)

    def channels_changed(self) -> None:
        """Makes the flows that name channels say whether they may start with those in force."""
        now, renewed = self._clock.now(), dict[FlowKey, FlowEntry]()
        self._has_moved = True
        for key, entry in self._registry.entries.items():
            labels = self._registry.lacking_labels(entry.spec)
            bar = self._bar(entry, labels)
            if bar != entry.bar:
                renewed[key] = self._conditioned(replace(entry, bar=bar), labels, now)
        if renewed:
            self._registry.edit(renewed)
        for entry in renewed.values():
            self.history.renewed(entry, self._registry.source.revision)

    def announce(self, removed: frozenset[FlowKey] = frozenset()) -> None:
        """Tells every subscriber what is in force; all in one turn of the loop."""
        for subscriber in self._subscribers:
            subscriber.flows_changed(self._registry.entries, removed)
        self._unannounced = None

    def _lacks(self, plan: Plan) -> Lacks:
        """Returns what this host has to say of the flows of a plan; blocks.

        Every flow is asked about in each pass that looks at all files, since secrets and users come
        and go without a change of one; what a flow needs is looked up for those that may be new
        alone.
        """
        touched = plan.entries if plan.touched is None else plan.touched
        elsewhere = self._registry.lacking_labels
        specs = {
            key: spec
            for key in touched
            if (spec := plan.entries[key].spec) is not None and not elsewhere(spec)
        }
        self._needs.learn(specs, plan.touched)
        named = {key: spec for key, spec in specs.items() if spec.users}
        kept = {} if plan.touched is None else self._with_users
        self._with_users = _others(kept, touched) | named
        if plan.is_glance:
            missing = self._needs.missing(self._secrets, plan.touched)
            refused = refused_users(named, self._users)
            return Lacks(missing, _others(self._lacking.users, touched) | refused)
        missing = self._needs.missing(self._secrets)
        return Lacks(missing, refused_users(self._with_users, self._users))

    def _recalled(self, entry: FlowEntry, now: tuple[Condition, ...]) -> tuple[Condition, ...]:
        """Returns conditions with the times that an earlier life has told.

        What is true again at the first look at the source has been true all the time, though the
        start could not know it.
        """
        if self._was_read:
            return now
        recorded = self.history.recorded(entry.key)
        if now is recorded:
            return now
        now = merge_conditions(recorded, now)
        if self._is_reading:
            return now
        if (unread := unread_conditions(recorded, now)) is not now:
            self._unread.add(entry.key)
        return unread

    def _may_differ(self, entry: FlowEntry) -> bool:
        """Whether the conditions of an entry may be others though nothing about it has changed."""
        if not entry.conditions:
            return True
        recorded = () if self._was_read else self.history.recorded(entry.key)
        is_same = not recorded or entry.conditions is recorded
        return not is_same or is_invalid(recorded)  # it was not looked at yet in this life

    def _settled(
        self, entry: FlowEntry, before: FlowEntry | None, lacking: Lacking, now: datetime
    ) -> FlowEntry:
        """Returns an entry with what this host has to say; the one in force if that is equal."""
        labels = self._registry.lacking_labels(entry.spec)
        current, bar = self._registry.get(entry.key), self._bar(entry, labels)
        if entry is before and current is not None:
            entry = current
        if (entry.missing_secrets, entry.refused_user, entry.bar) != (*lacking, bar):
            secrets, user = lacking
            entry = replace(entry, missing_secrets=secrets, refused_user=user, bar=bar)
        settled = self._conditioned(entry, labels, now)
        is_same = settled is current or settled == current
        return current if current is not None and is_same else settled

    def _bar(self, entry: FlowEntry, labels: tuple[str, ...]) -> Bar | None:
        """Returns what is in the way of a flow; the channels of another host are not known here."""
        if entry.spec is None:
            return None
        channels = ANY_CHANNELS if labels else self.channels.channels
        return bar_of(entry.key.account, entry.spec, self._accounts, channels)

    def _conditioned(self, entry: FlowEntry, labels: tuple[str, ...], now: datetime) -> FlowEntry:
        """Returns an entry whose conditions say what is known of it.

        `labels` are those that this host lacks for it.
        """
        pause = self._registry.pause_of(entry.key)
        conditions = self._recalled(entry, self._alike.conditions(entry, pause, now, labels))
        is_same = conditions is entry.conditions
        return entry if is_same else replace(entry, conditions=conditions)

    async def _write(self, plan: Plan, before: Mapping[FlowKey, FlowEntry]) -> bool:
        """Writes the last good definitions that changed; returns whether there were any."""
        keys: AbstractSet[FlowKey] = plan.entries.keys()
        if plan.touched is not None:
            keys = plan.touched | (self._unsure & keys)
        stale = [
            entry
            for key in keys
            if (entry := plan.entries[key]).spec is not None
            and (key in self._unsure or _record_differs(entry, before.get(key)))
        ]
        gone = plan.removed | {key for key in self._unsure if key not in plan.entries}
        self._unsure.update(gone, (entry.key for entry in stale))
        if stale:
            await self._store.put([_record(entry, self._clock) for entry in stale])
        await _together(self._store.delete(key) for key in gone)
        return bool(stale or gone)

    async def _make_last(self, *, must: bool) -> None:
        """Makes all that was written durable, if anything may not be."""
        if must:
            await self._store.sync()
            self._is_inherited = False
        self._unsure.clear()


def _others(known: Mapping[FlowKey, T], keys: Collection[FlowKey]) -> dict[FlowKey, T]:
    """Returns what is known of all flows but these."""
    others = dict(known)
    for key in keys if known else ():
        others.pop(key, None)
    return others


async def _together(writes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Carries writes out, many at once: one by one, each would wait for a turn of a busy loop.

    Raises:
        StorageError: One has failed; of the others, some were carried out.
    """
    waiting = iter(writes)
    while some := list(islice(waiting, _AT_ONCE)):
        for ended in await asyncio.gather(*some, return_exceptions=True):
            if ended is not None:
                raise ended


def _record_differs(entry: FlowEntry, before: FlowEntry | None) -> bool:
    if entry is before:
        return False
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
        definition=entry.definition,
        generation=entry.observed_generation,
        updated_at=clock.now(),
    )
