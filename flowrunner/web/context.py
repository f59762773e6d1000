"""What the chain has found out about a request, kept in its scope under these keys alone."""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from starlette.types import Scope

from flowrunner.dataclass import dataclass
from flowrunner.web.routing import Caller, Match, Right

UNIX_UID_PREFIX = "uid:"
"""How the server writes the peer of a unix socket into `client`: (`uid:1000`, pid)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request comes from.

    Attributes:
        address: Of the caller, as far as it is known; empty for a unix socket.
        is_local: Whether it is a process of this machine that asked by itself.
        source: Under what the caller is counted: the address, of IPv6 its /64.
    """

    address: str
    is_local: bool
    source: str


_REQUEST_ID = "flowrunner.request_id"
_MATCH = "flowrunner.match"
_CALLER = "flowrunner.caller"
_ORIGIN = "flowrunner.origin"
_ANSWER = "flowrunner.answer"
_REFUSAL = "flowrunner.refusal"


class UnixPeer(NamedTuple):
    """The process at the other end of a unix socket, as the kernel knew it at connect."""

    uid: int
    pid: int


@dataclass(slots=True)
class Answer:
    """The answer to a request, as far as the chain has part in it.

    It changes, as `Refusal` does: the links further in, which see a copy of the scope, write it.

    Attributes:
        status: As sent; 0 until it begins.
        headers: Those that the links add, by lower-case name.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Refusal:
    """Why a request is refused, as far as the log may know it.

    The access log, which makes it, reads what the links further in have written.

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


def begin_answer(scope: Scope) -> Answer:
    """Keeps a place for what becomes of the answer, and returns it."""
    answer = scope[_ANSWER] = Answer()
    return answer


def answer_of(scope: Scope) -> Answer:
    """Returns what becomes of the answer; only behind the error boundary."""
    answer: Answer = scope[_ANSWER]
    return answer


def add_header(scope: Scope, name: str, value: str) -> None:
    """Adds a header to the answer, also when that is a problem; behind the error boundary."""
    answer_of(scope).headers[name] = value


def header_of(scope: Scope, name: bytes) -> str:
    """Returns a header of the request, by its lower-case name; the first of several, or empty."""
    for given, value in scope["headers"]:
        if given == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def set_origin(scope: Scope, origin: Origin) -> None:
    """Keeps where the request comes from."""
    scope[_ORIGIN] = origin


def origin_of(scope: Scope) -> Origin:
    """Returns where the request comes from; only behind the access log."""
    origin: Origin = scope[_ORIGIN]
    return origin


def set_caller(scope: Scope, caller: Caller) -> None:
    """Keeps who asks."""
    scope[_CALLER] = caller


def set_match(scope: Scope, match: Match) -> None:
    """Keeps what was asked."""
    scope[_MATCH] = match


def match_of(scope: Scope) -> Match:
    """Returns what was asked; only behind the authentication."""
    match: Match = scope[_MATCH]
    return match


def caller_of(scope: Scope) -> Caller:
    """Returns who asks; only behind the authentication."""
    caller: Caller = scope[_CALLER]
    return caller


def token_of(scope: Scope) -> str:
    """Returns the name of the token that was shown; empty for none."""
    caller: Caller | None = scope.get(_CALLER)
    return "" if caller is None else caller.token


def is_restricted(scope: Scope) -> bool:
    """Whether the caller sees the redacted shapes alone; only behind the authentication."""
    return Right.FULL not in caller_of(scope).rights


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
        shown = f"uid:{peer.uid}/pid:{peer.pid}"
    else:
        shown = f"{client[0]}:{client[1]}" if client else "unknown"
    origin: Origin | None = scope.get(_ORIGIN)
    is_passed_on = client and origin is not None and origin.address not in ("", client[0])
    return f"{origin.address} via={shown}" if origin and is_passed_on else shown
