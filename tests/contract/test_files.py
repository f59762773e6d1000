"""What every `Files` promises, held against the real ones and the ones in memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

import pytest

from flowrunner.system.files import (
    FileKind,
    Files,
    FileTooLargeError,
    LocalFiles,
    NotRegularError,
)
from tests.fakes.files import FakeFiles

LIMIT = 1_000


class World(Protocol):
    """A `Files` with a folder of its own, and what others do there."""

    files: Files
    root: Path

    def write(self, path: Path, data: bytes) -> None: ...

    def link(self, path: Path, target: Path | str) -> None: ...

    def pipe(self, path: Path) -> None: ...

    def mode(self, path: Path) -> int: ...


class LocalWorld:
    """The real file system."""

    def __init__(self, root: Path) -> None:
        self.files: Files = LocalFiles()
        self.root = root / "world"
        self.root.mkdir()

    def write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def link(self, path: Path, target: Path | str) -> None:
        path.symlink_to(target)

    def pipe(self, path: Path) -> None:
        os.mkfifo(path)

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)


class FakeWorld:
    """The file system in memory."""

    def __init__(self) -> None:
        self.fake = FakeFiles()
        self.files: Files = self.fake
        self.root = Path("/world")
        self.fake.make_folder(self.root)

    def write(self, path: Path, data: bytes) -> None:
        self.fake.write(path, data)

    def link(self, path: Path, target: Path | str) -> None:
        self.fake.link(path, target)

    def pipe(self, path: Path) -> None:
        self.fake.pipe(path)

    def mode(self, path: Path) -> int:
        return self.fake.mode(path)


@pytest.fixture(params=["local", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return LocalWorld(tmp_path) if request.param == "local" else FakeWorld()


def paths(world: World, *, depth: int = 16, most: int = 1_000) -> list[str]:
    walk = world.files.walk(world.root, depth=depth, most=most)
    return [entry.path for entry in walk.entries]


def test_read_returns_the_whole_content_up_to_the_limit(world: World) -> None:
    """A file of exactly the limit is read whole."""
    world.write(world.root / "a", b"x" * LIMIT)
    assert world.files.read(world.root / "a", limit=LIMIT) == b"x" * LIMIT


def test_read_refuses_one_byte_more_than_the_limit(world: World) -> None:
    """A file over the limit is never returned in part."""
    world.write(world.root / "a", b"x" * (LIMIT + 1))
    with pytest.raises(FileTooLargeError):
        world.files.read(world.root / "a", limit=LIMIT)


def test_read_of_a_missing_file_says_so(world: World) -> None:
    """A missing file is told apart from other failures."""
    with pytest.raises(FileNotFoundError):
        world.files.read(world.root / "a", limit=LIMIT)


def test_read_refuses_a_pipe_at_once(world: World) -> None:
    """A FIFO that nobody writes to does not hold the reader."""
    world.pipe(world.root / "a")
    with pytest.raises(NotRegularError):
        world.files.read(world.root / "a", limit=LIMIT)


def test_read_refuses_a_folder(world: World) -> None:
    """A folder is not a regular file."""
    with pytest.raises(NotRegularError):
        world.files.read(world.root, limit=LIMIT)


def test_read_follows_links_of_files_and_folders(world: World) -> None:
    """A file is read through a linked folder and a linked file."""
    world.write(world.root / "real" / "a", b"content")
    world.link(world.root / "folder", "real")
    world.link(world.root / "file", world.root / "folder" / "a")
    assert world.files.read(world.root / "file", limit=LIMIT) == b"content"


@pytest.mark.parametrize("method", ["replace", "replace_durably"])
class TestReplace:
    """Both ways to write."""

    def test_it_makes_the_file_and_private_parents(self, world: World, method: str) -> None:
        """New content and its new folders belong to the owner alone."""
        path = world.root / "b" / "c" / "file"
        getattr(world.files, method)(path, b"new")
        assert world.files.read(path, limit=LIMIT) == b"new"
        assert world.mode(path) == 0o600
        assert [world.mode(each) for each in (path.parent, path.parent.parent)] == [0o700] * 2

    def test_it_takes_the_place_of_the_old_file(self, world: World, method: str) -> None:
        """The old content is gone, the mode is the one asked for, nothing lies beside."""
        path = world.root / "file"
        world.write(path, b"a longer old content")
        getattr(world.files, method)(path, b"new", mode=0o640)
        assert world.files.read(path, limit=LIMIT) == b"new"
        assert world.mode(path) == 0o640
        assert world.files.names(world.root) == ["file"]

    def test_it_takes_the_place_of_a_link_not_of_its_target(
        self, world: World, method: str
    ) -> None:
        """A link at the path is replaced; what it led to is untouched."""
        world.write(world.root / "target", b"old")
        world.link(world.root / "file", "target")
        getattr(world.files, method)(world.root / "file", b"new")
        assert world.files.read(world.root / "target", limit=LIMIT) == b"old"
        assert world.files.read(world.root / "file", limit=LIMIT) == b"new"

    def test_it_leaves_nothing_behind_when_it_fails(self, world: World, method: str) -> None:
        """A folder in the way stays, and no temporary file is left."""
        world.write(world.root / "folder" / "a", b"")
        with pytest.raises(IsADirectoryError):
            getattr(world.files, method)(world.root / "folder", b"new")
        assert world.files.names(world.root) == ["folder"]
        assert paths(world) == ["folder", "folder/a"]

    def test_it_refuses_a_parent_that_is_a_file(self, world: World, method: str) -> None:
        """A file is never turned into a folder."""
        world.write(world.root / "a", b"")
        with pytest.raises(NotADirectoryError):
            getattr(world.files, method)(world.root / "a" / "b", b"new")


def test_sync_of_a_missing_path_fails(world: World) -> None:
    """What cannot be synced is not passed over."""
    world.files.sync(world.root)
    with pytest.raises(FileNotFoundError):
        world.files.sync(world.root / "missing")


def test_write_new_makes_a_file_of_exactly_this_mode(world: World) -> None:
    """Content and mode are those that were asked for."""
    world.files.write_new(world.root / "a", b"text", mode=0o640)
    assert world.files.read(world.root / "a", limit=LIMIT) == b"text"
    assert world.mode(world.root / "a") == 0o640


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_write_new_touches_nothing_that_is_there(world: World, kind: str) -> None:
    """Whatever has the name stays, and a link to nowhere is not written through."""
    path = world.root / "a"
    if kind == "file":
        world.write(path, b"old")
    elif kind == "folder":
        world.files.make_folder(path)
    else:
        world.link(path, world.root / "nowhere")
    before = world.files.stat(path)
    with pytest.raises(FileExistsError):
        world.files.write_new(path, b"new")
    assert world.files.stat(path) == before
    assert world.files.names(world.root) == ["a"]


def test_write_new_makes_no_folder(world: World) -> None:
    """The folder is the caller's affair."""
    with pytest.raises(FileNotFoundError):
        world.files.write_new(world.root / "folder" / "a", b"")
    assert world.files.names(world.root) == []


