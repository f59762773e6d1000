"""The first pass of a life: where all is as the life before has left it, nothing is judged anew.

And nothing else is ever taken for that: whatever a plan follows from leads the long way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from flowrunner.definitions.warm_reader import Version, WarmReader
from flowrunner.model.accounts import NO_ACCOUNTS, AccountMap
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.basis import StoredBasis
from flowrunner.reconcile.history import FlowHistory
from flowrunner.reconcile.last_good import load_last_good
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.entry import FlowEntry, SourceStatus
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.memory_events import MemoryEvents
from flowrunner.storage.memory_flows import MemoryFlows
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import FakeSecrets, flow_text, key_of
from tests.fakes.nodes import builtin_compiler, builtin_nodes
from tests.fakes.watcher import FakeWatcher
from tests.unit.reconcile.test_recall import ADVISED, ALERT, LONG_AFTER, MemoryStore

TIMES = ReconcilerTimes(resync_s=60.0, debounce_s=0.3, debounce_limit_s=5.0)
SECRET = b"version: 1\nname: s\nsecrets: [TOKEN]\nnodes: [{id: a, type: noop}]\n"


class Scans(Scanner):
    """Counts the readings that go the long way."""

    count = 0

    def scan(self, root: Path) -> Snapshot:
        self.count += 1
        return super().scan(root)


class Found(NamedTuple):
    """What a life came to.

    Attributes:
        is_short: Whether its first pass judged no file.
        looked: Whether everything counted as looked at after the first pass, and after the second.
        first: The flows after its first pass.
        second: After another one, which always goes the long way.
    """

    is_short: bool
    looked: tuple[bool, bool]
    first: Mapping[FlowKey, FlowEntry]
    second: Mapping[FlowKey, FlowEntry]
    sources: tuple[SourceStatus, SourceStatus]


class World:
    """A folder of flows, and the lives of a daemon over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records, self.events = MemoryFlows(), MemoryEvents()
        self.cache, self.basis = MemoryStore(), MemoryStore()
        self.secrets = FakeSecrets()
        self.accounts = NO_ACCOUNTS
        self.now = LONG_AFTER
        self.reads_at_the_end = False
        """Whether a life ends after it has read its files once more, and done nothing of it."""

    def put(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def live(self, meanwhile: Callable[[], None] = lambda: None) -> Found:
        return asyncio.run(self._live(meanwhile))

    async def _live(self, meanwhile: Callable[[], None]) -> Found:
        registry, clock, files = FlowRegistry(), FakeClock(self.now), LocalFiles()

        def in_force(key: FlowKey) -> Version | None:
            entry = registry.get(key)
            return Version(entry.spec, entry.definition) if entry and entry.spec else None

        reader = WarmReader(builtin_compiler(), builtin_nodes(), self.cache, in_force)
        trees, account_of = FolderTrees(files), self.accounts.account_of
        scanner = Scans(files, reader, trees, clock, account_of, recalls=reader)
        applier = Applier(registry, self.records, self.secrets, clock, (), accounts=self.accounts)
        history = applier.history = FlowHistory(self.events, clock)
        reconciler = Reconciler(
            root=self.root,
            scanner=scanner,
            applier=applier,
            registry=registry,
            watcher=FakeWatcher(),
            clock=clock,
            times=TIMES,
            observer=self,
        )
        reconciler.basis = StoredBasis(scanner, self.basis, self.accounts, clock)
        reader.load()
        await history.load()
        load_last_good(await self.records.list(), reader, registry, clock, history)
        await reconciler.start()
        is_short, first, source = not scanner.count, registry.entries, registry.source
        had_looked = reconciler.has_looked
        await reconciler.request("watch")
        reader.save([entry.path for entry in registry.entries.values()], scanner.seen())
        meanwhile()
        if self.reads_at_the_end:
            scanner.scan(self.root)
        await reconciler.keep_basis()
        looked = (had_looked, reconciler.has_looked)
        return Found(is_short, looked, first, registry.entries, (source, registry.source))

    def pass_ended(self, _result: object) -> None:
        pass


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path.resolve() / "flows")
    world.put("a.yaml", flow_text("a"))
    world.put("team/b.yaml", flow_text("b"))
    world.put("team/s.yaml", SECRET)
    world.live()
    assert world.live().is_short
    return world


def test_a_start_that_finds_all_as_it_was_judges_no_file(world: World) -> None:
    """Flows, conditions and the source are those that the long way finds right after it."""
    found = world.live()
    assert found.is_short
    assert found.first == found.second
    assert found.first.keys() == {key_of("a"), key_of("b"), key_of("s")}
    assert found.second[key_of("s")].missing_secrets == ("TOKEN",)
    first, second = found.sources
    assert (first.revision, first.conditions) == (second.revision, second.conditions)
    assert first.last_pass is not None
    assert first.last_pass.result == "unchanged"


