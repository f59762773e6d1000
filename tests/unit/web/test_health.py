"""Health and metrics: what probes and scrapers get."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from flowrunner.service.views import HealthCheck
from flowrunner.web.app import make_public_app
from flowrunner.web.middleware.authentication import LocalHosts
from tests.fakes.asgi import Call, answer, ask
from tests.fakes.service import FakeService
from tests.unit.web.apps import make_access, make_parts, public_app

FINE = HealthCheck(name="store", status="ok")
STALE = HealthCheck(name="reconcile", status="failed", message="no pass has ended yet")


def unready() -> FakeService:
    service = FakeService()
    service.checks = (STALE, FINE)
    return service


def test_livez_answers_whatever_the_checks_say() -> None:
    """`/livez` is 200 while the loop turns, ready or not, and asks nobody."""
    service = unready()

    got = ask(public_app(service), "GET", "/livez")

    assert (got.status, got.text) == (200, "ok\n")
    assert service.calls == []


def test_readyz_is_ready() -> None:
    """`/readyz` is 200 when every check is ok."""
    got = ask(public_app(), "GET", "/readyz")

    assert (got.status, got.text) == (200, "ready\n")


def test_readyz_tells_the_reasons_as_text() -> None:
    """`/readyz` is 503 with a line for each failed check."""
    got = ask(public_app(unready()), "GET", "/readyz", headers={"accept": "*/*"})

    assert got.status == 503
    assert got.headers["content-type"].startswith("text/plain")
    assert got.text == "not ready\nreconcile: no pass has ended yet\n"


def test_readyz_tells_the_reasons_as_json() -> None:
    """Who asks for JSON gets the checks as JSON, with the same status."""
    accept = {"accept": "application/json"}

    got = ask(public_app(unready()), "GET", "/readyz", headers=accept)

    assert got.status == 503
    assert got.json == {
        "status": "failed",
        "checks": [
            {"name": "reconcile", "status": "failed", "message": "no pass has ended yet"},
            {"name": "store", "status": "ok", "message": ""},
        ],
    }


@pytest.mark.parametrize(
    ("service", "status"), [(FakeService(), "ok"), (unready(), "failed")], ids=["fine", "unready"]
)
def test_healthz_shows_the_checks_with_the_status_of_livez(
    service: FakeService, status: str
) -> None:
    """`/healthz` is 200 while the loop turns and says in its body how things are."""
    got = ask(public_app(service), "GET", "/healthz")

    assert got.status == 200
    assert got.json["status"] == status


def test_metrics_come_as_they_were_rendered() -> None:
    """`/metrics` hands on what the renderer wrote for this `Accept`, with its content type."""
    got = ask(public_app(), "GET", "/metrics", headers={"accept": "application/openmetrics-text"})

    assert got.status == 200
    assert got.text == "# for application/openmetrics-text\n"
    assert got.headers["content-type"] == "text/plain; version=0.0.4"


def test_metrics_are_rendered_beside_the_loop() -> None:
    """While metrics are rendered, the loop goes on and other requests are answered."""
    release = threading.Event()

    def render(_accept: str) -> tuple[bytes, str]:
        release.wait()
        return b"", "text/plain"

    async def main() -> tuple[int, int]:
        parts = replace(make_parts(), render_metrics=render)
        app = make_public_app(parts, access=make_access(), hosts=LocalHosts())
        scrape = asyncio.create_task(answer(app, Call(method="GET", target="/metrics")))
        alive = await answer(app, Call(method="GET", target="/livez"))
        release.set()
        return alive.status, (await scrape).status

    assert asyncio.run(main()) == (200, 200)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_channels_are_named_on_this_machine_alone(path: str) -> None:
    """Anybody from anywhere may ask, and hears neither whom the host tells nor where they are."""
    service = FakeService()
    service.checks = (HealthCheck(name="channels", status="ok", message="oncall: answered 503"),)
    accept = {"accept": "application/json"}

    here = ask(public_app(service), "GET", path, headers=accept)
    passed_on = {**accept, "x-forwarded-for": "203.0.113.9"}
    elsewhere = ask(public_app(service), "GET", path, headers=passed_on)

    check = {"name": "channels", "status": "ok", "message": "oncall: answered 503"}
    assert here.json["checks"] == [check]
    assert elsewhere.json["checks"] == [{**check, "message": ""}]
