"""The table of deliveries that start nothing: what the sender sees, and what is counted.

Each goes through the whole chain of the network listener to the hook of a flow that is Ready.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.ids import Json
from flowrunner.model.rates import parse_rate
from tests.fakes.asgi import Answer, Call, answer
from tests.fakes.definitions import flow_text
from tests.fakes.service import FakeService
from tests.unit.triggers.test_providers import SIGNERS
from tests.unit.triggers.world import World, simulate
from tests.unit.web.apps import MAX_BODY, FakeMetrics, public_app

LABEL = "default/a/push"
JSON_TYPE = ("Content-Type", "application/json")
BODY = b'{"id": "evt_1"}'
UNPROVEN = (401, "auth.invalid", "unauthorized")


class HookService(FakeService):
    """A service whose deliveries are those of a world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        return await self._world.webhooks.deliver(delivery)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A delivery, and what becomes of it.

    Attributes:
        signed: The body that is signed; by default the one that is sent.
        age_s: How long ago it was signed.
        more: Headers beside those of the proof.
        without: Headers of the proof that are not sent.
        seen: Status, code of the problem, and result of the metric; empty for one that is counted
            by no hook.
    """

    provider: str = "stripe"
    body: bytes = BODY
    signed: bytes | None = None
    age_s: int = 0
    secret: str = ""
    method: str = "POST"
    path: str = "/hooks/default/a/push"
    more: Iterable[tuple[str, str]] = (JSON_TYPE,)
    without: tuple[str, ...] = ()
    trigger: dict[str, Json] = field(default_factory=dict)
    seen: tuple[int, str, str] = UNPROVEN


CASES = {
    # wrong
    "no-proof": Case(without=("stripe-signature",)),
    "other-secret": Case(secret="another secret"),
    "other-body": Case(signed=b'{"id": "evt_2"}'),
    "other-path": Case(path="/hooks/default/a/other"),
    "other-account": Case(path="/hooks/other/a/push"),
    "path-in-capitals": Case(path="/hooks/default/A/push"),
    "encoded-slash": Case(path="/hooks/default/a%2Fpush"),
    "path-upwards": Case(path="/hooks/default/a/x/../push"),
    "other-method": Case(method="PUT"),
    "made-up-method": Case(method="BREW"),
    # old
    "old": Case(age_s=301),
    "ancient": Case(age_s=10**8),
    "future": Case(age_s=-301),
    "old-for-slack": Case(provider="slack", age_s=301),
    "old-for-gitlab": Case(provider="gitlab-signed", age_s=301),
    "future-for-standard": Case(provider="standard", age_s=-301),
    # truncated and oversized
    "truncated": Case(body=BODY[:-1], signed=BODY),
    "truncated-and-signed": Case(body=BODY[:-1], seen=(422, "delivery.json", "unprocessable")),
    "oversized-for-the-hook": Case(
        body=b'"%s"' % (b"x" * 500),
        trigger={"max_body": "500B"},
        seen=(413, "delivery.too_large", "too_large"),
    ),
    "oversized-for-the-host": Case(body=b"x" * (MAX_BODY + 1), seen=(413, "http.too_large", "")),
    "long-signature": Case(
        without=("stripe-signature",), more=(JSON_TYPE, ("Stripe-Signature", "v1=0," * 2_000))
    ),
    # malformed
    "no-json": Case(body=b"<xml/>", seen=(422, "delivery.json", "unprocessable")),
    "not-a-number": Case(body=b'{"id": NaN}', seen=(422, "delivery.json", "unprocessable")),
    "huge-number": Case(body=b"1" * 900 + b"e9", seen=(422, "delivery.json", "unprocessable")),
    "deep": Case(body=b"[" * 99 + b"]" * 99, seen=(422, "delivery.json", "unprocessable")),
    "no-schema": Case(
        trigger={"schema": {"required": ["ref"]}}, seen=(422, "delivery.schema", "unprocessable")
    ),
    "no-content-type": Case(more=(), seen=(415, "delivery.content_type", "unsupported")),
    # confusing
    "form": Case(
        more=(("Content-Type", "application/x-www-form-urlencoded"),),
        seen=(415, "delivery.content_type", "unsupported"),
    ),
    "multipart": Case(
        more=(("Content-Type", 'multipart/form-data; boundary="application/json"'),),
        seen=(415, "delivery.content_type", "unsupported"),
    ),
    "two-content-types": Case(
        more=(JSON_TYPE, ("Content-Type", "text/plain")),
        seen=(415, "delivery.content_type", "unsupported"),
    ),
    "signature-sent-twice": Case(more=(JSON_TYPE, ("Stripe-Signature", "t=1,v1=00"))),
    "two-times": Case(
        provider="slack", more=(JSON_TYPE, ("X-Slack-Request-Timestamp", "1893456000"))
    ),
    "signed-as-another": Case(provider="slack", trigger={"auth": {"type": "github"}}),
    "token-for-a-signature": Case(provider="gitlab-token", trigger={"auth": {"type": "standard"}}),
    "secret-as-the-signature": Case(
        without=("stripe-signature",), more=(JSON_TYPE, ("Stripe-Signature", SIGNERS["stripe"][1]))
    ),
    "sha1-of-github": Case(
        provider="github",
        without=("x-hub-signature-256",),
        more=(JSON_TYPE, ("X-Hub-Signature", "sha1=" + "0" * 40)),
    ),
    "beyond-the-rate": Case(
        trigger={"rate_limit": "1/1h"}, seen=(429, "delivery.rate", "rate_limited")
    ),
}


async def deliver(world: World, case: Case, metrics: FakeMetrics) -> Answer:
    """Sends the delivery of a case to the hook that its provider has."""
    kind, secret, sign = SIGNERS[case.provider]
    world.secrets.texts["HOOK"] = secret
    auth = {"type": str(kind), "secret": "HOOK", **case.trigger.get("auth", {})}
    trigger = {"id": "push", "type": "webhook", **case.trigger, "auth": auth}
    await world.apply(flow_text("a", triggers=[trigger]))
    if "rate_limit" in case.trigger:
        world.webhooks._rates.take(LABEL, parse_rate(case.trigger["rate_limit"]))
    at = int(world.clock.now().timestamp()) - case.age_s
    body = case.body if case.signed is None else case.signed
    proof = sign(case.secret or secret, body, at)
    headers = [pair for pair in proof.items() if pair[0] not in case.without]
    call = Call(
        method=case.method,
        target=case.path,
        headers=(*headers, *case.more),
        chunks=(case.body[:7], case.body[7:]),
    )
    return await answer(public_app(HookService(world), metrics=metrics), call)


@pytest.mark.parametrize("name", CASES)
def test_refused_delivery(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It has its status, body and line in the log, is counted once, and starts nothing.

    Body and line hold nothing of what was sent, nor of the secret.
    """
    case = CASES[name]
    status, code, result = case.seen
    caplog.set_level(logging.INFO)

    async def story(world: World) -> None:
        metrics = FakeMetrics()
        got = await deliver(world, case, metrics)
        assert (got.status, got.json["code"]) == (status, code)
        assert [counted for _, counted, _ in metrics.answered] == ([result] if result else [])
        assert {hook for hook, _, _ in metrics.answered} <= {LABEL, "_unknown"}
        assert ("retry-after" in got.headers) == (status == 429)
        assert ("www-authenticate" in got.headers) == (status == 401)
        body = {"type": f"urn:flowrunner:problem:{code}", "status": status, "code": code}
        assert body.items() <= got.json.items()
        assert await world.executions() == []
        (line,) = [each for each in caplog.messages if each.startswith("http.request ")]
        assert f" status={status} " in line
        assert f" code={code}" in line
        assert (" cause=" in line) == (status == 401)
        for kept_back in ("evt_1", world.secrets.texts["HOOK"]):
            assert kept_back not in got.text + caplog.text

    simulate(story)


def test_every_401_of_the_table_is_the_same() -> None:
    """Whatever is wrong with a proof, the bytes of the answer do not tell it."""

    async def story(world: World) -> set[tuple[bytes, str]]:
        got = [
            await deliver(world, case, FakeMetrics())
            for case in CASES.values()
            if case.seen == UNPROVEN and "auth" not in case.trigger
        ]
        return {(each.body, repr(sorted(each.headers.items()))) for each in got}

    assert len(simulate(story)) == 1


def test_replayed_delivery_is_a_duplicate() -> None:
    """The very same request, sent again at once or later, is answered with the first execution."""

    async def story(world: World) -> None:
        metrics = FakeMetrics()
        case = Case()
        first = await deliver(world, case, metrics)
        await asyncio.sleep(60)
        again = await deliver(world, Case(age_s=60), metrics)
        assert (first.status, again.status) == (202, 200)
        assert again.json == {"status": "duplicate", **first.json}
        assert [counted for _, counted, _ in metrics.answered] == ["accepted", "duplicate"]
        assert len(await world.executions()) == 1

    simulate(story)
