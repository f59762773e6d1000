"""Promises of `flowrunner.reconcile.glance`: when a look at a few names will do, and its cost.

That it then says what a look at everything says is shown by `tests.property.test_glance`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowrunner.model.ids import Revision
from flowrunner.reconcile.glance import MOST_NAMES
from flowrunner.reconcile.scan import Scanner, Snapshot, UnstableSourceError
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.system.files import ChangedWhileReadError, LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import COMPILER, NOT_YAML, broken_text, flow_text
from tests.fakes.files import FakeFiles
from tests.fakes.trees import FakeTrees
from tests.unit.reconcile.compilers import CountingCompiler

ROOT = Path("/flows")
NEW = flow_text("a", description="new")
SOON = datetime(2026, 3, 15, tzinfo=UTC)


class World:
    """A folder with some flows that was looked at as a whole."""

    def __init__(self, count: int = 2) -> None:
        self.files = FakeFiles()
        self.files.make_folder(ROOT)
        self.clock = FakeClock(SOON)
        for name in ("a", "b", *(f"other-{number}" for number in range(count - 2))):
            self.put(f"team/{name}.yaml", flow_text(name))
        self.scanner = Scanner(
            self.files,
            CountingCompiler(self.clock),
            FolderTrees(self.files),
            self.clock,
        )
        self.first = self.scanner.scan(ROOT)

    def put(self, path: str, data: bytes) -> None:
        self.files.write(ROOT / path, data)

    def glance(self, *paths: str) -> Snapshot | None:
        return self.scanner.glance(ROOT, frozenset(paths))


@pytest.fixture
def world() -> World:
    return World()


def edited(found: Snapshot | None) -> list[str]:
    """The files that a look has found to be others."""
    assert found is not None
    assert found.glance is not None
    return [new.candidate.file for _, new in found.glance.edits]


def calls_of_an_edit(count: int) -> list[tuple[str, Path]]:
    """What an edit of one file among so many asks of the file system."""
    world = World(count)
    world.put("team/a.yaml", NEW)
    world.files.calls.clear()
    assert edited(world.glance("team/a.yaml")) == ["team/a.yaml"]
    return world.files.calls


def test_an_edit_costs_the_same_among_many() -> None:
    """The file system is asked the same few things however many flows there are."""
    few, many = calls_of_an_edit(2), calls_of_an_edit(500)
    assert few == many
    assert [call for call, _ in few].count("read") == 1
    assert len(few) < 10


def test_a_look_finds_what_has_changed_and_keeps_the_rest(world: World) -> None:
    """Files that nothing was told of are the same objects as before."""
    world.put("team/a.yaml", NEW)
    found = world.glance("team/a.yaml")
    assert edited(found) == ["team/a.yaml"]
    assert found is not None
    assert found.files[1] is world.first.files[1]
    assert found.files[0].content != world.first.files[0].content
    assert found.revision != world.first.revision


def test_a_scan_after_a_look_has_nothing_to_read(world: World) -> None:
    """What a look has read is known to the next look at everything."""
    world.put("team/a.yaml", NEW)
    found = world.glance("team/a.yaml")
    world.files.calls.clear()
    after = world.scanner.scan(ROOT)
    assert found is not None
    assert after.files is found.files
    assert after.revision == found.revision
    assert [path for call, path in world.files.calls if call == "read"] == [
        ROOT / ".flowrunnerignore"
    ]


def test_the_same_content_is_no_edit(world: World) -> None:
    """A file that was only touched keeps everything as it is."""
    world.put("team/a.yaml", flow_text("a"))
    found = world.glance("team/a.yaml")
    assert edited(found) == []
    assert found is not None
    assert found.files is world.first.files


@pytest.mark.parametrize("path", ["README.md", "team/notes.txt", "team/gone.yaml", "a.test.yaml"])
def test_names_that_are_no_flows_are_passed_over(world: World, path: str) -> None:
    """What lies beside flows, and what an editor has removed again, changes nothing."""
    if "gone" not in path:
        world.put(path, b"text")
    assert edited(world.glance(path)) == []


def remove(world: World) -> None:
    world.files.remove(ROOT / "team/a.yaml")


def link(world: World) -> None:
    world.files.link(ROOT / "team/a.yaml", "b.yaml")


def make_pipe(world: World) -> None:
    world.files.pipe(ROOT / "team/a.yaml")


def rename(world: World) -> None:
    world.put("team/a.yaml", flow_text("c"))


def make_nameless(world: World) -> None:
    world.put("team/a.yaml", NOT_YAML)


def deny(world: World) -> None:
    world.files.fail("read", "team/a.yaml", PermissionError(13, "denied"))


def begin_another_month(world: World) -> None:
    daily = {"id": "t", "type": "schedule", "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    world.put("team/a.yaml", flow_text("a", triggers=[daily]))
    assert edited(world.glance("team/a.yaml")) == ["team/a.yaml"]
    world.clock.advance(timedelta(days=40).total_seconds())


@pytest.mark.parametrize(
    "happen", [remove, link, make_pipe, rename, make_nameless, deny, begin_another_month]
)
def test_only_an_edit_is_looked_at_alone(happen: Callable[[World], None], world: World) -> None:
    """What says something to other files, or is none any more, takes a look at everything.

    So a file that is gone may turn up under a name that was not told yet.
    """
    happen(world)
    assert world.glance("team/a.yaml") is None


@pytest.mark.parametrize(
    "path", ["team/new.yaml", "new.yml", "_defaults.yaml", "team/_defaults.yaml", ".hidden/x.yaml"]
)
def test_a_name_that_may_count_takes_a_look_at_everything(path: str, world: World) -> None:
    """A flow that comes, and defaults of a folder."""
    world.put(path, flow_text("new"))
    assert world.glance(path) is None


def test_a_folder_takes_a_look_at_everything(world: World) -> None:
    """Whatever is told of it, it may hold files of which nothing was told."""
    world.put("crew/new.yaml", flow_text("new"))
    assert world.glance("crew") is None


def test_a_folder_that_became_a_link_is_not_looked_through(tmp_path: Path) -> None:
    """What is below it may lie outside the root."""
    root, outside = tmp_path.resolve() / "flows", tmp_path.resolve() / "outside"
    for folder in (root / "team", outside):
        folder.mkdir(parents=True)
        (folder / "a.yaml").write_bytes(flow_text("a"))
    clock = FakeClock(datetime(2100, 1, 1, tzinfo=UTC))
    scanner = Scanner(LocalFiles(), COMPILER, FolderTrees(LocalFiles()), clock)
    scanner.scan(root)
    (root / "team/a.yaml").unlink()
    (root / "team").rmdir()
    (root / "team").symlink_to(outside)
    with pytest.raises(UnstableSourceError):
        scanner.glance(root, frozenset({"team/a.yaml"}))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda world: world.files.link(ROOT / "l.yaml", "team/b.yaml"), id="link"),
        pytest.param(
            lambda world: world.files.fail("list", "crew", PermissionError(13, "denied")),
            id="unreadable-folder",
        ),
    ],
)
def test_a_source_whose_names_hang_together_is_read_as_a_whole(
    spoil: Callable[[World], None], world: World
) -> None:
    """Behind a link the same file has two names, and what was not seen is not known."""
    world.put("crew/c.yaml", flow_text("c"))
    spoil(world)
    world.scanner.scan(ROOT)
    world.put("team/a.yaml", NEW)
    assert world.glance("team/a.yaml") is None


def test_a_source_with_a_revision_is_read_as_a_whole() -> None:
    """The files of a commit belong together."""

    class Revisions:
        def read(self, root: Path) -> Revision:
            return Revision(f"of {root}")

    files = FakeFiles()
    scanner = Scanner(files, COMPILER, FakeTrees(files, Revisions()), FakeClock(SOON))
    files.write(ROOT / "a.yaml", flow_text("a"))
    scanner.scan(ROOT)
    assert scanner.glance(ROOT, frozenset({"a.yaml"})) is None


def test_another_root_is_read_as_a_whole(world: World) -> None:
    """Names that were told of the folder before say nothing of this one."""
    world.files.write(Path("/next/team/a.yaml"), NEW)
    world.files.link(Path("/current"), ROOT)
    world.scanner.scan(Path("/current"))
    world.files.link(Path("/current"), Path("/next"))
    assert world.scanner.glance(Path("/current"), frozenset({"team/a.yaml"})) is None


def test_before_the_first_scan_nothing_is_known() -> None:
    """There is nothing that could be the same as before."""
    files = FakeFiles()
    files.write(ROOT / "a.yaml", flow_text("a"))
    scanner = Scanner(files, COMPILER, FolderTrees(files), FakeClock(SOON))
    assert scanner.glance(ROOT, frozenset({"a.yaml"})) is None


def test_a_file_that_changes_while_it_is_read_is_not_taken(world: World) -> None:
    """No file is read half; what was known stays known."""
    world.put("team/a.yaml", NEW)
    world.files.fail("read", "team/a.yaml", ChangedWhileReadError("team/a.yaml"))
    with pytest.raises(UnstableSourceError):
        world.glance("team/a.yaml")
    world.files.mend()
    assert edited(world.glance("team/a.yaml")) == ["team/a.yaml"]


def test_too_many_names_take_a_look_at_everything(world: World) -> None:
    """It is the shorter way then."""
    names = [f"notes-{number}.txt" for number in range(MOST_NAMES)]
    assert edited(world.glance(*names)) == []
    assert world.glance(*names, "one-more.txt") is None


def test_what_may_have_been_written_again_is_looked_at_untold(tmp_path: Path) -> None:
    """A second write within the grain of the time stamp is seen by any pass, as in a scan."""
    root = tmp_path.resolve()
    (root / "b.yaml").write_bytes(flow_text("b"))
    file = root / "a.yaml"
    file.write_bytes(flow_text("a", description="1"))
    facts = file.stat()
    written = datetime.fromtimestamp(facts.st_mtime, tz=UTC)
    scanner = Scanner(LocalFiles(), COMPILER, FolderTrees(LocalFiles()), FakeClock(written))
    scanner.scan(root)
    file.write_bytes(flow_text("a", description="2"))
    found = scanner.glance(root, frozenset({"b.yaml"}))
    assert edited(found) == ["a.yaml"]


def test_a_file_that_breaks_and_is_mended_is_an_edit(world: World) -> None:
    """As long as its name can be read, it says nothing to others."""
    world.put("team/a.yaml", broken_text("a"))
    assert edited(world.glance("team/a.yaml")) == ["team/a.yaml"]
    world.put("team/a.yaml", NEW)
    assert edited(world.glance("team/a.yaml")) == ["team/a.yaml"]
