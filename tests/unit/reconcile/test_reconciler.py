"""Promises of `flowrunner.reconcile.reconciler`: when passes run, and what stops none of them."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.conditions import ConditionReason, ConditionType, Status
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import LookAgainError, UnusableSourceError
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.entry import FlowEntry, PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.memory_flows import MemoryFlows
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import (
    COMPILER,
    NOT_YAML,
    FakeSecrets,
    broken_text,
    flow_text,
    key_of,
    snapshot,
)
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline
from tests.fakes.trees import FakeTrees
from tests.fakes.watcher import FakeWatcher

ROOT = Path("/flows")
TIMES = ReconcilerTimes(resync_s=60.0, debounce_s=0.3, debounce_limit_s=5.0)
A, B = key_of("a"), key_of("b")


class SlowFlows(MemoryFlows):
    """A store whose writes take a while, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.takes_s = 0.0
        self.error: StorageError | None = None
        self.is_full = False

    async def put_left(self, keys: frozenset[FlowKey]) -> None:
        if self.is_full:
            raise StorageError("no space")
        await super().put_left(keys)

    async def put(self, records: Sequence[FlowRecord]) -> None:
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error
        await super().put(records)


class Revisions:
    """Is asked twice in each scan; the next `unstable` scans get two answers. May fail."""

    def __init__(self) -> None:
        self.unstable = 0
        self.error: Exception | None = None
        self.asked = 0
        self.next = Revision("stable")

    def read(self, root: Path) -> Revision:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.unstable and self.asked % 2 == 0:
            self.unstable -= 1
            return Revision("other")
        return self.next


