"""Promises of `flowrunner.reconcile.history`: what is told of flows, once, over lives."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.conditions import Condition, ConditionType
from flowrunner.model.flow import FlowSpec
from flowrunner.model.flow_events import FlowEvent, FlowState
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.model.pause import Pause
from flowrunner.model.sla import Breach, SlaKind
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.history import FlowHistory
from flowrunner.reconcile.last_good import Restorer, load_last_good
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.entry import FlowEntry, PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.memory_events import MemoryEvents
from flowrunner.storage.memory_flows import MemoryFlows
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import (
    COMPILER,
    NOT_YAML,
    FakeSecrets,
    broken_text,
    flow_text,
    hook,
    key_of,
)
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline
from tests.fakes.watcher import FakeWatcher

ROOT = Path("/flows")
TIMES = ReconcilerTimes(resync_s=60.0, debounce_s=0.3, debounce_limit_s=5.0)
A, B = key_of("a"), key_of("b")


class FaultyEvents(MemoryEvents):
    """Counts its writes; may refuse them."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []
        self.error: StorageError | None = None

    async def record(
        self,
        events: Sequence[FlowEvent],
        states: Mapping[FlowKey, FlowState],
        *,
        marks: MarkChange = NO_MARKS,
    ) -> None:
        if self.error is not None:
            raise self.error
        self.writes.append(len(events))
        await super().record(events, states, marks=marks)


