"""What became of deliveries, on its way to the store.

A delivery that starts something is recorded by the store, in the transaction of its execution;
it costs no write of its own. All others wait here for a moment and are written together, so that
no stranger makes the disk sync for each of his tries: a crash may lose the last second of them.
What waits is bounded: beyond so many, those of a flow that are alike but for their senders are
one (`crowd_of`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import datetime
from typing import NamedTuple, Protocol

from flowrunner.errors import StorageError
from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import (
    LONGEST_PATH,
    NO_HOOK,
    NO_REVISION,
    DeliveryReason,
    DeliveryRecord,
    crowd_of,
    storable,
)
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.storage.delivery_store import DeliveryStore
from flowrunner.system.ids import IdSource

_log = logging.getLogger(__name__)

WRITE_AFTER_S = 1.0
"""Seconds from a delivery to the write that records it, with all that came meanwhile."""

AGAIN_S = 10.0
"""Seconds from a write that failed to the next one."""

MOST_WAITING_PROVEN, MOST_WAITING_UNPROVEN = 200, 20
"""Rows of a flow that wait at once, with a proof and without; the others join a crowd."""

MOST_WAITING = 5_000
"""Rows that wait at once, whosever they are: twice as many with crowds, and no more."""


class CountsAnswers(Protocol):
    """The part of the metrics that hears of each answer."""

    def delivery_answered(self, reason: DeliveryReason) -> None:
        """Counts one."""


class _Pool(NamedTuple):
    """Those who share a bound."""

    flow: FlowKey
    is_proven: bool


class DeliveryLog:
    """Takes note of deliveries, and writes it down now and then.

    Args:
        store: Keeps it.
        counts: Hears of each.
        ids: Names them.
    """

    def __init__(self, store: DeliveryStore, counts: CountsAnswers, ids: IdSource) -> None:
        self._store = store
        self._ids = ids
        self._counts = counts
        self._waiting: dict[str, DeliveryRecord] = {}
        self._sizes: Counter[_Pool] = Counter()
        self._statuses: dict[str, int] = {}
        self._noted = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._waiting and not self._statuses

    def begin(
        self,
        delivery: Delivery,
        came_at: datetime,
        *,
        flow: FlowKey = NO_HOOK,
        trigger: str = "",
        revision: Revision = NO_REVISION,
        names: tuple[str, str] = ("", ""),
        is_proven: bool = False,
    ) -> DeliveryRecord:
        """Returns the record of a delivery that starts its flow.

        Its id is that of the execution, too, where there is a proof without which none starts.

        Args:
            delivery: What was sent.
            came_at: When.
            flow: Whose hook it is.
            trigger: The trigger's id.
            revision: In force.
            names: What the provider calls the kind of what happened, and the delivery.
            is_proven: Whether it proved where it comes from.
        """
        event, delivery_id = names
        execution_id = self._ids.execution_id()
        return DeliveryRecord(
            id=execution_id,
            at=came_at,
            first_at=came_at,
            path=storable(delivery.path, LONGEST_PATH),
            source=delivery.source,
            network=delivery.network,
            flow=flow,
            trigger=trigger,
            event=event,
            delivery_id=delivery_id,
            is_proven=is_proven,
            status=202,
            reason=DeliveryReason.ACCEPTED,
            revision=revision,
            request_id=delivery.request_id,
            execution=execution_id if is_proven else None,
        )

    def answered(self, draft: DeliveryRecord, answer: DeliveryAnswer) -> None:
        """Takes note of an answer; `draft` is what is known of the delivery besides."""
        if answer.is_recorded:
            self._counts.delivery_answered(answer.reason)
            return
        told = draft.answered(
            answer.status,
            answer.reason,
            detail=answer.detail,
            execution=answer.body.get("execution_id"),
        )
        self.note(told)

    def note(self, record: DeliveryRecord) -> None:
        """Takes note of a delivery that started nothing."""
        self._counts.delivery_answered(record.reason)
        self._put(record)
        self._noted.set()

    def answered_after_all(self, record_id: str, status: int) -> None:
        """Takes note of another answer than the one that was recorded with the execution."""
        if len(self._statuses) < MOST_WAITING:
            self._statuses[record_id] = status
            self._noted.set()

    async def run(self) -> None:
        """Writes what was noted, again and again, until it is cancelled."""
        while True:
            await self._noted.wait()
            await asyncio.sleep(WRITE_AFTER_S)
            if not await self.flush():
                await asyncio.sleep(AGAIN_S)

    async def flush(self) -> bool:
        """Writes what was noted so far; False if the store did not take it, which is logged."""
        await asyncio.sleep(0)  # what was just answered is noted in the turn after
        async with self._writing:
            self._noted.clear()
            records, statuses = tuple(self._waiting.values()), self._statuses
            if not records and not statuses:
                return True
            self._waiting, self._statuses = {}, {}
            self._sizes.clear()
            try:
                await self._store.record(records, statuses)
            except StorageError as error:
                _log.warning("deliveries.not_recorded count=%d code=%s", len(records), error.code)
                self._take_back(records, statuses)
                return False
        return True

    async def close(self) -> None:
        """Writes what is left; what the store does not take is lost, and logged."""
        await self.flush()

    def _take_back(self, records: tuple[DeliveryRecord, ...], statuses: dict[str, int]) -> None:
        """Puts in line again what could not be written, before what has come since."""
        since, self._waiting = self._waiting, {}
        self._sizes.clear()
        for record in (*records, *since.values()):
            self._put(record)
        self._statuses = {**statuses, **self._statuses}
        self._noted.set()

    def _put(self, record: DeliveryRecord) -> None:
        name = record.run or record.id
        if name not in self._waiting:
            pool = _Pool(record.flow, record.is_proven)
            most = MOST_WAITING_PROVEN if record.is_proven else MOST_WAITING_UNPROVEN
            if self._sizes[pool] >= most or len(self._waiting) >= MOST_WAITING:
                record = crowd_of(record)
                name = record.run
            if name not in self._waiting:
                if len(self._waiting) >= 2 * MOST_WAITING:
                    return  # the disk takes nothing for long: the metrics have counted it
                self._sizes[pool] += 1
        known = self._waiting.get(name)
        self._waiting[name] = record if known is None else known.joined(record)
