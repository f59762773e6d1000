"""The pauses of the backend without a disk."""

from __future__ import annotations

from flowrunner.model.ids import FlowKey
from flowrunner.model.pause import PauseRecord


class MemoryPauses:
    """Meets `PauseStore`."""

    def __init__(self) -> None:
        self._records: dict[FlowKey, PauseRecord] = {}

    async def put(self, flow: FlowKey, record: PauseRecord) -> None:
        """Keeps the record of a flow."""
        self._records[flow] = record

    async def delete(self, flow: FlowKey) -> None:
        """Removes the record of a flow."""
        self._records.pop(flow, None)

    async def list(self) -> dict[FlowKey, PauseRecord]:
        """Returns every record."""
        return dict(self._records)
