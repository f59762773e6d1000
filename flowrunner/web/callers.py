"""Who gets in: the rules of the settings, the tokens, and what is kept of callers for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol

from starlette.types import Scope

from flowrunner.config.access_settings import LocalAccess
from flowrunner.dataclass import dataclass
from flowrunner.errors import AuthError
from flowrunner.model.access import Token, TokenScope, find_token
from flowrunner.system.buckets import Buckets
from flowrunner.system.clock import Clock
from flowrunner.web.context import Origin
from flowrunner.web.origins import Proxies
from flowrunner.web.problem import TOO_OFTEN, HttpError
from flowrunner.web.routing import Caller, Right

FAILURES, FAILURES_PERIOD_S = 10, 60.0
"""Wrong tokens that one source may show at once, and the time in which as many come again."""

_PUBLIC = frozenset({Right.PUBLIC})
_LOCAL: Mapping[LocalAccess, frozenset[Right]] = MappingProxyType(
    {
        "restricted": frozenset({Right.PUBLIC, Right.METRICS, Right.READ}),
        "open": frozenset(Right),
    }
)
_OPENED: Mapping[TokenScope, frozenset[Right]] = MappingProxyType(
    {
        TokenScope.METRICS: frozenset({Right.METRICS}),
        TokenScope.READ: frozenset({Right.READ}),
        TokenScope.DATA: frozenset({Right.READ, Right.FULL}),
    }
)
SCOPE_FOR: Mapping[Right, str] = MappingProxyType(
    {Right.METRICS: "metrics", Right.READ: "read", Right.FULL: "data"}
)
"""The scope that a token needs for a right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """What the settings say of access; replaced whole by a reload.

    Attributes:
        local: What a caller on this machine sees without a token.
        tokens: All there are.
        proxies: Who is believed about callers.
        cors: Origins of web pages that may read.
        rate: How many requests of a source in how many seconds; None: any number.
    """

    local: LocalAccess = "restricted"
    tokens: tuple[Token, ...] = ()
    proxies: Proxies = field(default_factory=Proxies)
    cors: frozenset[str] = frozenset()
    rate: tuple[int, float] | None = None


class CountsRefusals(Protocol):
    """The part of the metrics that hears of callers without a right."""

    def access_refused(self, reason: str) -> None:
        """Counts one: `missing`, `unknown`, `expired`, `scope`, `account` or `rate`."""

    def request_unread(self, kind: str) -> None:
        """Counts a request that nobody saw whole: `malformed` or `too_slow`."""


class Access:
    """The rules in force, and what is kept of callers between their requests.

    Args:
        rules: What the settings say at the start.
        clock: The time.
        counts: Hears of refusals.
    """

    def __init__(self, rules: AccessRules, clock: Clock, counts: CountsRefusals) -> None:
        self.counts = counts
        self._clock = clock
        self._failures = Buckets(FAILURES, FAILURES_PERIOD_S, clock)
        self._rules, self.requests = rules, _buckets(rules, clock)

    @property
    def rules(self) -> AccessRules:
        """Those in force."""
        return self._rules

    def origin_of(self, scope: Scope) -> Origin:
        """Returns where a request comes from."""
        return self._rules.proxies.origin_of(scope)

    def source_of(self, host: str) -> str | None:
        """Returns under what the connections of a peer are counted; None: they are not."""
        return self._rules.proxies.source_of(host)

    def replace(self, rules: AccessRules) -> None:
        """Puts others in force, for every request that begins from now on."""
        if rules.rate != self._rules.rate:
            self.requests = _buckets(rules, self._clock)
        self._rules = rules

    def local(self) -> Caller:
        """Returns a caller on this machine that has shown no token."""
        return Caller(rights=_LOCAL[self._rules.local])

    def bearer(self, presented: str, origin: Origin) -> Caller:
        """Returns the caller that a token stands for.

        Raises:
            AuthError: ``auth.invalid``: there is no such token, or it has expired.
            HttpError: ``http.rate`` (429): too many wrong ones from there.
        """
        token, now = find_token(self._rules.tokens, presented), self._clock.now()
        if token is None:
            raise self._refusal(origin, "unknown", "there is no such token")
        if token.is_expired(now):
            raise self._refusal(origin, "expired", _expired(token.expires_at))
        opened = frozenset().union(*(_OPENED[scope] for scope in token.scopes))
        return Caller(rights=_PUBLIC | opened, accounts=token.accounts, token=token.name)

    def _refusal(self, origin: Origin, reason: str, text: str) -> AuthError | HttpError:
        """Counts a wrong token; right ones from the same source are let in all the same."""
        self.counts.access_refused(reason)
        wait_s = self._failures.take(origin.source)
        if wait_s:
            return too_many("too many wrong tokens from this address", wait_s)
        return AuthError(text, code="auth.invalid")


def too_many(text: str, wait_s: int) -> HttpError:
    """Returns the refusal of a source that comes too often (429, ``http.rate``)."""
    headers = {"retry-after": str(wait_s)}
    return HttpError(HTTPStatus.TOO_MANY_REQUESTS, text, code=TOO_OFTEN, headers=headers)


def _buckets(rules: AccessRules, clock: Clock) -> Buckets | None:
    return None if rules.rate is None else Buckets(*rules.rate, clock)


def _expired(at: datetime | None) -> str:
    return f"the token has expired: {at:%Y-%m-%dT%H:%M:%SZ}" if at else "the token has expired"
