"""Nights in which clocks are changed, lived by real daemons in seconds: each slot has its account.

libfaketime lets a daemon's time pass faster, its wall clock and its monotonic one alike, so that
hours of it are seconds here. What is late by more than its grace, because the machine is busy, is
missed and not started: that is an account, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

import pytest

from flowrunner.model.ids import FlowKey, Json
from tests.profile import IS_LONG
from tests.property import cron_oracle
from tests.property.cron_oracle import DAY, MINUTE
from tests.system.daemon import RunningDaemon, daemon, eventually
from tests.system.faked_time import LIBRARY, clock_of, fast_time, recorded

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),  # six daemons are started, and a weekend lived, on a busy machine
    pytest.mark.skipif(LIBRARY is None, reason="needs faketime"),
]

HOUR = timedelta(hours=1)
BEFORE, AFTER = (26 * HOUR, 22 * HOUR) if IS_LONG else (2 * HOUR, 3 * HOUR)
RATE = 3_600 if IS_LONG else 1_800
LONGEST_LIFE = 15 * DAY
"""By how much a daemon may outlive its night, while the test looks at another."""
ARMING = 5 * MINUTE
"""What a daemon may take of its own time to be armed; no slot comes so soon."""
NIGHT = FlowKey("default", "night")
SPRING = (
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
)
AUTUMN = (
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
)
SCHEDULES: dict[str, tuple[str, dict[str, str]]] = {
    "usual": ("10,40 0-4 * * *", {}),
    "left_out": ("10,40 0-4 * * *", {"skipped": "skip"}),
    "both_times": ("10,40 0-4 * * *", {"repeated": "twice"}),
    "once_a_night": ("20 2 * * *", {}),
    "elapsed": ("*/20 * * * *", {}),
}
"""Trigger → expression and policy."""


@cache
def _slots(trigger: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    cron, dst = SCHEDULES[trigger]
    fields = cron_oracle.fields_of(cron)
    found = cron_oracle.hits(fields, cron_oracle.minutes(zone, start, end))
    skip, twice = dst.get("skipped") == "skip", dst.get("repeated") == "twice"
    return cron_oracle.due(fields, found, skip=skip, twice=twice)


@dataclass(frozen=True)
class Night:
    """A change of a clock, and the folder of a daemon that lives through it."""

    zone: str
    change: datetime
    folder: Path

    @property
    def begin(self) -> datetime:
        """When the schedules are armed: from here on each slot must be accounted for."""
        return self.change - BEFORE + MINUTE

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @contextmanager
    def lived(self, start: datetime, rate: int) -> Iterator[RunningDaemon]:
        """Runs its daemon from a moment on, with a time that passes so much faster."""
        flows, settings = self.folder / "flows", self.folder / "settings.yaml"
        flows.mkdir(parents=True, exist_ok=True)
        (flows / "night.yaml").write_text(json.dumps(self._definition()), encoding="utf-8")
        settings.write_text("source: {resync: 1d}\n", encoding="utf-8")
        arguments = ("--config", str(settings))
        time = fast_time(start, rate)
        with daemon(flows, self.state, env=time, arguments=arguments) as running:
            yield running

    async def accounted(self) -> dict[str, list[datetime]]:
        """Reads which slots started or are in the ledger, by trigger."""
        executions, rows = await recorded(self.state, NIGHT)
        found: dict[str, list[datetime]] = {name: [] for name in SCHEDULES}
        for execution in executions:
            assert execution.cause.slot_at is not None
            found[execution.cause.trigger_id].append(execution.cause.slot_at)
        for row in rows:
            slots = self.due(row.schedule.trigger, row.first - MINUTE, row.last)
            assert len(slots) == row.count, row
            found[row.schedule.trigger].extend(slots)
        return {name: sorted(slots) for name, slots in found.items()}

    def due(self, trigger: str, after: datetime, until: datetime) -> list[datetime]:
        """Returns the slots that a trigger has by the oracle, with `after` < slot <= `until`."""
        end = self.change + AFTER + LONGEST_LIFE
        assert until <= end
        slots = _slots(trigger, self.zone, self.begin - DAY, end)
        return [slot for slot in slots if after < slot <= until]

    def _definition(self) -> Json:
        triggers = [
            {
                "id": name,
                "type": "schedule",
                "cron": cron,
                "timezone": self.zone,
                **({"dst": dst} if dst else {}),
            }
            for name, (cron, dst) in SCHEDULES.items()
        ]
        return {
            "version": 1,
            "name": "night",
            "triggers": triggers,
            "concurrency": {"on_conflict": "allow"},
            "retention": {"executions": 10_000},
            "nodes": [{"id": "nothing", "type": "noop"}],
        }


def reaches(running: RunningDaemon, moment: datetime) -> bool:
    """Whether a daemon lives, and has logged something at a moment or after it."""
    assert running.process.poll() is None, running.events
    return clock_of(running) >= moment


def live(running: RunningDaemon, start: datetime, end: datetime) -> None:
    """Waits until the clock of a daemon shows a moment, in steps so that patience is for each."""
    for step in range(1, 9):
        moment = start + (end - start) * step / 8
        eventually(partial(reaches, running, moment), lambda: running.events)


@pytest.mark.parametrize("changes", [SPRING, AUTUMN] if IS_LONG else [AUTUMN])
def test_each_slot_of_a_changed_clock_has_one_account(
    changes: tuple[tuple[str, datetime], ...], tmp_path: Path
) -> None:
    """What started and what the ledger has are the slots of the oracle, each of them once."""
    nights = [Night(zone, change, tmp_path / str(n)) for n, (zone, change) in enumerate(changes)]
    with ExitStack() as lives:
        for running in [lives.enter_context(night.lived(night.begin, 1)) for night in nights]:
            assert running.stop() == 0, running.events
    started = 0
    with ExitStack() as lives:
        again = [night.lived(night.begin + ARMING, RATE) for night in nights]
        lived = [lives.enter_context(life) for life in again]
        for night, running in zip(nights, lived, strict=True):
            live(running, night.begin, night.change + AFTER)
            assert running.stop() == 0, running.events
            started += running.output.count("execution.started")
    for night in nights:
        until = night.change + AFTER - HOUR
        for trigger, slots in asyncio.run(night.accounted()).items():
            expected = night.due(trigger, night.begin, until)
            assert [slot for slot in slots if slot <= until] == expected, (night.zone, trigger)
    assert started
