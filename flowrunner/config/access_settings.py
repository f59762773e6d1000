"""The section `auth`: who may see what over HTTP."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, get_args

from flowrunner.config.kinds import about as _about
from flowrunner.config.kinds import choice
from flowrunner.config.token_kinds import tokens_kind
from flowrunner.dataclass import dataclass
from flowrunner.model.access import Token

LocalAccess = Literal["restricted", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Who may see what over HTTP."""

    local: LocalAccess = field(
        default="restricted", metadata=_about(choice(get_args(LocalAccess)), example="open")
    )
    """What a caller on this machine sees without a token: `restricted` (no inputs, outputs, logs,
    definitions) or `open` (everything). Default `restricted`, because any user of a shared host
    can connect; `open` is for a workstation. Nothing can be changed over HTTP either way."""

    tokens: tuple[Token, ...] = field(
        default=(),
        metadata=_about(
            tokens_kind(of_account=False),
            example={"dashboard": {"sha256": "0" * 64, "scopes": ["read", "metrics"]}},
        ),
    )
    """Bearer tokens by name (in a variable as JSON), each with the `sha256` of the token, `scopes`
    (`read`: flows and executions without their data; `data`: also inputs, outputs, logs,
    definitions, traces; `metrics`: `/metrics`), perhaps `accounts` (default: all) and
    `expires_at`. Default `{}`: only callers on this machine see anything. `flowrunner token new`
    makes one. The token itself is in no file: it is 256 random bits, so that a plain digest tells
    nothing of it."""
