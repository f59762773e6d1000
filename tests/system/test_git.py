"""A real git repository as the folder of flows: commit, pull, and which revision runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import EVERY_SECOND, NOTHING, flow_text, says, write_flow
from tests.system.repositories import commit, git

pytestmark = pytest.mark.system


@pytest.fixture
def author(tmp_path: Path) -> Path:
    """The clone in which a person works; its commits are pushed to the repository `origin.git`."""
    origin, clone = tmp_path / "origin.git", tmp_path / "author"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", str(origin))
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    git(clone, "checkout", "--quiet", "-B", "main")
    (clone / "flows").mkdir()
    write_flow(clone / "flows", "hello", says("one"))
    write_flow(clone / "flows", "other", NOTHING)
    commit(clone, "The first flows")
    git(clone, "push", "--quiet", "origin", "main")
    return clone


@pytest.fixture
def checkout(author: Path, tmp_path: Path) -> Path:
    """The clone on the host, from whose folder `flows` the daemon runs."""
    clone = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", str(tmp_path / "origin.git"), str(clone))
    assert author != clone
    return clone


def wait_revision(running: RunningDaemon, revision: str) -> None:
    """Waits until the daemon runs what a revision says."""
    eventually(lambda: running.source()["revision"] == revision, lambda: running.events)


def revision_of_run(running: RunningDaemon, flow: str) -> str:
    """Runs a flow and returns the revision that its execution carries."""
    return str(running.ended(running.start(flow))["revision"])


def test_executions_carry_the_revision_that_a_pull_brought(
    author: Path, checkout: Path, state: Path
) -> None:
    """After commit, push and `git pull` new executions name the new commit, old ones the old."""
    first = git(checkout, "rev-parse", "HEAD")

    with daemon(checkout / "flows", state, env=OPEN) as running:
        assert running.source()["revision"] == first
        old = running.ended(running.start("hello"))
        assert old["revision"] == first
        assert running.metric("flowrunner_source_info", revision=first) == 1

        write_flow(author / "flows", "hello", says("two"))
        second = commit(author, "Say two")
        git(author, "push", "--quiet", "origin", "main")
        git(checkout, "pull", "--quiet", "--ff-only")

        wait_revision(running, second)
        for words in (("status",), ("source", "status")):
            assert "subject" in (shown := running.command(*words).stdout)
            assert "Say two" in shown
        new = running.ended(running.start("hello"))
        assert new["revision"] == second
        assert new["nodes"][0]["outputs"] == {"word": "two"}
        assert running.execution(old["id"])["revision"] == first
        assert running.metric("flowrunner_source_info", revision=first) is None


def test_a_flow_keeps_its_revision_while_only_others_change(
    author: Path, checkout: Path, state: Path
) -> None:
    """A flow's revision is the one at which its definition came into force."""
    first = git(checkout, "rev-parse", "HEAD")

    with daemon(checkout / "flows", state, env=OPEN) as running:
        write_flow(author / "flows", "hello", says("two"))
        second = commit(author, "Say two")
        git(author, "push", "--quiet", "origin", "main")
        git(checkout, "pull", "--quiet", "--ff-only")
        wait_revision(running, second)

        assert revision_of_run(running, "hello") == second
        assert revision_of_run(running, "other") == first


def test_a_commit_that_changes_no_flow_is_noticed(
    author: Path, checkout: Path, state: Path
) -> None:
    """The revision follows HEAD though no file of the flows moves, long before the next resync."""
    with daemon(checkout / "flows", state) as running:
        (author / "README").write_text("elsewhere\n", encoding="utf-8")
        second = commit(author, "Say more")
        git(author, "push", "--quiet", "origin", "main")
        git(checkout, "pull", "--quiet", "--ff-only")
        wait_revision(running, second)
        git(checkout, "reset", "--quiet", "--hard", "HEAD~1")
        wait_revision(running, git(checkout, "rev-parse", "HEAD"))


def test_an_uncommitted_edit_is_marked_as_dirty(checkout: Path, state: Path) -> None:
    """What git does not have ends in `-dirty`; committing it makes a plain revision of it."""
    first = git(checkout, "rev-parse", "HEAD")

    with daemon(checkout / "flows", state, env=OPEN) as running:
        write_flow(checkout / "flows", "hello", says("edited"))
        wait_revision(running, f"{first}-dirty")
        assert revision_of_run(running, "hello") == f"{first}-dirty"

        second = commit(checkout, "Keep it")
        wait_revision(running, second)


def test_a_new_file_is_marked_as_dirty_but_changes_elsewhere_are_not(
    checkout: Path, state: Path
) -> None:
    """Only what lies under the folder of flows counts, untracked files too."""
    first = git(checkout, "rev-parse", "HEAD")

    with daemon(checkout / "flows", state) as running:
        (checkout / "README").write_text("elsewhere\n", encoding="utf-8")
        running.reconcile()
        assert running.source()["revision"] == first
        write_flow(checkout / "flows", "new", NOTHING)
        wait_revision(running, f"{first}-dirty")


def test_a_checkout_to_another_branch_and_back_is_followed(checkout: Path, state: Path) -> None:
    """A flow that the branch does not have leaves, and comes back with the branch."""
    git(checkout, "checkout", "--quiet", "-b", "without")
    (checkout / "flows" / "other.yaml").unlink()
    without = commit(checkout, "Remove one")
    git(checkout, "checkout", "--quiet", "main")

    with daemon(checkout / "flows", state) as running:
        git(checkout, "checkout", "--quiet", "without")
        wait_revision(running, without)
        assert running.request("/api/v1/flows/default/other").status == 404
        git(checkout, "checkout", "--quiet", "main")
        eventually(lambda: running.request("/api/v1/flows/default/other").status == 200)