class RearmingWatcher(FakeWatcher):
    """Counts how often it was asked to look after itself; may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.error: Exception | None = None

    def rearm(self) -> bool:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return super().rearm()


class World:
    """A reconciler over files in memory; notes each pass with the moment of its end."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.files.make_folder(ROOT)
        self.store = SlowFlows()
        self.secrets = FakeSecrets()
        self.revisions = Revisions()
        self.trees = FakeTrees(self.files, self.revisions)
        self.watcher = RearmingWatcher()
        self.clock = FakeClock()
        self.passes: list[tuple[float, PassResult]] = []
        self.told: list[list[str]] = []
        self.wire()

    def wire(self) -> None:
        """Makes what has a memory of its own."""
        self.registry = FlowRegistry()
        self.reconciler = Reconciler(
            root=ROOT,
            scanner=Scanner(self.files, COMPILER, self.trees, self.clock),
            applier=Applier(self.registry, self.store, self.secrets, self.clock, (self,)),
            registry=self.registry,
            watcher=self.watcher,
            clock=self.clock,
            times=TIMES,
            observer=self,
        )

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        self.told.append([key.name for key in entries])

    def pass_ended(self, result: PassResult) -> None:
        self.passes.append((round(self.clock.monotonic(), 3), result))

    def put(self, name: str, data: bytes | None = None) -> None:
        self.files.write(ROOT / name, flow_text(Path(name).stem) if data is None else data)

    def times(self, trigger: str) -> list[float]:
        """When passes of a kind ended."""
        return [at for at, result in self.passes if result.trigger == trigger]

    def request(self) -> PassResult:
        return run_inline(self.reconciler.request("command"))

    def source(self) -> tuple[Status, ConditionReason, str]:
        (found,) = (
            each
            for each in self.registry.source.conditions
            if each.type is ConditionType.SOURCE_READY
        )
        return (found.status, found.reason, found.message)

    def live(self, script: Coroutine[Any, Any, None]) -> None:
        """Runs a script beside the reconciler's life, until the script ends."""

        async def both() -> None:
            async with self.life():
                await script

        run_inline(both())

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.reconciler.run())
        try:
            yield
            assert not task.done(), "the loop has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """For tests that provoke what the log reports."""
    caplog.set_level(logging.CRITICAL)


# How long it takes


def test_records_are_written_many_at_once(world: World) -> None:
    """A pass over many flows does not wait for each of its writes by itself."""
    world.store.takes_s = 1.0
    for number in range(250):
        world.put(f"f{number}.yaml")
    world.request()
    assert [(at, each.added) for at, each in world.passes] == [(1.0, 250)]


# Which state is read


def test_damaged_records_are_written_anew(world: World) -> None:
    """Those alone, by what is in force; that their files did not change does not matter."""
    world.put("a.yaml")
    world.put("b.yaml")
    world.request()
    before = run_inline(world.store.list())
    run_inline(world.store.update(replace(before[0], path="damaged.yaml")))
    kept = run_inline(world.store.get(B))
    run_inline(world.reconciler.mend({A, key_of("gone")}))
    assert [record.path for record in run_inline(world.store.list())] == ["a.yaml", "b.yaml"]
    assert run_inline(world.store.get(B)) is kept


def test_a_pass_looks_again_when_it_is_told_to(world: World) -> None:
    """A source that cannot be judged by one look costs a second, and no failure."""
    world.put("a.yaml")
    world.trees.errors = [LookAgainError("changes", 1.0), LookAgainError("changes", 0.5)]
    result = world.request()
    assert [(at, each.result) for at, each in world.passes] == [(1.5, "applied")]
    assert result is world.passes[0][1]


def test_a_source_that_can_never_be_judged_holds_the_pass(world: World) -> None:
    """Waiting has an end: everything stays as it was, and the condition says why."""
    world.trees.errors = [LookAgainError("another git holds the lock", 0.2)] * 1000
    assert world.request().result == "held"
    assert world.source() == (
        Status.FALSE,
        ConditionReason.SOURCE_UNSTABLE,
        "another git holds the lock",
    )
    assert 30 < world.passes[0][0] < 60


def test_a_lock_that_is_old_holds_the_pass(world: World) -> None:
    """Nothing is applied, and the reason is a word of its own."""
    world.put("a.yaml")
    world.trees.errors = [UnusableSourceError(ConditionReason.GIT_LOCKED, "index.lock is old")]
    result = world.request()
    assert (result.result, dict(world.registry.entries)) == ("held", {})
    assert world.source() == (Status.FALSE, ConditionReason.GIT_LOCKED, "index.lock is old")
    assert world.request().result == "applied"


def test_a_lock_can_be_ignored_while_a_pass_waits_for_it(world: World) -> None:
    """Whoever says so need not wait for the pass that is under way."""
    world.trees.errors = [LookAgainError("locked", 20.0)]

    async def script() -> None:
        waiting = asyncio.create_task(world.reconciler.request("command"))
        await asyncio.sleep(1)
        await world.reconciler.ignore_lock()
        assert world.trees.ignored_locks == [ROOT]
        assert not waiting.done()
        await waiting

    run_inline(script())


def test_a_lock_of_a_root_that_is_gone_is_no_failure(world: World) -> None:
    """A command that comes too late has no effect."""
    world.files.remove_tree(ROOT)
    run_inline(world.reconciler.ignore_lock())
    assert world.trees.ignored_locks == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("limit", ConditionReason.WATCH_FAILED),
        ("network", ConditionReason.NETWORK_FILE_SYSTEM),
        ("", ConditionReason.WATCHING),
    ],
)
def test_a_watcher_that_cannot_be_relied_on_is_a_condition(
    world: World, fault: str, reason: ConditionReason
) -> None:
    """It says why; the source is as ready as ever, and a healed watcher is true again."""
    world.watcher.network = fault == "network"
    world.watcher.alive = fault != "limit"
    world.watcher.heals = False

    def watched() -> ConditionReason:
        kinds = {each.type: each.reason for each in world.registry.source.conditions}
        assert kinds[ConditionType.SOURCE_READY] is ConditionReason.SOURCE_READ
        return kinds[ConditionType.SOURCE_WATCHED]

    async def script() -> None:
        await asyncio.sleep(1)
        assert watched() is reason
        world.watcher.network, world.watcher.alive = False, True
        await asyncio.sleep(61)
        assert watched() is ConditionReason.WATCHING

    world.live(script())


def test_nothing_is_said_of_the_watcher_before_it_watches(world: World) -> None:
    """The first pass runs before the watch begins."""
    run_inline(world.reconciler.start())
    kinds = [each.type for each in world.registry.source.conditions]
    assert kinds == [ConditionType.SOURCE_READY, ConditionType.PRUNE_HELD]


# When


def test_first_pass_runs_at_start(world: World) -> None:
    """`start` returns after the first pass, with the flows of the source in force."""
    world.put("a.yaml")
    result = run_inline(world.reconciler.start())
    assert (result.trigger, result.result, result.added) == ("start", "applied", 1)
    assert list(world.registry.entries) == [A]


def test_start_puts_in_force_what_is_known_before_the_source_is_read(world: World) -> None:
    """Last good versions are armed first: a source that cannot be read costs nothing."""
    world.registry.replace(make_plan(snapshot({"a.yaml": flow_text("a")}), {}).entries)
    world.files.fail("walk", "", PermissionError(errno.EACCES, "denied"))
    result = run_inline(world.reconciler.start())
    assert result.result == "held"
    assert world.told == [["a"]]


def test_start_judges_the_secrets_of_what_is_known(world: World) -> None:
    """A last good version without its secret is not Ready before its schedule is armed."""
    known = make_plan(snapshot({"a.yaml": flow_text("a", secrets=["KEY"])}), {}).entries
    world.registry.replace(known)
    world.files.fail("walk", "", PermissionError(errno.EACCES, "denied"))
    run_inline(world.reconciler.start())
    assert world.registry.entries[A].missing_secrets == ("KEY",)


def test_start_without_flows_and_without_a_source_goes_on(world: World) -> None:
    """A daemon whose source is not there yet starts and says so."""
    world.files.remove_tree(ROOT)
    result = run_inline(world.reconciler.start())
    assert result.result == "held"
    assert world.source()[:2] == (Status.FALSE, ConditionReason.SOURCE_MISSING)


def test_change_before_the_watch_is_seen(world: World) -> None:
    """What changes between the first pass and the first watch does not wait for the resync."""

    async def script() -> None:
        await asyncio.sleep(1)

    run_inline(world.reconciler.start())
    world.put("a.yaml")
    world.live(script())
    assert list(world.registry.entries) == [A]


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        pytest.param([0], [0.3], id="one"),
        pytest.param([0, 0, 0], [0.3], id="three-at-once"),
        pytest.param([0, 0.2, 0.4], [0.7], id="in-a-row"),
        pytest.param([0, 1], [0.3, 1.3], id="apart"),
        pytest.param([i * 0.2 for i in range(24)], [4.9], id="until-just-before-the-limit"),
        pytest.param([i * 0.2 for i in range(40)], [5.0, 8.1], id="without-end"),
    ],
)
def test_hints_are_debounced(world: World, hints: list[float], expected: list[float]) -> None:
    """A pass runs 300 ms after the last hint, and at most 5 s after the first."""
    begin = 10.0

    async def script() -> None:
        await asyncio.sleep(begin)
        for hint in hints:
            await asyncio.sleep(begin + hint - world.clock.monotonic())
            world.watcher.poke()
        await asyncio.sleep(20)

    world.live(script())
    first, *others = world.times("watch")
    assert first == TIMES.debounce_s
    assert others == pytest.approx([begin + at for at in expected])


def test_pass_runs_at_every_resync(world: World) -> None:
    """Without any hint the source is read again every `resync`."""

    async def script() -> None:
        await asyncio.sleep(185)

    world.live(script())
    assert world.times("resync") == pytest.approx([60.3, 120.3, 180.3])


def test_hint_during_a_pass_is_not_lost(world: World) -> None:
    """What changes while a pass runs is read by the next one."""

    async def script() -> None:
        await asyncio.sleep(10)
        world.store.takes_s = 2.0
        world.put("a.yaml")
        world.watcher.poke()
        await asyncio.sleep(1)
        world.put("b.yaml")
        world.watcher.poke()
        await asyncio.sleep(10)

    world.live(script())
    assert list(world.registry.entries) == [A, B]


def test_request_during_a_pass_begins_after_it(world: World) -> None:
    """A pass that was asked for sees what was there when it was asked for."""
    results: list[PassResult] = []

    async def script() -> None:
        await asyncio.sleep(10)
        world.store.takes_s = 2.0
        world.put("a.yaml")
        world.watcher.poke()
        await asyncio.sleep(1)
        world.put("b.yaml")
        results.append(await world.reconciler.request("signal"))

    world.live(script())
    (result,) = results
    assert (result.trigger, result.result, result.added) == ("signal", "applied", 1)
    assert [at for at, _ in world.passes[-2:]] == pytest.approx([12.3, 14.3])


@pytest.mark.parametrize("poke_at", [10.0, 9.9], ids=["quiet", "while-debouncing"])
def test_pass_that_is_asked_for_begins_at_once(world: World, poke_at: float) -> None:
    """Who asks for a pass does not wait for the debounce, nor for the pass."""

    async def script() -> None:
        await asyncio.sleep(poke_at)
        if poke_at < 10:
            world.watcher.poke()
            await asyncio.sleep(10 - poke_at)
        world.put("a.yaml")
        world.reconciler.ask("command")
        assert A not in world.registry.entries
        await asyncio.sleep(10)

    world.live(script())
    assert world.times("command") == pytest.approx([10.0])
    assert world.times("watch") == pytest.approx([0.3])
    assert A in world.registry.entries


def test_pass_asked_for_during_another_begins_after_it(world: World) -> None:
    """What was there when a pass was asked for is read; several who ask share one pass."""

    async def script() -> None:
        await asyncio.sleep(10)
        world.store.takes_s = 2.0
        world.put("a.yaml")
        world.reconciler.ask("command")
        await asyncio.sleep(1)
        world.put("b.yaml")
        world.reconciler.ask("command")
        world.reconciler.ask("command")
        await asyncio.sleep(10)

    world.live(script())
    assert world.times("command") == pytest.approx([12.0, 14.0])
    assert list(world.registry.entries) == [A, B]


def test_pass_is_asked_for_once(world: World) -> None:
    """A later change is the watcher's again."""

    async def script() -> None:
        await asyncio.sleep(10)
        world.reconciler.ask("command")
        await asyncio.sleep(1)
        world.watcher.poke()
        await asyncio.sleep(10)

    world.live(script())
    assert world.times("command") == pytest.approx([10.0])
    assert world.times("watch") == pytest.approx([0.3, 11.3])


