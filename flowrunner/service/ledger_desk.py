"""The one door to slots: the ledger, what is due next, and why a flow did or did not start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice

from flowrunner.model.ids import FlowKey
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.ports import KnowsSlots
from flowrunner.service.slot_ledger import SlotReader
from flowrunner.service.slot_views import DueView, SlotPage, SlotPlace, WhyView
from flowrunner.service.why import Why


class LedgerDesk:
    """Reads slots for the command line and HTTP; every method raises `FlowError` and nothing else.

    Args:
        registry: The flows in force.
        schedules: Know when each is due next.
        reader: Reads the ledger.
        why: Puts it into words.
    """

    def __init__(
        self, registry: FlowRegistry, schedules: KnowsSlots, reader: SlotReader, why: Why
    ) -> None:
        self._registry = registry
        self._schedules = schedules
        self._reader = reader
        self._why = why

    async def slots(
        self,
        key: FlowKey,
        *,
        after: datetime,
        until: datetime,
        place: SlotPlace | None = None,
        limit: int = 100,
    ) -> SlotPage:
        """Returns slots of a flow, the latest first; see `SlotReader.page`."""
        return await self._reader.page(key, after=after, until=until, place=place, limit=limit)

    async def schedule(
        self,
        *,
        sees: Callable[[str], bool],
        account: str | None,
        flow: str | None,
        after: DueView | None,
        limit: int,
    ) -> list[DueView]:
        """Returns when schedules are due next, each once, the soonest first.

        Args:
            sees: Tells which accounts the caller may see.
            account: Only flows of this account.
            flow: Only flows of this name.
            after: The last one of the page before.
            limit: At most this many.
        """
        due = await asyncio.to_thread(lambda: sorted(self._due(account, flow), key=_order))
        rest = (
            each
            for each in due
            if sees(each.flow.account) and (after is None or _order(each) > _order(after))
        )
        return list(islice(rest, limit))

    async def why(self, key: FlowKey, at: datetime | None) -> WhyView:
        """Returns why a flow did or did not start; see `Why.ask`."""
        return await self._why.ask(key, at)

    def _due(self, account: str | None, flow: str | None) -> Iterator[DueView]:
        for key, entry in self._registry.entries.items():
            if account not in (None, key.account) or flow not in (None, key.name):
                continue
            for trigger in entry.spec.schedules if entry.spec else ():
                slot = self._schedules.next_slot(key, trigger.id)
                if slot is not None:
                    yield DueView(flow=key, trigger=trigger.id, slot_at=slot)


def _order(due: DueView) -> tuple[datetime, FlowKey, str]:
    return due.slot_at, due.flow, due.trigger
