"""What a backend promises about marks, as `flowrunner.storage.protocols` does for the rest."""

from __future__ import annotations

from typing import Protocol

from flowrunner.model.mark import MarkChange, MarkKey, MarkKind


class MarkStore(Protocol):
    """Small notes of triggers and `sla`, by key; every write is durable when it returns."""

    async def change(self, change: MarkChange) -> None:
        """Makes a change, in one write."""

    async def list(self, kind: MarkKind) -> dict[MarkKey, str]:
        """Returns the marks of one kind, sorted by key."""