def test_requests_run_one_after_the_other(world: World) -> None:
    """Passes never overlap, however many are asked for."""
    world.put("a.yaml")
    world.store.takes_s = 1.0

    async def ask() -> list[PassResult]:
        return list(await asyncio.gather(*(world.reconciler.request("command") for _ in range(3))))

    results = run_inline(ask())
    assert [result.result for result in results] == ["applied", "unchanged", "unchanged"]


def test_end_stops_the_watcher(world: World) -> None:
    """When the daemon stops, nothing is watched any more."""

    async def script() -> None:
        await asyncio.sleep(1)
        assert world.watcher.is_alive()

    world.live(script())
    assert not world.watcher.is_alive()


def test_watcher_is_looked_after_at_each_resync(world: World) -> None:
    """A watcher that died, or whose root is another folder now, watches again after a resync."""

    async def script() -> None:
        await asyncio.sleep(1)
        world.watcher.alive = False
        await asyncio.sleep(60)
        assert world.watcher.is_alive()
        world.watcher.root_changed = True
        await asyncio.sleep(60)

    world.live(script())
    assert (world.watcher.asked, world.watcher.rearmed) == (2, 2)


# Held


def remove_root(world: World) -> None:
    world.files.remove_tree(ROOT)


def make_root_a_file(world: World) -> None:
    world.files.remove_tree(ROOT)
    world.files.write(ROOT, b"")


