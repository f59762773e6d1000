"""`flowrunner run FILE` as a process: what a signal leaves behind, and what its nodes can see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system.daemon import (
    COMMAND,
    PATIENCE_S,
    attempts_of,
    bare_environment,
    command,
    eventually,
)
from tests.system.flow_files import flow_text, runs, write_flow

pytestmark = pytest.mark.system

CLEANS_UP = """
    sh -c 'trap "echo done > \\"$FLOW_DIR/cleaned\\"; exit 0" TERM
           echo begun > "$FLOW_DIR/begun"
           while [ ! -e "$FLOW_DIR/release" ]; do sleep 0.05; done' >/dev/null 2>&1
"""
"""A script whose program runs until the file `release` lies beside the flow, cleans up on SIGTERM,
and holds none of the script's output."""


@contextmanager
def running_file(folder: Path, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """Executes a flow whose node has begun; temporary files lie in the folder `tmp`."""
    write_flow(folder, "slow", runs(CLEANS_UP, kill_after="20s"))
    (folder / "tmp").mkdir()
    with subprocess.Popen(
        [*prefix, COMMAND, "run", "slow.yaml"],
        cwd=folder,
        env=bare_environment({"TMPDIR": str(folder / "tmp")}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            eventually((folder / "begun").exists)
            yield process
        finally:
            process.kill()
            for pid in attempts_of(folder / "tmp"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def assert_nothing_left(folder: Path) -> None:
    assert attempts_of(folder / "tmp") == []
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        pytest.param(signal.SIGTERM, 1, "slow.yaml: cancelled\n", id="term"),
        pytest.param(signal.SIGHUP, 1, "slow.yaml: cancelled\n", id="hup"),
        pytest.param(signal.SIGINT, 130, "", id="int"),
    ],
)
def test_a_signal_cancels_the_execution_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals, code: int, told: str
) -> None:
    """Its nodes get SIGTERM and their grace, and no process and no file stays."""
    with running_file(tmp_path) as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stderr) == (code, told)
    assert (tmp_path / "cleaned").read_text() == "done\n"
    assert_nothing_left(tmp_path)


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    """Under nohup the execution goes on when its terminal closes."""
    with running_file(tmp_path, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        (tmp_path / "release").touch()
        process.wait(PATIENCE_S)
    assert process.returncode == 0
    assert not (tmp_path / "cleaned").exists()
    assert_nothing_left(tmp_path)


def test_nodes_cannot_read_the_secrets_of_the_process(tmp_path: Path) -> None:
    """The process is closed to its equals, and a secret that no flow asked for is not inherited."""
    (tmp_path / "env.yaml").write_text(flow_text("env", runs("env")), encoding="utf-8")
    program = """
import ctypes, os, sys
from pathlib import Path
from flowrunner.daemon.local_run import run_local

PR_GET_DUMPABLE = 3
def emit(line):
    print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), line)
print(run_local(Path("env.yaml"), {}, emit).state, sorted(n for n in os.environ if "SECRET" in n))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=bare_environment({"FLOWRUNNER_SECRET_TOKEN": "hunter22"}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    *lines, last = done.stdout.splitlines()
    assert last == "succeeded []"
    assert "0 work: NODE_ID=work" in lines
    assert all(line.startswith("0 work: ") for line in lines)
    assert "hunter22" not in done.stdout


def test_secrets_of_the_environment_reach_the_flow_that_asks(tmp_path: Path) -> None:
    """They are taken out of the environment, not thrown away."""
    uses = "secrets: [TOKEN]\n"
    script = 'echo "${#T}"'
    write_flow(tmp_path, "uses", uses, runs(script, env='{T: "${{ secrets.TOKEN }}"}'))
    secrets = {"FLOWRUNNER_SECRET_TOKEN": "hunter22"}
    done = command("run", "uses.yaml", cwd=tmp_path, env=secrets)
    assert (done.returncode, done.stdout) == (0, "work: 8\n")
