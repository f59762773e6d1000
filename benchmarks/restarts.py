"""Rows 9, 12 and 14: how long a daemon takes to be ready, and what it takes while it waits.

A real daemon in a process of its own, started by the installed command.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.commands import COMMAND
from benchmarks.disk import DISK
from benchmarks.flow_files import write_flows

EXAMPLES = Path(__file__).resolve().parent.parent / "flows"

_PATIENCE_S = 120.0
_LOOK_S = 0.002
_CALM_S = 3.0
"""After a start, what begins with it is done."""
_IDLE_S = 20.0
_IMPORTS = "import flowrunner.daemon.serve, flowrunner.cli.main, uvicorn, prometheus_client"
_READY = re.compile(rb"^READY .*http://127\.0\.0\.1:(\d+)", re.MULTILINE)
_LONG = """\
version: 1
name: long
nodes:
  - id: work
    on_interrupt: rerun
    run: |
      echo begun >> {marks}
      exec sleep 600
"""


class Restarted:
    """A daemon with the examples and one execution under way, killed again and again."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=DISK)
        root = Path(self._folder.name)
        self._marks, self._state, self._flows = root / "marks", root / "state", root / "flows"
        self._flows.mkdir()
        for example in EXAMPLES.glob("*.yaml"):
            (self._flows / example.name).write_bytes(example.read_bytes())
        (self._flows / "long.yaml").write_text(_LONG.format(marks=self._marks))
        self._marks.touch()
        self._daemon = Started(self._flows, self._state)
        try:
            self._daemon.wait_ready()
            start = [COMMAND, "run", "long", "--state", str(self._state)]
            subprocess.run(start, check=True, capture_output=True)
            _until(lambda: self._begun() == 1)
        except BaseException:
            self.close()
            raise

    def again_s(self) -> float:
        """Returns the seconds from a start after a kill to ready, the interrupted node running."""
        self._daemon.kill()
        before, began = self._begun(), time.perf_counter()
        self._daemon = Started(self._flows, self._state)
        self._daemon.wait_ready()
        _until(lambda: self._begun() > before)
        return time.perf_counter() - began

    def close(self) -> None:
        """Ends the execution and the daemon, and removes what they left."""
        self._daemon.stop()
        self._folder.cleanup()

    def _begun(self) -> int:
        return self._marks.read_bytes().count(b"begun")


class ManyFlows:
    """A folder of flows, and daemons that start on it."""

    def __init__(self, count: int, *, are_due: bool = True) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=DISK)
        self._root = Path(self._folder.name)
        self._flows = self._root / "flows"
        self._flows.mkdir()
        write_flows(self._flows, count, are_due=are_due)
        self._turn = 0

    def first_s(self) -> float:
        """Returns the seconds of a start without any state."""
        self._turn += 1
        return self._start_s()

    def again_s(self) -> float:
        """Returns the seconds of a start with nothing changed since `first_s`."""
        return self._start_s()

    def waiting(self) -> Started:
        """Returns a daemon that is ready; its state is that of the start before, if there was."""
        daemon = Started(self._flows, self._root / f"state-{self._turn}")
        try:
            daemon.wait_ready()
        except BaseException:
            daemon.stop()
            raise
        return daemon

    def idle_mib(self) -> float:
        """Returns the resident memory of a daemon that has been started anew and waits."""
        daemon = self.waiting()
        try:
            time.sleep(_CALM_S)
            return daemon.resident_mib()
        finally:
            daemon.stop()

    def close(self) -> None:
        """Removes everything."""
        self._folder.cleanup()

    def _start_s(self) -> float:
        began = time.perf_counter()
        daemon = Started(self._flows, self._root / f"state-{self._turn}")
        try:
            daemon.wait_ready()
            return time.perf_counter() - began
        finally:
            daemon.stop()


class Started:
    """One life of a daemon."""

    def __init__(self, flows: Path, state: Path, more: Mapping[str, str] | None = None) -> None:
        self._log = state.with_suffix(".stderr")
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        where = ["--flows", str(flows), "--state", str(state), "--listen", "127.0.0.1:0"]
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(
                [COMMAND, "serve", *where],
                env=env | {"FLOWRUNNER_ENGINE__DRAIN_TIMEOUT": "0s", **(more or {})},
                stdin=subprocess.DEVNULL,
                stderr=stream,
            )

    def wait_ready(self) -> None:
        """Returns when it has said so and `/readyz` agrees."""
        _until(self._is_announced)
        _until(self._is_ready)

    @property
    def port(self) -> int:
        """Where it listens, once it has said so."""
        found = _READY.search(self._log.read_bytes())
        assert found
        return int(found[1])

    def resident_mib(self) -> float:
        """Returns its resident memory."""
        return _resident_mib(self._process.pid)

    def idle_percent(self) -> float:
        """Returns its share of one processor over some seconds, its threads together."""
        before, began = self._busy_s(), time.perf_counter()
        time.sleep(_IDLE_S)
        return 100 * (self._busy_s() - before) / (time.perf_counter() - began)

    def _busy_s(self) -> float:
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Asks it to end, and waits."""
        self._process.terminate()
        self._process.wait()

    def close(self) -> None:
        """Ends it, for `contextlib.closing`."""
        self.stop()

    def _is_announced(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        return _READY.search(self._log.read_bytes()) is not None

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()


def imports_mib() -> float:
    """Returns the resident memory of an interpreter that imports what a daemon does."""
    command = [sys.executable, "-c", f"{_IMPORTS}; print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        found = _resident_mib(process.pid)
        process.communicate(b"\n")
    return found


def _resident_mib(pid: int) -> float:
    """Returns the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def imports_s() -> float:
    """Returns the seconds of an interpreter that imports what a daemon does."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True, env=env)
    return time.perf_counter() - began


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + _PATIENCE_S
    while not condition():
        assert time.perf_counter() < deadline, "the daemon does not come"
        time.sleep(_LOOK_S)