def test_replace_each_swaps_one_name_in_many_folders(world: World) -> None:
    """Known files are swapped, folders and files that were not there are made, others stay."""
    above = world.root / "above"
    world.write(above / "a" / "f", b"old")
    world.write(above / "a" / "other", b"other")
    world.files.replace_each(above, "f", {"a": b"1", "b": b"2"})
    world.files.replace_each(world.root / "new" / "above", "f", {"c": b"3"})
    found = {"above/a/f": b"1", "above/a/other": b"other", "above/b/f": b"2", "new/above/c/f": b"3"}
    assert {name: world.files.read(world.root / name, limit=LIMIT) for name in found} == found
    assert world.files.names(above / "b") == ["f"]
    assert {world.mode(above / name / "f") for name in "ab"} == {0o600}
    assert {world.mode(path) for path in (world.root / "new", above / "b")} == {0o700}


def test_replace_each_keeps_what_came_before_a_failure(world: World) -> None:
    """Those before it are swapped, those behind it are as they were, and nothing is left over."""
    for name in ("a", "c"):
        world.write(world.root / name / "f", b"old")
    world.write(world.root / "b", b"a file")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        world.files.replace_each(world.root, "f", {"a": b"new", "b": b"new", "c": b"new"})
    assert [world.files.read(world.root / n / "f", limit=LIMIT) for n in "ac"] == [b"new", b"old"]
    assert [world.files.names(world.root / name) for name in "ac"] == [["f"], ["f"]]


def test_make_folder_gives_the_mode_to_the_last_one_only(world: World) -> None:
    """The folder asked for has its mode, the parents are private."""
    world.files.make_folder(world.root / "a" / "b", 0o755)
    assert world.mode(world.root / "a") == 0o700
    assert world.mode(world.root / "a" / "b") == 0o755


def test_make_folder_leaves_an_existing_one_alone(world: World) -> None:
    """Content and mode of an existing folder stay."""
    world.files.make_folder(world.root / "a", 0o750)
    world.write(world.root / "a" / "file", b"")
    world.files.make_folder(world.root / "a", 0o700)
    assert world.mode(world.root / "a") == 0o750
    assert world.files.names(world.root / "a") == ["file"]


def test_make_folder_refuses_the_place_of_a_file(world: World) -> None:
    """A file in the way is an error."""
    world.write(world.root / "a", b"")
    with pytest.raises(FileExistsError):
        world.files.make_folder(world.root / "a")


