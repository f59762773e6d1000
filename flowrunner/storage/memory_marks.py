"""The marks of the backend without a disk."""

from __future__ import annotations

from flowrunner.model.mark import MarkChange, MarkKey, MarkKind


class MemoryMarks:
    """Meets `MarkStore`."""

    def __init__(self) -> None:
        self._marks: dict[MarkKey, str] = {}

    async def change(self, change: MarkChange) -> None:
        """Makes a change."""
        self.apply(change)

    async def list(self, kind: MarkKind) -> dict[MarkKey, str]:
        """Returns the marks of one kind, sorted by key."""
        return {key: value for key, value in sorted(self._marks.items()) if key.kind is kind}

    def apply(self, change: MarkChange) -> None:
        """Makes a change that belongs to another write."""
        self._marks.update(change.put)
        for key in change.drop:
            self._marks.pop(key, None)
