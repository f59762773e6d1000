"""The two listeners: which addresses each has, and what a request passes on its way.

The network listener is read-only, hooks aside. The control socket shows everything and takes the
commands. Both are made of the same parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Protocol

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.dataclass import dataclass
from flowrunner.service.settings_desk import SettingsDesk
from flowrunner.service.source_desk import SourceDesk
from flowrunner.system.clock import Clock
from flowrunner.web.callers import Access
from flowrunner.web.context import Origin, match_of
from flowrunner.web.middleware.absolute_form import AbsoluteForm
from flowrunner.web.middleware.access_log import AccessLog
from flowrunner.web.middleware.account_border import AccountBorder, AccountOf
from flowrunner.web.middleware.authentication import (
    Authentication,
    LocalHosts,
    NetworkCallers,
    SocketCallers,
)
from flowrunner.web.middleware.body_limit import BodyLimit, BodyRoom
from flowrunner.web.middleware.cors import Cors
from flowrunner.web.middleware.errors import ErrorBoundary
from flowrunner.web.middleware.head_limit import HeadLimit
from flowrunner.web.middleware.hook_refusals import HookRefusals
from flowrunner.web.middleware.peer import PeerCheck
from flowrunner.web.middleware.rate_limit import RateLimit
from flowrunner.web.middleware.request_id import RequestId
from flowrunner.web.middleware.validation import RequestValidation
from flowrunner.web.names import HOOKS
from flowrunner.web.origins import Proxies
from flowrunner.web.routes.backfill import BackfillRoutes, CarriesBackfills
from flowrunner.web.routes.control import ControlRoutes, ReloadsSettings, TakesCommands
from flowrunner.web.routes.deliveries import DeliveryRoutes, ReadsDeliveries
from flowrunner.web.routes.executions import ExecutionRoutes, ReadsExecutions
from flowrunner.web.routes.flows import FlowRoutes, ReadsFlows
from flowrunner.web.routes.health import HealthRoutes, KnowsReadiness
from flowrunner.web.routes.hooks import CountsDeliveries, HookAddress, HookRoutes, TakesDeliveries
from flowrunner.web.routes.maintenance import MaintenanceRoutes, PausesSchedules
from flowrunner.web.routes.metrics import MetricsRoute
from flowrunner.web.routes.reconcile import KnowsSource, ReconcileRoute
from flowrunner.web.routes.slots import ReadsSlots, SlotRoutes
from flowrunner.web.routes.source import CommandsRepository, SourceRoutes
from flowrunner.web.routes.status import KnowsStatus, StatusRoute
from flowrunner.web.routing import Endpoint, Right, Route, RouteTable


class Service(
    KnowsReadiness,
    KnowsSource,
    KnowsStatus,
    ReadsExecutions,
    ReadsFlows,
    TakesCommands,
    TakesDeliveries,
    Protocol,
):
    """All that the web layer asks of the business; `FlowService` is it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """What both listeners are made of.

    Attributes:
        render_metrics: Writes all metrics for an `Accept` header, with their content type;
            called in a thread.
        new_id: Makes a request id of letters, digits, dots, dashes and underscores.
        max_body: Largest body of a request, in bytes.
        bodies: Room for what strangers send, on all listeners of the network together.
        account_of: Whose an execution is.
        repository: What the daemon pulls, if it does.
        settings: Reads the settings again.
        ledger: Reads slots.
        deliveries: Reads what became of deliveries.
        hooks_address: Where a process of this machine reaches the hooks.
        backfills: Has slots of the past executed.
        pauses: Lets no schedule start anything.
    """

    service: Service
    metrics: CountsDeliveries
    render_metrics: Callable[[str], tuple[bytes, str]]
    clock: Clock
    new_id: Callable[[], str]
    max_body: int
    bodies: BodyRoom
    account_of: AccountOf
    ledger: ReadsSlots
    deliveries: ReadsDeliveries
    hooks_address: str
    backfills: CarriesBackfills
    pauses: PausesSchedules
    repository: CommandsRepository = field(default_factory=SourceDesk)
    settings: ReloadsSettings = field(default_factory=SettingsDesk)


