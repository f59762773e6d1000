"""A real daemon in a process of its own, for tests: started, asked, signalled, always ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
COMMAND = str(Path(sys.executable).with_name("flowrunner"))
Program = tuple[str, ...]
"""A command that runs `flowrunner`, as its first words."""
INSTALLED: Program = (COMMAND,)
OPEN = {"FLOWRUNNER_AUTH__LOCAL": "open"}
"""The environment of a daemon that shows everything on loopback, as `make run` does."""
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class DaemonClient:
    """Asks a daemon, over its port and by its commands."""

    def __init__(self, state: Path, find_port: Callable[[], int]) -> None:
        self.state = state
        self._find_port = find_port

    @property
    def port(self) -> int:
        return self._find_port()

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command of the command line against this daemon."""
        done = command(*arguments, "--state", str(self.state), cwd=self.state.parent)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, flow: str, *arguments: str) -> str:
        """Starts a flow by hand and returns the id of the execution."""
        return self.command("run", flow, *arguments).stdout.strip()

    def reconcile(self) -> None:
        """Asks for a pass and waits for it."""
        self.command("reconcile", "--wait")

    def executions(self, flow: str) -> list[dict[str, Any]]:
        """Returns the executions of a flow, newest first."""
        items = self.request(f"/api/v1/executions?flow={flow}&limit=1000").json["items"]
        return [dict(item) for item in items]

    def execution(self, execution_id: str) -> dict[str, Any]:
        return dict(self.request(f"/api/v1/executions/{execution_id}").json)

    def ended(self, execution_id: str) -> dict[str, Any]:
        """Waits until an execution is final and returns it."""

        def final() -> dict[str, Any] | None:
            execution = self.execution(execution_id)
            return execution if execution["state"] not in ("queued", "running") else None

        return eventually(final, lambda: self.execution(execution_id))

    def logs(self, execution_id: str) -> str:
        """Returns what the nodes of an execution printed, without times and names."""
        page = self.request(f"/api/v1/executions/{execution_id}/logs").json
        return "".join(line["text"] + "\n" for chunk in page["chunks"] for line in chunk["lines"])

    def flow(self, name: str, account: str = "default") -> dict[str, Any]:
        return dict(self.request(f"/api/v1/flows/{account}/{name}").json)

    def condition(
        self, flow: str, kind: str = "Ready", *, account: str = "default"
    ) -> dict[str, Any]:
        """Returns one condition of a flow; empty for a flow that is unknown."""
        return _condition(self.flow(flow, account), kind)

    def source(self) -> dict[str, Any]:
        return dict(self.request("/api/v1/reconcile").json)

    def source_condition(self) -> dict[str, Any]:
        return _condition(self.source(), "SourceReady")

    def metric(self, name: str, **labels: str) -> float | None:
        """Returns the value of one series, or None when there is no such series."""
        for line in self.request("/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            series, _, inside = head.partition("{")
            found = dict(re.findall(r'(\w+)="([^"]*)"', inside))
            if series == name and labels.items() <= found.items():
                return float(value)
        return None


class RunningDaemon(DaemonClient):
    """A daemon in a process of its own; its standard error grows in a file, so no pipe can fill."""

    def __init__(
        self,
        flows: Path | None,
        state: Path,
        *,
        env: Mapping[str, str],
        arguments: tuple[str, ...] = (),
        program: Program = INSTALLED,
        name: str = "",
    ) -> None:
        super().__init__(state, self._announced_port)
        self.flows = flows or Path()
        self.log = state.parent / f"{name or state.name}.stderr"
        self._written = self.log.stat().st_size if self.log.exists() else 0
        options = ["--state", str(state), "--listen", "127.0.0.1:0"]
        if flows is not None:
            options = ["--flows", str(flows), *options]
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*program, "serve", *options, *arguments],
                env=bare_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                cwd=state.parent,
            )

    @property
    def output(self) -> str:
        """What it wrote on standard error since this start."""
        return self.log.read_bytes()[self._written :].decode(errors="replace")

    @property
    def events(self) -> str:
        """What it wrote but for the lines about requests, for messages of failed tests."""
        lines = self.output.splitlines(keepends=True)
        return "".join(line for line in lines if "http.request" not in line)

    def _announced_port(self) -> int:
        found = re.search(r"READY .*?https?://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)", self.output)
        assert found, self.output
        return int(found.group(1))

    def wait_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.output}")
            return re.search(r"^READY .*\n", self.output, re.MULTILINE) is not None

        eventually(ready, lambda: self.output)

    def kill(self) -> None:
        """Ends it as a power cut would, and waits until it is gone."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def daemon(
    flows: Path | None,
    state: Path,
    *,
    env: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    program: Program = INSTALLED,
) -> Iterator[RunningDaemon]:
    """Starts a daemon, waits until it is ready, and ends it and its attempts whatever happens."""
    running = RunningDaemon(flows, state, env=env or {}, arguments=arguments, program=program)
    try:
        running.wait_ready()
        yield running
    finally:
        running.kill()
        for pid in attempts_of(state):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def attempts_of(state: Path) -> list[int]:
    """Returns the processes that the daemon of a state started: they carry it in `WORK_DIR`."""
    mark = b"\0WORK_DIR=" + os.fsencode(state) + b"/"
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or belongs to somebody else
            if mark in b"\0" + environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def command(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    program: Program = INSTALLED,
) -> subprocess.CompletedProcess[str]:
    """Runs `flowrunner` to its end; without `stdin` there is nothing to read."""
    return subprocess.run(
        [*program, *arguments],
        cwd=cwd,
        env=bare_environment(env or {}),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def ordinary_program() -> Program | None:
    """Returns what runs `flowrunner` so that file permissions bind it, as they do not bind root.

    None where root has no way to give its powers up.
    """
    if os.geteuid() != 0:
        return INSTALLED
    if shutil.which("setpriv") is None:
        return None
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", COMMAND)


def free_port() -> int:
    """Returns a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def bare_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without anything that the host set for a daemon of its own."""
    unit = ("NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FLOWRUNNER_") and name not in unit
    }
    return {**kept, **extra}


def eventually(
    condition: Callable[[], T | None],
    explain: Callable[[], object] = lambda: "",
    *,
    patience_s: float = PATIENCE_S,
) -> T:
    """Returns the first true value of a condition, or fails when patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {explain()}")
        time.sleep(0.05)  # a real process moves on its own clock: this polls, it proves nothing


def _condition(shape: Mapping[str, Any], kind: str) -> dict[str, Any]:
    conditions = shape.get("conditions", [])
    return next((dict(found) for found in conditions if found["type"] == kind), {})