def empty_root(world: World) -> None:
    world.files.remove(ROOT / "a.yaml")


def leave_other_files(world: World) -> None:
    world.files.remove(ROOT / "a.yaml")
    world.put("README.md", b"")


def ignore_everything(world: World) -> None:
    world.put(".flowrunnerignore", b"*\n")


def forbid_root(world: World) -> None:
    world.files.fail("walk", "/flows", PermissionError(errno.EACCES, "denied", "/flows"))


def forbid_folder(world: World) -> None:
    world.put("team/b.yaml")
    world.files.fail("list", "/team", PermissionError(errno.EACCES, "denied"))


def forbid_ignore_file(world: World) -> None:
    world.files.pipe(ROOT / ".flowrunnerignore")


def keep_changing(world: World) -> None:
    world.revisions.unstable = 1_000


def dig_too_deep(world: World) -> None:
    world.put("/".join(["d"] * 17) + "/b.yaml")


@pytest.mark.parametrize(
    ("break_source", "reason", "word"),
    [
        pytest.param(remove_root, "SourceMissing", "no folder /flows", id="missing"),
        pytest.param(make_root_a_file, "SourceMissing", "no folder /flows", id="a-file"),
        pytest.param(empty_root, "SourceEmpty", "1 flows stay in force", id="empty"),
        pytest.param(leave_other_files, "SourceEmpty", "no flow files", id="no-flow-files"),
        pytest.param(ignore_everything, "SourceEmpty", "no flow files", id="all-ignored"),
        pytest.param(forbid_root, "SourceUnreadable", "denied", id="unreadable"),
        pytest.param(forbid_folder, "SourceUnreadable", "'team'", id="unreadable-folder"),
        pytest.param(forbid_ignore_file, "SourceUnreadable", "not a regular", id="ignore-file"),
        pytest.param(keep_changing, "Unstable", "changed", id="unstable"),
        pytest.param(dig_too_deep, "SourceTooLarge", "16 folders", id="too-deep"),
    ],
)
def test_source_that_cannot_be_used_changes_nothing(
    world: World, break_source: Callable[[World], None], reason: str, word: str
) -> None:
    """Whatever is wrong with the source: flows stay as they are, and `SourceReady` says why."""
    world.put("a.yaml")
    world.request()
    before, fresh_at = world.registry.entries, world.registry.source.fresh_at
    break_source(world)
    world.clock.advance(10)
    result = world.request()
    assert result.result == "held"
    assert word in result.message
    status, found, message = world.source()
    assert (status, str(found), message) == (Status.FALSE, reason, result.message)
    assert world.registry.entries is before
    assert world.registry.source.fresh_at == fresh_at
    assert world.registry.source.revision == "stable"


