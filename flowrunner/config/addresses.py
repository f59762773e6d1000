"""Where the server listens: a port of an address, or a unix socket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from flowrunner.config.kinds import BadValueError, Kind, printable, quote
from flowrunner.model.ids import Json

Key: TypeAlias = tuple[str, ...]
"""A setting: the sections it stands in, and its name."""

LONGEST_SOCKET_PATH = 107
"""Bytes. Source: unix(7), `sun_path` holds 108 with its terminating zero."""

UNIX = "unix:"
"""What the address of a unix socket begins with, as with nginx and curl."""

SocketAccess = Literal["owner", "group", "everyone"]
"""Who may connect to a unix socket."""

_HIGHEST_PORT = 65_535
_PORT = re.compile(r"[0-9]{1,5}")
_HINT = (
    "write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080, port 0 takes a free one; "
    "or unix:/PATH"
)


class ListenAddress(NamedTuple):
    """An address and a port; port 0 lets the system choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: 127.0.0.0/8, ::1 or localhost."""
        if self.host.lower() == "localhost":
            return True
        try:
            address = ip_address(self.host)
        except ValueError:
            return False
        # Python releases disagree on mapped addresses (::ffff:127.0.0.1): these are refused.
        is_ipv4 = isinstance(address, IPv4Address)
        return address.is_loopback if is_ipv4 else address == IPv6Address("::1")


class UnixAddress(NamedTuple):
    """A unix socket; its path is absolute."""

    path: Path

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: always."""
        return True


Address: TypeAlias = ListenAddress | UnixAddress
"""Anything that can be listened on."""


def listen_address(*, nullable: bool = False) -> Kind:
    """An address to listen on; which hosts are allowed is the loader's question."""

    def parse(value: Json, _folder: Path) -> Address:
        if not isinstance(value, str):
            text = f"{quote(value)} is not HOST:PORT"
            raise BadValueError(text, code="settings.type", hint=_HINT)
        return _unix(value) if value.startswith(UNIX) else _tcp(value)

    return Kind(
        parse=parse,
        render=lambda address: None if address is None else printable(str(address)),
        schema={
            "type": ["string", "null"] if nullable else "string",
            "pattern": "^(unix:/.+|.+:[0-9]{1,5})$",
        },
        nullable=nullable,
    )


def check_socket_path(path: Path, key: str) -> None:
    """Refuses a path that the kernel has no room for; raises `BadValueError`."""
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        raise BadValueError(
            f"the path has {length} bytes, at most {LONGEST_SOCKET_PATH} work: {quote(str(path))}",
            code="settings.path",
            hint=f"set {key} to a shorter path, such as one below /run",
        )


def shared_sockets(sockets: Mapping[Key, Any]) -> Iterator[tuple[Key, BadValueError]]:
    """Yields each setting that names the unix socket of one before it, and what is wrong with that.

    Args:
        sockets: Setting → its address or path; what is no unix socket is passed over.
    """
    taken: dict[str, Key] = {}
    for key, address in sockets.items():
        path = address.path if isinstance(address, UnixAddress) else address
        if not isinstance(path, Path):
            continue
        other = taken.setdefault(os.path.realpath(path), key)
        if other != key:
            text = f"{quote(str(path))} is the socket of {'.'.join(other)}, too"
            yield key, BadValueError(text, hint="give each its own path")


def _tcp(value: str) -> ListenAddress:
    host, _, port = value.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    well_formed = _is_ipv6(host) if is_bracketed else host and ":" not in host
    if not well_formed or not _PORT.fullmatch(port) or int(port) > _HIGHEST_PORT:
        raise BadValueError(f"{quote(value)} is not HOST:PORT", hint=_HINT)
    return ListenAddress(host, int(port))


def _unix(value: str) -> UnixAddress:
    """Returns a unix socket; a relative path or an abstract name (`unix:@x`) is refused.

    The file is what says who may connect, and an abstract name has none. Source: unix(7).
    """
    path = value.removeprefix(UNIX)
    if not path.startswith("/") or "\0" in path:
        hint = "write the path from /, for example unix:/run/flowrunner-http/http.sock"
        raise BadValueError(f"{quote(value)} names no file", code="settings.path", hint=hint)
    return UnixAddress(Path(path))


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True
