"""The history of a flow, in pages."""

from __future__ import annotations

from typing import NamedTuple

from flowrunner.model.flow_events import FlowEvent
from flowrunner.model.ids import FlowKey
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.event_store import EventStore


class EventPage(NamedTuple):
    """Events of one flow, newest first.

    Attributes:
        events: At most as many as asked for.
        before: The cursor of the next page; None at the end.
    """

    events: tuple[FlowEvent, ...]
    before: int | None = None


class EventReader:
    """Reads events; of flows that have left too, as long as they are kept."""

    def __init__(self, store: EventStore, registry: FlowRegistry) -> None:
        self._store = store
        self._registry = registry

    async def page(self, key: FlowKey, *, before: int | None, limit: int) -> EventPage:
        """Returns events with a number below `before`.

        Args:
            key: The flow.
            before: The cursor of the page before; None: from the newest.
            limit: The most events, 1 to 1,000.

        Raises:
            NotFoundError: There is no such flow, and nothing is known of one that has left.
            StorageError: The store cannot be read.
        """
        found = await self._store.list(key, before=before, limit=limit + 1)
        if not found and before is None:
            self._registry.require(key)
        shown = tuple(found[:limit])
        return EventPage(shown, shown[-1].number if len(found) > limit else None)
