"""Promises of the reconciler over whole lives: any edits, faults, crashes and approvals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.conditions import ConditionType, Status
from flowrunner.model.execution import ScheduleKey
from flowrunner.model.flow_events import DefinitionEvent, FlowEvent, FlowState
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.model.states import SlotOutcome
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.history import FlowHistory
from flowrunner.reconcile.last_good import load_last_good
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.entry import FlowEntry, PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.local.flows import LocalFlows
from flowrunner.storage.memory_events import MemoryEvents
from flowrunner.storage.memory_slots import MemorySlots, SlotTables
from flowrunner.triggers.schedules import Schedules
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import COMPILER, NOT_YAML, FakeSecrets, key_of
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline
from tests.fakes.timers import FakeTimers
from tests.fakes.watcher import FakeWatcher
from tests.profile import examples
from tests.property.reconcile_model import Content, Flow, Kind, Outcome, outcome

pytestmark = pytest.mark.timeout(3_600)  # a long run takes minutes on a quiet machine

ROOT, STATE = Path("/flows"), Path("/state")
NAMES = tuple("abcdefgh")
PATHS = (*(f"{name}.yaml" for name in NAMES), "sub/x.yaml", "sub/y.yaml")
TIMES = ReconcilerTimes(resync_s=60.0, debounce_s=0.3, debounce_limit_s=5.0)
Times = dict[tuple[str, ConditionType], tuple[Status, datetime]]

paths = st.sampled_from(PATHS)
kinds: st.SearchStrategy[Kind] = st.sampled_from(("good", "good", "good", "broken", "nameless"))


@cache
def text_of(content: Content) -> bytes:
    """The file that says this."""
    if content.kind == "nameless":
        return NOT_YAML + str(content.version).encode()
    kind = "noop" if content.kind == "good" else f"nothing-{content.version}"
    top: dict[str, Any] = {
        "version": 1,
        "name": content.name,
        "description": str(content.version),
        "protect": content.is_protected,
        "suspend": content.is_suspended,
        "nodes": [{"id": "only", "type": kind}],
    }
    if content.cadence:
        top["triggers"] = [{"id": "t", "type": "schedule", "every": f"{content.cadence}d"}]
    return json.dumps(top).encode()


class Death:
    """The moment of a crash: so many writes from now; what comes after it has no effect."""

    def __init__(self) -> None:
        self.after: int | None = None

    @property
    def has_come(self) -> bool:
        return self.after is not None and self.after < 0

    def write(self) -> None:
        """Stands before every write."""
        if self.after is not None:
            self.after -= 1
        if self.has_come:
            raise OSError("the daemon is dead")


class MortalFiles(FakeFiles):
    """The disk of the state, until the daemon dies."""

    def __init__(self, death: Death) -> None:
        super().__init__()
        self._death = death

    def _begin(self, operation: str, path: Path) -> None:
        if operation not in ("read", "names", "stat", "walk", "free_bytes"):
            self._death.write()
        super()._begin(operation, path)


class MortalEvents(MemoryEvents):
    """The events in the database, until the daemon dies."""

    def __init__(self, death: Death) -> None:
        super().__init__()
        self._death = death

    async def record(
        self,
        events: Sequence[FlowEvent],
        states: Mapping[FlowKey, FlowState],
        *,
        marks: MarkChange = NO_MARKS,
    ) -> None:
        try:
            self._death.write()
        except OSError as error:
            raise StorageError(str(error)) from error
        await super().record(events, states, marks=marks)


class Lives(RuleBasedStateMachine):
    """A person edits a folder, a daemon follows, dies and starts again; the model is beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.death = FakeFiles(), Death()
        self.source.make_folder(ROOT)
        self.disk = MortalFiles(self.death)
        self.disk.make_folder(STATE)
        self.events = MortalEvents(self.death)
        self.slots = MemorySlots(SlotTables())
        self.clock = FakeClock()
        self.versions = 0
        self.files: dict[str, Content] = {}
        self.touched: set[str] = set()
        """What the watcher tells of: a pass looks at nothing else, unless it must."""
        self.model = Outcome({}, frozenset())
        self.held_files: dict[str, Content] = {}
        self.times: Times = {}
        self.cursors: dict[str, tuple[int, datetime]] = {}
        self._be_born()

    # The daemon

    def _be_born(self) -> None:
        self.death.after = None
        self.registry = FlowRegistry()
        self.schedules = Schedules(
            registry=self.registry,
            dispatcher=None,  # type: ignore[arg-type]  # no slot is ever due
            slots=self.slots,
            timers=FakeTimers(self.clock),
            clock=self.clock,
            observer=self,
            host="here",
        )
        self.store = LocalFlows(STATE, self.disk, self.clock)
        self.applier = Applier(
            self.registry,
            self.store,
            FakeSecrets(),
            self.clock,
            (self.schedules,),
            preparers=(self.schedules,),
        )
        self.applier.history = FlowHistory(self.events, self.clock)
        watcher = FakeWatcher()
        watcher.start(ROOT, lambda _: None)
        self.reconciler = Reconciler(
            root=ROOT,
            scanner=Scanner(self.source, COMPILER, FolderTrees(self.source), self.clock),
            applier=self.applier,
            registry=self.registry,
            watcher=watcher,
            clock=self.clock,
            times=TIMES,
            observer=self,
        )

    def slot_decided(self, flow: FlowKey, outcome: SlotOutcome, reason: str, count: int) -> None:
        raise AssertionError(f"{flow} has a slot: {outcome} {reason} {count}")

    def pass_ended(self, result: PassResult) -> None:
        self.last_pass = result

    async def _start(self) -> None:
        await self.applier.history.load()
        history = self.applier.history
        load_last_good(await self.store.list(), COMPILER, self.registry, self.clock, history)
        await self.reconciler.start()
        await self.schedules.settle()

    async def _request(self) -> None:
        names, self.touched = frozenset(self.touched), set()
        await self.reconciler.request("watch", names)
        await self.schedules.settle()

    async def _allow(self) -> bool:
        """Approves what is held; whether that was accepted."""
        hold = self.registry.source.hold
        assert hold is not None
        try:
            await self.reconciler.allow_prune(hold.revision)
        except RefusedError:
            return False
        finally:
            await self.schedules.settle()
        return True

    # The person

    @initialize()
    def begin(self) -> None:
        for path, name in zip(PATHS, NAMES, strict=False):
            self._put(path, Content("good", name, self._next(), cadence=1))
        self.reconcile()

    def _next(self) -> int:
        self.versions += 1
        return self.versions

    def _put(self, path: str, content: Content | None) -> None:
        self.touched.add(path)
        if content is not None:
            self.files[path] = content
            self.source.write(ROOT / path, text_of(content))
        elif self.files.pop(path, None) is not None:
            self.source.remove(ROOT / path)
            self.source.sync(ROOT)

    @rule(
        path=paths,
        name=st.sampled_from(NAMES),
        kind=kinds,
        is_protected=st.booleans(),
        is_suspended=st.booleans(),
        cadence=st.integers(0, 2),
    )
    def write(
        self,
        path: str,
        name: str,
        kind: Kind,
        is_protected: bool,  # noqa: FBT001 - drawn by name
        is_suspended: bool,  # noqa: FBT001 - drawn by name
        cadence: int,
    ) -> None:
        content = Content(kind, name, self._next(), is_protected, is_suspended, cadence)
        self._put(path, content)

    @rule(path=paths, kind=kinds, is_suspended=st.booleans())
    def edit(self, path: str, kind: Kind, is_suspended: bool) -> None:  # noqa: FBT001 - drawn by name
        """Changes a file and neither its name nor its schedule, in good or bad."""
        if path in self.files:
            version = self._next()
            old = self.files[path]
            new = old._replace(kind=kind, version=version, is_suspended=is_suspended)
            self._put(path, new)

    @rule(path=paths, other=paths)
    def rename(self, path: str, other: str) -> None:
        if path in self.files and path != other:
            self._put(other, self.files[path])
            self._put(path, None)

    @rule(path=paths, other=paths)
    def swap(self, path: str, other: str) -> None:
        if path in self.files and other in self.files:
            first, second = self.files[path], self.files[other]
            self._put(path, second)
            self._put(other, first)

    @rule(path=paths, other=paths)
    def copy(self, path: str, other: str) -> None:
        if path in self.files:
            self._put(other, self.files[path])

    @rule(path=paths, other=paths)
    def break_and_move(self, path: str, other: str) -> None:
        """A flow has a fault, then another one: its name cannot be read, and its file moved."""
        if path in self.files and path != other:
            old = self.files[path]
            self._put(path, old._replace(kind="broken", version=self._next()))
            self.reconcile()
            self._put(other, old._replace(kind="nameless", version=self._next()))
            self._put(path, None)
            self.reconcile()

    @rule(gone=st.sets(paths, min_size=1))
    def delete(self, gone: set[str]) -> None:
        for path in gone:
            self._put(path, None)

    @rule()
    def correct_all(self) -> None:
        """Makes an end of every fault and conflict, so that much can happen again."""
        seen: set[str] = set()
        for path, content in sorted(self.files.items()):
            is_kept = content.kind == "good" and content.name not in seen
            self._put(path, content if is_kept else None)
            seen.add(content.name)

    # Passes

    @rule()
    def reconcile(self) -> None:
        """What is in force is what the model says."""
        self.clock.advance(1)
        before = self.model
        run_inline(self._request())
        self._settle(outcome(self.files, before.flows, before.left))

    @rule()
    def look_again(self) -> None:
        """A pass over the same files changes nothing, not even an object."""
        self.reconcile()
        entries, told = dict(self.registry.entries), self._told()
        self.reconcile()
        assert dict(self.registry.entries) == entries
        assert self._told() == told

    @precondition(lambda self: self.registry.source.hold is not None)
    @rule()
    def approve(self) -> None:
        """Lets go what is held, if the source still is what it was then."""
        self.clock.advance(1)
        released = self.model.held if self.files == self.held_files else frozenset[str]()
        before = self.model
        is_accepted = run_inline(self._allow())
        after = outcome(self.files, before.flows, before.left, released)
        self._settle(after)
        assert is_accepted == (not after.held)

    @rule()
    def restart(self) -> None:
        """A stop and a start, over files that may have changed meanwhile."""
        self._live_again()

    @rule(after=st.integers(0, 25), is_power_lost=st.booleans())
    def die(self, after: int, is_power_lost: bool) -> None:  # noqa: FBT001 - drawn by name
        """Dies in a pass, at any write; each flow has its last good or its new version then."""
        self.clock.advance(1)
        old = self.model
        new = outcome(self.files, old.flows, old.left)
        self.death.after = after
        run_inline(self._request())
        self.death.after = None
        if is_power_lost:
            self.disk.crash()
        kept, left = run_inline(self._kept())
        for name in old.flows.keys() | new.flows.keys():
            choices = [flows.get(name) for flows in (old.flows, new.flows)]
            assert kept.get(name) in [flow if flow and flow.good else None for flow in choices]
        assert left in (old.left, new.left)
        self.model = Outcome(kept, left)
        self._live_again(is_sure=False)

    async def _kept(self) -> tuple[dict[str, Flow], frozenset[str]]:
        """What a new life would find."""
        records = await LocalFlows(STATE, self.disk, self.clock).list()
        versions = {c.version: c for c in self._ever}
        flows = {
            it.key.name: Flow(it.path, versions[int(str(it.definition["description"]))])
            for it in records
        }
        left = await LocalFlows(STATE, self.disk, self.clock).left()
        return flows, frozenset(key.name for key in left)

    def _live_again(self, *, is_sure: bool = True) -> None:
        self.clock.advance(60)  # no slot is due before midnight
        self._be_born()
        run_inline(self._start())
        known = {name: flow for name, flow in self.model.flows.items() if flow.good}
        self._settle(outcome(self.files, known, self.model.left), is_sure=is_sure)

    # What must hold

    def _settle(self, expected: Outcome, *, is_sure: bool = True) -> None:
        """After a pass: the registry is the model, and nothing moved without a cause."""
        assert self._in_force() == dict(expected.flows)
        hold = self.registry.source.hold
        assert ({key.name for key in hold.flows} if hold else set()) == expected.held
        self._check_incumbents(self.model.flows)
        self.model = expected
        if hold is not None:
            self.held_files = dict(self.files)
        self._check_times()
        self._check_cursors(is_sure=is_sure)

    def _in_force(self) -> dict[str, Flow]:
        versions = {c.version: c for c in self._ever}
        return {
            key.name: Flow(entry.path, versions[_version(entry)] if entry.spec else None)
            for key, entry in self.registry.entries.items()
        }

    @property
    def _ever(self) -> list[Content]:
        """Every good content that was written."""
        found = {flow.good for flow in self.model.flows.values() if flow.good}
        return [*found, *(c for c in self.files.values() if c.kind == "good")]

    def _check_incumbents(self, before: Mapping[str, Flow]) -> None:
        """Who held a name and still claims it, or cannot be read, has it."""
        for name, flow in before.items():
            content = self.files.get(flow.path)
            if content is not None and (content.name == name or content.kind == "nameless"):
                assert self.registry.entries[key_of(name)].path == flow.path

    def _check_times(self) -> None:
        """A condition has another time if, and only if, it has another status."""
        now: Times = {
            (key.name, condition.type): (condition.status, condition.last_transition_at)
            for key, entry in self.registry.entries.items()
            for condition in entry.conditions
        }
        for place, (status, at) in now.items():
            if place in self.times:
                old_status, old_at = self.times[place]
                assert (at == old_at) == (status is old_status), (place, self.times[place], at)
        self.times = now

    def _check_cursors(self, *, is_sure: bool) -> None:
        """A schedule begins anew only when it, or its flow, was not in force before."""
        now: dict[str, tuple[int, datetime]] = {}
        for name, flow in self.model.flows.items():
            if flow.good is None or not flow.good.cadence:
                continue
            spec = self.registry.entries[key_of(name)].spec
            assert spec is not None
            (trigger,) = spec.schedules
            fingerprint = trigger.schedule.fingerprint
            key = ScheduleKey(flow=key_of(name), trigger=trigger.id, fingerprint=fingerprint)
            cursor = run_inline(self.slots.cursor(key))
            assert cursor is not None
            cadence, before = self.cursors.get(name, (0, cursor))
            if cadence == flow.good.cadence:
                assert cursor == before or not is_sure
            now[name] = (flow.good.cadence, cursor)
        self.cursors = now

    @invariant()
    def what_is_suspended_says_so(self) -> None:
        for key, entry in self.registry.entries.items():
            good = self.model.flows[key.name].good
            found = entry.condition(ConditionType.SUSPENDED)
            assert found is not None
            assert (found.status is Status.TRUE) == (good is not None and good.is_suspended)

    @invariant()
    def events_are_numbered_without_a_gap(self) -> None:
        """And their last words on a condition, since the flow is back, are what it says."""
        for key, entry in self.registry.entries.items():
            events = run_inline(self.events.list(key, limit=1_000))
            assert events, key
            newest, oldest = events[0].number, events[-1].number
            assert [event.number for event in events] == list(range(newest, oldest - 1, -1))
            told = list(takewhile(lambda it: it.reason != DefinitionEvent.RETURNED, events))
            for condition in entry.conditions:
                last = next((it for it in told if it.type == condition.type), None)
                assert last is None or last.status is condition.status

    def _told(self) -> int:
        return sum(len(run_inline(self.events.list(key_of(name), limit=1_000))) for name in NAMES)


def _version(entry: FlowEntry) -> int:
    return int(str(entry.definition["description"]))


Lives.TestCase.settings = settings(
    max_examples=examples(20),
    stateful_step_count=30,
    print_blob=True,
)
TestLives = Lives.TestCase
TestLives.__doc__ = "Whatever is edited and whenever the daemon dies, it ends as the model says."
