"""Watching the store: the floor of the disk, and the way back from a failure."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

import pytest

from flowrunner.errors import RefusedError, StorageError
from flowrunner.service.store_watch import LONGEST_PAUSE_S, LOOK_S, StoreWatch
from flowrunner.storage.memory import MemoryStorage
from tests.fakes.inline_threads import run_inline

FLOOR = 1_000


class FaultyStorage(MemoryStorage):
    """A store whose probe fails while it is broken, and tells its health as a real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: StorageError | None = None
        self.probes: list[float] = []

    async def check(self) -> None:
        self.probes.append(asyncio.get_running_loop().time())
        if self.broken is not None:
            self.health.failed(self.broken)
            raise self.broken
        self.health.worked()


class Desk:
    """A watch over a faulty store and a disk of so many free bytes."""

    def __init__(self, floor: int = FLOOR) -> None:
        self.storage = FaultyStorage()
        self.free: int | OSError = 10 * FLOOR
        self.watch = StoreWatch(self.storage, self._free_bytes, floor)

    def _free_bytes(self) -> int:
        if isinstance(self.free, OSError):
            raise self.free
        return self.free


def watched(story: Callable[[Desk], Awaitable[None]], floor: int = FLOOR) -> None:
    """Runs a story on virtual time while the watch looks."""

    async def main() -> None:
        desk = Desk(floor)
        watching = asyncio.create_task(desk.watch.run())
        await asyncio.sleep(0.1)
        await story(desk)
        watching.cancel()

    run_inline(main())


def test_below_the_floor_no_start_is_taken_until_there_is_room() -> None:
    """Starts are refused with `disk`, the check says so, and it ends by itself."""

    async def story(desk: Desk) -> None:
        desk.watch.refuse_without_room()
        desk.free = FLOOR - 1
        await asyncio.sleep(LOOK_S)
        with pytest.raises(RefusedError) as caught:
            desk.watch.refuse_without_room()
        assert caught.value.code == "disk"
        assert desk.watch.room().status == "failed"
        assert "999 bytes" in desk.watch.room().message
        assert not desk.watch.is_well()
        assert desk.watch.note() == "disk below storage.min_free"
        desk.free = FLOOR
        await asyncio.sleep(LOOK_S)
        desk.watch.refuse_without_room()
        assert desk.watch.room().status == "ok"
        assert desk.watch.is_well()
        assert desk.watch.note() == ""

    watched(story)


def test_each_change_of_room_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """An hour below the floor is said once, and its end once."""
    caplog.set_level(logging.INFO)

    async def story(desk: Desk) -> None:
        desk.free = 0
        await asyncio.sleep(3_600)
        desk.free = FLOOR
        await asyncio.sleep(3_600)

    watched(story)
    assert [record.message.split()[0] for record in caplog.records] == [
        "disk.low:",
        "disk.has_room",
    ]


def test_without_a_floor_nothing_is_refused() -> None:
    """`storage.min_free: 0B` leaves it to the store to say that it is full."""

    async def story(desk: Desk) -> None:
        desk.free = 0
        await asyncio.sleep(LOOK_S)
        desk.watch.refuse_without_room()

    watched(story, floor=0)


def test_disk_that_cannot_be_asked_changes_nothing() -> None:
    """A failing look neither refuses nor allows anew, and the watch goes on."""

    async def story(desk: Desk) -> None:
        desk.free = 0
        await asyncio.sleep(LOOK_S)
        desk.free = OSError("gone")
        await asyncio.sleep(LOOK_S)
        assert desk.watch.room().status == "failed"
        desk.free = FLOOR
        await asyncio.sleep(LOOK_S)
        assert desk.watch.room().status == "ok"

    watched(story)


def test_degraded_store_is_probed_ever_less_often_and_heals_by_itself() -> None:
    """Pauses double to a bound; the first probe that works ends the mode, and tells it once."""

    async def story(desk: Desk) -> None:
        healed: list[float] = []
        desk.storage.health.on_healed = lambda: healed.append(desk.storage.probes[-1])
        desk.storage.broken = StorageError("no room", code="storage.full")
        desk.storage.health.failed(desk.storage.broken)
        await asyncio.sleep(200)
        probes = desk.storage.probes
        pauses = [round(b - a) for a, b in itertools.pairwise(probes)]
        assert pauses[:5] == [1, 2, 4, 8, 16]
        assert set(pauses[5:]) == {LONGEST_PAUSE_S}
        assert desk.watch.note() == "store degraded (storage.full)"
        assert not desk.watch.is_well()
        desk.storage.broken = None
        await asyncio.sleep(LONGEST_PAUSE_S)
        assert desk.watch.is_well()
        assert healed == [probes[-1]]

    watched(story)


def test_healthy_store_is_not_probed() -> None:
    """Its writes tell how it is; a probe would only cost a sync."""

    async def story(desk: Desk) -> None:
        await asyncio.sleep(3_600)
        assert desk.storage.probes == []

    watched(story)


def test_each_change_of_the_store_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand failed writes are said once; another reason is another line."""
    caplog.set_level(logging.INFO)
    health = MemoryStorage().health
    for _ in range(1_000):
        health.failed(StorageError("no room", code="storage.full"))
    health.failed(StorageError("EIO", code="storage.unavailable"))
    health.worked()
    health.worked()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "store.degraded code=storage.full",
        "store.degraded code=storage.unavailable",
        "store.healthy after=storage.unavailable",
    ]
