"""Signals and the service manager: draining, stopping, reloading, and what systemd is told."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, attempts_of, daemon, eventually
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, hook, push
from tests.system.flow_files import runs, says, write_flow

pytestmark = pytest.mark.system

HELD = 'while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done; echo the end'
"""A script that runs for as long as the file `hold` lies beside the flow."""
DEAF = """
    trap '' TERM
    echo deaf
    while :; do sleep 0.05; done
"""
"""A script that does not end when it is asked to."""
SLEEPY = {
    "FLOWRUNNER_SOURCE__DEBOUNCE": "1m",
    "FLOWRUNNER_SOURCE__DEBOUNCE_LIMIT": "1m",
    "FLOWRUNNER_SOURCE__RESYNC": "1d",
}
"""The environment of a daemon that would not look at its flows by itself for a minute."""


class NotifySocket:
    """What a service manager hears; the socket is read without waiting."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))
        self._heard: list[str] = []

    def heard(self) -> list[str]:
        """Returns all messages so far, in order."""
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self._heard

    def close(self) -> None:
        self._socket.close()


@contextmanager
def notify_socket(path: Path) -> Iterator[NotifySocket]:
    """Listens as systemd does."""
    manager = NotifySocket(path)
    try:
        yield manager
    finally:
        manager.close()


def wait_draining(running: RunningDaemon) -> None:
    eventually(lambda: "daemon.draining" in running.output, lambda: running.events)


def wait_printed(running: RunningDaemon, execution_id: str, word: str) -> None:
    eventually(lambda: word in running.logs(execution_id), lambda: running.events)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stop_lets_a_running_node_finish(
    flows: Path, state: Path, number: signal.Signals
) -> None:
    """SIGTERM and Ctrl-C drain: the node ends by itself, the daemon exits 0, the journal knows."""
    write_flow(flows, "slow", runs(f"echo begun; {HELD}"))
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("slow")
        wait_printed(running, execution_id, "begun")
        running.process.send_signal(number)
        wait_draining(running)
        assert running.execution(execution_id)["state"] == "running"
        (flows / "hold").unlink()
        assert running.stop() == 0

    with daemon(flows, state, env=OPEN) as running:
        assert running.execution(execution_id)["state"] == "succeeded"
        assert running.logs(execution_id) == "begun\nthe end\n"


