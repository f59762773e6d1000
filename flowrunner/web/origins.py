"""Where a request comes from: this machine, another one, or through a proxy.

A proxy makes every caller look like one on this machine. So a request that was passed on, or that
comes from a trusted proxy, is never taken for a local one; whose it is, is believed only from the
proxies that the settings name. A unix socket has no addresses: whoever its file lets connect is of
this machine, and all that is passed on through it counts as one caller unless it is trusted.
Source: RFC 7239, section 8.1; MDN, "X-Forwarded-For".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeVar

from starlette.datastructures import Headers
from starlette.types import Scope

from flowrunner.config.network_kinds import Proxy
from flowrunner.web.context import Origin, unix_peer_of

_PEERS = 1_000
"""Peers whose addresses are kept in mind: each sends many requests, and to read one takes time."""

Address = IPv4Address | IPv6Address
T = TypeVar("T")

_FORWARDING = frozenset({b"forwarded", b"via", b"x-real-ip"})
_FORWARDING_PREFIX = b"x-forwarded-"
_FORWARDED_FOR = "x-forwarded-for"
_HOPS = 20
"""Addresses of `X-Forwarded-For` that are looked at, from the nearest on."""

UNIX = "unix"
"""Under what callers behind a unix socket are counted together."""

_NEIGHBOURHOOD = 64
"""Bits of an IPv6 address that one customer has for himself. Source: RFC 6177."""


class _Peer(NamedTuple):
    """Whose the requests of a peer are that is believed nothing."""

    itself: Origin
    passing_on: Origin


_NOBODY = Origin(address="", is_local=False, source="")


class Proxies:
    """The proxies whose word about their callers is believed.

    Args:
        trusted: Their addresses and networks; `unix` for whoever may connect to a unix socket.
    """

    def __init__(self, trusted: Iterable[Proxy] = ()) -> None:
        trusted = tuple(trusted)
        self._trusted = tuple(each for each in trusted if not isinstance(each, str))
        self._trusts_unix = UNIX in trusted
        self._peer = lru_cache(maxsize=_PEERS)(self._seen)

    def origin_of(self, scope: Scope) -> Origin:
        """Returns who asks."""
        client, is_forwarded = scope.get("client"), _is_forwarded(scope)
        if unix_peer_of(scope) is not None:
            return self._behind_unix(Headers(scope=scope), is_forwarded=is_forwarded)
        if client is None:
            return _NOBODY
        peer = self._peer(client[0])
        if not isinstance(peer, _Peer):
            said = Headers(scope=scope).getlist(_FORWARDED_FOR)
            return _origin(self._caller(peer, said), is_local=False)
        return peer.passing_on if is_forwarded else peer.itself

    def source_of(self, host: str) -> str | None:
        """Returns under what the connections of a peer are counted.

        None for one of this machine, and for a proxy that is believed: its callers are many.
        """
        peer = self._peer(host)
        if not isinstance(peer, _Peer) or peer.itself.is_local:
            return None
        return peer.itself.source or None

    def _seen(self, host: str) -> _Peer | Address:
        """Returns who a peer is, or the address of one that is believed about its callers."""
        address = _address(host)
        if address is None:
            return _Peer(_NOBODY, _NOBODY)
        if self._trusts(address):
            return address
        itself = _origin(address, is_local=address.is_loopback)
        return _Peer(itself, replace(itself, is_local=False))

    def _behind_unix(self, headers: Headers, *, is_forwarded: bool) -> Origin:
        if not self._trusts_unix:
            return Origin(address="", is_local=not is_forwarded, source=UNIX)
        caller = self._caller(None, headers.getlist(_FORWARDED_FOR))
        if caller is None:
            return Origin(address="", is_local=False, source=UNIX)
        return _origin(caller, is_local=False)

    def _caller(self, peer: T, said: list[str]) -> Address | T:
        """Returns what the outermost trusted proxy saw: each adds its caller at the end."""
        caller: Address | T = peer
        hops = [hop for value in said for hop in value.split(",")]
        for hop in reversed(hops[-_HOPS:]):
            address = _address(_without_port(hop.strip()))
            if address is None:
                break
            caller = address
            if not self._trusts(address):
                break
        return caller

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _origin(address: Address, *, is_local: bool) -> Origin:
    source = str(address)
    if isinstance(address, IPv6Address):
        source = str(IPv6Network((address, _NEIGHBOURHOOD), strict=False))
    return Origin(address=str(address), is_local=is_local, source=source)


def _is_forwarded(scope: Scope) -> bool:
    """Whether a proxy has left its mark; ASGI hands names over as bytes in lower case."""
    for name, _ in scope["headers"]:
        if name in _FORWARDING or name.startswith(_FORWARDING_PREFIX):
            return True
    return False


def _address(text: str) -> Address | None:
    """Returns an address; an IPv4 one within IPv6 as what it is, None for other text."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _without_port(text: str) -> str:
    """Returns the address of `192.0.2.1:80`, `[2001:db8::1]:80` or of one without a port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
