"""The route table: which addresses exist, with which methods, and which right each asks for.

A request is matched once. The authentication judges by the match, and the dispatch calls its
endpoint, so the two cannot disagree about what was asked. What the table does not name, does
not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.dataclass import dataclass

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_TAIL = "/*"


class Right(Enum):
    """What a caller may see; none includes another.

    `PUBLIC` everybody has, `READ` opens the redacted shapes, `FULL` everything, `METRICS` the
    metrics, which name the flows of all accounts.
    """

    PUBLIC = "public"
    METRICS = "metrics"
    READ = "read"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as far as it matters.

    Attributes:
        rights: What it may see.
        accounts: Whose flows it may see; None: those of all.
        token: The name of the token it showed; empty without one.
    """

    rights: frozenset[Right]
    accounts: frozenset[str] | None = None
    token: str = ""

    def sees(self, account: str) -> bool:
        """Whether the flows of an account are for it."""
        return self.accounts is None or account in self.accounts


EVERYONE = Caller(rights=frozenset({Right.PUBLIC}))
"""Who has shown nothing."""

OPERATOR = Caller(rights=frozenset(Right))
"""Who may use the control socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address.

    Attributes:
        path: Literal segments and `{name}`, which stands for one segment that is not empty;
            a last segment `*` stands for everything below, nothing included.
        methods: The methods; empty: all of them. `HEAD` comes with `GET`.
        right: What the caller needs; there is no default on purpose.
        query: The query parameters it knows; None: it takes any and looks at none.
        by_account: Whether it shows a caller of some accounts those alone; else it is not for
            such a caller. With `{account}` or `{id}` in its path nothing need be said.
    """

    path: str
    methods: frozenset[str]
    right: Right
    endpoint: Endpoint
    query: frozenset[str] | None = None
    by_account: bool = False

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods for the header `Allow`, sorted; empty: all."""
        extra = {"HEAD"} if "GET" in self.methods else set()
        return tuple(sorted(self.methods | extra))

    def allows(self, method: str) -> bool:
        """Whether the address takes this method."""
        return not self.methods or method in self.allowed

    def params_of(self, path: str) -> Mapping[str, str] | None:
        """Returns what stands for the `{name}`s, or None when the path is another one."""
        if self.path.endswith(_TAIL):
            return {} if path.startswith(self.path[:-1]) else None
        expected, given = self.path.split("/"), path.split("/")
        if len(expected) != len(given):
            return None
        params = {}
        for wanted, segment in zip(expected, given, strict=True):
            if wanted.startswith("{") and segment:
                params[wanted[1:-1]] = segment
            elif wanted != segment:
                return None
        return params


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A route together with what its path stands for in one request."""

    route: Route
    params: Mapping[str, str]


class RouteTable:
    """The addresses of one listener, first match first; each begins with a literal segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        beginnings: dict[str, list[Route]] = {}
        for route in self.routes:
            beginnings.setdefault(_first_segment(route.path), []).append(route)
        self._beginnings = beginnings

    def match(self, path: str) -> Match | None:
        """Returns the route of a decoded path, or None; exact, without redirects."""
        for route in self._beginnings.get(_first_segment(path), ()):
            params = route.params_of(path)
            if params is not None:
                return Match(route=route, params=params)
        return None


def _first_segment(path: str) -> str:
    """Returns what stands before the second slash."""
    return path[1:].partition("/")[0]
