"""Promises of `flowrunner.triggers.webhooks`: what is kept of each delivery, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple, replace
from typing import Any

import pytest

from flowrunner.errors import RefusedError
from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import (
    LONGEST_NAME,
    NO_HOOK,
    DeliveryOutcome,
    DeliveryReason,
    DeliveryRecord,
)
from flowrunner.model.hook_auth import PROVIDERS, AuthType, WebhookAuth
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.signing import proving_headers
from tests.fakes.definitions import key_of
from tests.unit.triggers.test_webhooks import (
    BEARER,
    BODY,
    GITHUB,
    JSON_TYPE,
    PATH,
    SECRET,
    flow,
    proof,
)
from tests.unit.triggers.world import SLEEP, World, simulate

A = key_of("a")
R = DeliveryReason


class Sender:
    """Sends deliveries to the hook of the flow `a`."""

    def __init__(self, world: World, auth: Json) -> None:
        self.world = world
        self.auth = auth

    async def send(
        self, body: bytes = BODY, *, proven: bool = True, secret: str = SECRET, **changes: Any
    ) -> DeliveryAnswer:
        """Headers among the changes come on top of those that prove the delivery."""
        shown = proof(self.auth, body, secret) if proven else {}
        headers = {**JSON_TYPE, **shown, **changes.pop("headers", {})}
        delivery = Delivery(
            path=PATH,
            method="POST",
            headers=headers,
            query={},
            body=body,
            source="192.0.2.7",
            network="192.0.2.7",
            request_id="r1",
        )
        return await self.world.webhooks.deliver(replace(delivery, **changes))

    async def one(self) -> DeliveryRecord:
        """Returns the only record there is."""
        (record,) = await self.world.deliveries()
        return record


def when(condition: str) -> dict[str, Any]:
    """The `if` of a trigger."""
    return {"if": condition}


def auth_of(kind: AuthType) -> WebhookAuth:
    """What a hook of a type asks for."""
    row = PROVIDERS[kind]
    return WebhookAuth(type=kind, secrets=("HOOK",), proof=row.proof, whsec_proof=row.whsec_proof)


Story = Callable[[Sender], Awaitable[None]]


def told(story: Story, data: bytes, auth: Json = GITHUB, *, secret: str = SECRET) -> None:
    """Runs a story with one flow in force and the hook's secret at hand."""

    async def whole(world: World) -> None:
        if secret:
            world.secrets.texts["HOOK"] = secret
        await world.apply(data)
        await story(Sender(world, auth))

    simulate(whole)


def test_accepted_delivery_is_recorded_with_its_execution() -> None:
    """Who, where, what the provider calls it, the answer, the execution and its revision."""
    names = {"x-github-event": "push", "x-github-delivery": "d-1"}

    async def story(sender: Sender) -> None:
        answer = await sender.send(headers=names)
        (execution,) = await sender.world.executions()
        (record,) = await sender.world.storage.deliveries.list(
            DeliveryQuery()
        )  # nothing is flushed
        assert (record.path, record.source, record.request_id) == (PATH, "192.0.2.7", "r1")
        assert (record.flow, record.trigger, record.is_proven) == (A, "push", True)
        assert (record.event, record.delivery_id) == ("push", "d-1")
        assert (record.status, record.reason) == (answer.status, R.ACCEPTED)
        assert (record.execution, record.revision) == (execution.id, execution.revision)
        assert record.at == sender.world.clock.now()
        assert sender.world.answers == [R.ACCEPTED]

    told(story, flow())


def test_accepted_delivery_costs_no_write_of_its_own() -> None:
    """Execution and delivery are one write, and nothing is left to be written."""

    async def story(sender: Sender) -> None:
        disk = sender.world.disk
        await sender.send()
        await asyncio.sleep(1)
        written = [text for text in disk.record if text.startswith("durable")]
        assert [text.split()[1] for text in written] == ["create", "begin"]
        assert sender.world.delivery_log.is_idle

    told(story, flow(top={"nodes": SLEEP}))


