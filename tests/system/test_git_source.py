"""A daemon that pulls its flows from a real repository by itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.system.daemon import COMMAND, OPEN, command, daemon, eventually
from tests.system.deliveries import github_headers
from tests.system.flow_files import flow_text, runs, says
from tests.system.repositories import commit, git
from tests.system.upstreams import (
    SHOWS_FILES,
    Upstream,
    at_revision,
    condition,
    pulling,
    source_of,
    sync,
    words_of,
)

pytestmark = pytest.mark.system


def test_push_is_followed_with_the_files_beside_the_flow(
    upstream: Upstream, tmp_path: Path
) -> None:
    """The first clone, then a push, are in force with their files, and say who made them."""
    first = upstream.push("Say hello")
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        one = running.start("hello")
        assert words_of(running, one) == "one"
        assert running.execution(one)["files"] == "pinned"
        assert running.execution(one)["revision"] == first
        upstream.write("flows/word.txt", "two\n")  # the flow itself is unchanged
        second = upstream.push("Say more")
        assert sync(running)["outcome"] == "published"
        two = running.start("hello")
        assert words_of(running, two) == "two"
        assert running.execution(two)["revision"] == second
        shown = source_of(running)
        assert shown["git"]["commit"]["author"] == "A Person"
        assert shown["git"]["commit"]["subject"] == "Say more"
        assert "Say more" in running.command("status").stdout
        history = running.command("source", "history").stdout
        assert history.index("Say more") < history.index("Say hello")
        assert condition(running, "SourceSynced") == ("True", "Synced")
        assert running.metric("flowrunner_git_sync_total", result="published") == 2
        assert running.metric("flowrunner_source_info", revision=second) == 1
        assert sync(running)["outcome"] == "unchanged"


def test_signed_call_of_the_server_is_followed_at_once(upstream: Upstream, tmp_path: Path) -> None:
    """A daemon that asks once a day takes a push in after a call; what the call says is unused."""
    upstream.push()
    secret = tmp_path / "hook-secret"
    secret.write_text("of-the-forge\n")
    hook = {"webhook__type": "github", "webhook__secret": str(secret)}
    with pulling(upstream, tmp_path, **hook) as running:
        upstream.write("flows/word.txt", "two\n")
        revision = upstream.push()
        body = json.dumps({"after": "0" * 40, "repository": {"clone_url": "/elsewhere"}}).encode()

        def call(headers: Mapping[str, str]) -> int:
            return running.request(
                "/hooks/_source", method="POST", body=body, headers=headers
            ).status

        assert call(github_headers(body, secret="guessed")) == 401
        assert call(github_headers(body, secret="of-the-forge")) == 202
        at_revision(running, revision)
        counted = running.metric(
            "flowrunner_webhook_requests_total", hook="_source", result="accepted"
        )
        assert counted == 1


def test_running_execution_keeps_the_files_of_its_revision(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Pushes and the removal of old checkouts leave an execution that runs its own files."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f'cat "{gate}"; cat "$FLOW_DIR/word.txt"'
    upstream.write("flows/slow.yaml", flow_text("slow", runs(script)))
    first = upstream.push()
    with pulling(upstream, tmp_path, kept="1") as running:
        at_revision(running, first)
        slow = running.start("slow")
        eventually(lambda: running.execution(slow)["state"] == "running")
        last = first
        for number in range(4):
            upstream.write("flows/word.txt", f"later {number}\n")
            if number == 0:
                git(upstream.work, "mv", "flows/slow.yaml", "flows/moved.yaml")
            last = upstream.push()
            assert sync(running)["outcome"] == "published"
        kept = {path.name for path in (tmp_path / "state/source").glob("rev-*")}
        assert f"rev-{first}" in kept
        assert f"rev-{last}" in kept
        assert len(kept) == 3
        gate.write_text("")
        assert words_of(running, slow) == "one"
        sync(running)
        eventually(lambda: not (tmp_path / f"state/source/rev-{first}").exists())


def test_invalid_version_leaves_files_and_flow_of_the_last_good_one(
    upstream: Upstream, tmp_path: Path
) -> None:
    """A flow that became invalid goes on with the files of the last commit it was valid in."""
    at = upstream.push()
    with pulling(upstream, tmp_path, kept="1") as running:
        at_revision(running, at)
        upstream.write("flows/word.txt", "two\n")
        good = upstream.push()
        sync(running)
        for number in range(3):
            upstream.write("flows/hello.yaml", f"version: 1\nname: hello\nnodse: {number}\n")
            upstream.write("flows/word.txt", f"worse {number}\n")
            upstream.push()
            sync(running)
        assert running.condition("hello")["reason"] == "InvalidNewVersion"
        assert (tmp_path / f"state/source/rev-{good}").is_dir()
        upstream.write("flows/hello.yaml", flow_text("hello", runs(SHOWS_FILES)))
        upstream.write("flows/word.txt", "three\n")
        upstream.push()
        sync(running)
        assert words_of(running, running.start("hello")) == "three"


def test_rollback_holds_until_it_is_unpinned(upstream: Upstream, tmp_path: Path) -> None:
    """A rollback puts an old revision in force, outlives a kill, and is said everywhere."""
    first = upstream.push("good")
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        upstream.write("flows/word.txt", "bad\n")
        upstream.push("bad")
        sync(running)
        done = running.command("source", "rollback", first[:8], "--reason", "it broke")
        assert first in done.stdout
        assert source_of(running)["revision"] == first
        assert words_of(running, running.start("hello")) == "one"
        running.kill()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        upstream.write("flows/word.txt", "worse\n")
        third = upstream.push("worse")
        result = sync(running)
        assert (result["outcome"], result["newest"]) == ("pinned", third)
        assert source_of(running)["revision"] == first
        assert condition(running, "SourcePinned") == ("True", "Pinned")
        assert running.metric("flowrunner_source_pinned") == 1
        status = running.command("source", "status").stdout
        assert status.startswith(f"PINNED to {first}")
        assert "it broke" in status
        assert running.command("status").stdout.startswith("PINNED")
        assert "followed again" in running.command("source", "unpin").stdout
        assert source_of(running)["revision"] == third
        assert condition(running, "SourcePinned") == ("False", "NotPinned")


@pytest.mark.parametrize("revision", ["main", "--help-me", "zzzz", "abc", "dead" * 10, "HEAD~1"])
def test_rollback_takes_commits_alone(upstream: Upstream, tmp_path: Path, revision: str) -> None:
    """What is no commit here is refused, and nothing is pinned."""
    first = upstream.push()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        done = running.command("source", "rollback", "--", revision, check=False)
        assert done.returncode != 0
        assert source_of(running)["git"]["pin"] is None


def test_rewritten_history_is_held_when_asked_for(upstream: Upstream, tmp_path: Path) -> None:
    """With require_fast_forward a forced push is held, said, and can be accepted by hand."""
    first = upstream.push()
    with pulling(upstream, tmp_path, require_fast_forward="true") as running:
        at_revision(running, first)
        upstream.write("flows/word.txt", "rewritten\n")
        git(upstream.work, "commit", "--quiet", "--all", "--amend", "--message", "rewritten")
        forced = upstream.push_head("--force")
        assert sync(running)["reason"] == "NotFastForward"
        assert source_of(running)["revision"] == first
        assert running.command("source", "sync", check=False).returncode == 1
        running.command("source", "rollback", forced)
        running.command("source", "unpin")
        assert source_of(running)["revision"] == forced
        assert condition(running, "SourceSynced") == ("True", "Synced")


def test_rewritten_history_is_followed_by_default(upstream: Upstream, tmp_path: Path) -> None:
    """Without require_fast_forward a forced push is one more revision, with a warning."""
    first = upstream.push()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        git(upstream.work, "commit", "--quiet", "--amend", "--message", "rewritten")
        forced = upstream.push_head("--force")
        assert sync(running)["outcome"] == "published"
        assert source_of(running)["revision"] == forced
        assert "source.not_fast_forward" in running.events


def test_tag_that_moved(upstream: Upstream, tmp_path: Path) -> None:
    """A tag is followed when it moves forward, and held when it moves elsewhere if so asked."""
    first = upstream.push()
    git(upstream.work, "tag", "live")
    git(upstream.work, "push", "--quiet", "origin", "live")
    with pulling(upstream, tmp_path, ref="live", require_fast_forward="true") as running:
        at_revision(running, first)
        git(upstream.work, "checkout", "--quiet", "--orphan", "other")
        commit(upstream.work, "another history")
        git(upstream.work, "tag", "--force", "live")
        git(upstream.work, "push", "--quiet", "--force", "origin", "live")
        assert sync(running)["reason"] == "NotFastForward"
        assert source_of(running)["revision"] == first


def test_commit_that_is_pinned_by_the_settings(upstream: Upstream, tmp_path: Path) -> None:
    """A commit as the ref is fetched, and stays, whatever is pushed."""
    first = upstream.push()
    upstream.write("flows/word.txt", "two\n")
    upstream.push()
    with pulling(upstream, tmp_path, ref=first) as running:
        at_revision(running, first)
        assert sync(running)["outcome"] == "unchanged"


@pytest.mark.parametrize(("ref", "reason"), [("absent", "RefMissing"), ("twice", "RefAmbiguous")])
def test_refs_that_name_nothing_or_two_things(
    upstream: Upstream, tmp_path: Path, ref: str, reason: str
) -> None:
    """A ref that is not there, or is a branch and a tag, is said and nothing is read."""
    upstream.push()
    git(upstream.work, "tag", "twice")
    git(upstream.work, "push", "--quiet", "origin", "refs/tags/twice", "HEAD:refs/heads/twice")
    with pulling(upstream, tmp_path, ref=ref) as running:
        assert sync(running)["reason"] == reason
        running.command("reconcile", "--wait", check=False)
        ready = next(c for c in source_of(running)["conditions"] if c["type"] == "SourceReady")
        assert "the repository was not fetched: " in ready["message"]
        assert running.request("/readyz").status == 503


def test_remote_that_is_gone_changes_nothing(upstream: Upstream, tmp_path: Path) -> None:
    """Flows go on without their repository, after a restart too, and it is picked up again."""
    first = upstream.push()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        upstream.remote.rename(tmp_path / "away.git")
        assert sync(running)["outcome"] == "failed"
        assert condition(running, "SourceSynced") == ("False", "SyncFailed")
        assert words_of(running, running.start("hello")) == "one"
        running.kill()
    with pulling(upstream, tmp_path) as running:
        assert source_of(running)["revision"] == first
        assert running.request("/readyz").status == 200
        assert words_of(running, running.start("hello")) == "one"
        (tmp_path / "away.git").rename(upstream.remote)
        upstream.write("flows/word.txt", "back\n")
        second = upstream.push()
        assert sync(running)["outcome"] == "published"
        assert source_of(running)["revision"] == second


def test_repository_of_ours_that_is_broken_is_cloned_anew(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Damaged objects, an emptied repository and stale locks are got over by the next sync."""
    first = upstream.push()
    ours = tmp_path / "state/source/repo.git"
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        for damage in (_spoil_objects, _empty, _lock):
            damage(ours)
            upstream.write("flows/word.txt", f"{damage.__name__}\n")
            revision = upstream.push()
            assert sync(running)["outcome"] == "published", running.events
            assert source_of(running)["revision"] == revision
            assert words_of(running, running.start("hello")) == damage.__name__


