"""Tokens: what a bearer may see over HTTP, and how the token itself is recognised. Pure.

A token is 256 random bits, so that a plain SHA-256 keeps it: there is nothing to guess that a slow
hash would have to protect, as there is with passwords. Whoever reads the settings learns no token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass

TOKEN_PREFIX = "frt_"  # noqa: S105 - what every token begins with, so that scanners find lost ones
TOKEN_BYTES = 32
"""Random bytes of a token. Source: RFC 6750, section 5.2; OWASP asks for 128 bits at least."""

TOKEN_NAME = "^[a-z0-9][a-z0-9._-]{0,62}$"  # noqa: S105 - a pattern
"""What a token may be called."""

TOKEN_DIGEST = "^[0-9a-f]{64}$"  # noqa: S105 - a pattern
"""A SHA-256 as hexadecimal digits."""


class TokenScope(StrEnum):
    """What a token opens."""

    READ = "read"
    """Flows, executions, deliveries and the source, without inputs, outputs and error details."""
    DATA = "data"
    """All of `read`, and inputs, outputs, error details, logs, definitions and traces."""
    METRICS = "metrics"
    """`/metrics` alone, which names the flows of all accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token, as the settings know it.

    Attributes:
        name: Told by the log where it is used.
        sha256: Of the whole token, in 64 hexadecimal digits.
        accounts: Whose flows it shows; None: those of all.
        expires_at: From then on it opens nothing; None: never.
    """

    name: str
    sha256: str
    scopes: frozenset[TokenScope]
    accounts: frozenset[str] | None = None
    expires_at: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether it opens nothing any more."""
        return self.expires_at is not None and now >= self.expires_at


def new_token(random_bytes: bytes) -> str:
    """Returns a token of `TOKEN_BYTES` random bytes: letters, digits, dashes and underscores."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(random_bytes).decode().rstrip("=")


def token_digest(token: str) -> str:
    """Returns what the settings keep of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_token(tokens: Iterable[Token], presented: str) -> Token | None:
    """Returns the token that was presented; looks at all, so that the time tells nothing."""
    digest, found = token_digest(presented), None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest):
            found = token
    return found
