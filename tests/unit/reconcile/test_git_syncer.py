"""What a sync does to the folders, with real git and repositories on disk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flowrunner.config.git_settings import VerifyMode
from flowrunner.errors import NotFoundError
from flowrunner.model.ids import Revision
from flowrunner.reconcile.upstream.checkouts import Checkouts
from flowrunner.reconcile.upstream.git_client import GitClient, Remote, RunsTools
from flowrunner.reconcile.upstream.ledger import Ledger
from flowrunner.reconcile.upstream.repository import Repository
from flowrunner.reconcile.upstream.signatures import Signatures
from flowrunner.reconcile.upstream.syncer import Syncer, SyncRules
from flowrunner.reconcile.upstream.values import SyncOutcome
from flowrunner.system.files import LocalFiles
from flowrunner.system.tools import ToolFailedError, run_tool
from tests.fakes.checkouts import Checkout
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.heavy


class World:
    """A repository of somebody else, and what the daemon makes of it."""

    def __init__(self, folder: Path, hash_name: str = "sha1") -> None:
        self.theirs = Checkout(folder / "theirs", hash_name)
        self.folder = folder / "source"
        self.syncer = self.made()

    def made(self, run: RunsTools = run_tool, mode: VerifyMode = "off") -> Syncer:
        files, url = LocalFiles(), str(self.theirs.path)
        git = GitClient(run, Remote(url=url), self.folder / "repo.git", self.folder)
        self.syncer = Syncer(
            rules=SyncRules(url=url, kept=1),
            repository=Repository(git, files, "main"),
            checkouts=Checkouts(files, self.folder, None),
            ledger=Ledger(files, self.folder / "memory.json"),
            signatures=Signatures(run, files, mode, None, self.folder / "gnupg"),
            files=files,
            folder=self.folder,
            clock=FakeClock(),
        )
        self.syncer.load()
        return self.syncer

    def current(self, name: str) -> str:
        return (self.folder / "current" / name).read_text()

    def pushed(self, text: str) -> Revision:
        """Returns a commit that is in place."""
        revision = self.theirs.commit("a.txt", text)
        assert self.syncer.sync().outcome is SyncOutcome.PUBLISHED
        assert self.current("a.txt") == text
        return Revision(revision)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_files_are_the_bytes_of_the_commit_and_read_only(world: World) -> None:
    """No attribute changes a byte, programs stay programs, and nothing can be written."""
    text = "$Id$ one\ntwo\r\n"
    world.theirs.write(".gitattributes", "a.txt text eol=crlf ident working-tree-encoding=UTF-16\n")
    world.theirs.write("run.sh", "#!/bin/sh\n")
    (world.theirs.path / "run.sh").chmod(0o755)
    raw = subprocess.run(
        ["git", "-C", str(world.theirs.path), "hash-object", "-w", "--stdin", "--no-filters"],
        input=text.encode(), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    world.theirs.git("add", "--all", "--", ".gitattributes", "run.sh")
    name = raw.stdout.decode().strip()
    world.theirs.git("update-index", "--add", "--cacheinfo", f"100644,{name},a.txt")
    world.theirs.git("commit", "--quiet", "--message", "odd")
    assert world.syncer.sync().outcome is SyncOutcome.PUBLISHED
    place = (world.folder / "current").resolve()
    assert (place / "a.txt").read_bytes() == text.encode()
    modes = {path.name: oct(path.stat().st_mode)[-3:] for path in place.iterdir()}
    assert modes == {".gitattributes": "444", "run.sh": "555", "a.txt": "444"}
    assert oct(place.stat().st_mode)[-3:] == "555"


@pytest.mark.parametrize(
    ("path", "target", "reads"),
    [
        ("in.txt", "a.txt", True),
        ("deep/in.txt", "../a.txt", True),
        ("out.txt", "/etc/passwd", False),
        ("out.txt", "../../../../etc/passwd", False),
        ("deep/out.txt", "../../repo.git/config", False),
        ("over/out.txt", "here/../../memory.json", False),
        ("loop.txt", "loop.txt", False),
    ],
)
def test_links_stay_within_the_commit(world: World, path: str, target: str, reads: bool) -> None:  # noqa: FBT001
    """A link within the commit works; one that leads out, by itself or over another, does not."""
    world.theirs.write("a.txt", "content")
    (world.theirs.path / "over").mkdir()
    (world.theirs.path / "over/here").symlink_to("..")
    (world.theirs.path / path).parent.mkdir(exist_ok=True)
    (world.theirs.path / path).symlink_to(target)
    world.theirs.commit_all()
    assert world.syncer.sync().outcome is SyncOutcome.PUBLISHED
    link = world.folder / "current" / path
    assert link.is_symlink()
    assert (link.is_file() and link.read_text() == "content") is reads
    assert link.exists() is reads


def test_old_checkouts_go_but_for_those_that_are_needed(world: World) -> None:
    """The one in place, one earlier one, and what somebody needs stay."""
    first, second, third, last = (world.pushed(text) for text in "abcd")
    world.syncer.tidy({first})
    assert set(world.syncer.checkouts.revisions()) == {first, third, last}
    world.syncer.tidy(set())
    assert set(world.syncer.checkouts.revisions()) == {third, last}
    world.syncer.rollback(second, uid=None, reason="")
    assert world.current("a.txt") == "b"


def test_rollback_that_was_cut_short_is_finished(world: World) -> None:
    """A pin that is durable is obeyed by the next life, although the link was not moved."""
    first = world.pushed("a")
    second = world.pushed("b")
    world.syncer.rollback(first[:7], uid=1, reason="x")
    world.syncer.checkouts.put(second)  # as if the crash had come between
    assert world.made().checkouts.current() == first


def test_pinned_checkout_that_was_lost_is_made_again(world: World) -> None:
    """A pin outlives the loss of its folder, as long as the repository has the commit."""
    first = world.pushed("a")
    world.pushed("b")
    world.syncer.rollback(first, uid=1, reason="")
    (world.folder / f"rev-{first}").rename(world.folder / "lost")
    world.made()
    assert world.syncer.sync().outcome is SyncOutcome.PINNED
    assert world.current("a.txt") == "a"


def test_several_commits_of_one_prefix_are_none(world: World) -> None:
    """What is not one commit is refused."""
    world.pushed("a")
    for revision in ("0000", "abc", "HEAD", "main", "-h", "g" * 40):
        with pytest.raises(NotFoundError):
            world.syncer.rollback(revision, uid=None, reason="")
    assert world.syncer.memory.pin is None


@pytest.mark.parametrize("step", ["ls-remote", "fetch", "ls-tree", "read-tree", "checkout-index"])
def test_git_that_fails_at_any_step_changes_nothing(world: World, step: str) -> None:
    """Whatever fails, the revision in place stays whole, and the next sync gets over it."""
    first = world.pushed("a")
    world.theirs.commit("a.txt", "b")

    def fail(argv: tuple[str, ...], **more: object) -> bytes:
        if step in argv:
            raise ToolFailedError("it was killed")
        return run_tool(argv, **more)  # type: ignore[arg-type]

    broken = world.made(fail)
    assert broken.sync().outcome is SyncOutcome.FAILED
    assert broken.checkouts.current() == first
    assert world.current("a.txt") == "a"
    assert world.made().sync().outcome is SyncOutcome.PUBLISHED
    assert world.current("a.txt") == "b"
    assert [path.name for path in world.folder.iterdir() if "unfinished" in path.name] == []


def test_missing_git_leaves_our_repository(world: World) -> None:
    """Without the program nothing is removed."""
    world.pushed("a")

    def absent(argv: tuple[str, ...], **more: object) -> bytes:
        return run_tool(("no-such-git", *argv[1:]), **more)  # type: ignore[arg-type]

    assert world.made(absent).sync().outcome is SyncOutcome.FAILED
    assert (world.folder / "repo.git/HEAD").is_file()


def test_folder_in_the_way_of_the_state_is_said(world: World) -> None:
    """A state that cannot be written is a failed sync, not a crash."""
    world.pushed("a")
    world.theirs.commit("a.txt", "b")
    (world.folder / "memory.json").unlink()
    (world.folder / "memory.json").mkdir()
    result = world.syncer.sync()
    assert (result.outcome, world.current("a.txt")) == (SyncOutcome.FAILED, "a")
    assert "cannot be written" in result.message


def test_repository_with_longer_names_of_objects_is_followed(tmp_path: Path) -> None:
    """SHA-256 is as good as SHA-1: pushes, what is kept, and the way back."""
    world = World(tmp_path, "sha256")
    first, second = world.pushed("a"), world.pushed("b")
    assert (len(first), world.syncer.checkouts.current()) == (64, second)
    assert world.syncer.sync().outcome is SyncOutcome.UNCHANGED
    world.syncer.rollback(first[:50], uid=None, reason="")
    assert world.current("a.txt") == "a"
    again = world.made()
    again.unpin()
    assert again.sync().outcome is SyncOutcome.PUBLISHED
    assert world.current("a.txt") == "b"


@pytest.mark.parametrize(("before", "after"), [("sha1", "sha256"), ("sha256", "sha1")])
def test_repository_made_anew_with_other_names_of_objects(
    tmp_path: Path, before: str, after: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours is made anew too, once; what is in place until then stays there."""
    world = World(tmp_path, before)
    world.pushed("a")
    shutil.rmtree(world.theirs.path)
    world.theirs = Checkout(world.theirs.path, after)
    world.pushed("b")
    world.pushed("c")
    assert caplog.text.count("source.repository_renewed") == 1