def test_remove_takes_files_links_and_what_is_missing(world: World) -> None:
    """A removal can be repeated, and a link goes alone."""
    world.write(world.root / "file", b"")
    world.link(world.root / "link", "file")
    world.files.remove(world.root / "link")
    assert world.files.names(world.root) == ["file"]
    world.files.remove(world.root / "file")
    world.files.remove(world.root / "file")
    assert world.files.names(world.root) == []


def test_remove_refuses_a_folder(world: World) -> None:
    """A folder is only removed by `remove_tree`."""
    world.files.make_folder(world.root / "a")
    with pytest.raises(IsADirectoryError):
        world.files.remove(world.root / "a")


def test_remove_tree_never_follows_links(world: World) -> None:
    """Neither the path itself nor a link below it leads the removal elsewhere."""
    world.write(world.root / "kept" / "a", b"")
    world.write(world.root / "tree" / "b" / "c", b"")
    world.link(world.root / "tree" / "link", world.root / "kept")
    world.link(world.root / "link", world.root / "kept")
    world.files.remove_tree(world.root / "tree")
    world.files.remove_tree(world.root / "link")
    assert paths(world) == ["kept", "kept/a"]


def test_remove_tree_takes_folders_in_folders_and_hidden_names(world: World) -> None:
    """Empty folders, files and full folders side by side are all gone."""
    world.files.make_folder(world.root / "tree" / "empty")
    for name in ("a", ".hidden", "full/b", "full/deep/c"):
        world.write(world.root / "tree" / name, b"")
    world.files.remove_tree(world.root / "tree")
    assert world.files.names(world.root) == []


def test_remove_tree_takes_a_file_and_what_is_missing(world: World) -> None:
    """A removal can be repeated, whatever stood there."""
    world.write(world.root / "a", b"")
    world.files.remove_tree(world.root / "a")
    world.files.remove_tree(world.root / "a")
    assert world.files.names(world.root) == []


def test_names_are_sorted_and_include_hidden_ones(world: World) -> None:
    """A listing is complete and stable."""
    for name in ("b", ".hidden", "a"):
        world.write(world.root / name, b"")
    assert world.files.names(world.root) == [".hidden", "a", "b"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("missing", FileNotFoundError), ("file", NotADirectoryError)],
    ids=["missing", "file"],
)
def test_names_of_no_folder_fail(world: World, name: str, error: type[OSError]) -> None:
    """No folder is not an empty folder."""
    world.write(world.root / "file", b"")
    with pytest.raises(error):
        world.files.names(world.root / name)


def test_stat_tells_the_kinds_apart_without_following(world: World) -> None:
    """A link is a link, whatever it leads to."""
    world.write(world.root / "file", b"four")
    world.files.make_folder(world.root / "folder")
    world.link(world.root / "link", "file")
    world.pipe(world.root / "pipe")
    kinds = {}
    for name in world.files.names(world.root):
        found = world.files.stat(world.root / name)
        kinds[name] = found.kind if found else None
    assert kinds == {
        "file": FileKind.FILE,
        "folder": FileKind.FOLDER,
        "link": FileKind.LINK,
        "pipe": FileKind.OTHER,
    }
    assert world.files.stat(world.root / "missing") is None


def test_many_names_are_looked_at_from_their_folder(world: World) -> None:
    """Each gives what `stat` gives, also of a name in a folder below; a missing one gives None."""
    world.write(world.root / "a" / "file", b"four")
    world.write(world.root / "file", b"five5")
    world.link(world.root / "link", "file")
    names = ["a/file", "file", "link", "a", "missing", "file/below"]
    expected = [world.files.stat(world.root / name) for name in names]
    assert world.files.stats(world.root, names) == expected
    assert expected[-2:] == [None, None]
    assert world.files.stats(world.root, []) == []


def test_stat_shows_that_a_file_was_replaced(world: World) -> None:
    """The facts of a replaced file differ, also at equal size."""
    world.files.replace(world.root / "a", b"1234")
    before = world.files.stat(world.root / "a")
    world.files.replace(world.root / "a", b"5678")
    after = world.files.stat(world.root / "a")
    assert before is not None
    assert before.size == 4
    assert before != after
    assert after == world.files.stat(world.root / "a")


def test_walk_lists_everything_below_but_hidden_names(world: World) -> None:
    """Entries come sorted, with their facts, and nothing below a hidden folder."""
    for name in ("b/x", "a.yaml", "a/c/d", ".git/config", ".swp", "b/.hidden"):
        world.write(world.root / name, b"12")
    walk = world.files.walk(world.root, depth=16, most=100)
    assert [entry.path for entry in walk.entries] == ["a", "a.yaml", "a/c", "a/c/d", "b", "b/x"]
    by_path = {entry.path: entry for entry in walk.entries}
    assert by_path["a"].stat.kind is FileKind.FOLDER
    assert by_path["b/x"].stat == world.files.stat(world.root / "b" / "x")
    assert (walk.root, walk.truncated, walk.unreadable) == (world.root, False, ())


