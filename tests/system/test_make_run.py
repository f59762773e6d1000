"""The first ten minutes in a fresh clone: `make run`, the printed commands, the examples."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import (
    COMMAND,
    OPEN,
    PATIENCE_S,
    DaemonClient,
    RunningDaemon,
    bare_environment,
    command,
    daemon,
    eventually,
    free_port,
)
from tests.system.deliveries import SECRET, push
from tests.system.flow_files import replace_file
from tests.system.repositories import commit, git

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A small repository with the examples and what `make run` needs, on the branch `main`.

    The deploy of the example goes below the clone instead of /var/tmp.
    """
    folder = tmp_path / "clone"
    for name in (".make", "flows"):
        shutil.copytree(CHECKOUT / name, folder / name)
    deploy = folder / "flows" / "deploy.yaml"
    text = deploy.read_text(encoding="utf-8")
    assert "/var/tmp/flowrunner-deploy" in text
    replace_file(deploy, text.replace("/var/tmp/flowrunner-deploy", str(tmp_path / "deployed")))
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(folder))
    commit(folder, "The examples")
    return folder


@contextmanager
def make_run(clone: Path) -> Iterator[tuple[int, Path]]:
    """Runs what `make run` runs; gives the port and the file with all that it prints."""
    (clone / ".venv").symlink_to(Path(COMMAND).parents[1])
    port, printed = free_port(), clone.parent / "printed"
    with printed.open("wb") as stream:
        process = subprocess.Popen(
            [".make/run"],
            cwd=clone,
            env=bare_environment({"LISTEN": f"127.0.0.1:{port}"}),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        eventually(lambda: "READY" in printed.read_text(), printed.read_text)
        yield port, printed
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)


def test_the_first_ten_minutes_go_as_the_readme_says(clone: Path) -> None:
    """READY, ready, an edited example fires by itself, and the printed `curl` line deploys."""
    with make_run(clone) as (port, printed):
        running = DaemonClient(clone / ".flowrunner", lambda: port)
        assert running.request("/readyz").status == 200

        disk_space = clone / "flows" / "disk-space.yaml"
        edited = disk_space.read_text(encoding="utf-8").replace("every: 1m", "every: 1s")
        replace_file(disk_space, edited)
        eventually(lambda: running.executions("disk-space"), printed.read_text)

        line = re.search(r"^curl .*$", printed.read_text(), re.MULTILINE)
        assert line
        sent = subprocess.run(
            ["bash", "-c", line.group()], capture_output=True, text=True, check=True
        )
        execution_id = re.search(r"[0-9a-f-]{36}", sent.stdout)
        assert execution_id, sent.stdout
        execution = running.ended(execution_id.group())
        assert execution["state"] == "succeeded", running.logs(execution["id"])
        assert deployed(clone) == git(clone, "rev-parse", "HEAD")

        by_hand = subprocess.run(
            [COMMAND, "flows"], cwd=clone, env=bare_environment({}), capture_output=True, check=True
        )
        assert b"deploy" in by_hand.stdout


def deployed(clone: Path) -> str:
    """Returns the commit in service, having looked that its files are there."""
    current = clone.parent / "deployed" / "current"
    assert (current / "flows" / "deploy.yaml").is_file()
    return current.resolve().name


@pytest.fixture
def examples(clone: Path, state: Path) -> Iterator[RunningDaemon]:
    """A daemon on the examples."""
    environment = {**OPEN, "FLOWRUNNER_SECRET_DEPLOY": SECRET}
    with daemon(clone / "flows", state, env=environment) as running:
        yield running


def test_the_disk_space_example_measures_and_fails_when_it_is_full(
    examples: RunningDaemon,
) -> None:
    """It succeeds below its limit, and fails at it; `next` says of a file what the daemon has."""
    plenty = examples.ended(examples.start("disk-space", "--input", "limit=100"))
    assert plenty["state"] in ("succeeded", "failed")
    percent = plenty["nodes"][0]["outputs"]["percent"]
    assert 0 <= percent <= 100

    # One daemon is enough for another promise.
    span = ("--from", "2027-03-26", "--to", "2027-03-29", "--json")
    asked = examples.command("next", "certificate", *span).stdout
    file = str(CHECKOUT / "flows/certificate.yaml")
    assert asked.count('"slot_at"') == 4
    assert asked == command("next", file, *span, cwd=examples.state.parent).stdout

    full = examples.ended(examples.start("disk-space", "--input", "limit=1", "--input", "path=/"))
    expected = "failed" if full["nodes"][0]["outputs"]["percent"] >= 1 else "succeeded"
    assert full["state"] == expected
    if expected == "failed":
        assert full["error"]["code"] == "disk_full"
        assert "percent full" in full["error"]["message"]


def test_the_deploy_example_deploys_each_push_once(examples: RunningDaemon, clone: Path) -> None:
    """A push of main goes into service whole; other branches and copies deploy nothing."""
    first = push(examples, "deploy/push", {"ref": "refs/heads/main"}, "one")
    assert first.status == 202, first.text
    execution = examples.ended(first.json["execution_id"])
    assert execution["state"] == "succeeded", examples.logs(execution["id"])
    assert deployed(clone) == git(clone, "rev-parse", "HEAD")

    assert push(examples, "deploy/push", {"ref": "refs/heads/main"}, "one").status == 200
    ignored = push(examples, "deploy/push", {"ref": "refs/heads/topic"}, "two")
    assert ignored.json == {"status": "ignored"}

    (clone / "NEWS").write_text("second\n", encoding="utf-8")
    second = commit(clone, "News")
    body = {"ref": "refs/heads/main", "after": second}
    accepted = push(examples, "deploy/push", body, "three")
    assert examples.ended(accepted.json["execution_id"])["state"] == "succeeded"
    assert deployed(clone) == second


def test_the_deploy_example_refuses_what_is_no_branch(examples: RunningDaemon, clone: Path) -> None:
    """Text that git could take for an option reaches no command."""
    execution = examples.ended(examples.start("deploy", "--input", "ref=--output=/etc/passwd"))

    assert execution["state"] == "failed"
    assert "is not a branch" in execution["error"]["message"]
    assert not (clone.parent / "deployed").exists()


def test_without_its_secret_only_the_deploy_example_is_not_ready(clone: Path, state: Path) -> None:
    """The other example runs on any host as it is."""
    with daemon(clone / "flows", state) as running:
        assert running.condition("deploy")["reason"] == "SecretMissing"
        assert running.condition("disk-space")["status"] == "True"
