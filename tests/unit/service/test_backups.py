"""Backups by the clock: when one is made, and what a failure changes."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.service.backups import AFTER_START_S, AGAIN_S, BackupDuty
from flowrunner.storage.memory import MemoryStorage
from tests.fakes.clock import FakeClock
from tests.fakes.inline_threads import run_inline

DAY = 86_400.0


class CopyingStorage(MemoryStorage):
    """A store whose backups are only noted; the next ones fail while it is broken."""

    def __init__(self, clock: FakeClock, newest_age_s: float | None = None) -> None:
        super().__init__()
        self._clock = clock
        age = None if newest_age_s is None else timedelta(seconds=newest_age_s)
        self._newest: datetime | None = None if age is None else clock.now() - age
        self.made: list[float] = []
        self.is_broken = False

    async def backup(self, target: Path | None = None) -> Path:
        if self.is_broken:
            raise StorageError("no room", code="storage.full")
        self._newest = self._clock.now()
        self.made.append(self._clock.monotonic())
        return target or Path("b")

    async def last_backup(self) -> datetime | None:
        return self._newest


def made_within(seconds: float, *, every_s: float = DAY, age_s: float | None = None) -> list[float]:
    """Returns when backups were made, in seconds since the start."""

    async def main() -> list[float]:
        clock = FakeClock()
        storage = CopyingStorage(clock, age_s)
        duty = asyncio.create_task(BackupDuty(storage, clock, every_s).run())
        await asyncio.sleep(seconds)
        duty.cancel()
        return storage.made

    return run_inline(main())


def test_first_backup_is_made_soon_after_the_first_start() -> None:
    """A state without any backup gets one a minute after the start."""
    assert made_within(DAY / 2) == [AFTER_START_S]


def test_backups_follow_the_period() -> None:
    """From the first on one is made each day."""
    found = made_within(3.5 * DAY)
    assert found == [AFTER_START_S + day * DAY for day in range(4)]


def test_restarts_do_not_make_more_backups() -> None:
    """The age of the newest one counts, not how long the daemon has run."""
    assert made_within(DAY / 2, age_s=DAY / 4) == []
    (made,) = made_within(DAY, age_s=DAY / 4)
    assert DAY * 3 / 4 <= made <= DAY * 3 / 4 + AGAIN_S


def test_backup_that_was_due_while_down_is_made_after_the_start() -> None:
    """An old newest one is too old at once."""
    assert made_within(DAY / 2, age_s=5 * DAY)[:1] == [AFTER_START_S]


def test_period_of_zero_makes_none() -> None:
    """`storage.backup_every: 0s` switches them off."""
    assert made_within(10 * DAY, every_s=0.0) == []


def test_failure_is_said_and_tried_again_within_the_hour(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk costs the backups of its time, not those after it."""
    caplog.set_level(logging.ERROR)

    async def main() -> list[float]:
        clock = FakeClock()
        storage = CopyingStorage(clock)
        storage.is_broken = True
        duty = asyncio.create_task(BackupDuty(storage, clock, DAY).run())
        await asyncio.sleep(2 * AGAIN_S)
        storage.is_broken = False
        await asyncio.sleep(AGAIN_S)
        duty.cancel()
        return storage.made

    assert run_inline(main()) == [AFTER_START_S + 2 * AGAIN_S]
    assert [record.getMessage() for record in caplog.records] == 2 * [
        "backup.failed code=storage.full: no room"
    ]
