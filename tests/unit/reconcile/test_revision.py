"""Promises of `flowrunner.reconcile.revision`, held against the real git."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowrunner.reconcile.revision import GitRevisions, NoRevisions
from flowrunner.system.files import LocalFiles
from flowrunner.system.tools import ToolFailedError, run_tool
from tests.fakes.files import FakeFiles

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


class Checkout:
    """A repository of its own, blind to the git settings of whoever runs the tests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, name: str, text: str) -> str:
        """Commits one file and returns the commit."""
        self.write(name, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path.resolve() / "repository")


def read(root: Path) -> str:
    return GitRevisions(run_tool, LocalFiles()).read(root)


def test_revision_is_head(checkout: Checkout) -> None:
    """A clean checkout is at the commit of HEAD, also after the next commit."""
    first = checkout.commit("a.yaml", "1")
    assert read(checkout.path) == first
    assert len(first) == 40
    second = checkout.commit("a.yaml", "2")
    assert read(checkout.path) == second != first


def test_revision_is_head_of_a_detached_checkout(checkout: Checkout) -> None:
    """A checkout of a commit, without a branch, is at that commit."""
    first = checkout.commit("a.yaml", "1")
    checkout.commit("a.yaml", "2")
    checkout.git("checkout", "--quiet", "--detach", first)
    assert read(checkout.path) == first


def test_revision_is_head_of_a_linked_worktree(checkout: Checkout, tmp_path: Path) -> None:
    """A worktree, whose `.git` is a file, is at its own commit."""
    first = checkout.commit("a.yaml", "1")
    other = tmp_path.resolve() / "worktree"
    checkout.git("worktree", "add", "--quiet", "--detach", str(other))
    checkout.commit("a.yaml", "2")
    assert read(other) == first


def test_changed_file_is_dirty(checkout: Checkout) -> None:
    """An edit that is not committed makes the revision end in `-dirty`; taken back it does not."""
    head = checkout.commit("a.yaml", "1")
    checkout.write("a.yaml", "2")
    assert read(checkout.path) == f"{head}-dirty"
    checkout.write("a.yaml", "1")
    assert read(checkout.path) == head


@pytest.mark.parametrize("command", ["add", "rm", "mv"])
def test_staged_change_is_dirty(checkout: Checkout, command: str) -> None:
    """A change that waits in the index for its commit is a change."""
    head = checkout.commit("a.yaml", "1")
    if command == "add":
        checkout.write("b.yaml", "1")
        checkout.git("add", "b.yaml")
    elif command == "rm":
        checkout.git("rm", "--quiet", "a.yaml")
    else:
        checkout.git("mv", "a.yaml", "b.yaml")
    assert read(checkout.path) == f"{head}-dirty"


def test_untracked_file_is_dirty(checkout: Checkout) -> None:
    """A file that git does not know makes the revision end in `-dirty`."""
    head = checkout.commit("a.yaml", "1")
    checkout.write("team/b.yaml", "1")
    assert read(checkout.path) == f"{head}-dirty"


def test_untracked_file_is_dirty_whatever_the_checkout_says(checkout: Checkout) -> None:
    """The settings of the checkout cannot hide an untracked file."""
    head = checkout.commit("a.yaml", "1")
    checkout.git("config", "status.showUntrackedFiles", "no")
    checkout.write("b.yaml", "1")
    assert read(checkout.path) == f"{head}-dirty"


def test_ignored_file_is_not_dirty(checkout: Checkout) -> None:
    """What `.gitignore` names is no change."""
    head = checkout.commit(".gitignore", "state/\n")
    checkout.write("state/flowrunner.db", "1")
    assert read(checkout.path) == head


def test_change_beside_the_root_is_not_dirty(checkout: Checkout) -> None:
    """With a subfolder as root only changes below it count; HEAD is that of the checkout."""
    checkout.commit("flows/a.yaml", "1")
    head = checkout.commit("app/main.py", "1")
    root = checkout.path / "flows"
    checkout.write("app/main.py", "2")
    checkout.write("new.txt", "1")
    assert read(root) == head
    checkout.write("flows/b.yaml", "1")
    assert read(root) == f"{head}-dirty"


