"""When a repository is asked, on virtual time; git itself is in the system tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import cast

import pytest

from flowrunner.model.conditions import ConditionReason, ConditionType
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.upstream.ledger import Memory
from flowrunner.reconcile.upstream.source import GitSource, SourceLinks, UpstreamRules
from flowrunner.reconcile.upstream.syncer import Syncer
from flowrunner.reconcile.upstream.values import SyncOutcome, SyncResult
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from tests.fakes.clock import FakeClock
from tests.fakes.inline_threads import run_inline

ONE = Revision("1" * 40)


@dataclass
class FakeSyncer:
    """Ends as it is told, and notes when it was asked."""

    clock: FakeClock
    outcomes: list[SyncOutcome] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    memory: Memory = field(default_factory=lambda: Memory(url="/r"))
    current_revision: Revision | None = None
    crashes: int = 0

    @property
    def checkouts(self) -> FakeSyncer:
        return self

    def current(self) -> Revision | None:
        return self.current_revision

    def has_spare(self) -> bool:
        return False

    def sync(self) -> SyncResult:
        self.asked_at.append(self.clock.monotonic())
        if self.crashes:
            self.crashes -= 1
            raise RuntimeError("a fault of ours")
        outcome = self.outcomes.pop(0) if self.outcomes else SyncOutcome.UNCHANGED
        reason = ConditionReason.SYNCED
        if outcome is SyncOutcome.FAILED:
            reason = ConditionReason.SYNC_FAILED
        if outcome is SyncOutcome.REFUSED:
            reason = ConditionReason.NOT_SIGNED
        if outcome is SyncOutcome.PUBLISHED:
            self.current_revision = ONE
        return SyncResult(outcome=outcome, at=self.clock.now(), newest=ONE, reason=reason)


class World:
    """A git source with everything around it."""

    def __init__(self, *outcomes: SyncOutcome, chance: float = 0.5, crashes: int = 0) -> None:
        self.clock = FakeClock()
        self.registry = FlowRegistry()
        self.passes: list[str] = []
        self.counted: list[str] = []
        self.stops = 0
        self.syncer = FakeSyncer(self.clock, list(outcomes), crashes=crashes)
        self.source = GitSource(
            syncer=cast(Syncer, self.syncer),
            rules=UpstreamRules(url="/r", ref=None, path=None, interval_s=60.0, is_verifying=True),
            registry=self.registry,
            clock=self.clock,
            chance=lambda: chance,
            links=SourceLinks(
                reconcile=self.reconcile,
                needed=self.needed,
                tidied=lambda: None,
                coming=self.coming,
            ),
            observer=self,
            tools=self,
        )

    async def reconcile(self, trigger: str) -> None:
        self.passes.append(trigger)

    async def needed(self) -> set[Revision]:
        return set()

    async def coming(self, revision: Revision, entries: Mapping[FlowKey, FlowEntry]) -> None:
        raise NotImplementedError

    def synced(self, result: str, reached_at: datetime | None) -> None:
        self.counted.append(result)

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None:
        raise NotImplementedError

    def gaps(self, seconds: float, then: Callable[[], None] = lambda: None) -> list[float]:
        """Lives for some seconds and returns how far apart the syncs were."""

        async def live() -> None:
            task = asyncio.create_task(self.source.run())
            await asyncio.sleep(1)
            then()
            await asyncio.sleep(seconds)
            task.cancel()
            await asyncio.wait([task])

        run_inline(live())
        times = self.syncer.asked_at
        return [round(after - before, 3) for before, after in pairwise(times)]

    def reason(self, kind: ConditionType) -> str:
        found = {each.type: str(each.reason) for each in self.registry.source.conditions}
        return found.get(kind, "")


@pytest.mark.parametrize(("chance", "gap"), [(0.0, 54.0), (0.5, 60.0), (1.0, 66.0)])
def test_polls_are_a_tenth_apart_from_the_interval(chance: float, gap: float) -> None:
    """A poll comes at once, then every interval, give or take a tenth of it."""
    assert World(chance=chance).gaps(200)[:3] == [gap, gap, gap]


def test_failures_make_polls_rare() -> None:
    """Each failure doubles the wait, up to ten minutes; a success ends that."""
    failed = [SyncOutcome.FAILED] * 6
    assert World(*failed).gaps(2_500) == [120.0, 240.0, 480.0, 600.0, 600.0]
    assert World(SyncOutcome.FAILED, SyncOutcome.UNCHANGED).gaps(300)[:2] == [120.0, 60.0]


def test_refusal_is_no_failure_of_the_network() -> None:
    """A commit that is refused is looked at again at the next poll: keys and pushes change."""
    world = World(SyncOutcome.REFUSED, SyncOutcome.REFUSED)
    assert world.gaps(130)[:2] == [60.0, 60.0]


def test_hints_are_joined_and_some_seconds_apart() -> None:
    """Many hints cause one sync, at least five seconds after the one before began."""
    world = World()

    def push_often() -> None:
        for _ in range(50):
            world.source.hint()

    assert world.gaps(30, push_often) == [5.0]


def test_fault_of_ours_does_not_end_the_polls() -> None:
    """An unforeseen error is a failed sync."""
    assert World(crashes=2).gaps(500)[:3] == [120.0, 240.0, 60.0]


def test_pass_follows_what_is_new_and_nothing_else() -> None:
    """Only a revision that was put in place causes a pass."""
    world = World(SyncOutcome.UNCHANGED, SyncOutcome.PUBLISHED, SyncOutcome.FAILED)
    world.gaps(250)
    assert world.passes == ["sync"]
    assert world.counted[:3] == ["unchanged", "published", "failed"]


def test_git_ends_with_the_daemon() -> None:
    """The end of the life ends what runs."""
    world = World()
    world.gaps(1)
    assert world.stops == 1


def test_conditions_tell_what_is_wrong() -> None:
    """A missing signature is told in both conditions, a failure of git leaves the signature's."""
    world = World(SyncOutcome.REFUSED)
    run_inline(world.source.sync())
    assert world.reason(ConditionType.SOURCE_VERIFIED) == "NotSigned"
    assert world.reason(ConditionType.SOURCE_SYNCED) == "NotSigned"
    world.syncer.outcomes = [SyncOutcome.FAILED]
    run_inline(world.source.sync())
    assert world.reason(ConditionType.SOURCE_VERIFIED) == "NotSigned"
    assert world.reason(ConditionType.SOURCE_SYNCED) == "SyncFailed"
    run_inline(world.source.sync())
    assert world.reason(ConditionType.SOURCE_VERIFIED) == "Verified"
    assert world.reason(ConditionType.SOURCE_PINNED) == "NotPinned"
