"""The storage contract, over every backend: what is kept of deliveries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import (
    MOST_UNPROVEN,
    NO_HOOK,
    OF_SOURCE,
    DeliveryPlace,
    DeliveryReason,
    DeliveryRecord,
    crowd_of,
)
from flowrunner.model.ids import FlowKey
from flowrunner.storage.factory import BACKENDS
from flowrunner.storage.protocols import Storage
from tests.contract.test_storage import Body, Use, crash_and_use, use_storage
from tests.fakes.ids import sequential_id
from tests.fakes.records import BACKUP, make_delivery, make_execution, minutes

__all__ = ["crash_and_use"]

OTHER = FlowKey("team-a", "backup")
SIGNATURE, IF_FALSE = DeliveryReason.SIGNATURE, DeliveryReason.IF_FALSE
DUPLICATE, NOBODY = DeliveryReason.DUPLICATE, DeliveryReason.NO_HOOK


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


def kept(record: DeliveryRecord) -> DeliveryRecord:
    """A record as it comes back."""
    return replace(record, network="", run="")


def forged(number: int, *, path: str = "default/backup/push", network: str = "") -> DeliveryRecord:
    """A delivery that proves nothing, of a neighbourhood of its own unless one is given."""
    network = network or f"198.51.{number}.1"
    return make_delivery(number, SIGNATURE, status=401, is_proven=False, path=path, network=network)


def stray(number: int) -> DeliveryRecord:
    """A delivery to a path that is no hook, each to another one."""
    return make_delivery(
        number, NOBODY, status=401, is_proven=False, flow=NO_HOOK, path=f"default/wp-{number}"
    )


async def ids(storage: Storage, query: DeliveryQuery | None = None) -> list[str]:
    """Returns the ids of what is listed."""
    return [each.id for each in await storage.deliveries.list(query or DeliveryQuery(limit=1_000))]


def test_a_delivery_comes_back_as_it_was(use: Use) -> None:
    """Every field, of one that is ignored as of one that proves nothing."""
    ignored, wrong = make_delivery(1, IF_FALSE, status=200), forged(2)

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([ignored, wrong])
        assert await storage.deliveries.list(DeliveryQuery()) == [kept(wrong), kept(ignored)]

    use(body)


def test_what_a_delivery_starts_is_recorded_with_it(use: Use) -> None:
    """Execution and delivery are one write."""
    started = replace(make_delivery(1), execution=sequential_id(1))

    async def body(storage: Storage) -> None:
        await storage.executions.create(make_execution(1), delivery=started)
        assert await storage.deliveries.list(DeliveryQuery()) == [kept(started)]

    use(body)


def test_a_copy_that_the_start_key_tells_is_recorded_as_one(use: Use) -> None:
    """It names the execution of the first, whatever the second would have started."""
    first, second = make_execution(1, start_key="k"), make_execution(2, start_key="k")
    came = replace(make_delivery(2), execution=sequential_id(2))

    async def body(storage: Storage) -> None:
        await storage.executions.create(first, delivery=make_delivery(1))
        assert not (await storage.executions.create(second, delivery=came)).created
        newest = (await storage.deliveries.list(DeliveryQuery()))[0]
        assert (newest.reason, newest.status) == (DUPLICATE, 200)
        assert newest.execution == sequential_id(1)

    use(body)


def test_a_delivery_is_not_recorded_when_its_execution_is_not(use: Use) -> None:
    """All or nothing: no record tells of an execution that nobody has."""

    async def body(storage: Storage) -> None:
        await storage.executions.create(make_execution(1))
        with pytest.raises(StorageError):
            await storage.executions.create(make_execution(1), delivery=make_delivery(1))
        assert await ids(storage) == []

    use(body)


def test_equal_refusals_are_one_row(use: Use) -> None:
    """It has the id and the time of the first, and all else of the last one, in any write."""
    first, second, third = (forged(number, network="192.0.2.9") for number in (1, 2, 3))

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([first, second])
        await storage.deliveries.record([third])
        (row,) = await storage.deliveries.list(DeliveryQuery())
        assert row == kept(replace(third, id=first.id, first_at=first.at, repeats=3))

    use(body)


def test_a_late_write_takes_nothing_back(use: Use) -> None:
    """What joins its row after a newer one leaves its time alone."""

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([forged(5, network="192.0.2.9")])
        await storage.deliveries.record([forged(3, network="192.0.2.9")])
        (row,) = await storage.deliveries.list(DeliveryQuery())
        assert (row.first_at, row.at, row.repeats) == (minutes(3), minutes(5), 2)

    use(body)


@pytest.mark.parametrize(
    "other",
    [
        forged(2, network="203.0.113.9"),
        forged(2, network="192.0.2.9", path="default/backup/pull"),
        make_delivery(2, DeliveryReason.TIME, status=401, is_proven=False),
        replace(forged(70, network="192.0.2.9"), flow=BACKUP),
        make_delivery(2, IF_FALSE, status=200),
        stray(2),
    ],
    ids=["sender", "path", "reason", "hour", "proven", "no hook"],
)
def test_what_differs_has_a_row_of_its_own(use: Use, other: DeliveryRecord) -> None:
    """Another sender, path or reason, another hour, or a proof."""

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([forged(1, network="192.0.2.9"), other])
        assert [each.repeats for each in await storage.deliveries.list(DeliveryQuery())] == [1, 1]

    use(body)


def test_a_write_may_be_made_again(use: Use) -> None:
    """What was kept although its write was said to have failed is there once."""

    async def body(storage: Storage) -> None:
        for _ in range(2):
            await storage.deliveries.record([make_delivery(1, IF_FALSE, status=200)])
        assert [each.repeats for each in await storage.deliveries.list(DeliveryQuery())] == [1]

    use(body)


def test_an_answer_that_came_later_is_kept(use: Use) -> None:
    """Of a delivery that waited for the end; one that is unknown is passed over."""

    async def body(storage: Storage) -> None:
        await storage.executions.create(make_execution(1), delivery=make_delivery(1))
        await storage.deliveries.record([], {make_delivery(1).id: 500, "nobody": 200})
        assert [each.status for each in await storage.deliveries.list(DeliveryQuery())] == [500]

    use(body)


def test_deliveries_are_paged_newest_first(use: Use) -> None:
    """The place of the last one of a page leads to the next page, also within one moment."""
    same = [replace(make_delivery(n, IF_FALSE), at=minutes(1)) for n in range(1, 6)]

    async def body(storage: Storage) -> None:
        await storage.deliveries.record(same)
        first = await storage.deliveries.list(DeliveryQuery(limit=2))
        place = DeliveryPlace(first[-1].at, first[-1].id)
        rest = await ids(storage, DeliveryQuery(before=place))
        assert [*(each.id for each in first), *rest] == [each.id for each in reversed(same)]

    use(body)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (DeliveryQuery(), [5, 4, 3, 2, 1]),
        (DeliveryQuery(accounts=frozenset({"team-a"})), [4]),
        (DeliveryQuery(accounts=frozenset({"team-a", "default"})), [4, 3, 2, 1]),
        (DeliveryQuery(accounts=frozenset()), []),
        (DeliveryQuery(flow="backup", accounts=frozenset({"default"})), [3, 2, 1]),
        (DeliveryQuery(flow="other"), []),
        (DeliveryQuery(trigger="push"), [4, 3, 2, 1]),
        (DeliveryQuery(only_hooks=True), [4, 3, 2, 1]),
        (DeliveryQuery(path="default/wp-5"), [5]),
        (DeliveryQuery(reasons=(IF_FALSE, NOBODY)), [5, 2]),
        (DeliveryQuery(since=minutes(2), until=minutes(4)), [3, 2]),
        (DeliveryQuery(limit=1), [5]),
    ],
)
def test_deliveries_are_found(use: Use, query: DeliveryQuery, found: list[int]) -> None:
    """By account, flow, trigger, path, reason and time; those to no hook are of no account."""
    records = [
        make_delivery(1),
        make_delivery(2, IF_FALSE, status=200),
        forged(3),
        make_delivery(4, flow=OTHER),
        stray(5),
    ]

    async def body(storage: Storage) -> None:
        await storage.deliveries.record(records)
        assert await ids(storage, query) == [f"delivery-{number:06}" for number in found]

    use(body)


def test_strangers_push_out_nobody(use: Use) -> None:
    """However many refusals come, true deliveries stay, and so do the refusals of other hooks."""
    flood = [stray(number) for number in range(10, MOST_UNPROVEN + 60)]
    flood += [replace(forged(n), network=str(n)) for n in range(1_000, 1_020)]

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([make_delivery(1), forged(2)])
        await storage.deliveries.record(flood)
        await storage.deliveries.record([stray(999)])
        kept_ids = await ids(storage)
        assert {make_delivery(1).id, forged(2).id} <= set(kept_ids)
        strays = await storage.deliveries.list(DeliveryQuery(reasons=(NOBODY,), limit=1_000))
        assert len(strays) == MOST_UNPROVEN
        assert strays[0].id == stray(999).id

    use(body)


def test_deliveries_beyond_a_number_go(use: Use) -> None:
    """The oldest of a flow with a proof, in small pieces; what proves nothing is not counted."""

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([make_delivery(n, IF_FALSE) for n in range(1, 8)])
        await storage.deliveries.record([forged(9), make_delivery(10, flow=OTHER)])
        trim = storage.deliveries.trim
        assert [await trim(BACKUP, keep=3, limit=3) for _ in range(3)] == [3, 1, 0]
        assert [name[-2:] for name in await ids(storage)] == ["10", "09", "07", "06", "05"]

    use(body)


def test_old_deliveries_go_in_small_pieces(use: Use) -> None:
    """Those from before a moment, whoever sent them; a row goes when its last one is old."""
    alike = [forged(number, network="192.0.2.9") for number in (0, 5)]

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([make_delivery(2), make_delivery(3), stray(1), *alike])
        prune = storage.deliveries.prune
        assert [await prune(minutes(4), limit=2) for _ in range(3)] == [2, 1, 0]
        assert await ids(storage) == [alike[0].id]
        await storage.deliveries.record([forged(6, network="192.0.2.9")])
        assert await prune(minutes(9), limit=9) == 1
        await storage.deliveries.record([forged(7, network="192.0.2.9")])
        assert await ids(storage) == [forged(7).id]

    use(body)


def test_who_has_deliveries_is_known(use: Use) -> None:
    """Each flow once, over accounts, with those to no hook and to the hook of the source."""
    flows = [NO_HOOK, OF_SOURCE, BACKUP, FlowKey("default", "z"), OTHER]

    async def body(storage: Storage) -> None:
        assert await storage.deliveries.flows() == []
        for number, flow in enumerate(flows * 2):
            await storage.deliveries.record([make_delivery(number, flow=flow)])
        assert await storage.deliveries.flows() == flows

    use(body)


def test_a_crowd_is_one_row_over_writes(use: Use) -> None:
    """Whoever sent them, and to whatever path where that is no hook."""

    async def body(storage: Storage) -> None:
        await storage.deliveries.record([crowd_of(stray(1)), crowd_of(stray(2))])
        await storage.deliveries.record([crowd_of(replace(stray(3), network="10.0.0.1"))])
        (row,) = await storage.deliveries.list(DeliveryQuery())
        assert (row.repeats, row.path, row.source) == (3, "", "")

    use(body)


def test_deliveries_survive_a_crash(crash_and_use: Callable[[Body, Body], None]) -> None:
    """What was recorded is there, with what it started, and a run goes on."""

    async def before(storage: Storage) -> None:
        await storage.executions.create(make_execution(1), delivery=make_delivery(1))
        await storage.deliveries.record([forged(2, network="192.0.2.9")])

    async def after(storage: Storage) -> None:
        later = replace(forged(3, network="192.0.2.9"), at=minutes(2) + timedelta(seconds=1))
        await storage.deliveries.record([later])
        found = await storage.deliveries.list(DeliveryQuery())
        assert [(each.id[-1], each.repeats) for each in found] == [("2", 2), ("1", 1)]

    crash_and_use(before, after)
