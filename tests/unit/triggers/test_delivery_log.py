"""Promises of `flowrunner.triggers.delivery_log`: few and bounded writes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import StorageError
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import NO_HOOK, DeliveryReason, DeliveryRecord
from flowrunner.model.ids import FlowKey
from flowrunner.storage.memory_deliveries import MemoryDeliveries
from flowrunner.triggers.delivery_log import (
    MOST_WAITING,
    MOST_WAITING_PROVEN,
    MOST_WAITING_UNPROVEN,
    WRITE_AFTER_S,
    DeliveryLog,
)
from tests.fakes.ids import SequentialIds
from tests.fakes.records import make_delivery, minutes
from tests.fakes.virtual_time import run_virtual
from tests.profile import examples

R = DeliveryReason


class FaultyDeliveries(MemoryDeliveries):
    """Counts writes; fails while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []
        self.is_full = False

    async def record(
        self, records: Sequence[DeliveryRecord], statuses: Mapping[str, int] | None = None
    ) -> None:
        if self.is_full:
            raise StorageError("no room", code="storage.full")
        self.writes.append(len(records))
        await super().record(records, statuses)


class Site:
    """A log over a store, and what its metrics were told."""

    def __init__(self) -> None:
        self.store = FaultyDeliveries()
        self.counted: list[DeliveryReason] = []
        self.log = DeliveryLog(self.store, self, SequentialIds())

    def delivery_answered(self, reason: DeliveryReason) -> None:
        self.counted.append(reason)

    async def kept(self) -> list[DeliveryRecord]:
        """Returns what is in the store."""
        return await self.store.list(DeliveryQuery(limit=100_000))


def forged(number: int, network: str = "") -> DeliveryRecord:
    """A refusal, of a neighbourhood of its own unless one is given."""
    record = make_delivery(
        number, R.SIGNATURE, status=401, is_proven=False, network=network or f"n{number}"
    )
    return replace(record, at=minutes(1), first_at=minutes(1)).answered(401, R.SIGNATURE)


def stray(number: int) -> DeliveryRecord:
    """A delivery to a path of its own that is no hook."""
    record = make_delivery(
        100_000 + number, R.NO_HOOK, status=401, is_proven=False, flow=NO_HOOK, path=f"p{number}"
    )
    return replace(record, at=minutes(1), first_at=minutes(1)).answered(401, R.NO_HOOK)


def run(story: Callable[[Site], Awaitable[None]]) -> None:
    """Runs a story in virtual time."""

    async def whole() -> None:
        await story(Site())

    run_virtual(whole())


def test_what_comes_within_a_second_is_one_write() -> None:
    """However many refusals come, the disk syncs once for them; then the next second begins."""

    async def story(site: Site) -> None:
        running = asyncio.create_task(site.log.run())
        for number in range(15):
            site.log.note(forged(number))
            await asyncio.sleep(WRITE_AFTER_S / 20)
        assert site.store.writes == []
        await asyncio.sleep(WRITE_AFTER_S)
        assert site.store.writes == [15]
        site.log.note(stray(1))
        await asyncio.sleep(2 * WRITE_AFTER_S)
        assert site.store.writes == [15, 1]
        assert len(site.counted) == 16
        running.cancel()

    run(story)


def test_without_deliveries_nothing_is_written() -> None:
    """An idle daemon leaves the disk alone."""

    async def story(site: Site) -> None:
        running = asyncio.create_task(site.log.run())
        await asyncio.sleep(3_600)
        assert await site.log.flush()
        assert site.store.writes == []
        running.cancel()

    run(story)


def test_equal_refusals_are_one_row_before_they_are_written() -> None:
    """A flood out of one neighbourhood is a row with its number."""

    async def story(site: Site) -> None:
        for number in range(1_000):
            site.log.note(forged(number, "192.0.2.1"))
        await site.log.flush()
        assert site.store.writes == [1]
        assert [each.repeats for each in await site.kept()] == [1_000]

    run(story)


