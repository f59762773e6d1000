"""`_defaults.yaml` in a scan: which flows they reach, and what is read again when one changes."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowrunner.model.ids import Json
from flowrunner.reconcile.scan import Scanner, Snapshot, UnstableSourceError
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.system.files import ChangedWhileReadError
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import flow_text
from tests.fakes.files import FakeFiles
from tests.unit.reconcile.compilers import CountingCompiler

ROOT = Path("/flows")
LATE = datetime(2100, 1, 1, tzinfo=UTC)


class World:
    """A source in memory; its clock is far after every time stamp."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.files.make_folder(ROOT)
        clock = FakeClock(LATE)
        self.compiler = CountingCompiler(clock)
        self.scanner = Scanner(self.files, self.compiler, FolderTrees(self.files), clock)

    def put(self, name: str, text: str | None = None) -> None:
        data = flow_text(Path(name).stem) if text is None else text.encode()
        self.files.write(ROOT / name, data)

    def scan(self) -> Snapshot:
        self.compiler.compiled.clear()
        return self.scanner.scan(ROOT)

    def env(self) -> dict[str, dict[str, Json]]:
        """Returns the environment of each valid flow, by file."""
        found = self.scan().files
        return {f.candidate.file: dict(f.candidate.spec.env) for f in found if f.candidate.spec}


@pytest.fixture
def world() -> World:
    return World()


def codes(found: Snapshot) -> dict[str, list[tuple[str, str]]]:
    """Returns file and code of what is said about each flow."""
    return {
        each.candidate.file: [(f.file, f.code) for f in each.candidate.findings]
        for each in found.files
    }


def test_defaults_reach_the_flows_of_their_folder_and_below(world: World) -> None:
    """The chain goes from the root down to the folder of the flow; folders beside do not count."""
    world.put("_defaults.yaml", "env: {A: root, B: root}\n")
    world.put("team/_defaults.yaml", "env: {B: team}\n")
    world.put("team/deep/er/_defaults.yaml", "env: {C: deep}\n")
    for name in (
        "a.yaml",
        "team/b.yaml",
        "team/deep/c.yaml",
        "team/deep/er/d.yaml",
        "teams/e.yaml",
    ):
        world.put(name)
    assert world.env() == {
        "a.yaml": {"A": "root", "B": "root"},
        "team/b.yaml": {"A": "root", "B": "team"},
        "team/deep/c.yaml": {"A": "root", "B": "team"},
        "team/deep/er/d.yaml": {"A": "root", "B": "team", "C": "deep"},
        "teams/e.yaml": {"A": "root", "B": "root"},
    }


def test_edit_of_defaults_compiles_the_flows_below_again(world: World) -> None:
    """Their own files did not change; what is not below is not touched."""
    world.put("team/_defaults.yaml", "env: {A: one}\n")
    for name in ("a.yaml", "team/b.yaml", "team/deep/c.yaml", "teams/d.yaml"):
        world.put(name)
    before = world.scan()
    world.put("team/_defaults.yaml", "env: {A: two}\n")

    assert world.env()["team/b.yaml"] == {"A": "two"}
    assert world.compiler.compiled == ["team/_defaults.yaml", "team/b.yaml", "team/deep/c.yaml"]
    after = {each.candidate.file: each for each in world.scan().files}
    for file in before.files:
        is_below = file.candidate.file.startswith("team/")
        assert (after[file.candidate.file].content != file.content) == is_below


def test_nothing_is_read_in_vain(world: World) -> None:
    """Two scans of one state read each file once, defaults too."""
    world.put("_defaults.yaml", "env: {A: x}\n")
    world.put("a.yaml")
    first = world.scan()
    again = world.scan()

    assert world.compiler.compiled == []
    assert (again.files, again.defaults) == (first.files, first.defaults)
    assert again.revision == first.revision


@pytest.mark.parametrize("change", ["added", "removed"])
def test_defaults_that_come_and_go_count(world: World, change: str) -> None:
    """A new file is in force at once, and one that left leaves nothing behind."""
    world.put("a.yaml")
    if change == "removed":
        world.put("_defaults.yaml", "env: {A: x}\n")
    before = world.scan()
    if change == "added":
        world.put("_defaults.yaml", "env: {A: x}\n")
    else:
        world.files.remove(ROOT / "_defaults.yaml")

    assert world.env() == {"a.yaml": {"A": "x"} if change == "added" else {}}
    assert world.scan().revision != before.revision


def test_broken_defaults_keep_the_flows_below_out(world: World) -> None:
    """Siblings are valid, and the defaults are told of with what is wrong with them."""
    world.put("team/_defaults.yaml", "evn: {}\n")
    world.put("team/b.yaml")
    world.put("a.yaml")
    found = world.scan()

    assert codes(found) == {"a.yaml": [], "team/b.yaml": [("team/_defaults.yaml", "FR201")]}
    assert [file.candidate.name for file in found.files] == ["a", "b"]
    (broken,) = found.defaults
    assert (broken.file, broken.is_broken) == ("team/_defaults.yaml", True)


@pytest.mark.parametrize(
    ("ignored", "name"),
    [
        pytest.param("_defaults.yaml\n", "team/_defaults.yaml", id="ignored"),
        pytest.param("team/\n", "team/_defaults.yaml", id="ignored-folder"),
        pytest.param("", "_old/_defaults.yaml", id="hidden-folder"),
        pytest.param("", ".old/_defaults.yaml", id="dot-folder"),
        pytest.param("", "team/_defaults.yml", id="other-ending"),
        pytest.param("", "team/defaults.yaml.bak", id="other-name"),
    ],
)
def test_other_files_are_no_defaults(world: World, ignored: str, name: str) -> None:
    """What is not read supplies nothing, and its mistakes are nobody's."""
    world.put(".flowrunnerignore", ignored)
    world.put(name, "evn: {}\n")
    assert world.scan().defaults == ()


def test_folder_of_that_name_is_no_file(world: World) -> None:
    """A folder `_defaults.yaml` is a folder whose name begins with `_`: nothing in it counts."""
    world.put("_defaults.yaml/_defaults.yaml", "env: {A: x}\n")
    world.put("a.yaml")
    assert world.env() == {"a.yaml": {}}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(PermissionError(errno.EACCES, "denied"), "FR110", id="no-access"),
        pytest.param(OSError(errno.EIO, "broken"), "FR110", id="broken-disk"),
    ],
)
def test_defaults_that_cannot_be_read_are_broken(world: World, error: OSError, code: str) -> None:
    """Nobody knows what they say, so no flow below changes; they are tried again."""
    world.put("_defaults.yaml", "env: {A: x}\n")
    world.put("a.yaml")
    world.files.fail("read", "_defaults.yaml", error)
    assert codes(world.scan()) == {"a.yaml": [("_defaults.yaml", code)]}
    world.files.mend()
    assert world.env() == {"a.yaml": {"A": "x"}}


def test_link_that_leaves_the_flows_is_broken(world: World) -> None:
    """Defaults from outside the root are not read."""
    world.files.write(Path("/elsewhere.yaml"), b"env: {A: x}\n")
    world.files.link(ROOT / "_defaults.yaml", "/elsewhere.yaml")
    world.put("a.yaml")
    assert codes(world.scan()) == {"a.yaml": [("_defaults.yaml", "FR111")]}


def test_defaults_that_change_while_read_repeat_the_scan(world: World) -> None:
    """Half a file supplies nothing."""
    world.put("_defaults.yaml", "env: {A: x}\n")
    world.files.fail("read", "_defaults.yaml", ChangedWhileReadError("changed"))
    with pytest.raises(UnstableSourceError):
        world.scan()