def test_source_recovers(world: World) -> None:
    """Once the source can be read again it is followed again, and `SourceReady` is true."""
    world.put("a.yaml")
    world.request()
    remove_root(world)
    world.request()
    world.files.make_folder(ROOT)
    world.put("b.yaml")
    world.clock.advance(5)
    result = world.request()
    assert (result.added, result.removed) == (1, 1)
    assert world.source()[:2] == (Status.TRUE, ConditionReason.SOURCE_READ)
    assert world.registry.source.fresh_at == 5


def test_empty_source_of_a_new_daemon_is_good(world: World) -> None:
    """A folder without flows is no fault where no flow was in force."""
    assert world.request().result == "unchanged"
    assert world.source()[:2] == (Status.TRUE, ConditionReason.SOURCE_READ)


def test_folder_of_rejected_files_is_not_empty(world: World) -> None:
    """Files that cannot be read as flows hold nothing up, but remove nothing either."""
    world.put("a.yaml")
    world.request()
    world.files.remove(ROOT / "a.yaml")
    world.put("b.yaml", NOT_YAML)
    assert world.request().removed == 0
    assert list(world.registry.entries) == [A]
    ready = world.registry.entries[A].condition(ConditionType.READY)
    assert ready is not None
    assert (ready.status, ready.reason) == (Status.FALSE, ConditionReason.UNIDENTIFIED_FILE)
    assert world.request().result == "unchanged"
    assert [file.path for file in world.registry.source.rejected] == ["b.yaml"]


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        pytest.param(0, "applied", id="still"),
        pytest.param(1, "applied", id="changed-once"),
        pytest.param(2, "applied", id="changed-twice"),
        pytest.param(3, "held", id="changed-three-times"),
    ],
)
def test_changing_source_is_read_again(world: World, changes: int, result: str) -> None:
    """A source that changes while it is read is read again, three times at most."""
    world.put("a.yaml")
    world.revisions.unstable = changes
    assert world.request().result == result
    assert world.revisions.asked <= 6


def test_changing_source_is_given_time(world: World) -> None:
    """Between two readings of one pass there is a pause, so that a copy can end."""

    async def script() -> float:
        loop = asyncio.get_running_loop()
        world.revisions.unstable = 1_000
        await world.reconciler.request("command")
        return loop.time()

    assert run_inline(script()) == pytest.approx(2 * TIMES.debounce_s)


def test_transition_time_of_the_source_is_kept(world: World) -> None:
    """`SourceReady` keeps its time for as long as its status is the same."""
    world.request()
    first = world.registry.source.conditions[0]
    world.clock.advance(10)
    world.request()
    assert world.registry.source.conditions[0].last_transition_at == first.last_transition_at
    world.clock.advance(10)
    remove_root(world)
    world.request()
    passed = world.registry.source.conditions[0].last_transition_at - first.last_transition_at
    assert passed.total_seconds() == 20