def test_walk_resolves_the_root_once(world: World) -> None:
    """A linked root is walked and reported by where it leads."""
    world.write(world.root / "real" / "a", b"")
    world.link(world.root / "link", "real")
    walk = world.files.walk(world.root / "link", depth=16, most=100)
    assert walk.root == world.root / "real"
    assert [entry.path for entry in walk.entries] == ["a"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("missing", FileNotFoundError), ("file", NotADirectoryError)],
    ids=["missing", "file"],
)
def test_walk_of_no_folder_fails(world: World, name: str, error: type[OSError]) -> None:
    """A vanished root is never taken for an empty one."""
    world.write(world.root / "file", b"")
    with pytest.raises(error):
        world.files.walk(world.root / name, depth=16, most=100)


def test_walk_reports_links_by_their_target(world: World) -> None:
    """A link shows its target's facts, also when the target is hidden."""
    world.write(world.root / ".data" / "a", b"123")
    world.link(world.root / "a", ".data/a")
    (entry,) = world.files.walk(world.root, depth=16, most=100).entries
    assert (entry.path, entry.is_link, entry.escapes) == ("a", True, False)
    assert entry.stat == world.files.stat(world.root / ".data" / "a")


@pytest.mark.parametrize("target", ["../outside", "../outside/a", "../world-2"])
def test_walk_marks_links_that_leave_the_root(world: World, target: str) -> None:
    """A link to outside is flagged and not entered, also to a folder of similar name."""
    world.write(world.root.parent / "outside" / "a", b"")
    world.write(world.root.parent / "world-2" / "a", b"")
    world.link(world.root / "link", target)
    (entry,) = world.files.walk(world.root, depth=16, most=100).entries
    assert (entry.path, entry.escapes) == ("link", True)


@pytest.mark.parametrize("target", ["missing", "link"], ids=["dangling", "loop"])
def test_walk_reports_a_link_to_nowhere_as_a_link(world: World, target: str) -> None:
    """A link that leads nowhere has its own facts."""
    world.link(world.root / "link", target)
    (entry,) = world.files.walk(world.root, depth=16, most=100).entries
    assert (entry.stat.kind, entry.is_link, entry.escapes) == (FileKind.LINK, True, False)


def test_walk_enters_a_hidden_folder_through_the_first_link_only(world: World) -> None:
    """A folder that is listed by no path of its own is listed once."""
    world.write(world.root / ".data" / "sub" / "a", b"")
    world.link(world.root / "second", ".data")
    world.link(world.root / "first", ".data")
    assert paths(world) == ["first", "first/sub", "first/sub/a", "second"]


def test_walk_prefers_the_own_path_of_a_folder_to_links(world: World) -> None:
    """A linked folder inside the root is not listed a second time."""
    world.write(world.root / "z" / "a", b"")
    world.link(world.root / "b", "z")
    assert paths(world) == ["b", "z", "z/a"]


def test_walk_ends_on_links_to_parents(world: World) -> None:
    """A loop of folders is walked once, and nothing counts as cut off."""
    world.write(world.root / "a" / "b" / "file", b"")
    world.link(world.root / "a" / "b" / "up", "../..")
    world.link(world.root / "a" / "self", ".")
    walk = world.files.walk(world.root, depth=3, most=100)
    assert [entry.path for entry in walk.entries] == [
        "a",
        "a/b",
        "a/b/file",
        "a/b/up",
        "a/self",
    ]
    assert not walk.truncated


def test_walk_says_when_the_depth_cut_it(world: World) -> None:
    """Names deeper than the limit are left out, and that is said."""
    world.write(world.root / "a" / "b" / "c", b"")
    assert paths(world, depth=2) == ["a", "a/b"]
    assert world.files.walk(world.root, depth=2, most=100).truncated
    assert not world.files.walk(world.root, depth=3, most=100).truncated


def test_walk_says_when_the_number_cut_it(world: World) -> None:
    """As many names as allowed are no cut; with one more the first ones are reported."""
    for name in ("a", "b", "d/e", "d/f"):
        world.write(world.root / name, b"")
    assert paths(world, most=4) == ["a", "b", "d", "d/e"]
    assert world.files.walk(world.root, depth=16, most=4).truncated
    assert not world.files.walk(world.root, depth=16, most=5).truncated


def test_free_bytes_is_a_positive_number(world: World) -> None:
    """The free room of a file system in use is known."""
    assert world.files.free_bytes(world.root) > 0