def test_flood_out_of_many_places_is_bounded() -> None:
    """Beyond so many rows those of a hook are one, and none is lost from the count."""

    async def story(site: Site) -> None:
        for number in range(1_000):
            site.log.note(forged(number))
            site.log.note(stray(number))
        await site.log.flush()
        assert site.store.writes == [2 * (MOST_WAITING_UNPROVEN + 1)]
        assert sum(each.repeats for each in await site.kept()) == 2_000

    run(story)


def test_true_deliveries_keep_their_rows_in_a_flood() -> None:
    """Refusals that prove nothing take no place of what has proven itself."""

    async def story(site: Site) -> None:
        for number in range(1_000):
            site.log.note(forged(number))
        wanted = make_delivery(5_000, R.IF_FALSE, status=200)
        site.log.note(wanted)
        await site.log.flush()
        assert wanted.id in {each.id for each in await site.kept()}

    run(story)


def test_true_deliveries_are_bounded_too() -> None:
    """A sender that goes mad costs a number of rows a second, whatever ids it sends."""

    async def story(site: Site) -> None:
        for number in range(3_000):
            site.log.note(make_delivery(number % 50, R.IF_FALSE, status=200))
        for number in range(3_000):
            site.log.note(replace(make_delivery(1, R.IF_FALSE, status=200), id=f"x{number}"))
        await site.log.flush()
        assert site.store.writes[0] <= MOST_WAITING_PROVEN + 2

    run(story)


def test_failed_write_is_made_again() -> None:
    """What the disk did not take is written when it works again, joined with what came since."""

    async def story(site: Site) -> None:
        running = asyncio.create_task(site.log.run())
        site.store.is_full = True
        site.log.note(forged(1, "192.0.2.1"))
        site.log.answered_after_all("d", 500)
        await asyncio.sleep(60)
        site.log.note(forged(2, "192.0.2.1"))
        assert not await site.log.flush()
        site.store.is_full = False
        await asyncio.sleep(60)
        assert [each.repeats for each in await site.kept()] == [2]
        assert site.log.is_idle
        running.cancel()

    run(story)


@pytest.mark.heavy
def test_disk_that_fails_for_long_costs_bounded_memory() -> None:
    """Whatever comes while nothing can be written, so many rows wait and no more."""

    async def story(site: Site) -> None:
        site.store.is_full = True
        for number in range(3 * MOST_WAITING):
            flow = FlowKey("a", f"f{number}")
            site.log.note(replace(stray(number), flow=flow).answered(401, R.SIGNATURE))
        await site.log.flush()
        site.store.is_full = False
        await site.log.flush()
        assert site.store.writes[0] <= 2 * MOST_WAITING

    run(story)


def test_close_writes_what_is_left() -> None:
    """A daemon that stops leaves nothing unsaid."""

    async def story(site: Site) -> None:
        site.log.note(forged(1))
        await site.log.close()
        assert len(await site.kept()) == 1

    run(story)


_KINDS = (R.SIGNATURE, R.TIME, R.IF_FALSE, R.DUPLICATE, R.RATE)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_KINDS), st.integers(0, 60), st.sampled_from("ab "), st.booleans()
        )
    )
)
@settings(max_examples=examples(50))
def test_no_delivery_is_lost_from_the_counts(
    story: list[tuple[DeliveryReason, int, str, bool]],
) -> None:
    """However they come and are written, each reason of each flow has as many as there were."""

    async def told(site: Site) -> None:
        wanted: Counter[tuple[str, DeliveryReason]] = Counter()
        for number, (reason, sender, flow, is_written) in enumerate(story):
            is_proven = reason not in (R.SIGNATURE, R.TIME)
            record = make_delivery(
                number,
                reason,
                flow=FlowKey("default", flow) if flow.strip() else NO_HOOK,
                is_proven=is_proven,
                network=f"n{sender}",
            )
            site.log.note(record)
            wanted[record.flow.name, reason] += 1
            if is_written:
                assert await site.log.flush()
        await site.log.close()
        found: Counter[tuple[str, DeliveryReason]] = Counter()
        for each in await site.kept():
            found[each.flow.name, each.reason] += each.repeats
            assert each.first_at <= each.at
        assert found == wanted

    run(told)
