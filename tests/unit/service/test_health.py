"""Promises of `flowrunner.service.health`: ready means that a pass is fresh, whatever files say."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.finding import Finding
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.registry.entry import RejectedFile
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.drain import Drain
from flowrunner.service.health import Health
from flowrunner.service.store_watch import StoreWatch
from flowrunner.storage.memory import MemoryStorage
from tests.fakes.clock import FakeClock


class World:
    """Checks over a registry whose passes a test plays."""

    def __init__(self, *, resync_s: float = 60.0, stale_after_s: float = 0.0) -> None:
        self.clock = FakeClock()
        self.registry = FlowRegistry()
        storage = MemoryStorage()
        self.health = Health(
            self.registry,
            storage,
            StoreWatch(storage, lambda: 1_000, 0),
            Drain(lambda: 0, self.clock),
            self.clock,
            resync_s=resync_s,
            stale_after_s=stale_after_s,
            families="descent",
        )

    def read(self) -> None:
        """A pass that read the source."""
        ready = Condition(
            type=ConditionType.SOURCE_READY,
            status=Status.TRUE,
            reason=ConditionReason.SOURCE_READ,
            last_transition_at=self.clock.now(),
        )
        now = self.clock.monotonic()
        self.registry.source = replace(self.registry.source, conditions=(ready,), fresh_at=now)

    def failed(self) -> list[str]:
        checks = asyncio.run(self.health.checks())
        return [check.name for check in checks if check.status == "failed"]


def test_nothing_is_ready_before_the_first_pass() -> None:
    """The last good set may be armed, but what the source says is not known."""
    world = World()
    assert world.failed() == ["source", "reconcile"]
    world.read()
    assert world.failed() == []


@pytest.mark.parametrize(
    ("resync_s", "stale_after_s", "limit_s"),
    [(60.0, 0.0, 300.0), (1.0, 0.0, 300.0), (3_600.0, 0.0, 18_000.0), (60.0, 20.0, 20.0)],
)
def test_a_pass_is_stale_after_its_time(
    resync_s: float, stale_after_s: float, limit_s: float
) -> None:
    """Five resyncs and at least five minutes, or what the settings say."""
    world = World(resync_s=resync_s, stale_after_s=stale_after_s)
    world.read()
    world.clock.advance(limit_s)
    assert world.failed() == []
    world.clock.advance(1)
    assert world.failed() == ["reconcile"]
    world.read()
    assert world.failed() == []


def test_a_bad_file_is_no_reason() -> None:
    """Findings keep a file out, not the daemon."""
    world = World()
    world.read()
    bad = RejectedFile(path="a.yaml", findings=(Finding(file="a.yaml", code="FR101", message=""),))
    world.registry.source = replace(world.registry.source, rejected=(bad,))
    assert world.failed() == []


def test_failing_channel_is_told_of_and_keeps_nothing_from_being_ready() -> None:
    """The check says which channel fails and is ok; without channels there is no check."""
    world = World()
    world.read()
    names = [check.name for check in asyncio.run(world.health.checks())]
    assert "channels" not in names
    channels = world.health.channels = ChannelHealth(["oncall"], world.clock)
    channels.failed("oncall", "answered 503")
    check = asyncio.run(world.health.checks())[-1]
    assert (check.name, check.status) == ("channels", "ok")
    assert check.message.startswith("oncall: answered 503 (1 try since ")
    assert world.failed() == []
