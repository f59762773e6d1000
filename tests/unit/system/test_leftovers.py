"""What a killed daemon left: its own attempts' processes end, and nobody else's."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.system.leftovers import MarkedLeftovers
from flowrunner.system.process_table import read_facts

NO_DAEMON = 2**22
"""Above the largest pid of Linux: nobody descends from it, as what is left of a killed daemon."""


@contextmanager
def running(
    environment: Mapping[str, str], script: str = "echo $$; exec sleep 600"
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process with an environment, and the number that it printed."""
    with subprocess.Popen(
        ("/bin/sh", "-c", script),
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        try:
            yield process, number
        finally:
            process.kill()


def mark(state: Path, execution: str = "x", **changed: str) -> dict[str, str]:
    """The environment of an attempt."""
    work = f"{state}/work/{execution}/files"
    whole = {"EXECUTION_ID": execution, "NODE_ID": "a", "ATTEMPT": "1", "WORK_DIR": work}
    return {**whole, **changed}


def kill(state: Path, *executions: str) -> int:
    return asyncio.run(MarkedLeftovers(state / "work", NO_DAEMON).kill(executions))


def test_marked_process_and_what_descends_from_it_are_killed(tmp_path: Path) -> None:
    """A child that has shed the mark is found through its parent."""
    script = "env -i setsid sleep 600 & echo $!; wait"
    with running(mark(tmp_path), script) as (process, child):
        assert kill(tmp_path, "x", "y") == 2
        assert process.wait() == -signal.SIGKILL
        facts = read_facts(child)
        assert facts is None or not facts.is_alive


def test_state_that_is_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    """Either name of the folder is known."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with running(mark(tmp_path / "real")) as (process, _):
        assert kill(tmp_path / "link", "x") == 1
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"EXECUTION_ID": "z"}, id="another-execution"),
        pytest.param({"WORK_DIR": "/elsewhere/work/x/files"}, id="another-daemon"),
        pytest.param({"WORK_DIR": "/elsewhere"}, id="a-persons-shell"),
    ],
)
def test_process_of_somebody_else_goes_on(tmp_path: Path, changed: dict[str, str]) -> None:
    """Another daemon's attempt, or one of an execution that we do not know, is not ours to kill."""
    with running(mark(tmp_path, **changed)) as (process, _):
        assert kill(tmp_path, "x") == 0
        assert process.poll() is None


def test_daemon_that_a_leftover_started_spares_itself(tmp_path: Path) -> None:
    """We may descend from a marked process, and carry its mark: neither it nor we are killed."""
    code = (
        "import asyncio, os; from flowrunner.system.leftovers import MarkedLeftovers; "
        "from pathlib import Path; "
        f"print(asyncio.run(MarkedLeftovers(Path('{tmp_path}/work'), os.getpid()).kill(['x'])))"
    )
    done = subprocess.run(
        ("/bin/sh", "-c", '"$0" -c "$1"; echo alive', sys.executable, code),
        env={"PATH": "/usr/bin:/bin", **mark(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\nalive\n"