def test_checkout_without_a_commit_has_no_revision(
    checkout: Checkout, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the first commit the content alone can tell, and that is no fault."""
    checkout.write("a.yaml", "1")
    with caplog.at_level(logging.WARNING):
        assert read(checkout.path) == ""
    assert caplog.text == ""


def test_folder_without_git_has_no_revision(tmp_path: Path) -> None:
    """A plain folder is not asked for."""
    commands: list[Sequence[str]] = []

    def run(argv: Sequence[str], *, timeout_s: float) -> str:
        commands.append(argv)
        return ""

    assert GitRevisions(run, FakeFiles()).read(tmp_path) == ""
    assert commands == []


def test_checkout_of_another_owner_is_read(checkout: Checkout) -> None:
    """Git's doubts about a checkout that belongs to someone else do not reach us."""
    head = checkout.commit("a.yaml", "1")

    def run_as_other(argv: Sequence[str], *, timeout_s: float) -> str:
        """Lets git believe that the checkout has another owner, as its own tests do."""
        other = ("env", "GIT_TEST_ASSUME_DIFFERENT_OWNER=1", *argv)
        return run_tool(other, timeout_s=timeout_s)

    with pytest.raises(ToolFailedError, match="dubious ownership"):
        run_as_other(("git", "-C", str(checkout.path), "status"), timeout_s=30)
    assert GitRevisions(run_as_other, LocalFiles()).read(checkout.path) == head


def test_git_takes_no_lock(checkout: Checkout) -> None:
    """Reading writes nothing into the checkout: it would wake the watcher for ever."""
    checkout.commit("a.yaml", "1")
    os.utime(checkout.path / "a.yaml", (1_000_000_000, 1_000_000_000))  # the index is stale
    before = {path: path.stat().st_mtime_ns for path in checkout.path.rglob("*")}
    read(checkout.path)
    assert {path: path.stat().st_mtime_ns for path in checkout.path.rglob("*")} == before


def test_read_goes_on_while_git_works(checkout: Checkout) -> None:
    """Another git's lock of the index is no obstacle."""
    head = checkout.commit("a.yaml", "1")
    checkout.write(".git/index.lock", "")
    assert read(checkout.path) == head


def test_monitor_of_the_checkout_does_not_run(checkout: Checkout, tmp_path: Path) -> None:
    """A command that the checkout's settings name as file monitor is not started."""
    head = checkout.commit("a.yaml", "1")
    program, trace = tmp_path / "monitor", tmp_path / "trace"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    checkout.git("config", "core.fsmonitor", str(program))
    assert read(checkout.path) == head
    assert not trace.exists()


def test_hooks_and_pager_of_the_checkout_do_not_run(checkout: Checkout, tmp_path: Path) -> None:
    """Neither what the checkout's settings name as hooks, nor as pager, is started."""
    head = checkout.commit("a.yaml", "1")
    trace = tmp_path / "trace"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trace}\n")
        (hooks / name).chmod(0o755)
    checkout.git("config", "core.hooksPath", str(hooks))
    checkout.git("config", "core.pager", f"touch {trace}; cat")
    checkout.git("config", "pager.status", "true")
    trace.unlink(missing_ok=True)
    assert read(checkout.path) == head
    assert not trace.exists()


def test_filter_of_the_checkout_ends_with_the_time_limit(
    checkout: Checkout, tmp_path: Path
) -> None:
    """Git runs the filters that the checkout's settings name; none is left when time is up."""
    checkout.commit("a.yaml", "1")
    held = tmp_path / "held"
    held.touch()
    checkout.write(".gitattributes", "*.yaml filter=slow\n")
    checkout.git("config", "filter.slow.clean", f"exec flock {held} sh -c 'exec sleep 600'")
    checkout.write("a.yaml", "2")

    def run_shortly(argv: Sequence[str], *, timeout_s: float) -> str:
        assert timeout_s == 30
        return run_tool(argv, timeout_s=1)

    assert GitRevisions(run_shortly, LocalFiles()).read(checkout.path) == ""
    # Fails after 10 s unless the filter, which holds the lock, is gone.
    subprocess.run(["flock", "--timeout", "10", str(held), "true"], check=True)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param("git: [Errno 2] No such file or directory: 'git'", id="no-git"),
        pytest.param("git exited with 128: fatal: bad object HEAD", id="damaged"),
    ],
)
def test_failing_git_is_reported_once(
    tmp_path: Path, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an answer of git the content must tell; the log says so once, not in every pass."""
    (tmp_path / ".git").mkdir()
    failures = [failure]

    def run(argv: Sequence[str], *, timeout_s: float) -> str:
        if failures:
            raise ToolFailedError(failures[0])
        return "# branch.oid 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"

    revisions = GitRevisions(run, LocalFiles())
    with caplog.at_level(logging.WARNING):
        assert [revisions.read(tmp_path) for _ in range(3)] == ["", "", ""]
        assert caplog.text.count("source.git_failed") == 1
        failures.clear()
        assert revisions.read(tmp_path) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        failures.append(failure)
        revisions.read(tmp_path)
    assert caplog.text.count("source.git_failed") == 2


def test_damaged_checkout_has_no_revision(checkout: Checkout) -> None:
    """A `.git` that git cannot use leaves the content to tell."""
    checkout.commit("a.yaml", "1")
    checkout.write(".git/HEAD", "nonsense\n")
    assert read(checkout.path) == ""


def test_no_revisions_ask_nobody() -> None:
    """Checks outside a daemon need no git."""
    assert NoRevisions().read(Path("/nowhere")) == ""