def test_a_short_start_has_not_looked_at_everything(world: World) -> None:
    """Until the pass after it has, whoever keeps things for the next life keeps what is there."""
    assert world.live().looked == (False, True)
    world.put("new.yaml", flow_text("new"))
    assert world.live().looked == (True, True)


def test_a_short_start_hears_what_the_host_has_to_say(world: World) -> None:
    """A secret that came meanwhile is no part of the source, and is known at once."""
    world.secrets.texts["TOKEN"] = "there now"
    found = world.live()
    assert found.is_short
    assert found.first == found.second
    assert found.first[key_of("s")].is_ready


def of_accounts(world: World) -> None:
    world.accounts = AccountMap(folders={"team": "team"})


def of_node_types(world: World) -> None:
    world.accounts = AccountMap(node_types={"default": frozenset({"noop"})})


def of_roots(world: World) -> None:
    world.accounts = AccountMap(roots={"default": ("/srv",)})


def touch(world: World) -> None:
    path = world.root / "a.yaml"
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def rename(world: World) -> None:
    (world.root / "a.yaml").rename(world.root / "c.yaml")


def lose_record(world: World) -> None:
    asyncio.run(world.records.delete(key_of("a")))


def other_generation(world: World) -> None:
    record = asyncio.run(world.records.get(key_of("a")))
    assert record is not None
    asyncio.run(world.records.update(replace(record, generation=7)))


def of_other_month(world: World) -> None:
    world.now = datetime(2100, 2, 1, tzinfo=UTC)


def of_other_code(world: World) -> None:
    world.basis.data = None


def cut(world: World) -> None:
    world.basis.data = (world.basis.data or b"")[:-2]


def lose_contents(world: World) -> None:
    world.cache.data = None


def move_root(world: World) -> None:
    other = world.root.with_name("other")
    world.root.rename(other)
    world.root = other


CHANGES: list[Callable[[World], None]] = [
    touch,
    rename,
    lose_record,
    other_generation,
    of_accounts,
    of_node_types,
    of_roots,
    of_other_month,
    of_other_code,
    cut,
    lose_contents,
    move_root,
    lambda world: world.put("a.yaml", flow_text("a", description="other")),
    lambda world: world.put("new.yaml", flow_text("new")),
    lambda world: world.put("copy.yaml", flow_text("a")),
    lambda world: world.put("alert.yaml", ALERT),
    lambda world: world.put("team/_defaults.yaml", b"timeout: 3m\n"),
    lambda world: world.put(".flowrunnerignore", b"team/\n"),
    lambda world: (world.root / "team/b.yaml").unlink(),
    lambda world: (world.root / "link.yaml").symlink_to("a.yaml"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_plan_follows_from_leads_the_long_way(
    world: World, change: Callable[[World], None]
) -> None:
    """The first pass finds what any pass finds."""
    change(world)
    found = world.live()
    assert not found.is_short
    assert found.first == found.second


@pytest.mark.parametrize(
    "data",
    [ALERT, flow_text("a"), b"nothing: of ours\n"],
    ids=["error", "duplicate", "no flow"],
)
def test_a_pass_that_refused_a_file_is_not_kept(world: World, data: bytes) -> None:
    """What is wrong with a file is worked out anew in each life."""
    world.put("odd.yaml", data)
    lives = [world.live() for _ in range(3)]
    assert [life.is_short for life in lives] == [False] * 3
    assert lives[2].sources[0].rejected == lives[0].sources[0].rejected


def test_a_file_that_may_be_written_again_unseen_keeps_nothing(tmp_path: Path) -> None:
    """A pass right after the write of a file is no ground for the next life."""
    world = World(tmp_path.resolve() / "flows")
    world.put("a.yaml", flow_text("a"))
    world.now = datetime.now(UTC)
    world.live()
    assert not world.live().is_short


def test_warnings_are_told_again_by_a_short_start(world: World) -> None:
    """Those of a file, and those about a flow that is not there."""
    world.put("odd.yaml", ADVISED.replace(b"name: a", b"name: odd"))
    nodes = [{"id": "x", "type": "flow", "params": {"flow": "nowhere"}}]
    world.put("calls.yaml", flow_text("calls", nodes=nodes))
    long = world.live()
    assert not long.is_short
    found = world.live()
    assert found.is_short
    assert found.first == found.second == long.second
    for name in ("odd", "calls"):
        assert found.first[key_of(name)].findings
    assert not found.first[key_of("calls")].is_ready


def test_what_was_read_and_not_carried_out_keeps_nothing(world: World) -> None:
    """A stop in the middle of a pass leaves a reading of which the flows in force know nothing."""
    world.put("a.yaml", flow_text("a", description="other"))
    world.basis.data = None
    world.reads_at_the_end = True
    world.live(lambda: world.put("late.yaml", flow_text("late")))
    assert world.basis.data is None
    world.reads_at_the_end = False
    assert key_of("late") in world.live().first


def test_the_same_pass_is_written_once(world: World) -> None:
    """A life in which nothing changes writes nothing."""
    saved = world.basis.saved
    world.live()
    assert world.basis.saved == saved
