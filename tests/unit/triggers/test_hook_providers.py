"""Promises of `flowrunner.triggers.webhooks` for each provider: its ids, its pings, its replays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from flowrunner.model.delivery import Delivery, DeliveryAnswer, Unproven
from flowrunner.model.hook_auth import CREDENTIAL_HEADERS
from flowrunner.model.ids import Json
from tests.fakes.definitions import flow_text
from tests.unit.triggers.test_providers import SIGNERS
from tests.unit.triggers.world import World, simulate

PATH = "default/a/push"
JSON_TYPE = {"content-type": "application/json"}


class Provider:
    """Sends deliveries as a provider does, to the hook of the flow `a`."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.kind, self.secret, self._sign = SIGNERS[name]

    async def hook(self, **more: Json) -> None:
        """Puts the hook in force, with the secret at hand."""
        self.world.secrets.texts["HOOK"] = self.secret
        auth = {"type": str(self.kind), "secret": "HOOK"}
        trigger = {"id": "push", "type": "webhook", "auth": auth, **more}
        await self.world.apply(flow_text("a", triggers=[trigger]))

    def signed(self, body: bytes, age_s: int = 0) -> Mapping[str, str]:
        at = int(self.world.clock.now().timestamp()) - age_s
        return self._sign(self.secret, body, at)

    async def send(
        self, body: bytes, headers: Mapping[str, str] | None = None, /, **more: str
    ) -> DeliveryAnswer:
        """`headers` are those of the proof, by default a right one of now."""
        proof = self.signed(body) if headers is None else headers
        extra = {name.replace("_", "-"): value for name, value in more.items()}
        delivery = Delivery(
            path=PATH, method="POST", headers={**JSON_TYPE, **proof, **extra}, query={}, body=body
        )
        return await self.world.webhooks.deliver(delivery)


def told(name: str, story: Callable[[Provider], Awaitable[None]], **more: Json) -> None:
    """Runs a story with a hook of one provider in force."""

    async def whole(world: World) -> None:
        provider = Provider(world, name)
        await provider.hook(**more)
        await story(provider)

    simulate(whole)


@pytest.mark.parametrize("name", SIGNERS)
def test_delivery_of_each_provider_starts_the_flow(name: str) -> None:
    """What a provider proves is accepted, and no proof of it is kept."""

    async def story(provider: Provider) -> None:
        assert (await provider.send(b'{"id": 1}')).status == 202
        (execution,) = await provider.world.executions()
        assert not CREDENTIAL_HEADERS & execution.cause.context["headers"].keys()
        assert provider.secret not in repr(execution)

    told(name, story)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("github", "x-github-delivery"),
        ("gitlab-token", "idempotency-key"),
        ("gitea", "x-gitea-delivery"),
        ("bitbucket", "x-request-uuid"),
    ],
)
def test_provider_names_its_deliveries_in_a_header(name: str, header: str) -> None:
    """A delivery that a provider sends again under its id is a duplicate, whatever it holds."""

    async def story(provider: Provider) -> None:
        first = await provider.send(b"[1]", **{header: "one"})
        again = await provider.send(b"[2]", **{header: "one"})
        assert (again.status, again.body["execution_id"]) == (200, first.body["execution_id"])
        assert (await provider.send(b"[3]", **{header: "two"})).status == 202

    told(name, story)


@pytest.mark.parametrize(
    ("name", "bodies"),
    [
        ("stripe", (b'{"id": "evt_1", "n": 1}', b'{"id": "evt_1", "n": 2}')),
        ("slack", (b'{"event_id": "Ev1", "n": 1}', b'{"event_id": "Ev1", "n": 2}')),
        ("standard", (b"[1]", b"[2]")),
        ("gitlab-signed", (b"[1]", b"[2]")),
    ],
)
def test_provider_signs_the_id_of_its_deliveries(name: str, bodies: tuple[bytes, bytes]) -> None:
    """The same event, sent and signed anew later, is a duplicate, after a restart as well."""

    async def story(provider: Provider) -> None:
        first = await provider.send(bodies[0])
        await asyncio.sleep(1_000)
        after = Provider(await provider.world.next_life(), name)
        await after.hook()
        again = await after.send(bodies[1])
        assert (again.result, again.body["execution_id"]) == (
            "duplicate",
            first.body["execution_id"],
        )

    told(name, story)


