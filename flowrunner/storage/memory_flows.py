"""The last good definitions and those that executions name, of the backend without a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from flowrunner.errors import StorageError
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.model.packed import plain
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.memory_tables import done


class MemoryFlows:
    """Meets `FlowStore`."""

    def __init__(self) -> None:
        self._records: dict[FlowKey, FlowRecord] = {}
        self._left: frozenset[FlowKey] = frozenset()

    async def create(self, record: FlowRecord) -> None:
        """Adds a record that does not exist yet."""
        if record.key in self._records:
            raise StorageError(f"the flow {record.key} exists already", code="storage.conflict")
        self._records[record.key] = record

    async def get(self, key: FlowKey) -> FlowRecord | None:
        """Returns the record, or None."""
        return self._records.get(key)

    async def update(self, record: FlowRecord) -> None:
        """Replaces a record that exists."""
        if record.key not in self._records:
            raise StorageError(f"the flow {record.key} does not exist", code="storage.conflict")
        self._records[record.key] = record

    async def put(self, records: Sequence[FlowRecord]) -> None:
        """Keeps records, whatever was there."""
        self._records.update((record.key, record) for record in records)

    async def delete(self, key: FlowKey) -> None:
        """Removes a record."""
        self._records.pop(key, None)

    async def list(self, account: str | None = None) -> list[FlowRecord]:
        """Returns the records, sorted by key."""
        found = (self._records[key] for key in sorted(self._records))
        return [record for record in found if account in (None, record.key.account)]

    async def read_again(self) -> frozenset[FlowKey]:
        """Has read everything."""
        return frozenset()

    async def remember(self) -> None:
        """Has nothing to do."""

    async def left(self) -> frozenset[FlowKey]:
        """Returns the flows that have left."""
        return self._left

    async def put_left(self, keys: frozenset[FlowKey]) -> None:
        """Keeps the flows that have left."""
        self._left = keys

    async def sync(self) -> None:
        """Has nothing to do."""


class MemoryDefinitions:
    """Meets `DefinitionStore`."""

    def __init__(self) -> None:
        self._definitions: dict[Digest, dict[str, Json]] = {}
        self._puts = 0
        self._last_put: dict[Digest, int] = {}

    def put(self, digest: Digest, definition: Mapping[str, Json]) -> asyncio.Future[None]:
        """Keeps a definition."""
        self._puts += 1
        self._last_put[digest] = self._puts

        def write() -> None:
            self._definitions.setdefault(digest, plain(definition))

        return done(write)

    def __contains__(self, digest: Digest) -> bool:
        """Whether a definition is kept."""
        return digest in self._definitions

    async def get(self, digest: Digest) -> dict[str, Json] | None:
        """Returns the definition, or None."""
        return self._definitions.get(digest)

    async def list(self) -> list[Digest]:
        """Returns the digests."""
        return sorted(self._definitions)

    def mark(self) -> int:
        """Returns how many puts there were."""
        return self._puts

    async def delete(self, digest: Digest, *, unless_put_since: int | None = None) -> None:
        """Removes a definition."""
        if unless_put_since is None or self._last_put.get(digest, 0) <= unless_put_since:
            self._definitions.pop(digest, None)
