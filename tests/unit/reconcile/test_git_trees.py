"""Promises of `flowrunner.reconcile.git_trees`, held against the real git."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flowrunner.model.conditions import ConditionReason
from flowrunner.reconcile.git_commands import GitCommands
from flowrunner.reconcile.git_trees import GitTrees, ReadMode
from flowrunner.reconcile.head_tree import HeadTree
from flowrunner.reconcile.tree import (
    FolderTree,
    LookAgainError,
    Tree,
    UnstableSourceError,
    UnusableSourceError,
)
from flowrunner.reconcile.worktree import WorktreeTree
from flowrunner.system.files import FileKind, FileTooLargeError, LocalFiles
from flowrunner.system.tools import MOST_OUTPUT_BYTES, ToolFailedError, ToolRunner, run_tool
from tests.fakes.checkouts import Checkout
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(shutil.which("git") is None, reason="there is no git"),
]
LIMIT = 1024


class World:
    """A repository and how the daemon opens it."""

    def __init__(self, path: Path, mode: ReadMode = "auto", run: ToolRunner = run_tool) -> None:
        self.repository = Checkout(path)
        self.clock = FakeClock()
        self.using(mode, run)

    def using(self, mode: ReadMode, run: ToolRunner = run_tool) -> None:
        """Begins anew, as after a start of the daemon."""
        self.trees = GitTrees(GitCommands(run, LocalFiles()), LocalFiles(), self.clock, mode)

    def open(self, root: str = "") -> Tree:
        return self.trees.open(self.repository.path / root)

    def opened(self, root: str = "", between: Callable[[], object] = lambda: None) -> Tree:
        """Opens as a pass does, which looks again when it is told to."""
        for _ in range(3):
            try:
                return self.open(root)
            except LookAgainError as error:
                between()
                self.clock.advance(error.after_s)
        return self.open(root)

    def lock(self, age_s: float = 0.0) -> Path:
        """Leaves the lock of the index behind, so many seconds ago."""
        path = self.repository.path / ".git" / "index.lock"
        path.touch()
        at = self.clock.now().timestamp() - age_s
        os.utime(path, (at, at))
        return path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path.resolve() / "repository")


def names(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.walk.entries]


def content(tree: Tree, path: str = "a.yaml") -> bytes:
    return tree.read(path, limit=LIMIT)


# HEAD


@pytest.mark.parametrize("mode", ["auto", "head"])
def test_a_clean_checkout_is_read_from_head(world: World, mode: ReadMode) -> None:
    """Names and bytes are those of the commit, of which the revision is the name."""
    world.using(mode)
    first = world.repository.commit("team/a.yaml", "1")
    tree = world.open()
    assert (tree.revision, names(tree), content(tree, "team/a.yaml")) == (
        first,
        ["team/a.yaml"],
        b"1",
    )
    second = world.repository.commit("b.yaml", "2")
    assert (len(first), world.open().revision) == (40, second)


def test_the_next_commit_does_not_reach_a_tree_that_is_open(world: World) -> None:
    """What was opened stays one commit, whatever git does before the last byte is read."""
    world.repository.commit("a.yaml", "1")
    tree = world.open()
    world.repository.commit("a.yaml", "2")
    assert content(tree) == b"1"
    tree.check()


def test_head_ignores_the_lock_and_the_worktree(world: World) -> None:
    """By `head` neither another git at work nor an edit is seen."""
    world.using("head")
    head = world.repository.commit("a.yaml", "1")
    world.lock()
    world.repository.write("a.yaml", "2")
    world.repository.write("b.yaml", "2")
    tree = world.open()
    assert (tree.revision, names(tree), content(tree)) == (head, ["a.yaml"], b"1")


def test_head_of_a_subfolder_has_its_names_alone(world: World) -> None:
    """Paths are relative to the root; what lies beside it is not there."""
    world.repository.commit("flows/deep/a.yaml", "1")
    head = world.repository.commit("app/main.py", "1")
    tree = world.open("flows")
    assert (tree.revision, names(tree), content(tree, "deep/a.yaml")) == (
        head,
        ["deep/a.yaml"],
        b"1",
    )


def test_head_of_a_detached_checkout_and_a_linked_worktree_is_their_own(
    world: World, tmp_path: Path
) -> None:
    """A commit without a branch, and a worktree whose `.git` is a file, are read as they are."""
    first = world.repository.commit("a.yaml", "1")
    other = tmp_path.resolve() / "other"
    world.repository.git("worktree", "add", "--quiet", "--detach", str(other))
    world.repository.commit("a.yaml", "2")
    assert content(world.trees.open(other)) == b"1"
    world.repository.git("checkout", "--quiet", "--detach", first)
    assert world.open().revision == first


def test_hidden_names_are_not_listed_but_can_be_read(world: World) -> None:
    """As a walk does; the ignore file is one of them."""
    world.repository.commit(".flowrunnerignore", "charts")
    world.repository.commit(".github/a.yaml", "1")
    tree = world.open()
    assert names(tree) == []
    assert content(tree, ".flowrunnerignore") == b"charts"
    with pytest.raises(FileNotFoundError):
        content(tree, "missing")


def test_odd_names_are_safe(world: World) -> None:
    """Names that look like options, hold line breaks or are no text are read like any other."""
    odd = ["--output=x.yaml", "-a.yaml", "line\nbreak.yaml", "\udcff.yaml", "tab\t.yaml", 'q".yaml']
    for name in odd:
        world.repository.write(name, name.encode(errors="replace").decode())
    world.repository.commit_all()
    tree = world.open()
    assert names(tree) == sorted(odd)
    assert [content(tree, name) for name in odd] == [n.encode(errors="replace") for n in odd]


def test_equal_facts_mean_equal_content(world: World) -> None:
    """A file that a commit does not change has the same facts before and after it."""
    world.repository.commit("a.yaml", "1")
    world.repository.commit("b.yaml", "1")
    before = {entry.path: entry for entry in world.open().walk.entries}
    world.repository.commit("b.yaml", "2")
    after = {entry.path: entry for entry in world.open().walk.entries}
    assert before["a.yaml"] == after["a.yaml"]
    assert before["b.yaml"] != after["b.yaml"]


def test_a_blob_too_large_is_refused_without_being_read(world: World) -> None:
    """Its size decides; others beside it are read, however many bytes there are together."""
    world.repository.write("big.yaml", "x" * (MOST_OUTPUT_BYTES + 1))
    for number in range(3):
        world.repository.write(f"{number}.yaml", str(number))
    world.repository.commit_all()
    tree = world.open()
    tree.expect(names(tree))
    assert [content(tree, f"{number}.yaml") for number in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(FileTooLargeError):
        content(tree, "big.yaml")


def test_expected_blobs_are_asked_for_together(world: World) -> None:
    """Thousands of files take a few commands."""
    asked: list[Sequence[str]] = []

    def run(
        argv: Sequence[str], *, timeout_s: float, feed: bytes = b"", most: int = MOST_OUTPUT_BYTES
    ) -> bytes:
        asked.append(argv)
        return run_tool(argv, timeout_s=timeout_s, feed=feed, most=most)

    world.using("head", run)
    for number in range(30):
        world.repository.write(f"{number:02}.yaml", str(number))
    world.repository.commit_all()
    tree = world.open()
    tree.expect(names(tree))
    assert [content(tree, name) for name in names(tree)] == [b"%d" % n for n in range(30)]
    assert sum("cat-file" in argv for argv in asked) == 1


def test_links_are_followed_within_the_root_and_marked_where_they_leave_it(world: World) -> None:
    """As a walk of the worktree has it, though nothing but the commit is looked at."""
    root = world.repository.path / "flows"
    world.repository.write("flows/real.yaml", "1")
    world.repository.write("flows/.shared/x.yaml", "2")
    world.repository.write("outside.yaml", "3")
    links = {
        "in.yaml": "real.yaml",
        "chain.yaml": "in.yaml",
        "absolute.yaml": str(root / "real.yaml"),
        "out.yaml": "../outside.yaml",
        "passwd.yaml": "/etc/passwd",
        "nowhere.yaml": "missing.yaml",
        "loop.yaml": "loop.yaml",
        "shared": ".shared",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    world.repository.commit_all()
    tree = world.open("flows")
    assert isinstance(tree, HeadTree)
    on_disk = FolderTree(LocalFiles(), root)
    facts = {e.path: (e.stat.kind, e.is_link, e.escapes) for e in tree.walk.entries}
    expected = {
        e.path: (e.stat.kind, e.is_link, e.escapes)
        for e in on_disk.walk.entries
        if e.stat.kind is not FileKind.FOLDER and e.path not in ("out.yaml", "passwd.yaml")
    }
    assert facts.pop("out.yaml")[1:] == facts.pop("passwd.yaml")[1:] == (True, True)
    assert facts == expected
    for name in ("in.yaml", "chain.yaml", "absolute.yaml"):
        assert content(tree, name) == b"1"
    assert content(tree, "shared/x.yaml") == b"2"


def test_submodules_are_left_out_and_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Files of another repository are none of this one: neither clean nor dirty."""
    world.repository.commit("a.yaml", "1")
    inner = Checkout(world.repository.path / "inner")
    inner.commit("b.yaml", "1")
    world.repository.commit_all()
    with caplog.at_level(logging.WARNING):
        assert names(world.open()) == ["a.yaml"]
    assert "inner" in caplog.text
    world.repository.write("a.yaml", "2")
    assert names(world.opened()) == ["a.yaml"]


