"""The sockets to listen on: bound at once or refused with a reason, before anything is started."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowrunner.errors import FlowError
from flowrunner.web.context import UNIX_UID_PREFIX
from flowrunner.web.held import Listener

_BACKLOG = 128
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what was bound, not binding
"""Addresses that stand for all of a host, and the one among them that only it has."""
_PROBE_TIMEOUT_S = 1.0
_TURN_TIMEOUT_S = 1.0
_TURN_POLL_S = 0.01
_LONGEST_UNIX_PATH = 107
"""Bytes; one more would not fit with its end mark. Source: unix(7), `sun_path`."""


_UCRED = struct.Struct("iII")
"""pid, uid, gid. Source: unix(7), `SO_PEERCRED`."""


class UnixListener(Listener):
    """A unix socket that listens, and knows the file that was made for it.

    Attributes:
        path: Where the file was put.
        file: Device and inode of it; None before it is bound.
    """

    path: Path
    file: tuple[int, int] | None = None

    def bind_file(self, path: Path) -> None:
        """Binds it, and remembers the file that this makes."""
        self.bind(os.fspath(path))
        self.path, self.file = path, _identity(path)

    def remove_file(self) -> None:
        """Removes the file, unless it is gone, or another one has its place."""
        with suppress(OSError):
            if self.file is not None and _identity(self.path) == self.file:
                self.path.unlink()


def bind_tcp(host: str, port: int) -> Listener:
    """Returns a socket that listens.

    Args:
        host: An IPv4 or IPv6 address, or `localhost`, which means 127.0.0.1.
        port: 0 takes a free one.

    Raises:
        FlowError: ``port_in_use``, or ``bind_failed`` for everything else.
    """
    address = "127.0.0.1" if host.lower() == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        made = socket.create_server((address, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} on {host} is in use; stop what listens there or choose another"
            raise FlowError(text, code="port_in_use") from error
        text = f"cannot listen on {host} port {port}: {error.strerror or error}"
        raise FlowError(text, code="bind_failed") from error
    bound = Listener(fileno=made.detach())
    # Connections take this over. asyncio would set it only on sockets that were made with the
    # number of TCP, and without it the second half of an answer waits up to 40 ms for the client.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def bind_unix(
    path: Path, mode: int = 0o660, *, setting: str = "server.control_socket"
) -> UnixListener:
    """Returns a unix socket that listens; its folder must exist.

    A socket file that nobody answers on is left over from a crash and is replaced. Nothing else
    is ever removed. Daemons that bind in one folder at the same moment take turns, so that none
    takes the socket of another for a left-over before it listens.

    Args:
        path: Where to put it.
        mode: Who may connect: who may write the file.
        setting: What says the path, for messages.

    Raises:
        FlowError: ``socket_path`` for a path over 107 bytes, ``socket_in_use`` when somebody
            answers on it, ``bind_failed`` for everything else.
    """
    if len(os.fsencode(path)) > _LONGEST_UNIX_PATH:
        text = f"the path of the socket is over {_LONGEST_UNIX_PATH} bytes: {path}"
        raise FlowError(f"{text}; set {setting} to a shorter one", code="socket_path")
    try:
        with _turn_in(path.parent):
            _remove_stale(path)
            return _listen(path, mode)
    except OSError as error:
        hint = "; its folder must be there" if isinstance(error, FileNotFoundError) else ""
        text = f"cannot listen on {path}: {error.strerror or error}{hint}"
        raise FlowError(text, code="bind_failed") from error


def remove_unix(bound: socket.socket) -> None:
    """Removes the file of a unix socket that still listens; other sockets have none.

    Before it is closed: as long as it listens nobody else takes the path, unless somebody has
    removed the file. Then the one that is there is another daemon's, and stays.
    """
    if isinstance(bound, UnixListener):
        bound.remove_file()


def address_of(bound: socket.socket, *, tls: bool = False) -> str:
    """Returns where a socket listens: `http://127.0.0.1:8080`, or `unix:/run/control.sock`."""
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{name}"
    return _url(*name[:2], tls=tls)


def local_address_of(bound: socket.socket, *, tls: bool = False) -> str:
    """Returns where a process of this machine reaches a socket, by loopback if it can."""
    if bound.family == socket.AF_UNIX:
        return address_of(bound)
    host, port = bound.getsockname()[:2]
    return _url(_LOOPBACK.get(host, host), port, tls=tls)


def _url(host: str, port: int, *, tls: bool) -> str:
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@contextmanager
def _turn_in(folder: Path) -> Iterator[None]:
    """Holds the folder's lock; after a while without it goes on: others can hold it for ever."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _TURN_TIMEOUT_S
        while not _has_lock(opened) and time.monotonic() < deadline:
            time.sleep(_TURN_POLL_S)
        yield
    finally:
        os.close(opened)


def _has_lock(opened: int) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _listen(path: Path, mode: int) -> UnixListener:
    made = UnixListener(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind_file(path)
        path.chmod(mode)  # before it listens, so that nobody connects under another mode
        made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FlowError(f"{path} exists and is no socket", code="bind_failed")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_TIMEOUT_S)
            probe.connect(os.fspath(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except TimeoutError:
        pass  # somebody listens and is too busy to answer
    raise FlowError(f"another daemon answers on {path}", code="socket_in_use")


def unix_peer(channel: socket.socket) -> tuple[str, int] | None:
    """Returns user and process at the other end of a unix socket; None for any other."""
    if channel.family != socket.AF_UNIX:
        return None
    pid, uid, _ = _UCRED.unpack(
        channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    return f"{UNIX_UID_PREFIX}{uid}", pid
