"""Authentication: who asks, what that caller may see, and whether the address wants more.

A bearer token opens exactly what it says. Without one a caller's right comes from being on this
machine, so two things are judged besides the route table: what a proxy passed on is not of this
machine (`flowrunner.web.origins`), and a `Host` that is not a name of this machine is refused,
because a web page can make a browser send requests here under a name of its own (DNS rebinding),
though never with a token. Public addresses rest on neither. Hooks are public here and authenticate
in their handler, over the raw body.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from http import HTTPStatus
from ipaddress import AddressValueError, IPv4Address, ip_address
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.errors import AuthError, NotFoundError
from flowrunner.web.callers import SCOPE_FOR, Access
from flowrunner.web.context import origin_of, set_caller, set_match
from flowrunner.web.problem import HttpError
from flowrunner.web.routing import EVERYONE, OPERATOR, Caller, Right, RouteTable

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")
_LOCAL_NAMES = frozenset({"localhost", "[::1]"})
_BEARER = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)
"""Source: RFC 6750, section 2.1; RFC 9110, section 11.1: the scheme has no case."""


class LocalHosts:
    """The names under which this machine may be addressed.

    Args:
        also: Further host names or addresses, an IPv6 address in brackets, in lower case. One that
            stands for all addresses (`0.0.0.0`) names none: browsers take it for this machine.
    """

    def __init__(self, also: frozenset[str] = frozenset()) -> None:
        self._names = _LOCAL_NAMES | {name for name in also if not _is_unspecified(name)}

    def include(self, values: list[str]) -> bool:
        """Whether the `Host` headers of a request are one header that names this machine."""
        found = _HOST.fullmatch(values[0].lower()) if len(values) == 1 else None
        if found is None:
            return False
        name = found["name"]
        return name in self._names or _is_ipv4_loopback(name)


class FindsCallers(Protocol):
    """Tells who asks."""

    def caller_of(self, scope: Scope) -> Caller:
        """Returns who asks; raises `AuthError` or `HttpError` for a wrong proof."""

    def refused(self, reason: str) -> None:
        """Learns that a caller lacks a right."""


class SocketCallers:
    """The callers of the control socket: whoever got so far may see everything."""

    def caller_of(self, scope: Scope) -> Caller:
        """Returns the operator; nobody for what a proxy passed on."""
        return OPERATOR if origin_of(scope).is_local else EVERYONE

    def refused(self, reason: str) -> None:
        """Counts nothing: a proxy before the control socket is a mistake, no attack."""


class NetworkCallers:
    """The callers of the network listener.

    Args:
        access: The rules and the tokens.
        hosts: The names that `Host` may have where no token is shown.
    """

    def __init__(self, access: Access, hosts: LocalHosts) -> None:
        self._access = access
        self._hosts = hosts

    def caller_of(self, scope: Scope) -> Caller:
        """Returns who asks.

        Raises:
            AuthError: ``auth.invalid``: a wrong or expired token.
            HttpError: ``http.misdirected`` (421), ``http.rate`` (429).
        """
        headers, origin = Headers(scope=scope), origin_of(scope)
        presented = _presented(headers.getlist("authorization"))
        if presented is not None:
            return self._access.bearer(presented, origin)
        if not origin.is_local:
            return EVERYONE
        if not self._hosts.include(headers.getlist("host")):
            raise HttpError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host header does not name this machine; use localhost or a loopback address",
                code="http.misdirected",
            )
        return self._access.local()

    def refused(self, reason: str) -> None:
        """Counts it."""
        self._access.counts.access_refused(reason)


class Authentication:
    """Matches the request with the table and lets it pass only with the right it needs.

    Args:
        table: All addresses of this listener.
        callers: Tells who asks; not asked for public addresses.
    """

    def __init__(self, app: ASGIApp, *, table: RouteTable, callers: FindsCallers) -> None:
        self._app = app
        self._table = table
        self._callers = callers

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on with its match and its caller.

        Raises:
            HttpError: ``http.misdirected`` (421), ``http.method`` (405), ``http.rate`` (429).
            AuthError: ``auth.missing``, ``auth.invalid`` or ``auth.scope``: the address needs a
                right the caller does not have.
            NotFoundError: ``not_found``: the table has no such address.
        """
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        match = self._table.match(scope["path"])
        needed = Right.READ if match is None else match.route.right
        caller = EVERYONE if needed is Right.PUBLIC else self._callers.caller_of(scope)
        set_caller(scope, caller)
        if needed not in caller.rights:
            raise self._refusal(caller, needed)
        if match is None:
            raise NotFoundError("there is nothing at this address")
        if not match.route.allows(scope["method"]):
            raise _wrong_method(match.route.allowed)
        set_match(scope, match)
        return self._app(scope, receive, send)

    def _refusal(self, caller: Caller, needed: Right) -> AuthError:
        if caller.token:
            self._callers.refused("scope")
            text = f"the token {caller.token} has not the scope {SCOPE_FOR[needed]}"
            return AuthError(text, code="auth.scope")
        self._callers.refused("missing")
        text = "this needs a token (Authorization: Bearer TOKEN), or a caller on this machine"
        if caller.rights > EVERYONE.rights:
            text = (
                "this needs full rights: ask through the control socket, show a token with the "
                "scope data, or set auth.local to open"
            )
        return AuthError(text, code="auth.missing")


def _presented(values: list[str]) -> str | None:
    """Returns the token that was shown; empty for one that cannot be, None for none.

    Another scheme is none of ours: proxies that ask for passwords pass them on.
    """
    if len(values) != 1:
        return "" if values else None
    found = _BEARER.fullmatch(values[0])
    if found is not None:
        return found[1]
    return "" if values[0].lower().startswith("bearer") else None


def _is_ipv4_loopback(name: str) -> bool:
    try:
        return IPv4Address(name).is_loopback
    except AddressValueError:
        return False


def _is_unspecified(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False


def _wrong_method(allowed: tuple[str, ...]) -> HttpError:
    methods = ", ".join(allowed)
    return HttpError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"this address takes {methods}",
        code="http.method",
        headers={"allow": methods},
    )
