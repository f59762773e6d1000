"""A real daemon in a process of its own, for tests: started, asked, signalled, always ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
COMMAND = str(Path(sys.executable).with_name("flowrunner"))
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RunningDaemon:
    """One started daemon; `stderr` grows in a file, so that no pipe can fill."""

    def __init__(
        self, flows: Path, state: Path, *, env: Mapping[str, str], arguments: tuple[str, ...] = ()
    ) -> None:
        self.flows, self.state = flows, state
        self.log = state.parent / f"{state.name}.stderr"
        self._written = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [
                    COMMAND,
                    "serve",
                    "--flows",
                    str(flows),
                    "--state",
                    str(state),
                    "--listen",
                    "127.0.0.1:0",
                    *arguments,
                ],
                env=bare_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=state.parent,
            )

    @property
    def output(self) -> str:
        """What it wrote since this start."""
        return self.log.read_bytes()[self._written :].decode(errors="replace")

    @property
    def port(self) -> int:
        found = re.search(r"READY .*?127\.0\.0\.1:(\d+)", self.output)
        assert found, self.output
        return int(found.group(1))

    def wait_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.output}")
            return "READY " in self.output

        eventually(ready, lambda: self.output)

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

    def executions(self, flow: str) -> list[dict[str, Any]]:
        items = self.request(f"/api/v1/executions?flow={flow}&limit=1000").json["items"]
        return [dict(item) for item in items]

    def flow(self, name: str) -> dict[str, Any]:
        return dict(self.request(f"/api/v1/flows/default/{name}").json)

    def metric(self, name: str, **labels: str) -> float:
        """Returns the value of one series; 0 when it is absent."""
        for line in self.request("/metrics").body.decode().splitlines():
            head, _, value = line.rpartition(" ")
            series, _, inside = head.partition("{")
            found = dict(re.findall(r'(\w+)="([^"]*)"', inside))
            if series == name and labels.items() <= found.items():
                return float(value)
        return 0.0

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def daemon(
    flows: Path,
    state: Path,
    *,
    env: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
) -> Iterator[RunningDaemon]:
    """Starts a daemon, waits until it is ready, and ends it whatever happens."""
    running = RunningDaemon(flows, state, env=env or {}, arguments=arguments)
    try:
        running.wait_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait(PATIENCE_S)


def command(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `flowrunner` to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=bare_environment(env or {}),
        input=None if stdin is None else stdin.decode(),
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def bare_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment without settings of the host's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FLOWRUNNER_")}
    return {**kept, **extra}


def eventually(condition: Callable[[], T], explain: Callable[[], object] = lambda: "") -> T:
    """Returns the first true value of a condition, or fails when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {explain()}")
        time.sleep(0.05)  # a real process moves on its own clock: this polls, it proves nothing