def test_a_bomb_of_folders_is_bounded(world: World) -> None:
    """A small repository that unfolds into a million names is told to be too large."""
    blob = world.repository.git("hash-object", "-w", "--stdin")
    kind = f"100644 blob {blob}"
    for _ in range(6):
        lines = "".join(f"{kind}\tf{number}\n" for number in range(10))
        done = subprocess.run(
            ["git", "-C", str(world.repository.path), "mktree"],
            input=lines, capture_output=True, text=True, check=True,
        )  # fmt: skip
        kind = f"040000 tree {done.stdout.strip()}"
    commit = world.repository.git("commit-tree", "-m", "bomb", kind.split()[-1])
    world.repository.git("update-ref", "HEAD", commit)
    world.using("head")
    assert world.open().walk.truncated


def test_a_commit_that_is_taken_away_repeats_the_pass(world: World) -> None:
    """After a force-push and a clean-up the blobs of an open tree may be gone."""
    world.repository.commit("a.yaml", "1")
    tree = world.open()
    shutil.rmtree(world.repository.path / ".git" / "objects")
    with pytest.raises(UnstableSourceError):
        content(tree)


# Not committed


@pytest.mark.parametrize("change", ["edit", "new", "folder", "add", "rm", "mv"])
def test_a_change_that_stays_is_read_as_dirty(world: World, change: str) -> None:
    """Seen at two looks a second apart, an edit is read from the worktree, staged or not."""
    head = world.repository.commit("a.yaml", "1")
    if change == "edit":
        world.repository.write("a.yaml", "2")
    elif change == "rm":
        world.repository.git("rm", "--quiet", "a.yaml")
    elif change == "mv":
        world.repository.git("mv", "a.yaml", "b.yaml")
    else:
        world.repository.write("team/b.yaml" if change == "folder" else "b.yaml", "2")
    if change == "add":
        world.repository.git("add", "b.yaml")
    with pytest.raises(LookAgainError) as again:
        world.open()
    assert again.value.after_s == pytest.approx(1.0)
    world.clock.advance(1.0)
    tree = world.open()
    assert tree.revision == f"{head}-dirty"
    found = [entry.path for entry in tree.walk.entries if entry.stat.kind is FileKind.FILE]
    expected = {
        "edit": ["a.yaml"],
        "new": ["a.yaml", "b.yaml"],
        "folder": ["a.yaml", "team/b.yaml"],
        "add": ["a.yaml", "b.yaml"],
        "rm": [],
        "mv": ["b.yaml"],
    }
    assert found == expected[change]
    tree.check()


