"""The last good definitions of flows: what a store of them promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Digest, FlowKey, Json, Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRecord:
    """The last good definition of a flow, with what is known about it.

    Attributes:
        path: The file it came from, relative to the root of the flows.
        definition: The effective definition, normalised, JSON-safe; from a store it may be packed.
        generation: Grows by one with each new digest or rejected version that was seen.
    """

    key: FlowKey
    path: str
    revision: Revision
    digest: Digest
    definition: Mapping[str, Json]
    generation: int
    updated_at: datetime


class FlowStore(Protocol):
    """The last good definitions, kept as readable files; written by reconcile's apply alone.

    Unlike the other stores a single write is atomic but durable only after `sync`: a pass
    writes many files and makes them durable together.
    """

    async def create(self, record: FlowRecord) -> None:
        """Adds a record; raises `StorageError` (``storage.conflict``) if the key exists."""

    async def get(self, key: FlowKey) -> FlowRecord | None:
        """Returns the record, or None; a damaged one is reported by `list`, here it is None."""

    async def update(self, record: FlowRecord) -> None:
        """Replaces a record; raises ``storage.conflict`` if the key does not exist."""

    async def put(self, records: Sequence[FlowRecord]) -> None:
        """Keeps records, each in the place of an earlier one or as the first of its key.

        Raises `StorageError`; of the records some were written then, each of them whole.
        """

    async def delete(self, key: FlowKey) -> None:
        """Removes a record; nothing happens if there is none."""

    async def list(self, account: str | None = None) -> list[FlowRecord]:
        """Returns the records of one account or of all, sorted by key.

        A damaged record (unreadable, or its digest does not fit) is left out and logged; so that
        it is known as damaged, something of it must have changed besides its content.
        """

    async def read_again(self) -> frozenset[FlowKey]:
        """Reads what `list` knew unread, and returns the keys of damaged records, which it logs.

        For after a start: it takes its time, and leaves the loop to others.
        """

    async def remember(self) -> None:
        """Keeps what it takes for the next `list` to know unread what does not change until then.

        What cannot be kept makes that one slower, and is no failure.
        """

    async def left(self) -> frozenset[FlowKey]:
        """Returns what left since a person last approved that; none if it is damaged: logged."""

    async def put_left(self, keys: frozenset[FlowKey]) -> None:
        """Keeps the flows that have left, durably at once."""

    async def sync(self) -> None:
        """Makes all writes so far durable."""
