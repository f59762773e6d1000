"""Deliveries that are refused, or lost, on their way to the hooks leave a record as all others do.

The links further in count the requests of a source and the bytes of a body, and the server cuts off
who sends too slowly; who asks why his delivery started nothing should not have to look for them in
the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.model.delivery import Delivery
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.web.context import origin_of, request_id_of
from flowrunner.web.names import HOOKS
from flowrunner.web.problem import BUSY, CLIENT_LEFT, TOO_OFTEN, HttpError
from flowrunner.web.routes.hooks import hook_path_of

TurnedAway = Callable[[Delivery, int, DeliveryReason, str], None]
"""Takes note of a delivery, the status of the answer, why, and in words."""

_REASONS: Mapping[str, DeliveryReason] = MappingProxyType(
    {
        TOO_OFTEN: DeliveryReason.SOURCE_RATE,
        "http.too_large": DeliveryReason.TOO_LARGE,
        BUSY: DeliveryReason.BUSY,
    }
)


class HookRefusals:
    """Tells of deliveries that do not reach the hooks.

    Args:
        turned_away: Hears of each.
    """

    def __init__(self, app: ASGIApp, *, turned_away: TurnedAway) -> None:
        self._app = app
        self._turned_away = turned_away

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; raises what the links further in raise."""
        try:
            await self._app(scope, receive, send)
        except HttpError as error:
            reason = _REASONS.get(error.code)
            if reason is not None and scope["path"].startswith(HOOKS):
                self._turned_away(_delivery_of(scope), error.status, reason, error.message)
            raise
        except ClientDisconnect:
            if scope["path"].startswith(HOOKS):
                reason = DeliveryReason.INCOMPLETE
                self._turned_away(_delivery_of(scope), CLIENT_LEFT, reason, "")
            raise


def _delivery_of(scope: Scope) -> Delivery:
    """Returns what is known of a delivery whose body is not read."""
    origin = origin_of(scope)
    return Delivery(
        path=hook_path_of(scope),
        method=scope["method"],
        headers={},
        query={},
        body=b"",
        source=origin.address,
        network=origin.source,
        is_local=origin.is_local,
        request_id=request_id_of(scope),
    )