def test_a_lock_that_a_dead_git_left_behind_is_said_and_can_be_ignored(
    checkout: Path, state: Path
) -> None:
    """By `worktree` nothing is applied under it, until a person says that it is dead."""
    environment = {**OPEN, "FLOWRUNNER_SOURCE__READ": "worktree"}
    with daemon(checkout / "flows", state, env=environment) as running:
        lock = checkout / ".git" / "index.lock"
        lock.touch()
        os.utime(lock, (1_000_000_000, 1_000_000_000))
        write_flow(checkout / "flows", "hello", says("edited"))
        done = running.command("reconcile", "--wait", check=False)
        assert (done.returncode, "--ignore-lock" in done.stdout) == (1, True)
        assert running.source_condition()["reason"] == "GitLocked"
        assert running.request("/readyz").status == 503
        assert running.flow("hello")["generation"] == 1

        running.command("reconcile", "--wait", "--ignore-lock")
        assert running.flow("hello")["generation"] == 2
        running.reconcile()
        assert running.source_condition()["status"] == "True"


def test_watching_a_checkout_leaves_git_to_the_person(checkout: Path, state: Path) -> None:
    """The daemon takes no lock and writes nothing into the repository, however often it looks."""
    write_flow(checkout / "flows", "beat", EVERY_SECOND, says("one"))
    commit(checkout, "Fire")
    before = {path: path.stat().st_mtime_ns for path in (checkout / ".git").rglob("*")}

    with daemon(checkout / "flows", state) as running:
        for _ in range(3):
            running.reconcile()
        # Same size and content, other time: what makes a plain `git status` rewrite its index.
        os.utime(checkout / "flows" / "hello.yaml")
        running.reconcile()

    after = {path: path.stat().st_mtime_ns for path in (checkout / ".git").rglob("*")}
    assert after == before


def test_a_checkout_of_somebody_else_is_read_and_runs_nothing(
    checkout: Path, state: Path, tmp_path: Path
) -> None:
    """Hooks and monitors that a repository names in its settings are not run by the daemon."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    trap.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(trap))
    git(checkout, "config", "core.hooksPath", str(tmp_path))
    if os.geteuid() == 0:
        os.chown(checkout, 65534, 65534)
        os.chown(checkout / ".git", 65534, 65534)
    (tmp_path / "ran").unlink(missing_ok=True)

    with daemon(checkout / "flows", state) as running:
        running.reconcile()
        assert len(running.source()["revision"]) == 40
    assert not (tmp_path / "ran").exists()


def spoil(checkout: Path, marker: Path) -> str:
    """Makes a checkout hostile: links out, hooks, a submodule, filters, names like options."""
    flows, hooks = checkout / "flows", checkout / ".git" / "hooks"
    (flows / "-rf.yaml").write_text(flow_text("dashed", says("yes")), encoding="utf-8")
    (flows / "evil.yaml").symlink_to("/etc/passwd")
    (flows / "climb.yaml").symlink_to("../" * 20 + "etc/passwd")
    (flows / ".gitattributes").write_text("*.yaml text=auto ident\n", encoding="utf-8")
    module = f'[submodule "x"]\n path = flows/x\n url = ext::touch {marker}\n'
    (checkout / ".gitmodules").write_text(module, encoding="utf-8")
    git(checkout, "add", "--all")
    git(checkout, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},flows/x")
    git(checkout, "commit", "--quiet", "--message", "Be hostile")
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    return git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("read", ["head", "worktree"])
def test_a_hostile_checkout_is_bounded_and_said(
    read: str, checkout: Path, state: Path, tmp_path: Path
) -> None:
    """Links out, hooks, submodules and odd names run and reach nothing; sound flows go on."""
    marker = tmp_path / "ran"
    revision = spoil(checkout, marker)
    with daemon(checkout / "flows", state, env={"FLOWRUNNER_SOURCE__READ": read}) as running:
        assert running.source()["revision"].removesuffix("-dirty") == revision
        rejected = {each["path"]: each["findings"] for each in running.source()["rejected"]}
        assert rejected.keys() == {"evil.yaml", "climb.yaml"}
        assert all("link" in findings[0]["message"] for findings in rejected.values())
        assert "root:" not in running.request("/api/v1/reconcile").text
        names = {each["name"] for each in running.request("/api/v1/flows").json["items"]}
        assert names == {"dashed", "hello", "other"}
    assert not marker.exists()


def test_a_checkout_with_too_many_files_changes_nothing(checkout: Path, state: Path) -> None:
    """A commit with 100,000 files is said to be too large, and the flows in force stay."""
    with daemon(checkout / "flows", state, env={"FLOWRUNNER_SOURCE__READ": "head"}) as running:
        blob = git(checkout, "hash-object", "-w", "flows/hello.yaml")
        lines = "".join(f"100644 {blob}\tflows/many/{n}.txt\n" for n in range(100_000))
        subprocess.run(
            ["git", "-C", str(checkout), "update-index", "--index-info"],
            input=lines, text=True, check=True,
        )  # fmt: skip
        git(checkout, "commit", "--quiet", "--message", "many")
        eventually(lambda: running.source_condition()["reason"] == "SourceTooLarge")
        names = {each["name"] for each in running.request("/api/v1/flows").json["items"]}
        assert names == {"hello", "other"}