class World:
    """A reconciler with a history, over files in memory; a restart keeps what is durable."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.files.make_folder(ROOT)
        self.store, self.events = MemoryFlows(), FaultyEvents()
        self.secrets, self.clock = FakeSecrets(), FakeClock()
        self.restorer: Restorer = COMPILER
        self.begin()

    def begin(self) -> None:
        """Makes what has a memory of its own, and loads what is durable."""
        self.registry = FlowRegistry()
        self.applier = Applier(self.registry, self.store, self.secrets, self.clock, ())
        self.history = FlowHistory(self.events, self.clock)
        self.applier.history = self.history
        self.reconciler = Reconciler(
            root=ROOT,
            scanner=Scanner(self.files, COMPILER, FolderTrees(self.files), self.clock),
            applier=self.applier,
            registry=self.registry,
            watcher=FakeWatcher(),
            clock=self.clock,
            times=TIMES,
            observer=self,
        )

    def pass_ended(self, result: PassResult) -> None:
        """Looks at the end of a pass, which no test here asks about."""

    def restart(self) -> None:
        """A new life, an hour later."""
        self.clock.advance(3_600)
        self.begin()
        self.start()

    def start(self) -> None:
        """Begins the life that was made."""
        run_inline(self._start())

    async def _start(self) -> None:
        await self.history.load()
        load_last_good(
            await self.store.list(), self.restorer, self.registry, self.clock, self.history
        )
        await self.reconciler.start()

    def put(self, **files: bytes) -> None:
        """Writes files and lets a pass see them, a minute later."""
        for name, data in files.items():
            self.files.write(ROOT / f"{name}.yaml", data)
        self.look()

    def remove(self, *names: str) -> None:
        for name in names:
            self.files.remove(ROOT / f"{name}.yaml")
        self.look()

    def look(self) -> None:
        self.clock.advance(60)
        run_inline(self.reconciler.request("command"))

    def break_promise(self, kind: SlaKind, *, execution: str = "", count: int = 1) -> None:
        """Lets flow `a` break a promise of 60 seconds, and waits until that is written."""

        async def story() -> None:
            self.history.promise_broken(
                Breach(
                    flow=A,
                    kind=kind,
                    execution=ExecutionId(execution) if execution else None,
                    since=self.clock.now() - timedelta(seconds=61),
                    limit_s=60.0,
                    count=count,
                )
            )
            await self.history.settle()

        run_inline(story())

    def told(self, key: FlowKey = A) -> list[str]:
        """The events of a flow, oldest first: reasons of versions, and conditions."""
        events = reversed(run_inline(self.events.list(key)))
        return [it.reason if it.status is None else f"{it.type}={it.status}" for it in events]

    def newest(self, key: FlowKey = A) -> FlowEvent:
        return run_inline(self.events.list(key, limit=1))[0]

    def since(self, key: FlowKey = A) -> dict[ConditionType, datetime]:
        """When each condition changed last."""
        return {c.type: c.last_transition_at for c in self._conditions(key)}

    def _conditions(self, key: FlowKey) -> tuple[Condition, ...]:
        return self.registry.entries[key].conditions


class Remembers:
    """Meets `Restorer`; knows the content of the files that flows came from, as a cache does."""

    def __init__(self, entries: Iterable[FlowEntry]) -> None:
        self._contents = {entry.digest: entry.content for entry in entries}

    def restore(
        self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]
    ) -> tuple[FlowSpec, Mapping[str, Json]]:
        return COMPILER.restore(key, digest, definition)

    def content_of(self, digest: Digest) -> str:
        return self._contents[digest]


@pytest.fixture
def world() -> World:
    return World()


def test_a_new_flow_is_one_event(world: World) -> None:
    """A flow that comes is told once, and its conditions are not."""
    world.put(a=flow_text("a"))
    assert world.told() == ["Created"]
    event = world.newest()
    assert (event.number, event.generation, event.message) == (1, 1, "a.yaml")
    assert event.revision == world.registry.source.revision


def test_a_flow_that_comes_unready_says_so(world: World) -> None:
    """What keeps a new flow from starting is told with it."""
    world.put(a=flow_text("a", triggers=[hook("push")], secrets=["TOKEN"]))
    assert world.told() == ["Created", "Ready=False"]
    assert world.newest().message == "this host has no secret TOKEN"


def test_versions_are_told_as_they_come(world: World) -> None:
    """Applied, rejected once for each content, and applied again when corrected."""
    world.put(a=flow_text("a"))
    world.put(a=flow_text("a", description="2"))
    world.put(a=broken_text("a", 1))
    world.look()
    world.put(a=broken_text("a", 2))
    world.put(a=flow_text("a", description="2"))
    world.put(a=flow_text("a", description="3"))
    assert world.told() == [
        "Created",
        "Applied",
        *("Rejected", "Ready=False", "Valid=False"),
        "Rejected",
        *("Ready=True", "Valid=True"),
        "Applied",
    ]
    assert [event.number for event in run_inline(world.events.list(A))] == list(range(9, 0, -1))


def test_a_rejected_version_says_where(world: World) -> None:
    """The event has what the condition has: file, line, code."""
    world.put(a=broken_text("a"))
    assert world.told() == ["Rejected", "Ready=False"]
    first = run_inline(world.events.list(A))[-1]
    assert first.message.startswith("a.yaml:1:")


def test_a_flow_that_leaves_and_returns_has_one_history(world: World) -> None:
    """Deleted, returned: the numbers go on, and a deletion is told once."""
    world.put(a=flow_text("a"), b=flow_text("b"))
    world.remove("a")
    world.look()
    assert world.told() == ["Created", "Deleted"]
    world.put(a=flow_text("a"))
    assert world.told() == ["Created", "Deleted", "Returned"]
    assert world.newest().number == 3


def test_held_flows_are_told_once_and_when_they_are_back(world: World) -> None:
    """A removal that waits for an approval is an event, also over a restart."""
    names = "abcdefghij"
    world.put(**{name: flow_text(name) for name in names})
    world.remove(*names[:8])
    world.look()
    world.restart()
    assert world.told() == ["Created", "Held"]
    assert "--allow-prune" in world.newest().message
    world.put(**{name: flow_text(name) for name in names})
    assert world.told() == ["Created", "Held", "Returned"]


def test_an_approved_removal_is_told(world: World) -> None:
    """After the approval the flow is deleted, and no longer held."""
    names = "abcdefghij"
    world.put(**{name: flow_text(name) for name in names})
    world.remove(*names[:8])
    hold = world.registry.source.hold
    assert hold is not None
    run_inline(world.reconciler.allow_prune(hold.revision))
    assert world.told() == ["Created", "Held", "Deleted"]
    world.look()
    assert world.told() == ["Created", "Held", "Deleted"]


def test_a_pause_is_told_with_its_reason(world: World) -> None:
    """Paused and resumed are conditions that change between two passes."""
    world.put(a=flow_text("a"))

    async def story() -> None:
        world.registry.set_pause(A, Pause(at=world.clock.now(), reason="disk", uid=7))
        world.applier.renew_conditions(A)
        await world.history.settle()

    run_inline(story())
    assert (world.told(), world.newest().message) == (["Created", "Paused=True"], "by uid 7: disk")

    async def end() -> None:
        world.registry.set_pause(A, None)
        world.applier.renew_conditions(A)
        await world.history.settle()

    run_inline(end())
    world.look()
    assert world.told() == ["Created", "Paused=True", "Paused=False"]


def test_a_pass_is_one_write(world: World) -> None:
    """However many flows a pass is about; one that changes nothing writes nothing."""
    world.put(**{f"f{number}": flow_text(f"f{number}") for number in range(50)})
    world.look()
    world.put(f1=flow_text("f1", description="2"), f2=broken_text("f2"))
    assert world.events.writes == [50, 4]


def test_a_restart_tells_nothing_and_moves_no_time(world: World) -> None:
    """Conditions keep their times over a life, those of a flow with a bad new version too."""
    world.put(a=flow_text("a"), b=flow_text("b"))
    world.put(b=broken_text("b"))
    before = world.since(A), world.since(B), world.told(A), world.told(B)
    writes = list(world.events.writes)
    world.restart()
    world.look()
    assert (world.since(A), world.since(B), world.told(A), world.told(B)) == before
    assert world.events.writes == writes


def test_a_secret_that_stays_missing_is_missing_since_then(world: World) -> None:
    """Whether a source is there or not: the time is that of the first life that missed it."""
    world.put(a=flow_text("a", triggers=[hook("push")], secrets=["TOKEN"]))
    before, told = world.since(A), world.told()
    world.restart()
    assert (world.since(A), world.told()) == (before, told)
    world.files.remove_tree(ROOT)
    world.restart()
    assert (world.since(A), world.told()) == (before, told)


def test_a_secret_that_came_without_a_source_came_then(world: World) -> None:
    """What changes while the source is away keeps its time when the source is back."""
    text = flow_text("a", triggers=[hook("push")], secrets=["TOKEN"])
    world.put(a=text)
    world.files.remove_tree(ROOT)
    world.restart()
    world.secrets.texts["TOKEN"] = "t"
    world.look()
    came = world.clock.now()
    world.look()
    world.files.make_folder(ROOT)
    world.put(a=text)
    assert world.since(A)[ConditionType.READY] == came
    assert world.told() == ["Created", "Ready=False", "Ready=True"]


def test_what_changes_while_nobody_runs_is_told_by_the_next_life(world: World) -> None:
    """An edit, a fault and a removal between two lives; the times are those of the next pass."""
    world.put(a=flow_text("a"), b=flow_text("b"), c=broken_text("c"))
    world.files.write(ROOT / "a.yaml", flow_text("a", description="2"))
    world.files.write(ROOT / "b.yaml", broken_text("b"))
    world.files.remove(ROOT / "c.yaml")
    world.restart()
    assert world.told(A) == ["Created", "Applied"]
    assert world.told(B) == ["Created", "Rejected", "Ready=False", "Valid=False"]
    assert world.told(key_of("c")) == ["Rejected", "Ready=False", "Deleted"]
    assert world.since(B)[ConditionType.READY] == world.clock.now()


def test_a_source_that_is_away_tells_nothing(world: World) -> None:
    """Without the source it is not known what has changed; when it is back, nothing has."""
    world.put(a=flow_text("a"), b=flow_text("b"))
    world.put(b=broken_text("b"))
    before = world.since(B), world.told(A), world.told(B)
    data = {name: world.files.read(ROOT / f"{name}.yaml", limit=9_999) for name in "ab"}
    world.files.remove_tree(ROOT)
    world.restart()
    assert (world.since(B), world.told(B)) == (before[0], before[2])
    assert not world.registry.entries[B].is_ready
    world.files.make_folder(ROOT)
    world.put(**data)
    assert (world.since(B), world.told(A), world.told(B)) == before


def test_what_a_full_disk_refuses_is_told_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A history that cannot be written stops no pass, and is not lost."""
    caplog.set_level(logging.CRITICAL)
    world.put(a=flow_text("a"))
    world.events.error = StorageError("no space", code="storage.full")
    world.put(a=flow_text("a", description="2"))
    world.put(a=flow_text("a", description="3"))
    assert world.registry.entries[A].generation == 3
    assert world.told() == ["Created"]
    world.events.error = None
    world.look()
    assert world.told() == ["Created", "Applied", "Applied"]


