"""What a backend promises of deliveries; see `protocols.py` for all stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.ids import FlowKey


class DeliveryStore(Protocol):
    """What was answered to whom. The row of one that started something comes with its execution.

    See `ExecutionStore.create`.
    """

    async def record(
        self, records: Sequence[DeliveryRecord], statuses: Mapping[str, int] | None = None
    ) -> None:
        """Adds deliveries, all in one write; one of a run that has a row joins that row.

        One without a run whose id is known changes nothing: a write that failed may be made again.
        Of those without a proof the newest `MOST_UNPROVEN` rows of each flow that is named here
        stay, and as many of those to no hook.

        Args:
            records: New ones.
            statuses: By the id of a delivery that is known, what it was answered after all.
        """

    async def flows(self) -> list[FlowKey]:
        """Returns every flow that has deliveries, sorted; `NO_HOOK` and `OF_SOURCE` too."""

    async def trim(self, flow: FlowKey, *, keep: int, limit: int) -> int:
        """Removes deliveries of a flow but for the newest so many with a proof.

        Those without one are not counted and stay. At most `limit`; returns how many: fewer say
        that there are no more.
        """

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes deliveries from before a moment, and returns how many.

        At most `limit`; fewer say that there are no more.
        """

    async def list(self, query: DeliveryQuery) -> list[DeliveryRecord]:
        """Returns a page, newest first; `network` and `run` are empty."""
