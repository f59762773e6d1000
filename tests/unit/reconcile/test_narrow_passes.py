"""Promises of the reconciler: when a pass looks at what it was told of alone, and what it misses.

The scan is the truth: whatever a hint leaves out is found by the next resync at the latest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import StorageError
from flowrunner.model.ids import Json
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import DEPTH_LIMIT, FolderTrees
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.entry import PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.memory_flows import MemoryFlows
from flowrunner.system.files import Walk
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import COMPILER, FakeSecrets, flow_text, key_of
from tests.fakes.files import FakeFiles
from tests.fakes.inline_threads import run_inline
from tests.fakes.users import FakeUsers
from tests.fakes.watcher import FakeWatcher
from tests.profile import examples

ROOT = Path("/flows")
TIMES = ReconcilerTimes(resync_s=60.0, debounce_s=0.3, debounce_limit_s=5.0)
NAMES = "abcdef"


class CountedWalks(FakeFiles):
    """Counts looks at everything."""

    def __init__(self) -> None:
        super().__init__()
        self.walks = 0

    def walk(self, root: Path, *, depth: int, most: int) -> Walk:
        self.walks += depth == DEPTH_LIMIT
        return super().walk(root, depth=depth, most=most)


class FailingFlows(MemoryFlows):
    """A store that takes nothing while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    async def put(self, records: Sequence[FlowRecord]) -> None:
        if self.is_full:
            raise StorageError("no space")
        await super().put(records)