def test_a_crash_before_the_write_loses_no_difference(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What was in force and not told when the daemon died is told by the next life."""
    caplog.set_level(logging.CRITICAL)
    world.put(a=flow_text("a"))
    world.events.error = StorageError("no space", code="storage.full")
    world.put(a=flow_text("a", description="2"))
    world.events.error = None
    world.restart()
    assert world.told() == ["Created", "Applied"]


def test_a_flow_that_stays_for_an_unreadable_file_is_not_rejected(world: World) -> None:
    """Its file is gone, not its content refused: the condition alone changes."""
    world.put(a=flow_text("a"), b=flow_text("b"))
    world.files.remove(ROOT / "a.yaml")
    world.put(z=NOT_YAML)
    assert world.told() == ["Created", "Ready=False", "Valid=False"]


def test_a_file_mended_while_the_daemon_was_down_is_valid(world: World) -> None:
    """Also where it is again what is in force, so that the first pass has nothing to change."""
    world.put(a=flow_text("a"))
    world.restorer = Remembers(world.registry.entries.values())
    world.put(a=broken_text("a"))
    world.files.write(ROOT / "a.yaml", flow_text("a"))
    world.restart()
    assert world.registry.entries[A].is_ready
    assert world.told()[-2:] == ["Ready=True", "Valid=True"]


def test_a_broken_promise_is_an_event(world: World) -> None:
    """It says what was promised and which execution is late, or since when, or how many slots."""
    world.put(a=flow_text("a"))
    world.break_promise(SlaKind.MAX_DURATION, execution="01J")
    event = world.newest()
    assert (event.type, event.status, event.reason) == ("Sla", None, "MaxDuration")
    assert event.message == "max_duration is 60 s; execution 01J"
    assert (event.number, event.generation, event.at) == (2, 1, world.clock.now())
    assert event.revision == world.registry.source.revision

    world.break_promise(SlaKind.START_WITHIN)
    assert world.newest().message == "start_within is 60 s; a slot was missed"
    world.break_promise(SlaKind.START_WITHIN, count=3)
    assert world.newest().message == "start_within is 60 s; 3 slots were missed"
    since = (world.clock.now() - timedelta(seconds=61)).isoformat(timespec="seconds")
    world.break_promise(SlaKind.MAX_SINCE_SUCCESS)
    assert world.newest().message == f"max_since_success is 60 s; no success since {since}"


def test_a_broken_promise_changes_nothing_else_that_is_told(world: World) -> None:
    """The events after it are those that would have come without it, also in a later life."""
    world.put(a=flow_text("a"), b=flow_text("b"))
    world.break_promise(SlaKind.MAX_DURATION, execution="01J")
    world.restart()
    world.put(a=flow_text("a", description="2"))
    world.remove("a")
    assert world.told() == ["Created", "MaxDuration", "Applied", "Deleted"]


def test_a_promise_broken_before_the_first_look_is_told_after_it(world: World) -> None:
    """What the flow is comes first; an execution that went on may be late at once."""
    world.put(a=flow_text("a"))
    world.files.write(ROOT / "a.yaml", flow_text("a", description="2"))
    world.begin()
    world.break_promise(SlaKind.MAX_DURATION, execution="01J")
    assert world.told() == ["Created"]
    world.start()
    assert world.told() == ["Created", "Applied", "MaxDuration"]


def test_the_last_execution_of_a_flow_that_left_may_be_late(world: World) -> None:
    """That is told, and the flow stays away: when it is back, that is told."""
    world.put(a=flow_text("a"), b=flow_text("b"))
    world.remove("a")
    world.break_promise(SlaKind.MAX_DURATION, execution="01J")
    assert world.newest().generation == 0
    world.put(a=flow_text("a"))
    assert world.told() == ["Created", "Deleted", "MaxDuration", "Returned"]


def test_a_broken_promise_that_a_full_disk_refuses_is_told_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits as every event does."""
    caplog.set_level(logging.CRITICAL)
    world.put(a=flow_text("a"))
    world.events.error = StorageError("no space", code="storage.full")
    world.break_promise(SlaKind.START_WITHIN)
    assert world.told() == ["Created"]
    world.events.error = None
    world.look()
    assert world.told() == ["Created", "StartWithin"]