def test_secrets_are_seen_without_a_source(world: World) -> None:
    """A secret that is provided while the source is gone makes its flow Ready."""
    world.put("a.yaml", flow_text("a", secrets=["KEY"]))
    world.request()
    remove_root(world)
    world.secrets.texts["KEY"] = "value"
    assert world.request().result == "held"
    assert world.registry.entries[A].is_ready


# What ends no pass


@pytest.mark.usefixtures("quiet")
def test_crash_in_a_pass_does_not_end_the_loop(world: World) -> None:
    """A fault of the program costs one pass; the next one does what was asked for."""

    async def script() -> None:
        await asyncio.sleep(10)
        world.put("a.yaml")
        world.revisions.error = RuntimeError("a fault of the program")
        world.watcher.poke()
        await asyncio.sleep(10)
        world.revisions.error = None
        world.watcher.poke()
        await asyncio.sleep(10)

    world.live(script())
    results = [(result.result, result.message) for _, result in world.passes]
    assert results[1:] == [("failed", "RuntimeError: a fault of the program"), ("applied", "")]
    assert list(world.registry.entries) == [A]


@pytest.mark.usefixtures("quiet")
def test_watcher_that_fails_does_not_end_the_loop(world: World) -> None:
    """A watcher that cannot even be asked costs one pass."""

    async def script() -> None:
        world.watcher.error = RuntimeError("can't start new thread")
        await asyncio.sleep(61)
        world.watcher.error = None
        await asyncio.sleep(60)

    world.live(script())
    assert [result.result for _, result in world.passes] == ["unchanged", "failed", "unchanged"]


@pytest.mark.usefixtures("quiet")
def test_store_fault_fails_the_pass_and_the_next_succeeds(world: World) -> None:
    """A full disk is told with its code; the source counts as read once it was applied."""
    world.put("a.yaml")
    world.store.error = StorageError("no room", code="storage.full")
    result = world.request()
    assert (result.result, result.message) == ("failed", "storage.full: no room")
    assert world.registry.source.fresh_at is None
    assert not world.registry.entries
    world.store.error = None
    assert world.request().result == "applied"


# What is told


def test_result_counts_what_happened(world: World) -> None:
    """A pass says how many flows came, changed and left, and how many findings keep files out."""
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        world.put(name)
    first = world.request()
    assert (first.result, first.added, first.updated, first.removed) == ("applied", 3, 0, 0)
    world.put("a.yaml", flow_text("a", description="new"))
    world.put("b.yaml", broken_text("b"))
    world.files.remove(ROOT / "c.yaml")
    world.put("d.yaml")
    second = world.request()
    assert (second.added, second.updated, second.removed, second.errors) == (1, 1, 1, 1)
    third = world.request()
    assert (third.result, third.added, third.errors) == ("unchanged", 0, 1)


def test_result_tells_revision_and_time(world: World) -> None:
    """A pass says what it read, when it began, and how long it took."""
    world.put("a.yaml")
    world.store.takes_s = 2.0
    began = world.clock.now()
    result = world.request()
    assert (result.revision, result.duration_s) == ("stable", 2.0)
    assert result.started_at == began
    assert world.registry.source.revision == "stable"


def test_last_pass_is_known(world: World) -> None:
    """The source remembers its last pass, whatever came of it; the observer hears of each."""
    result = world.request()
    assert world.registry.source.last_pass is result
    remove_root(world)
    held = world.request()
    assert world.registry.source.last_pass is held
    assert [found for _, found in world.passes] == [result, held]


@pytest.mark.parametrize(
    ("prepare", "level"),
    [
        pytest.param(lambda world: world.put("a.yaml"), "INFO", id="applied"),
        pytest.param(lambda _: None, "DEBUG", id="unchanged"),
        pytest.param(remove_root, "WARNING", id="held"),
    ],
)
def test_each_pass_is_one_line_of_the_log(
    world: World,
    prepare: Callable[[World], None],
    level: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pass that changed something is worth a line, one that held a warning."""
    prepare(world)
    with caplog.at_level(logging.DEBUG, "flowrunner.reconcile"):
        world.request()
    assert [record.levelname for record in caplog.records] == [level]
