"""Authentication: who asks, what that caller may see, and whether the address wants more.

There are no tokens yet. On the network listener a caller's right comes from being on this
machine, so two things are judged besides the route table: a request that a proxy passed on
counts as off this machine, and a `Host` that is not a name of this machine is refused, because
a web page can make a browser send requests here under a name of its own (DNS rebinding).
Public addresses rest on neither. Hooks are public here and authenticate in their handler, over
the raw body.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from ipaddress import AddressValueError, IPv4Address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.errors import AuthError, NotFoundError
from flowrunner.web.context import set_match
from flowrunner.web.problem import HttpError
from flowrunner.web.routing import Right, RouteTable

_FORWARDING = frozenset({"forwarded", "via", "x-real-ip"})
_FORWARDING_PREFIX = "x-forwarded-"
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")
_LOCAL_NAMES = frozenset({"localhost", "[::1]"})


class LocalHosts:
    """The names under which this machine may be addressed.

    Args:
        also: Further host names or addresses, an IPv6 address in brackets, in lower case.
    """

    def __init__(self, also: frozenset[str] = frozenset()) -> None:
        self._names = _LOCAL_NAMES | also

    def include(self, values: list[str]) -> bool:
        """Whether the `Host` headers of a request are one header that names this machine."""
        found = _HOST.fullmatch(values[0].lower()) if len(values) == 1 else None
        if found is None:
            return False
        name = found["name"]
        return name in self._names or _is_ipv4_loopback(name)


class Authentication:
    """Matches the request with the table and lets it pass only with the right it needs.

    Args:
        table: All addresses of this listener.
        granted: What a caller of this listener may see without a proof.
        hosts: The names that `Host` may have; None on a unix socket, which no browser reaches.
    """

    def __init__(
        self, app: ASGIApp, *, table: RouteTable, granted: Right, hosts: LocalHosts | None
    ) -> None:
        self._app = app
        self._table = table
        self._granted = granted
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on with its match and its caller's right.

        Raises:
            HttpError: ``http.misdirected`` (421), ``http.method`` (405).
            AuthError: ``auth.missing``: the address needs a right the caller does not have.
            NotFoundError: ``not_found``: the table has no such address.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        match = self._table.match(scope["path"])
        right = Right.PUBLIC if _is_forwarded(headers) else self._granted
        if match is None or match.route.right > Right.PUBLIC:
            self._check_host(headers)
            _check_right(right, Right.READ)
        if match is None:
            raise NotFoundError("there is nothing at this address")
        if not match.route.allows(scope["method"]):
            raise _wrong_method(match.route.allowed)
        _check_right(right, match.route.right)
        set_match(scope, match, right)
        await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        if self._hosts is not None and not self._hosts.include(headers.getlist("host")):
            raise HttpError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host header does not name this machine; use localhost or a loopback address",
                code="http.misdirected",
            )


def _is_forwarded(headers: Headers) -> bool:
    return any(name in _FORWARDING or name.startswith(_FORWARDING_PREFIX) for name in headers)


def _is_ipv4_loopback(name: str) -> bool:
    try:
        return IPv4Address(name).is_loopback
    except AddressValueError:
        return False


def _check_right(right: Right, needed: Right) -> None:
    if right >= needed:
        return
    if right is Right.PUBLIC:
        text = "a request that came through a proxy may ask only for health and hooks"
    else:
        text = "this needs full rights: ask through the control socket, or set auth.local to open"
    raise AuthError(text, code="auth.missing")


def _wrong_method(allowed: tuple[str, ...]) -> HttpError:
    methods = ", ".join(allowed)
    return HttpError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"this address takes {methods}",
        code="http.method",
        headers={"allow": methods},
    )
