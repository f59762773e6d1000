"""The two applications over fakes, for every test of the web layer."""

from __future__ import annotations

from starlette.types import ASGIApp

from flowrunner.config.access_settings import LocalAccess
from flowrunner.errors import NotFoundError
from flowrunner.model.ids import ExecutionId
from flowrunner.telemetry.metrics_access import AccessCounts
from flowrunner.web.app import WebParts, make_control_app, make_public_app
from flowrunner.web.callers import Access, AccessRules
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.middleware.body_limit import BodyRoom
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeBackfills, FakeDeliveries, FakeLedger, FakePauses
from tests.fakes.service import FakeService

MAX_BODY = 1_000
COMMANDER = ("uid:1000", 4242)
"""A peer of the control socket that may command."""

EXECUTION = "00000000-0000-7000-8000-000000000001"
FLOW = "default/backup"


class FakeMetrics:
    """Remembers what it was told about hooks."""

    def __init__(self) -> None:
        self.answered: list[tuple[str, str, float]] = []

    def webhook_answered(self, hook: str, result: str, duration_s: float) -> None:
        self.answered.append((hook, result, duration_s))


def make_parts(
    service: FakeService | None = None,
    *,
    metrics: FakeMetrics | None = None,
    clock: FakeClock | None = None,
) -> WebParts:
    """Parts that need no file, no socket and no time."""
    return WebParts(
        service=service or FakeService(),
        metrics=metrics or FakeMetrics(),
        render_metrics=lambda accept: (f"# for {accept}\n".encode(), "text/plain; version=0.0.4"),
        clock=clock or FakeClock(),
        new_id=lambda: "made-id",
        max_body=MAX_BODY,
        bodies=BodyRoom(MAX_BODY),
        account_of=lambda execution_id: _account_of(service or FakeService(), execution_id),
        ledger=FakeLedger(),
        deliveries=FakeDeliveries(),
        hooks_address="http://127.0.0.1:8080",
        backfills=FakeBackfills(),
        pauses=FakePauses(),
    )


async def _account_of(service: FakeService, execution_id: ExecutionId) -> str | None:
    try:
        return (await service.execution(execution_id)).execution.flow.account
    except NotFoundError:
        return None


def make_access(
    rules: AccessRules | None = None,
    *,
    clock: FakeClock | None = None,
    counts: AccessCounts | None = None,
) -> Access:
    """Who may see what, by default as the settings have it."""
    return Access(rules or AccessRules(), clock or FakeClock(), counts or AccessCounts())


def public_app(
    service: FakeService | None = None,
    *,
    local: LocalAccess = "restricted",
    metrics: FakeMetrics | None = None,
    clock: FakeClock | None = None,
    access: Access | None = None,
) -> ASGIApp:
    """The network listener's application; `local` counts where `access` is not given."""
    parts = make_parts(service, metrics=metrics, clock=clock)
    known = access or make_access(AccessRules(local=local), clock=clock)
    return make_public_app(parts, access=known, hosts=LocalHosts())


def control_app(service: FakeService | None = None, *, attempt_pid: int = 666) -> ASGIApp:
    """The control socket's application; the process `attempt_pid` belongs to an attempt."""
    return make_control_app(make_parts(service), is_attempt=lambda pid, _uid: pid == attempt_pid)