def make_public_app(
    parts: WebParts, *, access: Access, hosts: LocalHosts, table: RouteTable | None = None
) -> ASGIApp:
    """Makes the application of a network listener.

    Args:
        parts: What all listeners are made of.
        access: Who may see what.
        hosts: The names that `Host` may have where no token is shown.
        table: Its addresses; None: all that the network may have.
    """
    callers = NetworkCallers(access, hosts)
    chain = [
        *_outermost(parts, access.origin_of),
        Middleware(Cors, rules=lambda: access.rules),
        Middleware(HookRefusals, turned_away=parts.service.turned_away),
        Middleware(RateLimit, access=access),
        Middleware(BodyLimit, max_bytes=parts.max_body, room=parts.bodies),
        Middleware(Authentication, table=table or public_table(parts), callers=callers),
        Middleware(RequestValidation),
        Middleware(AccountBorder, account_of=parts.account_of, refused=callers.refused),
    ]
    return _linked(chain)


def make_control_app(parts: WebParts, *, is_attempt: Callable[[int, int], bool]) -> ASGIApp:
    """Makes the application of the control socket.

    Args:
        parts: What both listeners are made of.
        is_attempt: Tells whether a process (pid, uid) belongs to an attempt; may block.
    """
    chain = [
        *_outermost(parts, Proxies().origin_of),
        Middleware(BodyLimit, max_bytes=parts.max_body, room=BodyRoom(parts.max_body)),
        Middleware(PeerCheck, is_attempt=is_attempt),
        Middleware(Authentication, table=control_table(parts), callers=SocketCallers()),
        Middleware(RequestValidation),
    ]
    return _linked(chain)


def reading_table(parts: WebParts) -> RouteTable:
    """Returns the addresses of the network listener where hooks have one of their own."""
    return RouteTable(_reading(parts))


def hooks_table(parts: WebParts) -> RouteTable:
    """Returns the addresses of a listener for hooks alone."""
    routes = public_table(parts).routes
    return RouteTable(route for route in routes if route.path in ("/livez", f"{HOOKS}*"))


def public_table(parts: WebParts) -> RouteTable:
    """Returns the addresses of the network listener, hooks included."""
    hooks = HookRoutes(parts.service, parts.metrics, parts.clock)
    return RouteTable(
        [
            *_reading(parts),
            # Every method; public, because the handler authenticates over the raw body.
            Route(
                path=f"{HOOKS}*",
                methods=frozenset(),
                right=Right.PUBLIC,
                endpoint=hooks.deliver,
            ),
        ]
    )


def control_table(parts: WebParts) -> RouteTable:
    """Returns the addresses of the control socket."""
    control = ControlRoutes(parts.service, parts.settings)
    source, slots = SourceRoutes(parts.service, parts.repository), SlotRoutes(parts.ledger)
    backfill = BackfillRoutes(parts.backfills)
    maintenance = MaintenanceRoutes(parts.pauses)
    flow, execution = "/control/v1/flows/{account}/{name}", "/control/v1/executions/{id}"
    return RouteTable(
        [
            *_reading(parts),
            _get("/control/v1/status", Right.FULL, StatusRoute(parts.service).state),
            _get("/control/v1/hooks", Right.FULL, HookAddress(parts.hooks_address).show),
            _post("/control/v1/reconcile", control.reconcile),
            _post("/control/v1/schedules/pause", maintenance.pause),
            _post("/control/v1/schedules/resume", maintenance.resume),
            _post("/control/v1/reload", control.reload),
            _get("/control/v1/source/history", Right.FULL, source.history),
            _post("/control/v1/source/sync", source.sync),
            _post("/control/v1/source/rollback", source.rollback),
            _post("/control/v1/source/unpin", source.unpin),
            _post("/control/v1/backup", control.backup),
            _post("/control/v1/restored/acknowledge", control.acknowledge_restored),
            _get(f"{flow}/why", Right.FULL, slots.why, query=("at",)),
            _post(f"{flow}/backfill", backfill.begin),
            _post(f"{flow}/backfill/cancel", backfill.cancel),
            _post(f"{flow}/executions", control.start),
            _post(f"{flow}/pause", control.pause),
            _post(f"{flow}/resume", control.resume),
            _post(f"{flow}/cancel-queued", control.cancel_queued),
            _post(f"{execution}/cancel", control.cancel),
            _post(f"{execution}/retry", control.retry),
        ]
    )