class World:
    """A reconciler that lives over a folder in memory."""

    def __init__(self) -> None:
        self.files = CountedWalks()
        self.files.make_folder(ROOT)
        self.store, self.secrets, self.users = FailingFlows(), FakeSecrets(), FakeUsers()
        self.watcher = FakeWatcher()
        self.clock = FakeClock()
        self.registry = FlowRegistry()
        self.passes: list[PassResult] = []
        self.reconciler = Reconciler(
            root=ROOT,
            scanner=Scanner(self.files, COMPILER, FolderTrees(self.files), self.clock),
            applier=Applier(
                self.registry, self.store, self.secrets, self.clock, (), users=self.users
            ),
            registry=self.registry,
            watcher=self.watcher,
            clock=self.clock,
            times=TIMES,
            observer=self,
        )
        for name in NAMES:
            self.put(name, "0")

    def pass_ended(self, result: PassResult) -> None:
        self.passes.append(result)

    def put(self, name: str, version: str, **keys: Json) -> None:
        self.files.write(ROOT / f"{name}.yaml", flow_text(name, description=version, **keys))

    def edit(self, name: str, version: str) -> None:
        """Edits a file, and lets the watcher tell."""
        self.put(name, version)
        self.watcher.poke(f"{name}.yaml")

    def version(self, name: str) -> object:
        """What is in force."""
        return self.registry.entries[key_of(name)].definition["description"]

    def walks(self) -> int:
        """Looks at everything since the last call."""
        walks, self.files.walks = self.files.walks, 0
        return walks

    def live(self, script: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs a script beside the reconciler's life, once that has looked at everything."""

        async def both() -> None:
            await self.reconciler.start()
            life = asyncio.create_task(self.reconciler.run())
            await asyncio.sleep(1)
            self.walks()
            try:
                await script()
                assert not life.done(), "the loop has ended"
            finally:
                life.cancel()
                await asyncio.gather(life, return_exceptions=True)

        run_inline(both())


@pytest.fixture
def world() -> World:
    return World()


def test_an_edit_that_is_told_is_looked_at_alone(world: World) -> None:
    """It is in force after the debounce, and nobody has looked at the other files."""

    async def script() -> None:
        world.edit("a", "1")
        await asyncio.sleep(0.4)
        assert (world.version("a"), world.walks()) == ("1", 0)
        last = world.passes[-1]
        assert (last.trigger, last.result, last.updated) == ("watch", "applied", 1)

    world.live(script)


def test_what_no_hint_told_is_found_by_the_resync(world: World) -> None:
    """An event that was lost costs time, at most until the next look at everything."""

    async def script() -> None:
        world.put("b", "1")
        world.edit("a", "1")
        await asyncio.sleep(1)
        assert (world.version("a"), world.version("b")) == ("1", "0")
        await asyncio.sleep(TIMES.resync_s)
        assert world.version("b") == "1"

    world.live(script)


def test_hints_without_end_do_not_put_off_the_resync(world: World) -> None:
    """Edits every second, each told, and one that was not: it waits no longer than otherwise."""

    async def script() -> None:
        world.put("b", "1")
        for second in range(int(TIMES.resync_s) + 1):
            world.edit("a", str(second))
            await asyncio.sleep(1)
        assert world.version("b") == "1"
        assert world.walks() == 1
        assert [each.trigger for each in world.passes].count("resync") == 1

    world.live(script)


def test_a_look_at_some_names_does_not_count_as_a_look_at_the_source(world: World) -> None:
    """What health says of the age of the last whole pass is true."""

    async def script() -> None:
        before = world.registry.source.fresh_at
        world.edit("a", "1")
        await asyncio.sleep(1)
        assert (world.version("a"), world.registry.source.fresh_at) == ("1", before)

    world.live(script)


def test_a_secret_that_comes_is_seen_by_an_edit_of_its_flow_or_the_resync(world: World) -> None:
    """An edit of another flow does not ask for it."""

    async def script() -> None:
        for name in "ab":
            world.put(name, "1", secrets=[f"OF_{name.upper()}"])
        world.reconciler.ask("command")
        await asyncio.sleep(1)
        assert lacking() == {"a": ("OF_A",), "b": ("OF_B",)}
        world.secrets.texts = {"OF_A": "1", "OF_B": "2"}
        world.put("a", "2", secrets=["OF_A"])
        world.watcher.poke("a.yaml")
        await asyncio.sleep(1)
        assert lacking() == {"a": (), "b": ("OF_B",)}
        await asyncio.sleep(TIMES.resync_s)
        assert lacking() == {"a": (), "b": ()}

    def lacking() -> dict[str, tuple[str, ...]]:
        return {name: world.registry.entries[key_of(name)].missing_secrets for name in "ab"}

    world.live(script)


def test_an_edit_asks_for_its_own_user_alone(world: World) -> None:
    """What is said of the users of other flows stays until the resync."""

    async def script() -> None:
        world.users.problems = {"deploy": "no", "backup": "no"}
        nodes = {user: [{"id": "n", "run": "id", "user": user}] for user in ("deploy", "backup")}
        world.put("a", "1", nodes=nodes["deploy"])
        world.put("b", "1", nodes=nodes["backup"])
        world.reconciler.ask("command")
        await asyncio.sleep(1)
        assert refused() == {"a": "no", "b": "no"}
        world.users.problems, world.users.asked = {}, []
        world.put("a", "2", nodes=nodes["deploy"])
        world.watcher.poke("a.yaml")
        await asyncio.sleep(1)
        assert (refused(), world.users.asked) == ({"a": "", "b": "no"}, ["deploy"])
        await asyncio.sleep(TIMES.resync_s)
        assert refused() == {"a": "", "b": ""}

    def refused() -> dict[str, str]:
        return {name: world.registry.entries[key_of(name)].refused_user for name in "ab"}

    world.live(script)


def overflow(world: World) -> None:
    world.watcher.poke()


def lose_watches(world: World) -> None:
    world.watcher.alive = False


def be_on_a_network(world: World) -> None:
    world.watcher.network = True


@pytest.mark.parametrize("happen", [overflow, lose_watches, be_on_a_network])
def test_a_watcher_in_doubt_is_not_relied_on(happen: Callable[[World], None], world: World) -> None:
    """With an event lost, or a folder unwatched, every hint leads to a look at everything."""

    async def script() -> None:
        world.put("b", "1")
        world.edit("a", "1")
        happen(world)
        await asyncio.sleep(1)
        assert (world.version("a"), world.version("b"), world.walks()) == ("1", "1", 1)

    world.live(script)


@pytest.mark.parametrize("trigger", ["command", "signal", "resync"])
def test_who_asks_for_a_pass_gets_a_look_at_everything(trigger: str, world: World) -> None:
    """A person and SIGHUP do not depend on what the watcher saw."""

    async def script() -> None:
        world.put("b", "1")
        world.edit("a", "1")
        world.reconciler.ask(trigger)
        await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert (world.version("a"), world.version("b"), world.walks()) == ("1", "1", 1)

    world.live(script)


def test_after_a_pass_that_failed_everything_is_looked_at(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What its hint told is not known to anybody else."""
    caplog.set_level(logging.CRITICAL)

    async def script() -> None:
        world.store.is_full = True
        world.edit("a", "1")
        await asyncio.sleep(1)
        assert world.passes[-1].result == "failed"
        world.store.is_full = False
        world.edit("b", "1")
        await asyncio.sleep(1)
        assert (world.version("a"), world.version("b")) == ("1", "1")
        assert world.walks() == 1
        world.edit("c", "1")
        await asyncio.sleep(1)
        assert (world.version("c"), world.walks()) == ("1", 0)

    world.live(script)


def test_while_something_is_held_everything_is_looked_at(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits for an approval is judged over all files, each time."""
    caplog.set_level(logging.CRITICAL)

    async def script() -> None:
        world.put("f", "1", protect=True)
        world.watcher.poke("f.yaml")
        await asyncio.sleep(1)
        world.files.remove(ROOT / "f.yaml")
        world.watcher.poke("f.yaml")
        await asyncio.sleep(1)
        assert world.registry.source.hold is not None
        world.walks()
        world.edit("a", "1")
        await asyncio.sleep(1)
        assert (world.version("a"), world.walks()) == ("1", 1)

    world.live(script)


def test_a_flow_that_comes_or_goes_is_judged_over_everything(world: World) -> None:
    """A file that was renamed keeps its flow, though but one of its names was told in time."""

    async def script() -> None:
        entry = world.registry.entries[key_of("a")]
        world.files.remove(ROOT / "a.yaml")
        world.files.write(ROOT / "moved.yaml", flow_text("a", description="0"))
        world.watcher.poke("a.yaml")
        await asyncio.sleep(1)
        after = world.registry.entries[key_of("a")]
        assert (after.path, after.spec, world.walks()) == ("moved.yaml", entry.spec, 1)
        assert world.passes[-1].removed == 0

    world.live(script)


def test_a_hint_during_a_narrow_pass_is_for_the_next(world: World) -> None:
    """No name is lost between two passes."""

    async def script() -> None:
        for version in ("1", "2", "3"):
            for name in NAMES:
                world.edit(name, version)
                await asyncio.sleep(0.11)
        await asyncio.sleep(1)
        assert {world.version(name) for name in NAMES} == {"3"}
        assert world.walks() == 0

    world.live(script)


edits = st.lists(
    st.tuples(st.sampled_from(NAMES), st.booleans(), st.floats(0, 20)), min_size=1, max_size=20
)


@settings(max_examples=examples(25), deadline=None)
@given(edits=edits)
def test_any_events_may_get_lost(edits: list[tuple[str, bool, float]]) -> None:
    """Whichever hints come, a resync later everything that files say is in force."""
    world = World()

    async def script() -> None:
        for number, (name, is_told, pause_s) in enumerate(edits):
            world.put(name, str(number))
            if is_told:
                world.watcher.poke(f"{name}.yaml")
            await asyncio.sleep(pause_s)
        await asyncio.sleep(TIMES.resync_s + TIMES.debounce_limit_s + 1)
        wanted = dict.fromkeys(NAMES, "0")
        wanted.update((name, str(number)) for number, (name, _, _) in enumerate(edits))
        assert {name: world.version(name) for name in NAMES} == wanted

    world.live(script)
