"""The first reading of a life: what did not change since an earlier one is not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowrunner.definitions import codes
from flowrunner.definitions.ahead import CrewAhead
from flowrunner.definitions.warm_reader import Version, WarmReader
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.recalling import seen_in
from flowrunner.reconcile.scan import AccountOf, Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.crew import HereCrew
from tests.fakes.definitions import flow_text
from tests.fakes.nodes import builtin_compiler, builtin_nodes

LONG_AFTER = datetime(2100, 1, 1, tzinfo=UTC)
"""When no time stamp of a file can hide another write any more."""
ADVISED = b"version: 1\nname: a\nnodes: [{id: a, type: noop, if: 'false'}]\n"
ALERT = b"version: 1\nname: alert\nnodes: [{id: a, type: nope}]\n"


class Reads(LocalFiles):
    """Knows which files were read."""

    def __init__(self) -> None:
        self.read_names: list[str] = []

    def read(self, path: Path, *, limit: int) -> bytes:
        data = super().read(path, limit=limit)
        self.read_names.append(path.name)
        return data


class MemoryStore:
    """Meets `Store`."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.saved = 0

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data, self.saved = data, self.saved + 1


def of_default(_path: str) -> str:
    return "default"


class World:
    """A folder of flows, and the lives of a daemon's scan over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = MemoryStore()
        self.records: dict[FlowKey, Version] = {}
        self.now = LONG_AFTER

    def put(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def life(self, account_of: AccountOf = of_default) -> tuple[Snapshot, list[str]]:
        """Returns what the first reading of a life gives, and which flow files it read."""
        files, clock = Reads(), FakeClock(self.now)
        in_force = dict(self.records)
        reader = WarmReader(builtin_compiler(), builtin_nodes(), self.store, in_force.get)
        reader.load()
        scanner = Scanner(files, reader, FolderTrees(files), clock, account_of, recalls=reader)
        found = scanner.scan(self.root)
        for file in found.files:
            candidate, key = file.candidate, file.key
            if key and candidate.spec is not None and candidate.definition is not None:
                self.records[key] = Version(candidate.spec, candidate.definition)
        reader.save([file.candidate.file for file in found.files], scanner.seen())
        return found, [name for name in files.read_names if name.endswith(".yaml")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path.resolve())
    world.put("a.yaml", flow_text("a"))
    world.put("team/b.yaml", flow_text("b"))
    world.put("team/alert.yaml", ALERT)
    return world


def test_a_restart_reads_no_file_that_did_not_change(world: World) -> None:
    """Flows, findings and revision are those of the life before, and nothing is written."""
    first, read = world.life()
    assert sorted(read) == ["a.yaml", "alert.yaml", "b.yaml"]
    again, read = world.life()
    assert read == []
    assert again == first
    assert again.files[1].candidate.findings
    assert world.store.saved == 1


def test_a_name_that_fits_into_no_line_is_read_again(world: World) -> None:
    """It takes none of its neighbours along."""
    world.put("odd\t\nname.yaml", flow_text("odd"))
    first, read = world.life()
    assert len(read) == 4
    again, read = world.life()
    assert read == ["odd\t\nname.yaml"]
    assert again == first


def _in_place(world: World) -> None:
    path, other = world.root / "a.yaml", flow_text("a").replace(b"noop", b"wait")
    before = path.stat()
    path.write_bytes(other[: before.st_size].ljust(before.st_size, b"\n"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(world: World) -> None:
    path = world.put(".staged", flow_text("a", description="new"))
    path.replace(world.root / "a.yaml")


def _moved(world: World) -> None:
    (world.root / "a.yaml").rename(world.root / "c.yaml")


@pytest.mark.parametrize(
    ("change", "name"), [(_in_place, "a.yaml"), (_replaced, "a.yaml"), (_moved, "c.yaml")]
)
def test_a_file_that_changed_is_read(
    world: World, change: Callable[[World], None], name: str
) -> None:
    """Also where its size is as before and its time stamp was set back."""
    world.life()
    change(world)
    assert world.life()[1] == [name]
    assert world.life()[1] == []


def test_a_file_below_other_defaults_is_read(world: World) -> None:
    """What is above a file takes part in what it compiles to."""
    world.life()
    world.put("team/_defaults.yaml", b"defaults: {timeout: 5m}\n")
    assert sorted(world.life()[1]) == ["_defaults.yaml", "alert.yaml", "b.yaml"]


def test_a_file_of_another_account_is_read(world: World) -> None:
    """The settings gave its folder to somebody else meanwhile."""
    world.life()
    found, read = world.life(lambda path: "team" if path.startswith("team/") else "default")
    assert sorted(read) == ["alert.yaml", "b.yaml"]
    assert [file.account for file in found.files] == ["default", "team", "team"]


def test_a_file_without_account_is_never_recalled(world: World) -> None:
    """It is no flow, whatever it was to an earlier life."""
    world.life()
    found, _ = world.life(lambda path: None if path.startswith("team/") else "default")
    assert found.files[1].candidate.spec is None


def test_a_link_that_leaves_the_flows_is_refused(world: World) -> None:
    """The file that it leads to may be the very one that was read before."""
    world.life()
    outside = world.root.parent / "outside.yaml"
    (world.root / "a.yaml").rename(outside)
    (world.root / "a.yaml").symlink_to(outside)
    found, _ = world.life()
    assert [finding.code for finding in found.files[0].candidate.findings] == [
        codes.SYMLINK_OUTSIDE.code
    ]
    outside.unlink()


def test_a_file_read_too_shortly_after_its_last_write_is_read_again(world: World) -> None:
    """Its facts could hide another write."""
    world.now = datetime.now(UTC) - timedelta(seconds=1)
    assert len(world.life()[1]) == 3
    assert len(world.life()[1]) == 3
    world.now = LONG_AFTER
    assert len(world.life()[1]) == 3
    assert world.life()[1] == []


def test_a_file_whose_record_is_lost_is_read(world: World) -> None:
    """The cache alone puts nothing in force."""
    world.life()
    del world.records[FlowKey("default", "a")]
    assert world.life()[1] == ["a.yaml"]


def test_a_restored_flow_is_the_one_that_is_planned(world: World) -> None:
    """A start that changes nothing makes no second entry, and tells nobody of one."""
    found, _ = world.life()
    reader = WarmReader(builtin_compiler(), builtin_nodes(), world.store, world.records.get)
    reader.load()
    kept = {
        key: FlowEntry(
            key=key,
            path=file.candidate.file,
            spec=file.candidate.spec,
            content=reader.content_of(file.candidate.spec.digest),
            observed_generation=1,
        )
        for file in found.files
        if (key := file.key) and file.candidate.spec
    }
    plan = make_plan(found, kept)
    assert all(plan.entries[key] is entry for key, entry in kept.items())
    assert len(kept) == 2


def test_content_with_findings_is_not_restored(world: World) -> None:
    """An entry without the findings of its content would be wrong."""
    world.put("a.yaml", ADVISED)
    found, _ = world.life()
    (file,) = [file for file in found.files if file.candidate.file == "a.yaml"]
    assert file.candidate.spec is not None
    assert file.candidate.findings
    reader = WarmReader(builtin_compiler(), builtin_nodes(), world.store, world.records.get)
    reader.load()
    assert reader.content_of(file.candidate.spec.digest) == ""


def test_what_cannot_be_read_is_not_seen(world: World) -> None:
    """A file without content is tried again by every pass and every life."""
    files = LocalFiles()
    world.put("big.yaml", b"#" * (1024 * 1024 + 1))
    reader = WarmReader(builtin_compiler(), builtin_nodes(), world.store, world.records.get)
    scanner = Scanner(files, reader, FolderTrees(files), FakeClock(LONG_AFTER))
    scanner.scan(world.root)
    assert "big.yaml" not in scanner.seen()
    assert seen_in({}) == {}


@pytest.mark.parametrize("is_spoilt", [False, True], ids=["answers", "rubbish"])
def test_what_a_crew_compiles_is_scanned_as_ever(world: World, *, is_spoilt: bool) -> None:
    """Good, advised, broken, refused and unreadable files: the same snapshot, in the same order."""
    world.put("team/advised.yaml", ADVISED)
    world.put("huge.yaml", b"#" * 1_100_000)
    (world.root / "away.yaml").symlink_to("/etc/hostname")
    world.put("_defaults.yaml", b"env: {A: 1}\n")
    crew = HereCrew((lambda _: b"rubbish") if is_spoilt else (lambda answer: answer))
    clock, compiler = FakeClock(LONG_AFTER), builtin_compiler()
    ahead = CrewAhead(crew, many=1)
    reader = WarmReader(compiler, builtin_nodes(), world.store, world.records.get, ahead)
    scanner = Scanner(LocalFiles(), reader, FolderTrees(LocalFiles()), clock, ahead=reader)
    alone = WarmReader(compiler, builtin_nodes(), world.store, world.records.get)
    expected = Scanner(LocalFiles(), alone, FolderTrees(LocalFiles()), clock).scan(world.root)
    assert scanner.scan(world.root) == expected
    assert len(expected.files) == 6
    assert crew.works
    assert crew.is_closed
    crew.works.clear()
    for path in world.root.rglob("*.yaml"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert scanner.scan(world.root).files == expected.files
    assert crew.works == [], "the same content under new times"