def test_an_edit_taken_back_is_clean(world: World) -> None:
    """The worktree says again what HEAD says."""
    head = world.repository.commit("a.yaml", "1")
    world.repository.write("a.yaml", "2")
    assert content(world.opened()) == b"2"
    world.repository.write("a.yaml", "1")
    assert world.open().revision == head


def test_looks_of_two_passes_count_together(world: World) -> None:
    """The next edit of a file that is dirty already need not wait for a second."""
    world.repository.commit("a.yaml", "1")
    world.repository.write("a.yaml", "2")
    world.opened()
    world.repository.write("a.yaml", "3")
    world.clock.advance(0.1)
    assert content(world.open()) == b"3"


def test_changes_that_go_on_are_not_read(world: World) -> None:
    """While each look sees something else, the pass reads HEAD: git may be at work."""
    head = world.repository.commit("a.yaml", "1")
    count = iter(range(9))
    tree = world.opened(between=lambda: world.repository.write(f"{next(count)}.yaml", "2"))
    assert (tree.revision, names(tree)) == (head, ["a.yaml"])


def test_a_commit_between_two_looks_is_read_as_one(world: World) -> None:
    """An edit that is committed meanwhile is clean at the second look."""
    world.repository.commit("a.yaml", "1")
    world.repository.write("a.yaml", "2")
    tree = world.opened(between=world.repository.commit_all)
    assert tree.revision == world.repository.git("rev-parse", "HEAD")
    assert content(tree) == b"2"


