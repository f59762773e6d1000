"""What the service manager is told: ready, status, stopping, reloading, and that we are alive.

Source: sd_notify(3). Datagrams are written by hand: the protocol is one address and lines of
``KEY=VALUE``. Without ``NOTIFY_SOCKET`` in the environment nothing is sent.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Mapping
from typing import Protocol

_log = logging.getLogger(__name__)

_SEND_TIMEOUT_S = 1.0
_STATUS_LIMIT = 1_000
_MICROSECONDS = re.compile("[0-9]{1,18}")


class Notifier(Protocol):
    """Tells the service manager where the daemon stands; never raises."""

    def ready(self) -> None:
        """Says that the start, or a reload, is complete."""

    def status(self, text: str) -> None:
        """Says in one line, for people, what the daemon is at; cut at 1,000 characters."""

    def stopping(self) -> None:
        """Says that the daemon has begun to stop."""

    def reloading(self, monotonic_us: int) -> None:
        """Says that a reload has begun, at this CLOCK_MONOTONIC in µs; `ready` ends it."""

    def watchdog(self) -> None:
        """Says that the daemon works."""


class NoNotifier:
    """Tells nobody: the daemon was not started by a service manager."""

    def ready(self) -> None:
        """Does nothing."""

    def status(self, text: str) -> None:
        """Does nothing."""

    def stopping(self) -> None:
        """Does nothing."""

    def reloading(self, monotonic_us: int) -> None:
        """Does nothing."""

    def watchdog(self) -> None:
        """Does nothing."""


class SystemdNotifier:
    """Sends datagrams to the socket that the service manager named.

    A first failure is logged, later ones are silent: the daemon works without being heard.
    A send waits at most one second for room in the receiver's queue.

    Args:
        address: An absolute path, or ``@`` and a name in the abstract namespace.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._failed = False

    def ready(self) -> None:
        """Sends ``READY=1``."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Sends ``STATUS=``, with line breaks replaced by spaces."""
        self._send("STATUS=" + " ".join(text.split())[:_STATUS_LIMIT])

    def stopping(self) -> None:
        """Sends ``STOPPING=1``."""
        self._send("STOPPING=1")

    def reloading(self, monotonic_us: int) -> None:
        """Sends ``RELOADING=1`` with ``MONOTONIC_USEC=``, which newer systemd asks for."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def watchdog(self) -> None:
        """Sends ``WATCHDOG=1``."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(_SEND_TIMEOUT_S)
                channel.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._failed:
                self._failed = True
                _log.warning("notify_failed", extra={"notice": message, "error": str(error)})


def make_notifier(environ: Mapping[str, str]) -> Notifier:
    """Makes the notifier that the environment asks for through ``NOTIFY_SOCKET``."""
    address = environ.get("NOTIFY_SOCKET", "")
    return SystemdNotifier(address) if address.startswith(("/", "@")) else NoNotifier()


def watchdog_patience_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Returns after how many seconds without a ping the service manager acts, or None for never.

    Source: sd_watchdog_enabled(3), ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, which must be ours.
    """
    text = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    microseconds = int(text) if _MICROSECONDS.fullmatch(text) else 0
    return microseconds / 1_000_000 if microseconds and is_ours else None
