"""Following what an execution prints, with the installed daemon and command."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import COMMAND, OPEN, PATIENCE_S, bare_environment, daemon, eventually
from tests.system.flow_files import runs, write_flow

pytestmark = pytest.mark.system

HELD = 'echo begun; while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done; echo the end'
"""A script that runs for as long as the file `hold` lies beside the flow."""


class Follower:
    """A command that follows; what it prints grows in files."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._out, self._err = folder / "follower.out", folder / "follower.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [COMMAND, *arguments], env=bare_environment({}), cwd=folder, stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()


@contextmanager
def follower(state: Path, *arguments: str) -> Iterator[Follower]:
    """Runs a command against the daemon of a state folder, and ends it."""
    following = Follower(state.parent, *arguments, "--state", str(state))
    try:
        yield following
    finally:
        following.process.kill()
        following.process.wait(PATIENCE_S)


@pytest.mark.parametrize("command", ["logs", "run"])
def test_a_follower_goes_on_over_a_restart_of_the_daemon(
    flows: Path, state: Path, command: str
) -> None:
    """Both `logs -f` and `run --follow` ask again, repeat no line, and end with the execution."""
    write_flow(flows, "slow", runs(HELD))
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        words = ["run", "slow", "--follow"]
        if command == "logs":
            words = ["logs", running.start("slow"), "-f"]
        with follower(state, *words) as following:
            eventually(lambda: "begun" in following.out, lambda: following.err)
            running.kill()
            eventually(lambda: "went away" in following.err, lambda: following.err)

            with daemon(flows, state, env=OPEN):
                (flows / "hold").unlink()
                code = following.process.wait(PATIENCE_S)
            assert following.out.count("begun") == 1
            assert "the daemon is there again" in following.err
            assert code == {"logs": 0, "run": 1}[command], following.err
