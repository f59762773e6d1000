"""Rows 5 and 6: deliveries to a real daemon, in a process of its own, from a third process.

The steady rows are taken while each delivery is executed as well. How many can be accepted is
measured with executions that wait in the queue, since row 7 tells how many can be carried; and
once more while they are carried, which costs more than to accept them.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.disk import DISK
from benchmarks.hook_load import request
from benchmarks.restarts import Started

SECRET = "secret"
STEADY_RATE = 200
_STEADY_COUNT, _STEADY_CONNECTIONS = 1_000, 16
_BURST_COUNT, _BURST_CONNECTIONS = 3_000, 32
_WARM_COUNT = 500
_CALM_S = 0.1
"""Between two deliveries of row 6 the daemon has nothing to do."""
_HELD = 12
"""Flows whose queues fill, one in each round: a queue has 10,000 places."""
_HOLDS = "type: wait, params: {for: 1d}"
_HERE = Path(__file__).resolve().parent
_FLOW = """\
version: 1
name: {name}
triggers:
  - type: webhook
    auth: {{type: github, secret: BENCH}}
concurrency: {{limit: {limit}, queue_limit: 10000}}
nodes:
  - {{id: only, {node}}}
"""
PATH = "/hooks/default/{}/webhook"


class Hooked:
    """A daemon with hooks.

    Those of `noop` are carried at once; `told` has a process that writes into a pipe; of each
    `held` the first delivery holds the place for which all others wait.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=DISK)
        root = Path(self._folder.name)
        (root / "flows").mkdir()
        os.mkfifo(root / "pipe")
        self._pipe = os.open(root / "pipe", os.O_RDWR)
        told = f"run: echo > {root}/pipe"
        flows = [("noop", "type: noop", 1_000), ("told", told, 1_000)]
        flows += [(f"held-{number}", _HOLDS, 1) for number in range(_HELD)]
        for name, node, limit in flows:
            text = _FLOW.format(name=name, node=node, limit=limit)
            (root / "flows" / f"{name}.yaml").write_text(text)
        self._turn = 0
        secret = {"FLOWRUNNER_SECRET_BENCH": SECRET}
        self._daemon = Started(root / "flows", root / "state", secret)
        try:
            self._daemon.wait_ready()
            self._load(_WARM_COUNT, _BURST_CONNECTIONS, 0)
            self.until_process_s()
        except BaseException:
            self.close()
            raise

    def median_s(self) -> float:
        """Returns the median of what a delivery takes at the steady rate."""
        return statistics.median(self._steady())

    def p99_s(self) -> float:
        """Returns the 99th percentile of what a delivery takes at the steady rate."""
        return _p99(self._steady())

    def burst_s(self) -> float:
        """Returns the seconds for each of many deliveries, as fast as they are accepted."""
        self._turn += 1
        path = PATH.format(f"held-{self._turn % _HELD}")
        return self._load(_BURST_COUNT, _BURST_CONNECTIONS, 0, path)[0] / _BURST_COUNT

    def carried_s(self) -> float:
        """Returns the same while each is executed as well."""
        return self._load(_BURST_COUNT, _BURST_CONNECTIONS, 0)[0] / _BURST_COUNT

    def until_process_s(self) -> float:
        """Returns the seconds from a POST to the first breath of the node's process."""
        time.sleep(_CALM_S)
        sent = request(PATH.format("told"), SECRET)
        with socket.create_connection(("127.0.0.1", self._daemon.port)) as line:
            began = time.perf_counter()
            line.sendall(sent)
            os.read(self._pipe, 1)
            return time.perf_counter() - began

    def close(self) -> None:
        """Ends the daemon and removes what it left."""
        self._daemon.stop()
        os.close(self._pipe)
        self._folder.cleanup()

    def _steady(self) -> list[float]:
        return self._load(_STEADY_COUNT, _STEADY_CONNECTIONS, STEADY_RATE)[1]

    def _load(
        self, count: int, connections: int, rate: int, path: str = PATH.format("noop")
    ) -> tuple[float, list[float]]:
        return load(self._daemon.port, path, count=count, connections=connections, rate=rate)


class Floor:
    """The blocks alone; see `benchmarks/hook_floor.py`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=DISK)
        command = [sys.executable, str(_HERE / "hook_floor.py"), self._folder.name]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._server.stdout
        self._port = int(self._server.stdout.readline())
        self._load(_WARM_COUNT, _BURST_CONNECTIONS, 0)

    def median_s(self) -> float:
        """Returns the median of what a delivery takes at the steady rate."""
        return statistics.median(self._load(_STEADY_COUNT, _STEADY_CONNECTIONS, STEADY_RATE)[1])

    def p99_s(self) -> float:
        """Returns the 99th percentile of what a delivery takes at the steady rate."""
        return _p99(self._load(_STEADY_COUNT, _STEADY_CONNECTIONS, STEADY_RATE)[1])

    def burst_s(self) -> float:
        """Returns the seconds for each of many deliveries, as fast as they are taken."""
        return self._load(_BURST_COUNT, _BURST_CONNECTIONS, 0)[0] / _BURST_COUNT

    def close(self) -> None:
        """Ends it and removes what it wrote."""
        self._server.kill()
        self._server.communicate()
        self._folder.cleanup()

    def _load(self, count: int, connections: int, rate: int) -> tuple[float, list[float]]:
        return load(self._port, "/", count=count, connections=connections, rate=rate)


def spawn_s() -> float:
    """Returns the seconds until a shell of its own has written into a pipe."""
    reader, writer = os.pipe()
    try:
        began = time.perf_counter()
        command = ["/bin/sh", "-e", "-c", f"echo >&{writer}"]
        with subprocess.Popen(command, pass_fds=[writer]):
            os.read(reader, 1)
            return time.perf_counter() - began
    finally:
        os.close(reader)
        os.close(writer)


def load(
    port: int, path: str, *, count: int, connections: int, rate: int
) -> tuple[float, list[float]]:
    """Returns the seconds of all deliveries and of each; every one must be accepted."""
    words = [str(word) for word in (port, path, SECRET, count, connections, rate)]
    command = [sys.executable, str(_HERE / "hook_load.py"), *words]
    done = subprocess.run(command, check=True, capture_output=True)
    found = json.loads(done.stdout)
    refused = [status for status in found["status"] if status != 202]
    if refused:
        raise RuntimeError(f"{len(refused)} of {count} were not accepted: {set(refused)}")
    return found["seconds"], found["took"]


def _p99(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=100)[98]