def _spoil_objects(repository: Path) -> None:
    for path in (repository / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"spoilt")


def _empty(repository: Path) -> None:
    shutil.rmtree(repository)
    repository.mkdir()


def _lock(repository: Path) -> None:
    (repository / "refs/flowrunner/fetched.lock").touch()
    (repository / "packed-refs.lock").touch()


def test_kill_during_syncs_leaves_one_revision_whole(upstream: Upstream, tmp_path: Path) -> None:
    """However a sync is cut short, the next life has the old revision or the new one, whole."""
    for number in range(300):
        upstream.write(f"flows/data/{number}.txt", "x" * 200)
    revisions = [upstream.push()]
    moments = ("index.unfinished", "rev-{}.unfinished", "rev-{}", "memory.json")
    for number in range(4):
        with pulling(upstream, tmp_path) as running:
            eventually(lambda: source_of(running)["revision"] in revisions)
            upstream.write("flows/word.txt", f"{number}\n")
            revisions.append(upstream.push())
            with subprocess.Popen(
                [COMMAND, "source", "sync", "--state", str(running.state)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            ) as asking:  # fmt: skip
                seen = tmp_path / "state/source" / moments[number].format(revisions[-1])
                eventually(partial(_is_time, seen, asking))
                running.kill()
                asking.wait()
    with pulling(upstream, tmp_path) as running:
        assert sync(running)["outcome"] in ("published", "unchanged")
        assert source_of(running)["revision"] == revisions[-1]
        assert words_of(running, running.start("hello")) == "3"
        left = [path.name for path in (tmp_path / "state/source").glob("*unfinished*")]
        assert left == []


def _is_time(seen: Path, asking: subprocess.Popen[bytes]) -> bool:
    return seen.exists() or asking.poll() is not None


def test_hostile_repository_is_bounded_and_said(upstream: Upstream, tmp_path: Path) -> None:
    """Links out, hooks, filters, submodules and odd names of a repository run and reach nothing."""
    marker = tmp_path / "ran"
    upstream.write("flows/plain.yaml", flow_text("plain", says("yes")))
    upstream.write("flows/-rf.yaml", flow_text("dashed", says("yes")))
    upstream.write("flows/.gitattributes", "*.txt filter=evil\n* text=auto eol=crlf ident\n")
    upstream.write("shared/inner.yaml", flow_text("linked", says("yes")))
    (upstream.work / "flows/evil.yaml").symlink_to("/etc/passwd")
    (upstream.work / "flows/climb.yaml").symlink_to("../../../../etc/passwd")
    (upstream.work / "flows/real.yaml").symlink_to("aside.yaml")
    upstream.write("flows/aside.yaml", flow_text("aside", says("yes")))
    upstream.write("hooks/post-checkout", f"#!/bin/sh\ntouch {marker}\n")
    upstream.write(".gitmodules", f'[submodule "x"]\n path = x\n url = ext::touch {marker}\n')
    upstream.push()
    git(upstream.work, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    git(upstream.work, "commit", "--quiet", "--message", "submodule")
    revision = upstream.push_head()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, revision)
        rejected = {each["path"]: each["findings"] for each in running.source()["rejected"]}
        assert {"evil.yaml", "climb.yaml"} <= rejected.keys()
        assert "link" in rejected["evil.yaml"][0]["message"]
        names = {each["name"] for each in running.request("/api/v1/flows").json["items"]}
        assert {"plain", "dashed", "hello"} <= names
        tree = tmp_path / f"state/source/rev-{revision}"
        assert not any(
            path.is_symlink() and path.resolve().is_file()
            and not path.resolve().is_relative_to(tree.resolve())
            for path in tree.rglob("*")
        )  # fmt: skip
        assert (tree / "flows/word.txt").read_bytes() == b"one\n"
        assert not (tree / ".git").exists()
        assert not marker.exists()
        assert "source.links_refused" in running.events
        assert "source.submodules" in running.events


def test_commit_with_too_many_files_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    """A commit with 100,000 files is not checked out; the one in force stays."""
    first = upstream.push()
    blob = git(upstream.work, "hash-object", "-w", "flows/word.txt")
    lines = "".join(f"100644 {blob}\tmany/{number}.txt\n" for number in range(100_000))
    subprocess.run(
        ["git", "-C", str(upstream.work), "update-index", "--index-info"],
        input=lines, text=True, check=True,
    )  # fmt: skip
    git(upstream.work, "commit", "--quiet", "--message", "many")
    upstream.push_head()
    with pulling(upstream, tmp_path, ref="main") as running:
        result = sync(running)
        assert (result["outcome"], result["reason"]) == ("refused", "SourceTooLarge")
        git(upstream.work, "push", "--quiet", "--force", "origin", f"{first}:main")
        assert sync(running)["outcome"] == "published"
        assert source_of(running)["revision"] == first


def test_folder_that_is_missing_in_a_commit(upstream: Upstream, tmp_path: Path) -> None:
    """A commit without the folder of flows is refused, so the flows stay."""
    first = upstream.push()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        git(upstream.work, "mv", "flows", "elsewhere")
        upstream.push()
        assert sync(running)["reason"] == "FolderMissing"
        assert running.flow("hello")["conditions"][0]["status"] == "True"


def test_commands_without_a_repository(tmp_path: Path) -> None:
    """A daemon with a folder says that it pulls nothing."""
    flows = tmp_path / "flows"
    flows.mkdir()
    with daemon(flows, tmp_path / "state", env=OPEN) as running:
        assert source_of(running)["kind"] == "folder"
        done = running.command("source", "sync", check=False)
        assert done.returncode == 5
        assert "source.git.url" in done.stderr


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """A daemon with a dangerous address or two sources does not start."""
    for url in ("ext::sh -c x", "-x", "https://a:b@host/x"):
        done = command(
            "serve", "--state", str(tmp_path / "s"), cwd=tmp_path,
            env={"FLOWRUNNER_SOURCE__GIT__URL": url},
        )  # fmt: skip
        assert done.returncode == 78


def test_stop_does_not_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    """A daemon that is told to stop ends git, which still waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/flows.git"
        env = {**OPEN, "FLOWRUNNER_SOURCE__GIT__URL": url}
        with daemon(None, tmp_path / "state", env=env) as running:
            connection, _ = server.accept()  # git is there now, and hears nothing
            with connection:
                assert running.request("/readyz").status == 503
                assert running.stop() == 0
                assert "daemon.stopped" in running.events


def test_thousand_flows_follow_a_push(upstream: Upstream, tmp_path: Path) -> None:
    """A push that changes one of many flows reads that one anew, and none is half of two."""
    for number in range(1_000):
        upstream.write(f"flows/{number % 10}/{number}.yaml", flow_text(f"f-{number}", says("a")))
    first = upstream.push()
    with pulling(upstream, tmp_path) as running:
        at_revision(running, first)
        upstream.write("flows/3/3.yaml", flow_text("f-3", says("b")))
        second = upstream.push()
        assert sync(running)["outcome"] == "published"
        last = running.source()["last_pass"]
        assert (last["updated"], last["added"], last["revision"]) == (1, 0, second)
        assert running.flow("f-3")["generation"] == 2
        assert running.flow("f-4")["generation"] == 1
