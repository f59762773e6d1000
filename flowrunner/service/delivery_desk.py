"""The one door to what became of deliveries, for HTTP, the command line and `why`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import (
    NO_HOOK,
    DeliveryPlace,
    DeliveryReason,
    DeliveryRecord,
)
from flowrunner.model.flow import WebhookTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.service.delivery_sentences import last_delivery_text
from flowrunner.service.slot_sentences import moment_text
from flowrunner.storage.delivery_store import DeliveryStore

_MOMENT = timedelta(microseconds=1)


class WritesDeliveries(Protocol):
    """The part of the log of deliveries that a reader reaches."""

    async def flush(self) -> bool:
        """Writes what was noted so far; False if the store did not take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """A page of deliveries, newest first; `next_place` is None on the last."""

    items: tuple[DeliveryRecord, ...]
    next_place: DeliveryPlace | None = None


class DeliveryDesk:
    """Reads deliveries; raises `StorageError` and nothing else.

    Args:
        store: Has them.
        log: Has those that are not written yet: who asks sees all that was answered before.
    """

    def __init__(self, store: DeliveryStore, log: WritesDeliveries) -> None:
        self._store = store
        self._log = log

    async def page(self, query: DeliveryQuery) -> DeliveryPage:
        """Returns a page; see `DeliveryQuery`."""
        await self._log.flush()
        found = await self._store.list(replace(query, limit=query.limit + 1))
        shown = tuple(found[: query.limit])
        is_more = len(found) > query.limit
        place = DeliveryPlace(shown[-1].at, shown[-1].id) if is_more else None
        return DeliveryPage(items=shown, next_place=place)

    async def last(
        self, flow: FlowKey, trigger: WebhookTrigger, until: datetime | None
    ) -> DeliveryRecord | None:
        """Returns the last delivery to a hook, also one from before it came into force.

        Args:
            flow: Whose hook it is.
            trigger: The hook.
            until: None that came later.
        """
        before = None if until is None else until + _MOMENT
        query = DeliveryQuery(until=before, limit=1)
        mine = replace(query, accounts=frozenset({flow.account}), flow=flow.name)
        path = f"{flow.account}/{trigger.path}"
        strays = replace(query, accounts=frozenset({NO_HOOK.account}), path=path)
        found = [
            *(await self._store.list(replace(mine, trigger=trigger.id))),
            *(await self._store.list(strays)),
        ]
        return max(found, key=lambda each: (each.at, each.id), default=None)

    async def last_stray(self, until: datetime | None) -> DeliveryRecord | None:
        """Returns the last delivery that went to no hook at all, none that came later."""
        before = None if until is None else until + _MOMENT
        accounts, reasons = frozenset({NO_HOOK.account}), (DeliveryReason.NO_HOOK,)
        query = DeliveryQuery(accounts=accounts, reasons=reasons, until=before, limit=1)
        return next(iter(await self._store.list(query)), None)

    async def told(
        self, flow: FlowKey, hooks: tuple[WebhookTrigger, ...], until: datetime | None
    ) -> tuple[tuple[DeliveryRecord, ...], tuple[str, ...]]:
        """Returns the last deliveries to the hooks of a flow, and parts of a sentence on them."""
        await self._log.flush()
        found = {hook.id: await self.last(flow, hook, until) for hook in hooks}
        records = tuple(each for each in found.values() if each is not None)
        parts = list(_parts(flow, hooks, found))
        stray = await self.last_stray(until) if hooks else None
        if stray is not None and all(stray.at > each.at for each in records):
            at = moment_text(stray.at.replace(microsecond=0))
            place = f"to /hooks/{stray.path}, " if stray.path else ""
            parts.append(f"a delivery at {at} went {place}where no hook is")
        return records, tuple(parts)


def _parts(
    flow: FlowKey,
    hooks: tuple[WebhookTrigger, ...],
    found: dict[str, DeliveryRecord | None],
) -> Iterator[str]:
    for hook in hooks:
        record = found[hook.id]
        if record is not None:
            yield last_delivery_text(record, hook.id)
        else:
            yield f"no delivery to {hook.id} (/hooks/{flow.account}/{hook.path}) is recorded"
        if not hook.is_enabled:
            yield f"the hook {hook.id} is disabled"