@pytest.mark.parametrize(
    ("reason", "status", "data", "sent"),
    [
        pytest.param(R.NO_HOOK, 401, flow(), {"path": "default/a/pull"}, id="path"),
        pytest.param(R.METHOD, 401, flow(), {"method": "PUT"}, id="method"),
        pytest.param(R.SIGNATURE, 401, flow(), {"proven": False}, id="unsigned"),
        pytest.param(R.SIGNATURE, 401, flow(), {"secret": "wrong"}, id="forged"),
        pytest.param(R.NOT_READY, 503, flow(top={"secrets": ["X"]}), {}, id="not ready"),
        pytest.param(R.SUSPENDED, 503, flow(top={"suspend": True}), {}, id="suspended"),
        pytest.param(R.TOO_LARGE, 413, flow(max_body="1KiB"), {"body": b"1" * 2_000}, id="size"),
        pytest.param(
            R.CONTENT_TYPE, 415, flow(), {"headers": {"content-type": "text/plain"}}, id="type"
        ),
        pytest.param(R.BODY, 422, flow(), {"body": b"{"}, id="no JSON"),
        pytest.param(R.SCHEMA, 422, flow(schema={"type": "array"}), {}, id="schema"),
        pytest.param(R.IF_FALSE, 200, flow(**when("trigger.body.ref == 'x'")), {}, id="if"),
        pytest.param(R.TRIAL, 200, flow(), {"headers": {"x-github-event": "ping"}}, id="ping"),
        pytest.param(R.EXPRESSION, 422, flow(**when("trigger.body.ref > 1")), {}, id="expression"),
        pytest.param(
            R.INPUTS,
            422,
            flow(
                top={"inputs": {"n": {"type": "integer"}}}, inputs={"n": "${{ trigger.body.ref }}"}
            ),
            {},
            id="inputs",
        ),
    ],
)
def test_refusal_is_recorded_with_its_reason(
    reason: DeliveryReason, status: int, data: bytes, sent: Mapping[str, Any]
) -> None:
    """The record says of an answer what the sender is not told, and starts with the same status."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(**sent)
        record = await sender.one()
        assert (record.reason, record.status) == (reason, status)
        assert answer.status == status
        assert record.execution is None
        assert record.flow == (NO_HOOK if reason is R.NO_HOOK else A)
        assert sender.world.answers == [reason]

    told(story, data)


@pytest.mark.parametrize("code", ["disk", "observe", "draining"])
def test_refusal_of_the_host_is_recorded(code: str) -> None:
    """What keeps this host from starting anything has a word of its own."""

    async def story(sender: Sender) -> None:
        sender.world.refusal = RefusedError("not now", code=code)
        assert (await sender.send()).status == 503
        assert (await sender.one()).reason == code

    told(story, flow())


def test_disk_that_takes_nothing_is_recorded_later() -> None:
    """While the store fails the refusal waits, and is there when it works again."""

    async def story(sender: Sender) -> None:
        sender.world.disk.fail("create")
        assert (await sender.send()).status == 503
        assert (await sender.one()).reason is R.STORAGE

    told(story, flow())


def test_lack_of_a_secret_is_recorded() -> None:
    """It is told from a wrong signature: the one is our fault, the other the sender's."""

    async def story(sender: Sender) -> None:
        assert (await sender.send()).status == 401
        assert (await sender.one()).reason is R.SECRET_MISSING

    told(story, flow(), secret="")


def test_what_stood_in_the_way_is_recorded() -> None:
    """The expression that was false, and the place in the schema."""

    async def unwanted(sender: Sender) -> None:
        await sender.send()
        assert (await sender.one()).detail == "trigger.body.ref == 'x'"

    async def unfit(sender: Sender) -> None:
        await sender.send()
        assert "/after is missing" in (await sender.one()).detail

    told(unwanted, flow(**when("trigger.body.ref == 'x'")))
    told(unfit, flow(schema={"type": "object", "required": ["after"]}))


@pytest.mark.parametrize("at_once", [False, True])
def test_copy_is_recorded_as_one(*, at_once: bool) -> None:
    """It names the execution of the first, also when both come at the same moment."""
    names = {"x-github-delivery": "d-1"}

    async def story(sender: Sender) -> None:
        first, second = sender.send(headers=names), sender.send(headers=names)
        if at_once:
            await asyncio.gather(first, second)
        else:
            await first
            await second
        (execution,) = await sender.world.executions()
        records = await sender.world.deliveries()
        assert {each.reason for each in records} == {R.ACCEPTED, R.DUPLICATE}
        assert [each.execution for each in records] == [execution.id] * 2
        assert sorted(sender.world.answers) == [R.ACCEPTED, R.DUPLICATE]

    told(story, flow())


def test_many_copies_are_one_row() -> None:
    """A recorded request that is sent again and again costs nobody his record."""

    async def story(sender: Sender) -> None:
        for _ in range(30):
            await sender.send()
        duplicate, accepted = sorted(await sender.world.deliveries(), key=lambda it: it.status)
        assert (duplicate.repeats, accepted.repeats) == (29, 1)

    told(story, flow())


def test_rate_is_recorded() -> None:
    """Deliveries beyond the rate of a hook are one row with their number."""

    async def story(sender: Sender) -> None:
        for number in range(5):
            await sender.send(b'{"n": %d}' % number)
        rows = {each.reason: each.repeats for each in await sender.world.deliveries()}
        assert rows == {R.ACCEPTED: 1, R.RATE: 4}

    told(story, flow(rate_limit="1/1h"))


def test_each_ignored_delivery_has_a_row() -> None:
    """Whoever looks for his push among those that the condition kept out finds it by its id."""

    async def story(sender: Sender) -> None:
        for number in range(3):
            await sender.send(headers={"x-github-delivery": f"d-{number}"})
        assert {each.delivery_id for each in await sender.world.deliveries()} == {
            "d-0",
            "d-1",
            "d-2",
        }

    told(story, flow(**when("false")))


def test_waiting_delivery_is_recorded_with_its_last_answer() -> None:
    """The record says what was answered in the end: here that the execution failed."""
    fails = [{"id": "only", "type": "fail", "params": {"message": "no"}}]

    async def story(sender: Sender) -> None:
        answer = await sender.send()
        record = await sender.one()
        assert (answer.status, record.status) == (500, 500)
        assert record.reason is R.ACCEPTED

    told(story, flow(top={"nodes": fails}, respond="wait"))