def test_a_draining_daemon_says_how_far_it_is(flows: Path, state: Path, tmp_path: Path) -> None:
    """Systemd and whoever asks `/readyz` hear what runs and how long is waited for it."""
    write_flow(flows, "slow", runs(f"echo begun; {HELD}"))
    (flows / "hold").touch()

    with notify_socket(tmp_path / "notify") as manager:
        environment = {**OPEN, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with daemon(flows, state, env=environment) as running:
            wait_printed(running, running.start("slow"), "begun")
            running.process.send_signal(signal.SIGTERM)
            wait_draining(running)
            ready = running.request("/readyz")
            assert ready.status == 503
            assert "draining: 1 running, " in ready.text
            assert " s of 5m" in ready.text
            (flows / "hold").unlink()
            assert running.stop() == 0
        assert any(it.startswith("STATUS=draining: 1 running, 0 s of 5m") for it in manager.heard())


def test_a_draining_daemon_starts_nothing_and_keeps_what_is_queued(
    flows: Path, state: Path
) -> None:
    """New starts are refused, deliveries told to come back, the queue waits for the next start."""
    write_flow(flows, "slow", "concurrency: {limit: 1}\n", hook(), runs(f"echo begun; {HELD}"))
    (flows / "hold").touch()
    environment = {**OPEN, **SECRET_IN_ENVIRONMENT}

    with daemon(flows, state, env=environment) as running:
        first, second = running.start("slow"), running.start("slow")
        wait_printed(running, first, "begun")
        running.process.send_signal(signal.SIGTERM)
        wait_draining(running)
        refused = push(running, "slow/webhook", {})
        assert refused.status == 503
        assert "retry-after" in refused.headers
        assert running.command("run", "slow", check=False).returncode == 5
        (flows / "hold").unlink()
        assert running.stop() == 0

    with daemon(flows, state, env=environment) as running:
        assert running.execution(first)["state"] == "succeeded"
        assert running.ended(second)["state"] == "succeeded"
        assert len(running.executions("slow")) == 2


def test_a_node_that_outlives_the_drain_is_killed_and_journaled(flows: Path, state: Path) -> None:
    """After `drain_timeout` even a process deaf to SIGTERM ends, as `failed (interrupted)`."""
    write_flow(flows, "deaf", runs(DEAF, kill_after="500ms"))
    environment = {**OPEN, "FLOWRUNNER_ENGINE__DRAIN_TIMEOUT": "500ms"}

    with daemon(flows, state, env=environment) as running:
        execution_id = running.start("deaf")
        wait_printed(running, execution_id, "deaf")
        assert attempts_of(state)
        assert running.stop() == 0
        assert attempts_of(state) == []

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(execution_id)
        assert (execution["state"], execution["reason"]) == ("failed", "interrupted")
        assert execution["nodes"][0]["attempts"][0]["reason"] == "interrupted"


def test_a_client_that_keeps_its_connection_does_not_hold_the_stop(
    flows: Path, state: Path
) -> None:
    """A connection that is open but idle is closed, and the daemon exits 0."""
    with daemon(flows, state) as running:
        address = ("127.0.0.1", running.port)
        with socket.create_connection(address) as idle, socket.create_connection(address) as silent:
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
            assert running.stop() == 0
            assert silent.recv(1) == b""


def test_sighup_reads_the_flows_now(flows: Path, state: Path) -> None:
    """A reload does not wait for the watcher or the next resync."""
    write_flow(flows, "hello", says("one"))

    with daemon(flows, state, env=SLEEPY) as running:
        write_flow(flows, "hello", says("two"))
        running.process.send_signal(signal.SIGHUP)
        eventually(
            lambda: running.source()["last_pass"]["trigger"] == "signal", lambda: running.events
        )
        assert running.flow("hello")["generation"] == 2


def test_the_reconcile_command_reads_the_flows_now(flows: Path, state: Path) -> None:
    """A person need not wait either: the pass is asked for, or awaited with what it did."""
    write_flow(flows, "hello", says("one"))

    with daemon(flows, state, env=SLEEPY) as running:
        write_flow(flows, "hello", says("zero"))
        assert "requested" in running.command("reconcile").stdout
        eventually(lambda: running.flow("hello")["generation"] == 2, lambda: running.events)
        write_flow(flows, "hello", says("two"))
        assert "1 updated" in running.command("reconcile", "--wait").stdout
        assert running.flow("hello")["generation"] == 3
        (flows / "bad.yaml").write_text("a: b\n", encoding="utf-8")
        assert running.command("reconcile", "--wait", check=False).returncode == 3


def test_systemd_hears_ready_status_reloading_and_stopping_in_order(
    flows: Path, state: Path, tmp_path: Path
) -> None:
    """READY=1 once it serves, STATUS with the numbers, RELOADING until READY again, STOPPING=1."""
    write_flow(flows, "hello", says("one"))

    with notify_socket(tmp_path / "notify") as manager:
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with daemon(flows, state, env=environment) as running:
            eventually(lambda: any(it.startswith("STATUS=1 flows") for it in manager.heard()))
            running.process.send_signal(signal.SIGHUP)
            eventually(lambda: manager.heard().count("READY=1") == 2, manager.heard)
            assert running.stop() == 0

        heard = [message.partition("\n")[0] for message in manager.heard()]
        notices = [message for message in heard if not message.startswith("STATUS=")]
        assert notices == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_systemd_hears_that_the_daemon_works(flows: Path, state: Path, tmp_path: Path) -> None:
    """WATCHDOG=1 comes again and again, also while an attempt holds up the stop."""
    write_flow(flows, "slow", runs(f"echo begun; {HELD}"))
    (flows / "hold").touch()

    with notify_socket(tmp_path / "notify") as manager:
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        with daemon(flows, state, env={**OPEN, **environment}) as running:

            def pings() -> int:
                return manager.heard().count("WATCHDOG=1")

            eventually(lambda: pings() >= 3, manager.heard)
            wait_printed(running, running.start("slow"), "begun")
            running.process.send_signal(signal.SIGTERM)
            wait_draining(running)
            before = pings()
            eventually(lambda: pings() >= before + 3, manager.heard)
            (flows / "hold").unlink()
            assert running.stop() == 0


def test_nodes_do_not_inherit_what_systemd_gave_the_daemon(
    flows: Path, state: Path, tmp_path: Path
) -> None:
    """A node's environment is the documented one; it cannot speak to systemd for the daemon."""
    write_flow(flows, "env", runs("env"))

    with notify_socket(tmp_path / "notify"):
        environment = {**OPEN, "NOTIFY_SOCKET": str(tmp_path / "notify"), "STRAY": "from-the-host"}
        with daemon(flows, state, env=environment) as running:
            execution_id = running.start("env")
            running.ended(execution_id)
            names = {line.partition("=")[0] for line in running.logs(execution_id).splitlines()}

    documented = (
        "PATH HOME USER LOGNAME SHELL LANG FLOW_NAME EXECUTION_ID NODE_ID ATTEMPT SLOT_AT "
        "HOST_NAME WORK_DIR FLOW_DIR TMPDIR FLOW_OUTPUT"
    )
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == set(documented.split())
