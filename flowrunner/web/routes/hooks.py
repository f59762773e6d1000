"""Hooks: a request becomes a delivery, the answer to it a response.

Whether a delivery is authentic is judged by the service, over the raw body. Every method comes
here, so that a stranger cannot tell a hook that exists from one that does not: both get the
same 401, byte by byte.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.system.clock import Clock
from flowrunner.web.context import note_refusal, origin_of, request_id_of
from flowrunner.web.names import HOOKS
from flowrunner.web.problem import CHALLENGE, Problem, problem_response
from flowrunner.web.responses import json_response

_UNAUTHORIZED = Problem(
    status=HTTPStatus.UNAUTHORIZED,
    code="auth.invalid",
    detail="there is no such hook, or the delivery is not signed as it must be",
    headers=CHALLENGE,
)


class TakesDeliveries(Protocol):
    """The part of the service behind these addresses."""

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; never raises for anything a sender can do."""

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        """Takes note of a delivery that was refused before it was looked at."""


class CountsDeliveries(Protocol):
    """The part of the metrics that hears of each answer."""

    def webhook_answered(self, hook: str, result: str, duration_s: float) -> None:
        """Counts an answer; the hook is `account/path`, or `_unknown`."""


class HookRoutes:
    """`/hooks/` and everything below."""

    def __init__(self, service: TakesDeliveries, metrics: CountsDeliveries, clock: Clock) -> None:
        self._service = service
        self._metrics = metrics
        self._clock = clock

    async def deliver(self, request: Request) -> Response:
        """Answers a delivery and counts it, from the request's head to the answer."""
        began = self._clock.monotonic()
        answer = await self._service.deliver(await _delivery_of(request))
        duration_s = self._clock.monotonic() - began
        self._metrics.webhook_answered(answer.hook, answer.result, duration_s)
        if answer.code:
            note_refusal(request.scope, code=answer.code, cause=answer.cause)
        return _response(answer, request_id_of(request.scope))


class HookAddress:
    """Where the hooks are, for who tries one: `/control/v1/hooks`."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def show(self, _request: Request) -> Response:
        """Answers with the listener: `http://127.0.0.1:8080`, or `unix:/run/hooks.sock`."""
        return json_response({"address": self._address})


async def _delivery_of(request: Request) -> Delivery:
    origin = origin_of(request.scope)
    return Delivery(
        path=hook_path_of(request.scope),
        method=request.method,
        headers=_headers_of(request.scope),
        query=_first_values(request.scope["query_string"]),
        body=await _body_of(request),
        source=origin.address,
        network=origin.source,
        is_local=origin.is_local,
        request_id=request_id_of(request.scope),
    )


async def _body_of(request: Request) -> bytes:
    """Returns the body; as `Request.body`, which goes through two generators for each.

    Raises:
        ClientDisconnect: The sender has left before its end.
    """
    parts, is_whole = [], False
    while not is_whole:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        is_whole = not message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _headers_of(scope: Scope) -> dict[str, str]:
    """Returns the headers by lower-case name; of one that is sent again, all it says in order.

    Source: RFC 9110, section 5.3.
    """
    found: dict[str, str] = {}
    for raw_name, raw in scope["headers"]:
        name, text = raw_name.decode("latin-1"), raw.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def hook_path_of(scope: Scope) -> str:
    """Returns the path below `/hooks/`, decoded.

    An encoded slash is data and no separator (RFC 3986, section 2.2): a path with one stays
    encoded, and so is the path of no hook.
    """
    raw = scope["raw_path"].decode("ascii", "replace")
    path: str = raw if "%2f" in raw.lower() else scope["path"]
    return path.removeprefix(HOOKS)


def _first_values(query_string: bytes) -> dict[str, str]:
    if not query_string:
        return {}
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    return dict(reversed(pairs))  # later pairs replace earlier ones, so the first value stays


def _response(answer: DeliveryAnswer, request_id: str) -> Response:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return problem_response(_UNAUTHORIZED)  # without the id, which differs
    if answer.status < HTTPStatus.BAD_REQUEST:
        return json_response(dict(answer.body), status=answer.status)
    retry = answer.retry_after_s
    problem = Problem(
        status=answer.status,
        code=answer.code,
        detail=answer.problem,
        headers={} if retry is None else {"retry-after": str(retry)},
    )
    return problem_response(problem, request_id)
