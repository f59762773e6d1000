"""What became of deliveries, in the backend without a disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import MOST_UNPROVEN, DeliveryPlace, DeliveryRecord
from flowrunner.model.ids import ExecutionId, FlowKey


class MemoryDeliveries:
    """Meets `DeliveryStore`."""

    def __init__(self) -> None:
        self._records: dict[str, DeliveryRecord] = {}
        self._runs: dict[str, str] = {}

    def put(self, record: DeliveryRecord) -> None:
        """Adds a delivery that belongs to another write."""
        known = self._runs.get(record.run) if record.run else None
        if known is not None:
            record = self._records[known].joined(record)
        elif record.id in self._records:
            return
        elif record.run:
            self._runs[record.run] = record.id
        self._records[record.id] = replace(record, network="")

    def tells_of(self, execution: ExecutionId) -> bool:
        """Whether a delivery is recorded that started an execution."""
        return any(each.execution == execution for each in self._records.values())

    async def record(
        self, records: Sequence[DeliveryRecord], statuses: Mapping[str, int] | None = None
    ) -> None:
        """Adds deliveries, and changes what others were answered."""
        for record in records:
            self.put(record)
        for known, status in (statuses or {}).items():
            if known in self._records:
                self._records[known] = replace(self._records[known], status=status)
        self._trim_unproven({record.flow for record in records if not record.is_proven})

    async def flows(self) -> list[FlowKey]:
        """Returns every flow that has deliveries, sorted."""
        return sorted({each.flow for each in self._records.values()})

    async def trim(self, flow: FlowKey, *, keep: int, limit: int) -> int:
        """Removes deliveries of a flow but for the newest with a proof."""
        mine = [each for each in self._newest_first() if each.flow == flow and each.is_proven]
        return self._drop(mine[keep:][:limit])

    async def prune(self, before: datetime, *, limit: int) -> int:
        """Removes old deliveries."""
        oldest_first = reversed(self._newest_first())
        return self._drop([each for each in oldest_first if each.at < before][:limit])

    async def list(self, query: DeliveryQuery) -> list[DeliveryRecord]:
        """Returns a page, newest first."""
        found = [each for each in self._newest_first() if _fits(each, query)]
        return [replace(each, run="") for each in found[: query.limit]]

    def _newest_first(self) -> Sequence[DeliveryRecord]:
        return sorted(self._records.values(), key=_place, reverse=True)

    def _trim_unproven(self, flows: AbstractSet[FlowKey]) -> None:
        if not flows:
            return
        counts: Counter[FlowKey] = Counter()
        gone: list[DeliveryRecord] = []
        for each in self._newest_first():
            if each.flow in flows and not each.is_proven:
                counts[each.flow] += 1
                if counts[each.flow] > MOST_UNPROVEN:
                    gone.append(each)
        self._drop(gone)

    def _drop(self, gone: Sequence[DeliveryRecord]) -> int:
        for each in gone:
            del self._records[each.id]
            self._runs.pop(each.run, None)
        return len(gone)


def _place(record: DeliveryRecord) -> DeliveryPlace:
    return DeliveryPlace(record.at, record.id)


def _fits(record: DeliveryRecord, query: DeliveryQuery) -> bool:
    wanted = (
        query.flow in (None, record.flow.name),
        query.trigger in (None, record.trigger),
        query.path in (None, record.path),
        not query.only_hooks or bool(record.flow.account),
        query.accounts is None or record.flow.account in query.accounts,
        not query.reasons or record.reason in query.reasons,
        query.since is None or record.at >= query.since,
        query.until is None or record.at < query.until,
        query.before is None or _place(record) < query.before,
    )
    return all(wanted)
