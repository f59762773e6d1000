"""Sends one delivery to a hook: nothing is followed, and nothing leaves the host unasked."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from flowrunner.cli.client import UnixConnection
from flowrunner.cli.errors import NoDaemonError, UsageError
from flowrunner.dataclass import dataclass

UNIX = "unix:"
"""Begins the address of a listener that is a unix socket."""

LONGEST_ANSWER = 1024**2
"""Bytes that are read of an answer."""

_ADDRESS = re.compile(r"[\x21-\x7e]+")
"""All that a request line may hold; others are percent-encoded. Source: RFC 3986, section 2."""

_TIMEOUT_S = 330.0
"""Longer than a hook with `respond: wait` may take: 5 minutes."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a delivery goes.

    Attributes:
        url: Taken apart; `http` or `https` with a host.
        is_local: Whether it stays on this host.
        is_of_daemon: Whether the daemon gave the address, so that it is known who answers there.
        socket_path: Of the unix socket that it goes over instead; empty for none.
    """

    url: SplitResult
    is_local: bool
    is_of_daemon: bool
    socket_path: str = ""

    @property
    def is_in_clear(self) -> bool:
        """Whether others on the way could read what is sent."""
        return not self.is_local and self.url.scheme == "http"


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What came back; `body` at most `LONGEST_ANSWER` bytes."""

    status: int
    reason: str
    body: bytes


def target_of(url: str, *, is_of_daemon: bool, may_leave: bool) -> Target:
    """Returns where a delivery goes.

    Raises:
        UsageError: It is no address, or it leads off this host and that was not asked for.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_plain = _ADDRESS.fullmatch(url) is not None and parts.username is None
    if parts.scheme not in ("http", "https") or not host or not is_plain:
        hint = "such as https://ci.example.org/hooks/default/site/push, percent-encoded"
        raise UsageError(f"{url[:80]!r} is not the address of a hook", hint=hint)
    is_local = _is_loopback(host)
    if not is_local and not may_leave:
        text = f"{host} is not this host, and a delivery proves itself with a secret"
        raise UsageError(text, hint="--off-host sends it there all the same")
    return Target(parts, is_local, is_of_daemon)


def unix_target(listener: str, place: str) -> Target:
    """Returns where a delivery goes that takes the daemon's own unix socket for hooks."""
    url = urlsplit(f"http://localhost{place}")
    return Target(url, is_local=True, is_of_daemon=True, socket_path=listener.removeprefix(UNIX))


def post(target: Target, method: str, headers: Mapping[str, str], body: bytes) -> HookAnswer:
    """Sends a delivery and returns the answer; a redirect is an answer.

    Raises:
        NoDaemonError: Nobody answers there.
    """
    url = target.url
    connection = _connection(target)
    place = url.path + (f"?{url.query}" if url.query else "")
    try:
        connection.request(method, place or "/", body=body, headers=dict(headers))
        with connection.getresponse() as answer:
            return HookAnswer(answer.status, answer.reason, answer.read(LONGEST_ANSWER))
    except (OSError, http.client.HTTPException) as error:
        where = target.socket_path or f"{url.scheme}://{url.netloc}"
        text = f"no answer from {where}: {error}"
        raise NoDaemonError(text, hint="does the daemon listen there? --url says where") from error
    finally:
        connection.close()


def _connection(target: Target) -> http.client.HTTPConnection:
    if target.socket_path:
        return UnixConnection(target.socket_path, _TIMEOUT_S)
    host, port = target.url.hostname or "", target.url.port
    if target.url.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()
    if target.is_local and target.is_of_daemon:
        # Its certificate is for the name that others know it by. Nobody else can listen there.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