def test_skipped_delivery_is_recorded() -> None:
    """Under `on_conflict: skip` it says that another execution was in the way."""

    async def story(sender: Sender) -> None:
        await sender.send(b'{"n": 1}')
        await sender.send(b'{"n": 2}')
        newest = {each.reason: each for each in await sender.world.deliveries()}[R.CONCURRENCY]
        assert (newest.status, newest.reason.outcome) == (200, DeliveryOutcome.IGNORED)

    told(story, flow(top={"nodes": SLEEP, "concurrency": {"on_conflict": "skip"}}))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {SECRET}"},
        {"x-github-event": SECRET, "x-github-delivery": f"id-{SECRET}-id"},
        {"x-hub-signature-256": SECRET, "cookie": SECRET, "x-gitlab-token": SECRET},
    ],
    ids=["authorization", "names", "other proofs"],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("proven", [False, True])
@pytest.mark.parametrize("auth", [GITHUB, BEARER], ids=["github", "bearer"])
def test_secrets_and_bodies_are_not_kept(
    auth: Json, headers: Mapping[str, str], method: str, *, proven: bool
) -> None:
    """Whatever a header holds, the secret of the hook is in no record, nor is the body."""
    body = b'{"ref": "what-only-the-body-says"}'

    async def story(sender: Sender) -> None:
        await sender.send(body, proven=proven, headers=headers, method=method)
        records = await sender.world.deliveries()
        assert records
        for record in records:
            text = repr(astuple(record))
            assert SECRET not in text
            assert "what-only-the-body-says" not in text

    told(story, flow(auth), auth)


def test_what_strangers_write_is_cut() -> None:
    """Neither a path nor an id of any length fills the disk."""

    async def story(sender: Sender) -> None:
        long = "x" * 10_000
        await sender.send(proven=False, headers={"x-github-delivery": long})
        await sender.send(path=f"default/{long}")
        hook, stray = sorted(
            await sender.world.deliveries(), key=lambda each: each.flow, reverse=True
        )
        assert len(hook.delivery_id) == LONGEST_NAME
        assert len(stray.path) < 1_000

    told(story, flow())


STRIPE = {"type": "stripe", "secret": "HOOK"}


async def paid(world: World, body: bytes) -> DeliveryRecord:
    """Sends what Stripe would, and returns the record."""
    world.secrets.texts["HOOK"] = SECRET
    await world.apply(flow(STRIPE))
    now_s, secret = world.clock.now().timestamp(), SecretValue(SECRET)
    shown = proving_headers(
        auth_of(AuthType.STRIPE), secret, {}, body, now_s=now_s, new_id=lambda: "id"
    )
    headers = {**JSON_TYPE, **shown}
    delivery = Delivery(path=PATH, method="POST", headers=headers, query={}, body=body)
    assert (await world.webhooks.deliver(delivery)).status == 202
    (record,) = await world.deliveries()
    return record


def test_names_in_the_body_are_recorded() -> None:
    """Stripe says kind and id of what happened in the body, which is signed."""

    async def story(world: World) -> None:
        record = await paid(world, b'{"id": "evt_1", "type": "invoice.paid", "data": {}}')
        assert (record.event, record.delivery_id) == ("invoice.paid", "evt_1")

    simulate(story)


@pytest.mark.parametrize(
    "names", [b'"\\ud800", "type": "\\udfff"', b'7, "type": {}', b'null, "type": []']
)
def test_names_that_are_none_harm_nothing(names: bytes) -> None:
    """Half a character and what is no text are kept as what can be written, and it starts."""

    async def story(world: World) -> None:
        record = await paid(world, b'{"id": ' + names + b"}")
        assert (record.event + record.delivery_id).encode() in (b"??", b"")

    simulate(story)


@pytest.mark.parametrize("sent", [{"path": "default/a/pull"}, {"proven": False}])
def test_refusal_is_noted_after_its_answer(sent: Mapping[str, Any]) -> None:
    """What there is to note takes no time before the answer: it could tell that a hook exists."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(**sent)).status == 401
        assert sender.world.delivery_log.is_idle
        await asyncio.sleep(0)
        assert not sender.world.delivery_log.is_idle

    told(story, flow())


def test_delivery_that_was_turned_away_before_is_recorded() -> None:
    """What its sender's rate or its size kept from the hook names the hook all the same."""

    async def story(sender: Sender) -> None:
        for path in (PATH, "default/b"):
            delivery = Delivery(path=path, method="POST", headers={}, query={}, body=b"")
            sender.world.webhooks.turned_away(delivery, 429, R.SOURCE_RATE, "too many")
        rows = {each.path: each for each in await sender.world.deliveries()}
        assert (rows[PATH].flow, rows[PATH].trigger, rows[PATH].status) == (A, "push", 429)
        assert not rows[PATH].is_proven
        assert rows[PATH].detail == "too many"
        assert rows["default/b"].flow == NO_HOOK

    told(story, flow())
