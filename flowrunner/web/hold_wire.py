"""The shape of a deletion that waits for approval, within the shape of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flowrunner.model.ids import FlowKey, Json

_MOST_FLOWS = 100
"""Names in the shape; their number is told in any case."""


class HeldPrune(Protocol):
    """What is held; see `flowrunner.registry.entry.PruneHold`."""

    @property
    def revision(self) -> str:
        """What an approval is for."""

    @property
    def reason(self) -> str:
        """Why it waits."""

    @property
    def flows(self) -> Sequence[FlowKey]:
        """What would leave."""

    @property
    def message(self) -> str:
        """The whole sentence."""


def hold_json(hold: HeldPrune | None) -> Json:
    """Returns the shape of a hold; null where nothing is held."""
    if hold is None:
        return None
    shown = hold.flows[:_MOST_FLOWS]
    return {
        "revision": hold.revision,
        "reason": str(hold.reason),
        "message": hold.message,
        "count": len(hold.flows),
        "flows": [{"account": key.account, "name": key.name} for key in shown],
    }
