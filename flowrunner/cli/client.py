"""Asks the daemon over its control socket: HTTP on a unix socket, one request per connection.

Finds the socket, turns a problem document back into the error it stands for, and says what to do
when nobody answers. What is asked for is the business of the commands.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from flowrunner.cli.errors import NoDaemonError, UsageError
from flowrunner.cli.host import Host
from flowrunner.errors import (
    AuthError,
    FlowError,
    NotFoundError,
    RefusedError,
    ValidationError,
)
from flowrunner.model.ids import Json

SOCKET_NAME = "control.sock"
USUAL_PLACES = (Path(".flowrunner", SOCKET_NAME), Path("/run/flowrunner", SOCKET_NAME))
"""Where a daemon started by hand here, and one started by systemd, have their socket."""

LONGEST_SOCKET_PATH = 107
"""Bytes. Source: unix(7), `sun_path` holds 108 with its terminating zero."""

LARGEST_ANSWER = 64 * 1024**2
"""Bytes that are read of an answer."""

_TIMEOUT_S = 60.0
_PROBE_TIMEOUT_S = 1.0
_LONGEST_SHOWN = 80
_START_HINT = "start one with `flowrunner serve`, or name its socket with --socket or --state"


class ControlClient:
    """Requests to one daemon.

    Args:
        path: Its control socket; a relative path is relative to the current folder.
        timeout_s: How long to wait for the socket to take or give the next bytes.
    """

    def __init__(self, path: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            raise UsageError(
                f"the path of the control socket is over {LONGEST_SOCKET_PATH} bytes: {path}",
                hint="reach it by a shorter path, such as a relative one, with --socket",
            )
        self._path = path
        self._timeout_s = timeout_s

    def get(self, path: str, query: Mapping[str, str | int | None] | None = None) -> Json:
        """Returns what is at an address.

        Args:
            path: Made with `address`.
            query: Parameters; those that are None are left out.

        Raises:
            UsageError: A parameter is no text.
            NoDaemonError: Nobody answers, or nobody that speaks as the daemon does.
            FlowError: What the daemon's problem document says.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        for value in given.values():
            _require_text(str(value))
        return self._request("GET", path + ("?" + urlencode(given) if given else ""), None)

    def post(self, path: str, body: Json = None) -> Json:
        """Sends a command and returns its answer; raises as `get`."""
        return self._request("POST", path, None if body is None else json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Json:
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = UnixConnection(self._path, self._timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            with connection.getresponse() as answer:
                content = answer.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _no_answer(self._path, error) from error
        finally:
            connection.close()
        document = self._parse(content)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _error_of(answer.status, document)
        return document

    def _parse(self, content: bytes) -> Json:
        if len(content) > LARGEST_ANSWER:
            most = LARGEST_ANSWER // 1024**2
            text = f"the answer on {self._path} is larger than {most} MiB, and was not read"
            raise FlowError(text, code="answer_too_large")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            text = f"what listens on {self._path} does not answer as a FlowRunner daemon"
            raise NoDaemonError(text, hint=_START_HINT) from error


def connect(args: argparse.Namespace, host: Host) -> ControlClient:
    """Returns a client for the daemon that the options of a command mean."""
    path = find_socket(socket_path=args.socket, state=args.state, environment=host.environment)
    return ControlClient(path)


def find_socket(
    *,
    socket_path: str | None,
    state: str | None,
    environment: Mapping[str, str],
    places: Sequence[Path] = USUAL_PLACES,
) -> str:
    """Returns the control socket: named, of a named state, of the environment, or where usual.

    Of several usual places it is the first where somebody listens: a killed daemon leaves its
    socket.

    Raises:
        NoDaemonError: It is named nowhere, and there is none in the usual places.
    """
    if socket_path:
        return socket_path
    if state:
        return str(Path(state, SOCKET_NAME))
    named = environment.get("FLOWRUNNER_SOCKET")
    if named:
        return named
    # Not Path.exists, which raises for a folder that we may not enter.
    found = [str(place) for place in places if os.path.exists(place)]  # noqa: PTH110
    if found:
        return next((path for path in found[:-1] if not _is_left_over(path)), found[-1])
    looked_at = " or ".join(map(str, places))
    raise NoDaemonError(f"there is no daemon: no socket at {looked_at}", hint=_START_HINT)


def _is_left_over(path: str) -> bool:
    """Whether nobody listens on a socket; whatever else is wrong with it is told by its use."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def address(*segments: str) -> str:
    """Returns a path of the API from its segments, each escaped.

    Raises:
        UsageError: One is no text: it was typed in bytes that are not UTF-8.
    """
    for segment in segments:
        _require_text(segment)
    return "".join("/" + quote(segment, safe="") for segment in segments)


def _require_text(word: str) -> None:
    """Refuses what an address cannot hold. Source: PEP 383, bytes are half surrogates in `str`."""
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{word[:_LONGEST_SHOWN]!r} is not UTF-8 text",
            hint="names of flows, accounts and nodes, and ids are plain ASCII",
        ) from error


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connects to the path instead of the host."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(self.timeout)
        try:
            made.connect(self._path)
        except BaseException:
            made.close()
            raise
        self.sock = made


def _no_answer(path: str, error: Exception) -> NoDaemonError:
    if isinstance(error, PermissionError):
        hint = "run the command as root, or as a member of the group of the daemon"
        return NoDaemonError(f"no permission to use the control socket {path}", hint=hint)
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return NoDaemonError(f"there is no daemon: nothing listens on {path}", hint=_START_HINT)
    if isinstance(error, TimeoutError):
        return NoDaemonError(f"the daemon on {path} does not answer", hint="look at its log")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    message = f"the connection to the daemon on {path} was lost: {reason}"
    return NoDaemonError(message, hint="look at its log, it may have stopped")


def _error_of(status: int, document: Json) -> FlowError:
    """Returns the error that a problem document stands for. Source: RFC 9457."""
    problem = document if isinstance(document, dict) else {}
    message = str(problem.get("detail") or f"the daemon answers with status {status}")
    code = str(problem.get("code") or "internal")
    match status:
        case HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.BAD_REQUEST:
            return ValidationError(message, code=code, findings=problem.get("findings") or ())
        case HTTPStatus.NOT_FOUND:
            return NotFoundError(message, code=code)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return AuthError(message, code=code)
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return FlowError(message, code=code)
        case _:
            return RefusedError(message, code=code)