def _outermost(parts: WebParts, origin_of: Callable[[Scope], Origin]) -> list[Middleware]:
    """Returns what every request passes first, outermost first."""
    return [
        Middleware(ErrorBoundary),
        Middleware(RequestId, new_id=parts.new_id),
        Middleware(AccessLog, clock=parts.clock, origin_of=origin_of),
        Middleware(AbsoluteForm),
        Middleware(HeadLimit),
    ]


def _reading(parts: WebParts) -> list[Route]:
    """Returns the addresses that both listeners have; they change nothing."""
    health, metrics = HealthRoutes(parts.service), MetricsRoute(parts.render_metrics)
    flows, executions = FlowRoutes(parts.service), ExecutionRoutes(parts.service)
    reconcile, deliveries = ReconcileRoute(parts.service), DeliveryRoutes(parts.deliveries)
    source, slots = SourceRoutes(parts.service, parts.repository), SlotRoutes(parts.ledger)
    flow, execution = "/api/v1/flows/{account}/{name}", "/api/v1/executions/{id}"
    pages = ("account", "limit", "cursor")
    return [
        _get("/livez", Right.PUBLIC, health.livez, query=None),
        _get("/readyz", Right.PUBLIC, health.readyz, query=None),
        _get("/healthz", Right.PUBLIC, health.healthz, query=None),
        _get("/metrics", Right.METRICS, metrics.scrape, query=None),
        _get("/api/v1/flows", Right.READ, flows.page, query=pages, by_account=True),
        _get(flow, Right.READ, flows.one),
        _get(f"{flow}/definition", Right.FULL, flows.definition),
        _get(f"{flow}/events", Right.READ, flows.events, query=("limit", "cursor")),
        _get(
            "/api/v1/executions",
            Right.READ,
            executions.page,
            query=(*pages, "flow", "state"),
            by_account=True,
        ),
        _get(
            "/api/v1/deliveries",
            Right.READ,
            deliveries.page,
            query=(*pages, "flow", "trigger", "outcome", "reason", "since", "until"),
            by_account=True,
        ),
        _get(f"{flow}/slots", Right.READ, slots.page, query=("from", "to", "limit", "cursor")),
        _get(
            "/api/v1/schedule",
            Right.READ,
            slots.schedule,
            query=(*pages, "flow"),
            by_account=True,
        ),
        _get(execution, Right.READ, executions.one),
        _get(
            f"{execution}/logs",
            Right.FULL,
            executions.logs,
            query=("node", "item", "cursor", "wait"),
        ),
        _get(f"{execution}/trace", Right.FULL, executions.trace, query=("limit", "cursor")),
        _get("/api/v1/reconcile", Right.READ, reconcile.state),
        _get("/api/v1/source", Right.READ, source.state),
        _get("/api/v1/status", Right.READ, StatusRoute(parts.service).state),
    ]


def _get(
    path: str,
    right: Right,
    endpoint: Endpoint,
    *,
    query: Sequence[str] | None = (),
    by_account: bool = False,
) -> Route:
    return Route(
        path=path,
        methods=frozenset({"GET"}),
        right=right,
        endpoint=endpoint,
        query=None if query is None else frozenset(query),
        by_account=by_account,
    )


def _post(path: str, endpoint: Endpoint) -> Route:
    return Route(
        path=path,
        methods=frozenset({"POST"}),
        right=Right.FULL,
        endpoint=endpoint,
        query=frozenset(),
    )


def _linked(chain: Sequence[Middleware]) -> ASGIApp:
    app: ASGIApp = _dispatch
    for link, args, kwargs in reversed(chain):
        app = link(app, *args, **kwargs)
    return app


async def _dispatch(scope: Scope, receive: Receive, send: Send) -> None:
    """Calls the endpoint that the authentication has matched; the innermost link."""
    match = match_of(scope)
    scope["path_params"] = dict(match.params)
    response = await match.route.endpoint(Request(scope, receive))
    await response(scope, receive, _bodiless(send) if scope["method"] == "HEAD" else send)


def _bodiless(send: Send) -> Send:
    """Sends the head of an answer alone, as HEAD asks for. Source: RFC 9110, section 9.3.2."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