@pytest.mark.parametrize("name", ["stripe", "slack", "standard", "gitlab-signed"])
@pytest.mark.parametrize(("age_s", "is_fresh"), [(299, True), (301, False), (-301, False)])
def test_old_and_future_deliveries_are_refused(name: str, age_s: int, is_fresh: bool) -> None:  # noqa: FBT001 - a case
    """A signed time counts for five minutes, and the log alone learns that it was the time."""

    async def story(provider: Provider) -> None:
        answer = await provider.send(b"{}", provider.signed(b"{}", age_s))
        assert answer.status == (202 if is_fresh else 401)
        assert answer.cause == ("" if is_fresh else Unproven.TIME)

    told(name, story)


@pytest.mark.parametrize("name", ["stripe", "slack", "standard"])
def test_recorded_delivery_cannot_be_sent_again_under_another_key(name: str) -> None:
    """Where a flow takes the id from what is not signed, a copy is known by what is."""

    async def story(provider: Provider) -> None:
        recorded = provider.signed(b"{}")
        assert (await provider.send(b"{}", recorded, x_id="1")).status == 202
        await asyncio.sleep(250)
        assert (await provider.send(b"{}", recorded, x_id="2")).result == "duplicate"
        await asyncio.sleep(100)
        assert (await provider.send(b"{}", recorded, x_id="3")).status == 401
        assert len(await provider.world.executions()) == 1

    told(name, story, dedupe={"key": "trigger.headers['x-id']"})


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("github", {"x_github_event": "ping"}, b'{"zen": "Design for failure."}'),
        ("bitbucket", {"x_event_key": "diagnostics:ping"}, b'{"test": true}'),
    ],
)
def test_ping_is_answered_and_starts_nothing(
    name: str, headers: Mapping[str, str], body: bytes
) -> None:
    """A provider that only tries the hook hears that it is there; without the proof it does not."""

    async def story(provider: Provider) -> None:
        assert (await provider.send(body, {}, **headers)).status == 401
        answer = await provider.send(body, **headers)
        assert (answer.status, answer.result, answer.body) == (
            200,
            "ignored",
            {"status": "ignored"},
        )
        assert await provider.world.executions() == []

    told(name, story)


def test_challenge_of_slack_is_answered() -> None:
    """Slack gets its challenge back once it has proven itself, and nothing starts."""
    body = b'{"token": "x", "challenge": "3eZbrw1aB", "type": "url_verification"}'

    async def story(provider: Provider) -> None:
        assert (await provider.send(body, {})).status == 401
        answer = await provider.send(body)
        assert (answer.status, answer.body) == (200, {"challenge": "3eZbrw1aB"})
        assert await provider.world.executions() == []
        for other in (b'{"challenge": "x"}', b'{"type": "url_verification", "challenge": 5}'):
            assert (await provider.send(other)).status == 202

    told("slack", story)


def test_challenge_of_nobody_else_is_answered() -> None:
    """What is a challenge for Slack is a delivery for others."""

    async def story(provider: Provider) -> None:
        body = b'{"challenge": "x", "type": "url_verification"}'
        assert (await provider.send(body)).status == 202

    told("github", story)


@pytest.mark.parametrize(
    ("is_local", "takes", "status"),
    [(True, False, 202), (False, False, 401), (False, True, 202)],
)
def test_hook_without_a_proof_is_for_this_machine(
    is_local: bool,  # noqa: FBT001 - a case
    takes: bool,  # noqa: FBT001 - a case
    status: int,
) -> None:
    """`none` takes what a process of this machine sends, and of others where settings say so."""

    async def story(world: World) -> None:
        trigger = {"id": "push", "type": "webhook", "auth": {"type": "none"}}
        await world.apply(flow_text("a", triggers=[trigger]))
        world.webhooks._takes_unproven = takes
        delivery = Delivery(
            path=PATH, method="POST", headers=JSON_TYPE, query={}, body=b"{}", is_local=is_local
        )
        answer = await world.webhooks.deliver(delivery)
        assert answer.status == status
        assert answer.cause == (Unproven.OFF_HOST if status == 401 else "")
        assert len(await world.executions()) == (status == 202)

    simulate(story)
