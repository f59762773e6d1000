"""What the chain has found out about a request, kept in its scope under these keys alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import Scope

from flowrunner.web.routing import Match, Right

UNIX_UID_PREFIX = "uid:"
"""How the server writes the peer of a unix socket into `client`: (`uid:1000`, pid)."""

_REQUEST_ID = "flowrunner.request_id"
_MATCH = "flowrunner.match"
_RIGHT = "flowrunner.right"
_REFUSAL = "flowrunner.refusal"


class UnixPeer(NamedTuple):
    """The process at the other end of a unix socket, as the kernel knew it at connect."""

    uid: int
    pid: int


@dataclass(slots=True)
class Refusal:
    """Why a request is refused, as far as the log may know it.

    The one value here that changes: the links further in, which see a copy of the scope, write
    it; the access log, which made it, reads it.

    Attributes:
        code: The code of the problem; empty for none.
        cause: What the answer must not tell; empty for nothing.
    """

    code: str = ""
    cause: str = ""


def set_request_id(scope: Scope, request_id: str) -> None:
    """Keeps the id of the request."""
    scope[_REQUEST_ID] = request_id


def request_id_of(scope: Scope) -> str:
    """Returns the id of the request; empty outside of the link that sets it."""
    request_id: str = scope.get(_REQUEST_ID, "")
    return request_id


def begin_refusal(scope: Scope) -> Refusal:
    """Keeps a place for why the request is refused, and returns it."""
    refusal = Refusal()
    scope[_REFUSAL] = refusal
    return refusal


def note_refusal(scope: Scope, *, code: str, cause: str = "") -> None:
    """Tells the access log why the request is refused; only behind the access log."""
    refusal: Refusal = scope[_REFUSAL]
    refusal.code, refusal.cause = code, cause


def set_match(scope: Scope, match: Match, right: Right) -> None:
    """Keeps what was asked and what the caller may see."""
    scope[_MATCH] = match
    scope[_RIGHT] = right


def match_of(scope: Scope) -> Match:
    """Returns what was asked; only behind the authentication."""
    match: Match = scope[_MATCH]
    return match


def right_of(scope: Scope) -> Right:
    """Returns what the caller may see; only behind the authentication."""
    right: Right = scope[_RIGHT]
    return right


def is_restricted(scope: Scope) -> bool:
    """Whether the caller sees the redacted shapes alone; only behind the authentication."""
    return right_of(scope) < Right.FULL


def unix_peer_of(scope: Scope) -> UnixPeer | None:
    """Returns the process behind a request, or None when it did not come by unix socket."""
    client = scope.get("client")
    if client is None or not client[0].startswith(UNIX_UID_PREFIX):
        return None
    return UnixPeer(int(client[0].removeprefix(UNIX_UID_PREFIX)), client[1])


def peer_text(scope: Scope) -> str:
    """Returns the peer for a log line: `127.0.0.1:51514`, or `uid:1000/pid:4242`."""
    peer, client = unix_peer_of(scope), scope.get("client")
    if peer is not None:
        return f"uid:{peer.uid}/pid:{peer.pid}"
    return f"{client[0]}:{client[1]}" if client else "unknown"