def test_a_checkout_that_git_changes_meanwhile_is_not_read_dirty(world: World) -> None:
    """Between two looks at the same changes HEAD moved: they are not the same."""
    world.repository.commit("a.yaml", "1")
    second = world.repository.commit("b.yaml", "1")
    world.repository.write("a.yaml", "2")
    world.repository.git("reset", "--quiet", "--soft", "HEAD~1")
    moves = iter([lambda: world.repository.git("reset", "--quiet", "--soft", second)])
    with pytest.raises(LookAgainError):
        world.open()
    next(moves)()
    world.clock.advance(1.0)
    with pytest.raises(LookAgainError):
        world.open()


def test_changes_under_a_lock_are_not_read(world: World) -> None:
    """While another git holds the lock the pass reads HEAD, without a second look."""
    head = world.repository.commit("a.yaml", "1")
    world.repository.write("a.yaml", "2")
    world.lock()
    assert world.open().revision == head


def test_an_old_lock_is_said_and_can_be_ignored(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A lock that a dead git left behind keeps edits out until somebody says it is dead."""
    head = world.repository.commit("a.yaml", "1")
    world.repository.write("a.yaml", "2")
    world.lock(age_s=31)
    with caplog.at_level(logging.WARNING):
        assert [world.open().revision for _ in range(2)] == [head, head]
    assert caplog.text.count("source.locked") == 1
    world.trees.ignore_lock(world.repository.path)
    assert world.opened().revision == f"{head}-dirty"


def test_what_git_ignores_is_no_part_of_it(world: World) -> None:
    """Ignored files do not make it dirty, and are not read where others do."""
    head = world.repository.commit(".gitignore", "state/\n*.tmp.yaml\n")
    world.repository.commit("a.yaml", "1")
    head = world.repository.git("rev-parse", "HEAD")
    for name in ("state/b.yaml", "c.tmp.yaml", "deep/c.tmp.yaml"):
        world.repository.write(name, "1")
    assert world.open().revision == head
    world.repository.write("new.yaml", "1")
    tree = world.opened()
    files = [entry.path for entry in tree.walk.entries if entry.stat.kind is FileKind.FILE]
    assert files == ["a.yaml", "new.yaml"]


def test_changes_beside_the_root_are_none(world: World) -> None:
    """With a subfolder as root only what lies below it counts."""
    world.repository.commit("flows/a.yaml", "1")
    head = world.repository.commit("app/main.py", "1")
    world.repository.write("app/main.py", "2")
    world.repository.write("new.txt", "1")
    assert world.open("flows").revision == head
    world.repository.write("flows/b.yaml", "1")
    assert world.opened("flows").revision == f"{head}-dirty"


def test_settings_of_the_checkout_hide_no_file(world: World) -> None:
    """Whatever it says of untracked files, they are seen."""
    head = world.repository.commit("a.yaml", "1")
    world.repository.git("config", "status.showUntrackedFiles", "no")
    world.repository.write("b.yaml", "1")
    assert world.opened().revision == f"{head}-dirty"


@pytest.mark.parametrize("meanwhile", ["commit", "edit", "lock"])
def test_a_worktree_that_git_changes_while_it_is_read_is_read_again(
    world: World, meanwhile: str
) -> None:
    """After the last byte git is asked once more."""
    world.repository.commit("a.yaml", "1")
    world.repository.write("a.yaml", "2")
    tree = world.opened()
    if meanwhile == "commit":
        world.repository.commit_all()
    elif meanwhile == "edit":
        world.repository.write("b.yaml", "1")
    else:
        world.lock()
    with pytest.raises(UnstableSourceError):
        tree.check()


# The worktree


def test_worktree_reads_what_is_there(world: World) -> None:
    """Without a second look, and with what git ignores: it was asked for."""
    world.using("worktree")
    world.repository.commit(".gitignore", "made.yaml\n")
    head = world.repository.commit("a.yaml", "1")
    world.repository.write("made.yaml", "1")
    assert isinstance(world.open(), WorktreeTree)
    assert (world.open().revision, names(world.open())) == (head, ["a.yaml", "made.yaml"])
    world.repository.write("a.yaml", "2")
    tree = world.open()
    assert (tree.revision, content(tree)) == (f"{head}-dirty", b"2")


def test_worktree_waits_for_the_lock(world: World) -> None:
    """While another git is at work the pass waits, and goes on when the lock is gone."""
    world.using("worktree")
    world.repository.commit("a.yaml", "1")
    lock = world.lock()
    with pytest.raises(LookAgainError) as again:
        world.open()
    assert 0 < again.value.after_s < 1
    lock.unlink()
    assert names(world.open()) == ["a.yaml"]


@pytest.mark.parametrize("stamp", ["past", "future"])
def test_worktree_gives_up_on_an_old_lock(world: World, stamp: str) -> None:
    """After 30 s nothing is applied; a wrong time stamp does not make a lock younger."""
    world.using("worktree")
    world.repository.commit("a.yaml", "1")
    lock = world.lock(age_s=31 if stamp == "past" else -1000)
    if stamp == "future":
        with pytest.raises(LookAgainError):
            world.open()
        world.clock.advance(31)
    with pytest.raises(UnusableSourceError, match=r"index\.lock.*--ignore-lock") as held:
        world.open()
    assert held.value.reason is ConditionReason.GIT_LOCKED
    lock.unlink()
    assert names(world.open()) == ["a.yaml"]


def test_one_lock_is_ignored_and_not_the_next(world: World) -> None:
    """Whoever says that a lock is dead says nothing of the lock after it."""
    world.using("worktree")
    world.repository.commit("a.yaml", "1")
    lock = world.lock(age_s=31)
    world.trees.ignore_lock(world.repository.path)
    tree = world.open()
    tree.check()
    lock.unlink()
    world.lock(age_s=2)
    with pytest.raises(LookAgainError):
        world.open()


# Without git


@pytest.mark.parametrize("mode", ["auto", "worktree"])
def test_a_checkout_without_a_commit_is_a_folder(
    world: World, mode: ReadMode, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the first commit the content alone can tell, and that is no fault."""
    world.using(mode)
    world.repository.write("a.yaml", "1")
    with caplog.at_level(logging.WARNING):
        tree = world.open()
    assert (tree.revision, names(tree), caplog.text) == ("", ["a.yaml"], "")


def test_a_folder_without_git_is_not_asked_for(tmp_path: Path) -> None:
    """A plain folder starts no git."""
    commands: list[Sequence[str]] = []

    def run(argv: Sequence[str], *, timeout_s: float, feed: bytes = b"", most: int = 0) -> bytes:
        commands.append(argv)
        return b""

    files = FakeFiles()
    files.make_folder(tmp_path)
    trees = GitTrees(GitCommands(run, files), files, FakeClock(), "auto")
    assert (trees.open(tmp_path).revision, commands) == ("", [])
    trees.ignore_lock(tmp_path)


def test_a_root_that_git_ignores_is_a_folder(world: World) -> None:
    """A folder that a repository around it ignores has nothing to do with its commits."""
    world.repository.commit(".gitignore", "/flows/\n")
    world.repository.write("flows/a.yaml", "1")
    tree = world.open("flows")
    assert (tree.revision, names(tree)) == ("", ["a.yaml"])


def test_a_root_that_a_commit_emptied_is_empty(world: World) -> None:
    """Nothing is taken for a plain folder only because HEAD has nothing there."""
    world.repository.commit("flows/a.yaml", "1")
    world.repository.git("rm", "--quiet", "flows/a.yaml")
    head = world.repository.commit_all()
    (world.repository.path / "flows").mkdir(exist_ok=True)
    tree = world.open("flows")
    assert (tree.revision, names(tree)) == (head, [])


@pytest.mark.parametrize("what", ["folder", "no-commit", "no-git"])
def test_head_needs_a_commit(world: World, tmp_path: Path, what: str) -> None:
    """Who asked for HEAD gets nothing else."""
    root = world.repository.path
    if what == "folder":
        root = tmp_path / "plain"
        root.mkdir()
    if what == "no-git":

        def run(
            argv: Sequence[str], *, timeout_s: float, feed: bytes = b"", most: int = 0
        ) -> bytes:
            raise ToolFailedError("git: no such program", code="tool.missing")

        world.using("head", run)
    else:
        world.using("head")
    with pytest.raises(UnusableSourceError, match=r"source\.read is head") as held:
        world.trees.open(root)
    assert held.value.reason is ConditionReason.SOURCE_UNREADABLE


def test_a_host_without_git_reads_a_folder_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The content must tell then; the log says so once, not in every pass."""

    def run(argv: Sequence[str], *, timeout_s: float, feed: bytes = b"", most: int = 0) -> bytes:
        return run_tool(["no-such-git"], timeout_s=timeout_s)

    world.using("auto", run)
    world.repository.write("a.yaml", "1")
    with caplog.at_level(logging.WARNING):
        assert [names(world.open()) for _ in range(3)] == [["a.yaml"]] * 3
    assert caplog.text.count("source.git_failed") == 1


def test_a_git_folder_that_is_none_is_a_folder(world: World) -> None:
    """A copy whose `.git` leads nowhere has no revision."""
    world.repository.commit("a.yaml", "1")
    world.repository.write(".git/HEAD", "nonsense\n")
    assert world.open().revision == ""


def test_a_git_that_fails_repeats_the_pass(world: World) -> None:
    """Two states must not be mixed because git could not say which one is there."""
    world.repository.commit("a.yaml", "1")
    (world.repository.path / ".git" / "index").write_bytes(b"nonsense")
    with pytest.raises(UnstableSourceError, match="git exited with 128"):
        world.open()


# Manners


def test_a_checkout_of_another_owner_is_read(world: World) -> None:
    """Git's doubts about a checkout that belongs to someone else do not reach us."""
    head = world.repository.commit("a.yaml", "1")

    def run_as_other(
        argv: Sequence[str], *, timeout_s: float, feed: bytes = b"", most: int = MOST_OUTPUT_BYTES
    ) -> bytes:
        """Lets git believe that the checkout has another owner, as its own tests do."""
        other = ("env", "GIT_TEST_ASSUME_DIFFERENT_OWNER=1", *argv)
        return run_tool(other, timeout_s=timeout_s, feed=feed, most=most)

    with pytest.raises(ToolFailedError, match="dubious ownership"):
        run_as_other(("git", "-C", str(world.repository.path), "status"), timeout_s=30)
    world.using("auto", run_as_other)
    tree = world.open()
    assert (tree.revision, content(tree)) == (head, b"1")


@pytest.mark.parametrize("mode", ["auto", "head", "worktree"])
def test_git_takes_no_lock(world: World, mode: ReadMode) -> None:
    """Reading writes nothing into the checkout: it would wake the watcher for ever."""
    world.using(mode)
    world.repository.commit("a.yaml", "1")
    path = world.repository.path
    os.utime(path / "a.yaml", (1_000_000_000, 1_000_000_000))  # the index is stale
    before = {each: each.stat().st_mtime_ns for each in path.rglob("*")}
    tree = world.open()
    content(tree)
    tree.check()
    assert {each: each.stat().st_mtime_ns for each in path.rglob("*")} == before


def test_programs_of_the_checkout_do_not_run(world: World, tmp_path: Path) -> None:
    """Neither monitors, nor hooks, nor a pager that the checkout's settings name."""
    head = world.repository.commit("a.yaml", "1")
    program, trace = tmp_path / "program", tmp_path / "trace"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction"):
        (hooks / name).symlink_to(program)
    world.repository.git("config", "core.fsmonitor", str(program))
    world.repository.git("config", "core.hooksPath", str(hooks))
    world.repository.git("config", "core.pager", f"touch {trace}; cat")
    world.repository.git("config", "pager.status", "true")
    trace.unlink(missing_ok=True)
    for mode in ("auto", "head", "worktree"):
        world.using(mode)
        tree = world.open()
        content(tree)
        assert tree.revision == head
    assert not trace.exists()


def test_a_filter_of_the_checkout_ends_with_the_time_limit(world: World, tmp_path: Path) -> None:
    """Git runs the filters that the checkout's settings name; none is left when time is up."""
    world.repository.commit("a.yaml", "1")
    held = tmp_path / "held"
    held.touch()
    world.repository.write(".gitattributes", "*.yaml filter=slow\n")
    world.repository.git("config", "filter.slow.clean", f"exec flock {held} sh -c 'exec sleep 600'")
    world.repository.write("a.yaml", "2")

    def run_shortly(
        argv: Sequence[str], *, timeout_s: float, feed: bytes = b"", most: int = MOST_OUTPUT_BYTES
    ) -> bytes:
        assert timeout_s == 30
        return run_tool(argv, timeout_s=1, feed=feed, most=most)

    world.using("auto", run_shortly)
    with pytest.raises(UnstableSourceError, match="timed out"):
        world.open()
    # Fails after 10 s unless the filter, which holds the lock, is gone.
    subprocess.run(["flock", "--timeout", "10", str(held), "true"], check=True)
