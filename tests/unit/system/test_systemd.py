"""What the service manager hears, over a real datagram socket."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrunner.system.systemd import (
    NoNotifier,
    SystemdNotifier,
    make_notifier,
    watchdog_patience_s,
)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The receiving end, with the address as it stands in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        if request.param == "path":
            address = str(tmp_path / "notify")
            receiver.bind(address)
        else:
            receiver.bind("")  # the kernel chooses a free abstract name
            address = "@" + receiver.getsockname()[1:].decode()
        receiver.settimeout(10)
        yield receiver, address


def test_each_message_is_one_datagram_of_the_protocol(
    manager: tuple[socket.socket, str],
) -> None:
    """The manager hears the words of sd_notify(3), one message at a time."""
    receiver, address = manager
    notifier = make_notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("12 flows\n2 running")
    notifier.reloading(123_456)
    notifier.stopping()
    notifier.watchdog()
    assert [receiver.recv(4096) for _ in range(5)] == [
        b"READY=1",
        b"STATUS=12 flows 2 running",
        b"RELOADING=1\nMONOTONIC_USEC=123456",
        b"STOPPING=1",
        b"WATCHDOG=1",
    ]


def test_a_status_cannot_carry_other_assignments(manager: tuple[socket.socket, str]) -> None:
    """A line break in a text from outside does not become a message of its own."""
    receiver, address = manager
    SystemdNotifier(address).status("x\nREADY=1")
    assert receiver.recv(4096) == b"STATUS=x READY=1"


def test_a_status_is_cut(manager: tuple[socket.socket, str]) -> None:
    """A long text does not become a datagram that the manager refuses."""
    receiver, address = manager
    SystemdNotifier(address).status("x" * 100_000)
    assert len(receiver.recv(200_000)) == len("STATUS=") + 1_000


def test_a_manager_that_is_gone_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on without being heard, and its log is not flooded."""
    notifier = SystemdNotifier(str(tmp_path / "gone"))
    with caplog.at_level(logging.WARNING):
        notifier.ready()
        notifier.stopping()
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "environ",
    [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}],
    ids=["unset", "empty", "unsupported"],
)
def test_without_a_usable_address_nobody_is_told(environ: dict[str, str]) -> None:
    """Outside of systemd the daemon runs the same code and sends nothing."""
    notifier = make_notifier(environ)
    assert isinstance(notifier, NoNotifier)
    notifier.ready()
    notifier.status("")
    notifier.reloading(0)
    notifier.stopping()
    notifier.watchdog()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, None, id="unset"),
        pytest.param({"WATCHDOG_USEC": "30000000"}, 30.0, id="set"),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0, id="ours"),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None, id="of-another"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="off"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="no-number"),
    ],
)
def test_the_watchdog_is_asked_for_in_the_environment(
    environ: dict[str, str], expected: float | None
) -> None:
    """Only the process that systemd means pings it."""
    assert watchdog_patience_s(environ, 7) == expected
