"""Promises of `flowrunner.triggers.webhooks`: the order of the checks, and the answers.

Source: FLOW_FORMAT, section 3.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import RefusedError
from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, FlowKey, Json
from flowrunner.model.states import ExecutionState
from flowrunner.registry.entry import FlowEntry
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.protocols import ExecutionQuery, ExecutionStore
from flowrunner.triggers import recalling
from flowrunner.triggers.dedupe import Duplicates
from flowrunner.triggers.webhooks import MOST_AT_ONCE
from tests.fakes.clock import DEFAULT_START, FakeClock
from tests.fakes.definitions import broken_text, flow_text, hook, key_of
from tests.profile import examples
from tests.unit.triggers.world import SLEEP, World, simulate

A = key_of("a")
PATH = "default/a/push"
SECRET = "correct horse battery staple"
BODY = b'{"ref": "main"}'
JSON_TYPE = {"content-type": "application/json"}
GITHUB = {"type": "github", "secret": "HOOK"}
HMAC = {"type": "hmac", "secret": "HOOK", "header": "X-Signature"}
BEARER = {"type": "bearer", "secret": "HOOK"}


def flow(auth: Json = GITHUB, *, top: Mapping[str, Json] | None = None, **trigger: Json) -> bytes:
    """The flow `a` with the hook `a/push`."""
    more = {"id": "push", "type": "webhook", "auth": auth, **trigger}
    return flow_text("a", triggers=[more], **(top or {}))


def proof(auth: Json, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The header that proves a delivery."""
    if auth["type"] == "bearer":
        return {"authorization": f"Bearer {secret}"}
    digest = hmac.new(secret.encode(), body, auth.get("algorithm", "sha256"))
    if auth["type"] == "github":
        return {"x-hub-signature-256": f"sha256={digest.hexdigest()}"}
    text = digest.hexdigest()
    if auth.get("encoding") == "base64":
        text = base64.b64encode(digest.digest()).decode()
    return {str(auth["header"]).lower(): auth.get("prefix", "") + text}


class Sender:
    """Sends deliveries to one hook, signed unless a test says otherwise."""

    def __init__(self, world: World, auth: Json = GITHUB) -> None:
        self.world = world
        self.auth = auth

    async def send(
        self,
        body: bytes = BODY,
        *,
        path: str = PATH,
        method: str = "POST",
        secret: str = SECRET,
        signed: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        **headers: str,
    ) -> DeliveryAnswer:
        """`signed` replaces the proof; header names are written with `_`."""
        given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        delivery = Delivery(
            path=path,
            method=method,
            headers={
                **JSON_TYPE,
                **(proof(self.auth, body, secret) if signed is None else signed),
                **given_headers,
            },
            query=query or {},
            body=body,
        )
        return await self.world.webhooks.deliver(delivery)


def told(story: Callable[[Sender], Awaitable[None]], data: bytes, auth: Json = GITHUB) -> None:
    """Runs a story with one flow in force and the hook's secret at hand."""

    async def whole(world: World) -> None:
        world.secrets.texts["HOOK"] = SECRET
        await world.apply(data)
        await story(Sender(world, auth))

    simulate(whole)


async def refused(sender: Sender, answer: DeliveryAnswer, status: int, result: str) -> None:
    """Checks a refusal, and that nothing started."""
    assert (answer.status, answer.result) == (status, result)
    assert answer.problem
    assert answer.code
    assert not answer.body
    assert await sender.world.executions() == []


# Accepted


def test_signed_delivery_starts_the_flow() -> None:
    """A delivery that passes every check is answered 202 with the id of its execution."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(x_github_event="push", query={"q": "1"})
        (execution,) = await sender.world.executions()
        assert (answer.status, answer.result, answer.hook) == (202, "accepted", PATH)
        assert answer.body == {"execution_id": execution.id}
        assert (answer.problem, answer.retry_after_s) == ("", None)
        cause = execution.cause
        assert (cause.trigger_id, cause.trigger_type, cause.payload) == ("push", "webhook", BODY)
        assert cause.context["query"] == {"q": "1"}
        assert cause.context["headers"] == {**JSON_TYPE, "x-github-event": "push"}

    told(story, flow())


def test_accepted_is_durable() -> None:
    """The 202 comes after the execution was written."""

    async def story(sender: Sender) -> None:
        sender.world.disk.latency_s = 5.0
        task = asyncio.create_task(sender.send())
        await asyncio.sleep(4)
        assert not task.done()
        durable = f"durable {sender.world.disk.record[-1]}"
        await asyncio.sleep(2)
        assert (await task).status == 202
        assert durable.startswith("durable create")
        assert durable in sender.world.disk.record

    told(story, flow())


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param(GITHUB, id="github"),
        pytest.param(BEARER, id="bearer"),
        pytest.param(HMAC, id="hmac"),
        pytest.param({**HMAC, "algorithm": "sha512"}, id="sha512"),
        pytest.param({**HMAC, "encoding": "base64"}, id="base64"),
        pytest.param({**HMAC, "prefix": "v1="}, id="prefix"),
    ],
)
def test_every_kind_of_proof_is_accepted(auth: Json) -> None:
    """Each `auth` of the format lets its own deliveries in, and no others."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(secret="wrong")).status == 401
        assert (await sender.send()).status == 202

    told(story, flow(auth), auth)


def test_inputs_come_from_the_delivery() -> None:
    """`inputs` are evaluated over body, headers and query."""

    async def story(sender: Sender) -> None:
        await sender.send(x_github_event="push", query={"env": "live"})
        assert await sender.world.inputs() == [{"ref": "main", "event": "push", "env": "live"}]

    inputs = {
        "ref": "${{ trigger.body.ref }}",
        "event": "${{ trigger.headers['x-github-event'] }}",
        "env": "${{ trigger.query.env }}",
    }
    told(story, flow(top={"inputs": {"ref": {}, "event": {}, "env": {}}}, inputs=inputs))


def test_rotation_takes_the_new_and_the_old_secret() -> None:
    """While a secret is changed both are good; the one that is gone is not."""
    auth = {"type": "github", "secrets": ["NEW", "OLD"]}

    async def story(sender: Sender) -> None:
        world = sender.world
        world.secrets.texts = {"NEW": "new secret", "OLD": "old secret"}
        await world.apply(flow(auth))
        assert (await sender.send(b"[1]", secret="old secret")).status == 202
        assert (await sender.send(b"[2]", secret="new secret")).status == 202
        del world.secrets.texts["OLD"]
        await world.apply(flow(auth))
        assert (await sender.send(b"[3]", secret="old secret")).status == 401
        assert (await sender.send(b"[4]", secret="new secret")).status == 202

    told(story, flow(auth))


def test_secret_is_read_for_each_delivery() -> None:
    """A secret that was replaced is in force at once, without a restart or a pass."""

    async def story(sender: Sender) -> None:
        sender.world.secrets.texts["HOOK"] = "replaced"
        assert (await sender.send()).status == 401
        assert (await sender.send(secret="replaced")).status == 202

    told(story, flow())


def test_methods_that_are_listed_are_accepted() -> None:
    """A hook takes the methods it lists, and no others."""

    async def story(sender: Sender) -> None:
        for number, method in enumerate(("PUT", "PATCH")):
            assert (await sender.send(b"[%d]" % number, method=method)).status == 202
        for method in ("POST", "GET", "DELETE", "put", ""):
            assert (await sender.send(method=method)).status == 401

    told(story, flow(methods=["PUT", "PATCH"]))


def test_get_without_a_body_is_accepted() -> None:
    """A GET has no body and needs no content type; `trigger.body` is null."""

    async def story(sender: Sender) -> None:
        headers = {"authorization": f"Bearer {SECRET}"}
        delivery = Delivery(path=PATH, method="GET", headers=headers, query={"q": "1"}, body=b"")
        answer = await sender.world.webhooks.deliver(delivery)
        assert answer.status == 202
        assert await sender.world.inputs() == [{"q": "1"}]

    told(
        story,
        flow(
            BEARER,
            top={"inputs": {"q": {}}},
            methods=["GET"],
            inputs={"q": "${{ trigger.query.q }}"},
            **{"if": "trigger.body == null"},
        ),
        BEARER,
    )


# Not authenticated


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"path": "default/a/other"}, id="unknown-path"),
        pytest.param({"path": "default/b/push"}, id="unknown-flow"),
        pytest.param({"path": "other/a/push"}, id="unknown-account"),
        pytest.param({"path": ""}, id="no-path"),
        pytest.param({"path": "default/a/push/"}, id="slash-at-the-end"),
        pytest.param({"path": "default/a/Push"}, id="other-case"),
        pytest.param({"path": "default//a/push"}, id="two-slashes"),
        pytest.param({"method": "PUT"}, id="wrong-method"),
        pytest.param({"signed": {}}, id="no-signature"),
        pytest.param({"signed": {"x-hub-signature-256": ""}}, id="empty"),
        pytest.param({"signed": {"x-hub-signature-256": "sha256="}}, id="prefix-alone"),
        pytest.param({"signed": {"x-hub-signature-256": "sha256=zz"}}, id="malformed"),
        pytest.param({"signed": {"x-hub-signature-256": "sha256=é\ud800"}}, id="not-ascii"),
        pytest.param({"signed": {"x-hub-signature-256": "sha256=" + "0" * 64}}, id="wrong"),
        pytest.param({"signed": {"authorization": f"Bearer {SECRET}"}}, id="other-scheme"),
        pytest.param({"secret": "other secret"}, id="other-secret"),
    ],
)
def test_everything_that_is_not_authenticated_is_answered_alike(change: Mapping[str, str]) -> None:
    """Unknown path, wrong method and bad signature cannot be told apart by the answer."""

    async def story(sender: Sender) -> None:
        plain = await sender.send(path="default/nobody/here", signed={})
        answer = await sender.send(**change)  # type: ignore[arg-type]  # one table for all
        await refused(sender, answer, 401, "unauthorized")
        visible = (answer.status, answer.body, answer.problem, answer.code, answer.retry_after_s)
        assert visible == (
            plain.status,
            plain.body,
            plain.problem,
            plain.code,
            plain.retry_after_s,
        )

    told(story, flow())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(broken_text("a"), id="never-valid"),
        pytest.param(flow_text("a"), id="no-hook"),
        pytest.param(flow(enabled=False), id="disabled"),
        pytest.param(flow_text("b", triggers=[hook("b/push", "HOOK")]), id="no-such-flow"),
    ],
)
def test_hook_that_is_not_in_force_does_not_exist(data: bytes) -> None:
    """A flow without a version or without an enabled hook is an unknown path."""

    async def story(sender: Sender) -> None:
        answer = await sender.send()
        assert (answer.status, answer.hook) == (401, "_unknown")

    told(story, data)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"top": {"description": "new"}}, id="another-version"),
        pytest.param({"methods": ["PUT", "POST"]}, id="another-hook"),
    ],
)
def test_an_edit_puts_the_new_version_behind_its_hook(edit: dict[str, Json]) -> None:
    """A delivery starts what the file says now; hooks of other flows stay as they are."""

    async def story(sender: Sender) -> None:
        other = flow_text("b", triggers=[hook("b/push", "HOOK")])
        await sender.world.apply(flow(), other)
        before = sender.world.registry.entries[A].digest
        await sender.world.apply(flow(**edit), other)
        assert (await sender.send()).status == 202
        (execution,) = await sender.world.executions()
        assert execution.digest == sender.world.registry.entries[A].digest != before
        sender.auth = BEARER
        assert (await sender.send(path="default/b/push")).status == 202

    told(story, flow())


def test_an_edit_of_the_proof_holds_at_once() -> None:
    """What let a sender in before the edit does not any more, and the new proof does."""

    async def story(sender: Sender) -> None:
        await sender.world.apply(flow(BEARER))
        assert (await sender.send()).status == 401
        sender.auth = BEARER
        assert (await sender.send()).status == 202

    told(story, flow())


def test_label_of_a_known_hook_is_its_path() -> None:
    """Metrics count refusals of a hook under its path, and all other paths under one word."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(signed={})).hook == PATH
        assert (await sender.send(path="default/x" * 100)).hook == "_unknown"
        assert (await sender.send(method="PUT")).hook == "_unknown"

    told(story, flow())


def test_missing_secret_lets_nobody_in() -> None:
    """A hook whose secret this host does not have answers 401, whatever was signed with."""

    async def story(world: World) -> None:
        await world.apply(flow())
        sender = Sender(world)
        for secret in ("", SECRET, "None"):
            await refused(sender, await sender.send(secret=secret), 401, "unauthorized")

    simulate(story)


def test_refusal_never_echoes_what_was_sent_or_expected() -> None:
    """A refused sender learns neither the right signature nor its own words."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(signed={"x-hub-signature-256": "sha256=abcdef"})
        expected = proof(GITHUB, BODY)["x-hub-signature-256"].removeprefix("sha256=")
        text = repr(answer)
        assert expected not in text
        assert "abcdef" not in text

    told(story, flow())


# State


@pytest.mark.parametrize(
    "body", [pytest.param(BODY, id="good"), pytest.param(b"not json", id="bad")]
)
def test_flow_that_is_not_ready_is_unavailable(body: bytes) -> None:
    """A flow without its secrets answers 503 with Retry-After, before the body is looked at."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(body)
        await refused(sender, answer, 503, "unavailable")
        assert answer.code == "not_ready"
        assert answer.retry_after_s == 30

    told(story, flow(top={"secrets": ["KEY"]}))


@pytest.mark.parametrize(
    "body", [pytest.param(BODY, id="good"), pytest.param(b"not json", id="bad")]
)
def test_host_without_room_is_unavailable(body: bytes) -> None:
    """Below the floor of the disk a delivery is 503 with Retry-After, whatever its body."""

    async def story(sender: Sender) -> None:
        sender.world.refusal = RefusedError("no room", code="disk")
        answer = await sender.send(body)
        await refused(sender, answer, 503, "unavailable")
        assert (answer.code, answer.retry_after_s) == ("disk", 30)

    told(story, flow())


def test_stopping_daemon_is_unavailable() -> None:
    """While the daemon stops a delivery is answered 503 with Retry-After."""

    async def story(sender: Sender) -> None:
        await sender.world.engine.drain(0)
        answer = await sender.send()
        await refused(sender, answer, 503, "unavailable")
        assert (answer.code, answer.retry_after_s) == ("draining", 30)

    told(story, flow())


def test_store_that_fails_is_unavailable() -> None:
    """What cannot be written is answered 503, and the same delivery is accepted later."""

    async def story(sender: Sender) -> None:
        sender.world.disk.fail("create")
        answer = await sender.send(x_github_delivery="1")
        await refused(sender, answer, 503, "unavailable")
        assert (answer.code, answer.retry_after_s) == ("storage.full", 30)
        sender.world.disk.mend()
        assert (await sender.send(x_github_delivery="1")).status == 202

    told(story, flow())


# The body


@pytest.mark.parametrize(
    ("size", "status"), [pytest.param(1024, 202, id="fits"), pytest.param(1025, 413, id="over")]
)
def test_body_is_bounded(size: int, status: int) -> None:
    """A body larger than `max_body` is answered 413."""

    async def story(sender: Sender) -> None:
        body = b'"' + b"x" * (size - 2) + b'"'
        answer = await sender.send(body)
        assert answer.status == status
        if status == 413:
            await refused(sender, answer, 413, "too_large")

    told(story, flow(max_body="1KiB"))


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        pytest.param("application/json", True, id="json"),
        pytest.param("Application/JSON; charset=utf-8", True, id="parameters"),
        pytest.param("application/vnd.api+json", True, id="suffix"),
        pytest.param("application/cloudevents+JSON;x=y", True, id="suffix-in-capitals"),
        pytest.param("", False, id="missing"),
        pytest.param("application/x-www-form-urlencoded", False, id="form"),
        pytest.param("text/plain", False, id="text"),
        pytest.param("text/json", False, id="text-json"),
        pytest.param("application/jsonp", False, id="longer"),
        pytest.param("multipart/form-data; boundary=application/json", False, id="in-parameter"),
        pytest.param("application/json, text/plain", False, id="sent-twice"),
    ],
)
def test_content_type_must_be_json(content_type: str, accepted: bool) -> None:  # noqa: FBT001 - a case
    """A body of another type is answered 415, whatever it holds."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(content_type=content_type)
        if accepted:
            assert answer.status == 202
        else:
            await refused(sender, answer, 415, "unsupported")

    told(story, flow())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"not json", id="text"),
        pytest.param(b" ", id="space"),
        pytest.param(b"{}{}", id="two"),
        pytest.param(b'{"a": NaN}', id="nan"),
        pytest.param(b"[Infinity]", id="infinity"),
        pytest.param(b"-Infinity", id="minus-infinity"),
        pytest.param(b'{"a": 1e400}', id="beyond-a-double"),
        pytest.param(b"1" * 5000, id="integer-of-5000-digits"),
        pytest.param(b'{"a": "\xff"}', id="not-utf8"),
        pytest.param(b"\0", id="nul"),
        pytest.param(b"'a'", id="single-quotes"),
        pytest.param(b"[" * 100_000, id="brackets-open"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="100000-deep"),
        pytest.param(b"[" * 900 + b"]" * 900, id="900-deep"),
        pytest.param(b"[" * 65 + b"]" * 65, id="65-deep"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, id="65-maps-deep"),
    ],
)
def test_body_must_be_json(body: bytes) -> None:
    """What is no JSON, or JSON that nobody could write again, is answered 422."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(body)
        await refused(sender, answer, 422, "unprocessable")
        assert answer.code == "delivery.json"

    told(story, flow())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param(b'{"a": 1, "a": 2}', id="key-twice"),
        pytest.param(b'"\\ud800"', id="lone-surrogate"),
        pytest.param(b'"\\u0000"', id="nul-in-text"),
        pytest.param(b"[" * 64 + b"]" * 64, id="64-deep"),
        pytest.param(b"[" + b",".join([b"[]"] * 1000) + b"]", id="wide"),
        pytest.param(b"1e308", id="largest-double"),
    ],
)
def test_any_json_is_a_body(body: bytes) -> None:
    """A body need not be a map."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(body)).status == 202

    told(story, flow())


# `if` and `inputs`


def test_condition_that_is_false_ignores_the_delivery() -> None:
    """An authentic delivery that the flow does not want is answered 200 and starts nothing."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(b'{"ref": "other"}')
        assert (answer.status, answer.result) == (200, "ignored")
        assert answer.body == {"status": "ignored"}
        assert await sender.world.executions() == []
        assert (await sender.send()).status == 202

    condition: dict[str, Json] = {"if": "trigger.body.ref == 'main'"}
    told(story, flow(**condition))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{}", "input.invalid", id="missing"),
        pytest.param(b'{"n": "5"}', "input.invalid", id="wrong-type"),
        pytest.param(b'{"n": 50}', "input.invalid", id="too-large"),
        pytest.param(b'{"n": true}', "input.invalid", id="boolean"),
    ],
)
def test_inputs_that_do_not_fit_are_answered_422(body: bytes, code: str) -> None:
    """A delivery that does not give what the flow needs is refused with the input's name."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(body)
        await refused(sender, answer, 422, "unprocessable")
        assert answer.code == code
        assert "'n'" in answer.problem

    inputs = {"n": {"type": "integer", "maximum": 9}}
    told(story, flow(top={"inputs": inputs}, inputs={"n": "${{ trigger.body.n }}"}))


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param({"pattern": "^[a-z]+$"}, id="pattern"),
        pytest.param({"format": "email"}, id="format"),
        pytest.param({"enum": ["a"]}, id="enum"),
    ],
)
def test_refused_input_is_not_quoted(declared: dict[str, Json]) -> None:
    """What a delivery brings may be a secret: the answer names the input, not its value."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(b'{"n": "Hunter-22"}')
        await refused(sender, answer, 422, "unprocessable")
        assert "'n' must" in answer.problem
        assert "Hunter" not in answer.problem

    inputs = {"n": "${{ trigger.body.n }}"}
    told(story, flow(top={"inputs": {"n": declared}}, inputs=inputs))


@pytest.mark.parametrize("place", ["if", "inputs", "dedupe"])
def test_expression_that_fails_is_answered_422(place: str) -> None:
    """Data that an expression cannot judge is the sender's fault, not the daemon's."""
    expression = "trigger.body.n > 5"
    value: dict[str, Json] = {
        "if": expression,
        "inputs": {"big": "${{ " + expression + " }}"},
        "dedupe": {"key": expression},
    }
    more = {place: value[place]}

    async def story(sender: Sender) -> None:
        answer = await sender.send(b'{"n": "x"}')
        await refused(sender, answer, 422, "unprocessable")
        assert answer.code == "expression"

    inputs = {"big": {"type": "boolean", "default": False}}
    told(story, flow(top={"inputs": inputs}, **more))


# Duplicates


def test_same_id_is_a_duplicate() -> None:
    """A delivery that comes again under its id is answered with the first execution."""

    async def story(sender: Sender) -> None:
        first = await sender.send(b"[1]", x_github_delivery="id-1")
        second = await sender.send(b"[2]", x_github_delivery="id-1")
        assert (second.status, second.result) == (200, "duplicate")
        assert second.body == {"status": "duplicate", **first.body}
        assert len(await sender.world.executions()) == 1

    told(story, flow())


def test_same_body_under_another_id_is_a_duplicate_for_five_minutes() -> None:
    """Where the id is not signed, a recorded request cannot be sent again under another one."""

    async def story(sender: Sender) -> None:
        first = await sender.send(x_github_delivery="id-1")
        second = await sender.send(x_github_delivery="id-2")
        assert (second.status, second.body["execution_id"]) == (200, first.body["execution_id"])
        await asyncio.sleep(301)
        assert (await sender.send(x_github_delivery="id-3")).status == 202

    told(story, flow())


async def next_life(sender: Sender) -> Sender:
    """A restart of the daemon, as far as hooks are concerned."""
    after = await sender.world.next_life()
    after.secrets.texts["HOOK"] = SECRET
    await after.apply(flow())
    await after.webhooks.recall(after.storage.executions)
    return Sender(after)


def test_same_body_under_another_id_is_a_duplicate_across_a_restart() -> None:
    """The five minutes are those since it was accepted, whatever becomes of the daemon."""

    async def story(sender: Sender) -> None:
        first = await sender.send(b"[1]", x_github_delivery="id-1")
        await asyncio.sleep(100)
        late = await sender.send(b"[2]", x_github_delivery="id-2")
        await asyncio.sleep(150)
        after = await next_life(sender)
        for body, known in ((b"[1]", first), (b"[2]", late)):
            again = await after.send(body, x_github_delivery="id-3")
            assert (again.result, again.body["execution_id"]) == (
                "duplicate",
                known.body["execution_id"],
            )
        await asyncio.sleep(51)
        after = await next_life(after)
        assert (await after.send(b"[1]", x_github_delivery="id-4")).status == 202
        assert (await after.send(b"[2]", x_github_delivery="id-5")).result == "duplicate"

    told(story, flow())


def test_so_many_bodies_are_recalled_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start looks at the newest executions alone, however many came in the last minutes."""
    monkeypatch.setattr(recalling, "MOST_RECALLED", 200)

    async def story(sender: Sender) -> None:
        for number in range(250):
            await sender.send(b"[%d]" % number, x_github_delivery=f"id-{number}")
        after = await next_life(sender)
        old = await after.send(b"[49]", x_github_delivery="other")
        recalled = await after.send(b"[50]", x_github_delivery="another")
        assert (old.status, recalled.result) == (202, "duplicate")

    told(story, flow(top={"concurrency": {"limit": 1, "queue_limit": 1_000}}))


def test_bodies_beyond_a_size_are_not_recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start reads so many bytes of bodies, those of the newest first."""
    monkeypatch.setattr(recalling, "MOST_RECALLED_BYTES", 5)

    async def story(sender: Sender) -> None:
        for body in (b"[1]", b"[2]", b"[3]"):
            await sender.send(body, x_github_delivery=f"id-{body!r}")
        after = await next_life(sender)
        found = [
            (await after.send(body, x_github_delivery="other")).result
            for body in (b"[3]", b"[2]", b"[1]")
        ]
        assert found == ["duplicate", "duplicate", "accepted"]

    told(story, flow(top={"concurrency": {"limit": 1, "queue_limit": 10}}))


class Asked:
    """Executions that take note of whose were asked for."""

    def __init__(self, inner: ExecutionStore) -> None:
        self.inner = inner
        self.flows: list[str | None] = []

    async def list(self, query: ExecutionQuery) -> list[Execution]:
        """Returns a page."""
        self.flows.append(query.flow)
        return await self.inner.list(query)

    async def get(self, execution_id: ExecutionId) -> Execution | None:
        """Returns one execution."""
        return await self.inner.get(execution_id)


def test_flows_that_were_quiet_of_late_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of flows with hooks, a start looks at those alone that may have a body."""
    monkeypatch.setattr(recalling, "_NEWEST", 3)
    hooks = [{"id": "push", "type": "webhook", "auth": GITHUB}]
    early, never = (flow_text(name, triggers=hooks) for name in ("early", "never"))

    async def story(sender: Sender) -> None:
        await sender.world.apply(flow(), early, never)
        await sender.send(path="default/early/push")
        await asyncio.sleep(301)
        await sender.send(b"[1]", x_github_delivery="id-1")
        assert await asked_for(sender) == [None, "a"]
        for body in (b"[2]", b"[3]"):  # so many that nobody knows what was before them
            await sender.send(body, x_github_delivery=f"id-{body!r}")
        assert await asked_for(sender) == [None, "a", "early", "never"]

    async def asked_for(sender: Sender) -> list[str | None]:
        executions = Asked(sender.world.storage.executions)
        await sender.world.webhooks.recall(cast("ExecutionStore", executions))
        return executions.flows

    told(story, flow(top={"concurrency": {"limit": 1, "queue_limit": 10}}))


@pytest.mark.parametrize("newest", [100, 1_000])
def test_executions_of_other_flows_hide_no_body(
    newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many a schedule has started since, the delivery before them is known."""
    monkeypatch.setattr(recalling, "MOST_RECALLED", 100)
    monkeypatch.setattr(recalling, "_NEWEST", newest)

    async def story(sender: Sender) -> None:
        await sender.send(b"[1]", x_github_delivery="id-1")
        busy = flow_text("busy", concurrency={"limit": 1, "queue_limit": 1_000})
        await sender.world.apply(flow(), busy)
        for _ in range(150):
            await sender.world.dispatcher.start_by_hand(key_of("busy"), {}, as_text=False)
        after = await next_life(sender)
        assert (await after.send(b"[1]", x_github_delivery="id-2")).result == "duplicate"

    told(story, flow())


@pytest.mark.parametrize("auth", [pytest.param(GITHUB, id="github"), pytest.param(HMAC, id="hmac")])
def test_same_body_without_an_id_is_a_duplicate_for_five_minutes(auth: Json) -> None:
    """A signed delivery without an id is known by its body, also across a restart."""

    async def story(sender: Sender) -> None:
        first = await sender.send()
        assert (await sender.send()).result == "duplicate"
        after = await sender.world.next_life()
        after.secrets.texts["HOOK"] = SECRET
        await after.apply(flow(auth))
        again = await Sender(after, auth).send()
        assert (again.result, again.body["execution_id"]) == (
            "duplicate",
            first.body["execution_id"],
        )
        await asyncio.sleep(301)
        assert (await Sender(after, auth).send()).status == 202

    told(story, flow(auth), auth)


def test_same_id_is_a_duplicate_across_a_restart() -> None:
    """What was accepted is known to the next start."""

    async def story(sender: Sender) -> None:
        await sender.send(b"[1]", x_github_delivery="id-1")
        after = await sender.world.next_life()
        after.secrets.texts["HOOK"] = SECRET
        await after.apply(flow())
        answer = await Sender(after).send(b"[2]", x_github_delivery="id-1")
        assert answer.result == "duplicate"

    told(story, flow())


def test_id_may_come_again_after_its_window() -> None:
    """The window of `dedupe` is the flow's."""

    async def story(sender: Sender) -> None:
        await sender.send(b"[1]", x_message_id="1")
        await asyncio.sleep(3500)
        assert (await sender.send(b"[2]", x_message_id="1")).result == "duplicate"
        await asyncio.sleep(200)
        assert (await sender.send(b"[3]", x_message_id="1")).status == 202

    dedupe = {"key": "trigger.headers['x-message-id']", "window": "1h"}
    told(story, flow(HMAC, dedupe=dedupe), HMAC)


@pytest.mark.parametrize(
    ("value", "repeated"),
    [
        pytest.param('"x"', "duplicate", id="text"),
        pytest.param("5", "duplicate", id="number"),
        pytest.param("0", "duplicate", id="zero"),
        pytest.param("false", "duplicate", id="false"),
        pytest.param('{"a": [1]}', "duplicate", id="map"),
        pytest.param("null", "accepted", id="null-is-none"),
        pytest.param('""', "accepted", id="empty-is-none"),
    ],
)
def test_any_value_is_an_id(value: str, repeated: str) -> None:
    """`dedupe.key` may give anything; null and an empty text mean that there is no id."""

    async def story(sender: Sender) -> None:
        for number, result in enumerate(("accepted", repeated)):
            body = f'{{"id": {value}, "n": {number}}}'.encode()
            assert (await sender.send(body)).result == result

    told(story, flow(BEARER, dedupe={"key": "trigger.body.id"}), BEARER)


def test_ids_of_different_kinds_are_different() -> None:
    """The number 1 and the text 1 are two ids."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b'{"id": 1}')).status == 202
        assert (await sender.send(b'{"id": "1"}')).status == 202

    told(story, flow(BEARER, dedupe={"key": "trigger.body.id"}), BEARER)


def test_bearer_without_an_id_starts_each_time() -> None:
    """A token says nothing about bodies: without `dedupe` two equal deliveries are two."""

    async def story(sender: Sender) -> None:
        assert [(await sender.send()).status for _ in range(2)] == [202, 202]

    told(story, flow(BEARER), BEARER)


def test_hooks_do_not_share_their_ids() -> None:
    """The same id at two hooks is two deliveries."""

    async def story(sender: Sender) -> None:
        triggers = [
            {"id": name, "type": "webhook", "auth": GITHUB, "path": name} for name in ("x", "y")
        ]
        await sender.world.apply(flow_text("a", triggers=triggers))
        for path in ("default/x", "default/y"):
            assert (await sender.send(path=path, x_github_delivery="1")).status == 202

    told(story, flow())


@pytest.mark.parametrize(
    ("ids", "bodies"),
    [
        pytest.param(["1", "1", "1"], [b"[1]", b"[1]", b"[1]"], id="same-id-and-body"),
        pytest.param(["1", "1", "1"], [b"[1]", b"[2]", b"[3]"], id="same-id"),
        pytest.param(["1", "2", "3"], [b"[1]", b"[1]", b"[1]"], id="same-body"),
        pytest.param(["", "", ""], [b"[1]", b"[1]", b"[1]"], id="no-id"),
    ],
)
@pytest.mark.parametrize("moment", [10.0, 299.95, 86_399.95])
def test_copies_at_the_same_moment_start_once(
    ids: list[str], bodies: list[bytes], moment: float
) -> None:
    """Copies that come together start one execution, also at the border of two windows."""

    async def send_at(sender: Sender, delay: float, body: bytes, name: str) -> DeliveryAnswer:
        await asyncio.sleep(delay)
        return await sender.send(body, x_github_delivery=name)

    async def story(sender: Sender) -> None:
        begin = sender.world.clock.now().timestamp()
        await asyncio.sleep(moment - begin % 86_400 + 86_400)
        sender.world.disk.latency_s = 0.5
        sent = zip((0, 0, 0.1), bodies, ids, strict=True)
        answers = await asyncio.gather(*(send_at(sender, *each) for each in sent))
        assert sorted(answer.status for answer in answers) == [200, 200, 202]
        assert len({answer.body["execution_id"] for answer in answers}) == 1
        assert len(await sender.world.executions()) == 1

    told(story, flow())


def test_store_has_the_last_word_on_copies() -> None:
    """A copy that nobody remembers, but whose key is taken in the store, is a duplicate."""

    async def story(sender: Sender) -> None:
        world = sender.world
        first = await sender.send(b'{"id": 1}')
        world.webhooks._duplicates = Duplicates(MemoryStorage().executions, world.clock)
        second = await sender.send(b'{"id": 1}')
        assert (second.result, second.body["execution_id"]) == (
            "duplicate",
            first.body["execution_id"],
        )

    told(story, flow(BEARER, dedupe={"key": "trigger.body.id"}), BEARER)


def test_copy_takes_the_place_of_one_that_failed() -> None:
    """When the first of two copies cannot be written the second one is."""

    async def story(sender: Sender) -> None:
        disk = sender.world.disk
        disk.latency_s = 1.0
        disk.fail("create")
        first = asyncio.create_task(sender.send(x_github_delivery="1"))
        second = asyncio.create_task(sender.send(x_github_delivery="1"))
        await asyncio.sleep(0.5)
        disk.mend()
        assert (await first).status == 503
        assert (await second).status == 202

    told(story, flow())


def test_different_deliveries_do_not_wait_for_each_other() -> None:
    """Deliveries of one hook are written together, not one after the other."""

    async def story(sender: Sender) -> None:
        sender.world.disk.latency_s = 1.0
        begin = sender.world.clock.monotonic()
        sending = [asyncio.create_task(sender.send(b"[%d]" % number)) for number in range(20)]
        assert {answer.status for answer in await asyncio.gather(*sending)} == {202}
        assert sender.world.clock.monotonic() - begin < 2

    told(story, flow(top={"concurrency": {"limit": 50}}))


# Concurrency


def test_skip_answers_200_skipped() -> None:
    """Under `skip` a delivery beyond the limit is answered 200, and may be sent again."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b"[1]", x_github_delivery="1")).status == 202
        answer = await sender.send(b"[2]", x_github_delivery="2")
        assert (answer.status, answer.result) == (200, "skipped")
        assert answer.body == {"status": "skipped", "reason": "concurrency"}
        (execution,) = await sender.world.executions()
        await sender.world.engine.cancel(execution.id)
        await asyncio.sleep(1)
        assert (await sender.send(b"[2]", x_github_delivery="2")).status == 202

    told(story, flow(top={"nodes": SLEEP, "concurrency": {"on_conflict": "skip"}}))


def test_full_queue_answers_429() -> None:
    """Beyond `queue_limit` a delivery is answered 429 with Retry-After."""

    async def story(sender: Sender) -> None:
        answers = [await sender.send(b"[%d]" % number) for number in range(4)]
        assert [answer.status for answer in answers] == [202, 202, 202, 429]
        last = answers[-1]
        assert (last.result, last.code, last.retry_after_s) == ("queue_full", "queue_full", 30)
        states = [each.state for each in await sender.world.executions()]
        assert states == [ExecutionState.RUNNING, ExecutionState.QUEUED, ExecutionState.QUEUED]

    told(story, flow(top={"nodes": SLEEP, "concurrency": {"queue_limit": 2}}))


def test_copy_is_a_duplicate_where_the_queue_is_full() -> None:
    """Whoever sends again what was accepted hears so, though nothing more could wait."""

    async def story(sender: Sender) -> None:
        first, *_ = [await sender.send(b"[%d]" % n, x_github_delivery=str(n)) for n in range(3)]
        await asyncio.sleep(400)  # until the body is forgotten
        copy = await sender.send(b"[0]", x_github_delivery="0")
        assert (copy.status, copy.result) == (200, "duplicate")
        assert copy.body["execution_id"] == first.body["execution_id"]

    told(story, flow(top={"nodes": SLEEP, "concurrency": {"queue_limit": 2}}))


async def both_start(sender: Sender) -> None:
    """Sends an old delivery again beside a new one, which starts all the same."""
    first = await sender.send(b"[1]", x_github_delivery="1")
    await asyncio.sleep(400)
    await sender.world.engine.cancel(first.body["execution_id"])
    await asyncio.sleep(1)
    sender.world.disk.latency_s = 0.5
    copy, new = await asyncio.gather(
        sender.send(b"[1]", x_github_delivery="1"), sender.send(b"[2]", x_github_delivery="2")
    )
    assert (copy.result, new.result) == ("duplicate", "accepted")
    await asyncio.sleep(1)
    states = [each.state for each in await sender.world.executions()]
    assert states == [ExecutionState.CANCELLED, ExecutionState.RUNNING]


@pytest.mark.parametrize(
    "concurrency",
    [
        pytest.param({"on_conflict": "skip"}, id="skip"),
        pytest.param({"on_conflict": "replace"}, id="replace"),
    ],
)
def test_copy_takes_no_place_where_it_would_keep_another_one_out(
    concurrency: dict[str, Json],
) -> None:
    """A copy and a new delivery at the same moment: the new one starts, whatever the policy."""
    told(both_start, flow(top={"nodes": SLEEP, "concurrency": concurrency}))


def test_copy_keeps_no_other_flow_out_of_a_group() -> None:
    """Flows that share a group may refuse what comes too much, whatever this one does."""
    shared: Json = {"group": "'shared'"}
    other = flow_text("b", nodes=SLEEP, concurrency={**shared, "on_conflict": "skip"})

    async def whole(world: World) -> None:
        world.secrets.texts["HOOK"] = SECRET
        await world.apply(flow(top={"nodes": SLEEP, "concurrency": shared}), other)
        sender = Sender(world)
        first = await sender.send(b"[1]", x_github_delivery="1")
        await asyncio.sleep(400)
        await world.engine.cancel(first.body["execution_id"])
        await asyncio.sleep(1)
        world.disk.latency_s = 0.5
        copying = asyncio.create_task(sender.send(b"[1]", x_github_delivery="1"))
        await asyncio.sleep(0.1)
        await world.dispatcher.start_by_hand(key_of("b"), {}, as_text=False)
        assert (await copying).result == "duplicate"

    simulate(whole)


def test_place_of_a_copy_is_free_again_when_it_is_known_for_one() -> None:
    """Who came while the write of a copy was under way has waited for that, and starts."""
    told(both_start, flow(top={"nodes": SLEEP}))


# What is kept of a delivery


def test_proofs_are_never_kept() -> None:
    """Authorization, cookies and signatures do not reach the execution, its log or the store."""

    async def story(sender: Sender) -> None:
        await sender.send(
            authorization="Basic abc",
            cookie="session=1",
            proxy_authorization="Basic def",
            x_hub_signature="sha1=0123",
            x_request_id="7",
        )
        (execution,) = await sender.world.executions()
        assert execution.cause.context["headers"] == {**JSON_TYPE, "x-request-id": "7"}

    told(story, flow())


def test_own_header_of_a_hook_is_never_kept() -> None:
    """The header that a hook names for its signature is left out, too."""

    async def story(sender: Sender) -> None:
        await sender.send()
        (execution,) = await sender.world.executions()
        assert "x-signature" not in execution.cause.context["headers"]

    told(story, flow(HMAC), HMAC)


@pytest.mark.parametrize("auth", [GITHUB, HMAC, BEARER], ids=["github", "hmac", "bearer"])
def test_expressions_never_see_a_proof(auth: Json) -> None:
    """What `trigger.headers` has is in lower case, and no proof of any kind is among it."""

    async def story(sender: Sender) -> None:
        await sender.send(
            signed={"authorization": "Basic abc", **proof(auth, BODY)},
            cookie="session=1",
            proxy_authorization="Basic def",
            x_hub_signature="sha1=0123",
            x_github_event="push",
        )
        (seen,) = await sender.world.inputs()
        assert seen == {"headers": {**JSON_TYPE, "x-github-event": "push"}}

    inputs = {"headers": "${{ trigger.headers }}"}
    declared = {"inputs": {"headers": {"type": "object"}}}
    told(story, flow(auth, top=declared, inputs=inputs), auth)


def test_now_of_a_delivery_is_the_creation_of_its_execution() -> None:
    """`if`, `inputs` and `dedupe.key` see one instant, which the execution has as `created_at`."""
    earlier = DEFAULT_START - timedelta(seconds=1)

    async def story(sender: Sender) -> None:
        world = sender.world
        world.webhooks = world.make_webhooks(FakeClock(earlier))
        world.webhooks.flows_changed(world.registry.entries, frozenset())
        await sender.send()
        (execution,) = await world.executions()
        assert execution.created_at == earlier
        assert execution.inputs == {"at": earlier.isoformat()}

    data = flow(
        top={"inputs": {"at": {}}},
        inputs={"at": "${{ now() }}"},
        dedupe={"key": "now()"},
        **{"if": f"now() == '{earlier.isoformat()}'"},
    )
    told(story, data)


# Changes of the flows


def test_hooks_change_with_the_flows() -> None:
    """A hook is there with its flow, changes with it, and goes with it."""

    async def story(sender: Sender) -> None:
        world = sender.world
        await world.apply(flow(path="moved"))
        assert (await sender.send(b"[1]")).status == 401
        assert (await sender.send(b"[1]", path="default/moved")).status == 202
        await world.apply(broken_text("a"))
        assert (await sender.send(b"[2]", path="default/moved")).status == 202
        await world.apply()
        assert (await sender.send(b"[3]", path="default/moved")).status == 401

    told(story, flow())


def test_first_of_two_flows_keeps_a_path() -> None:
    """Two records with one path, as a crash may leave them, serve the first flow of the two."""

    async def story(world: World) -> None:
        world.secrets.texts["HOOK"] = SECRET
        entries: dict[FlowKey, FlowEntry] = {}
        for name in ("a", "b"):
            await world.apply(flow_text(name, triggers=[hook("push", "HOOK")]))
            entries.update(world.registry.entries)
        world.registry.replace(entries)
        world.webhooks.flows_changed(world.registry.entries, frozenset())
        await Sender(world, BEARER).send(path="default/push")
        (execution,) = await world.executions()
        assert execution.flow == A

    simulate(story)


# A hostile sender


HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-type", "x-hub-signature-256", "x-github-delivery", "authorization", "x-other"]
    ),
    st.text(max_size=50),
)


@settings(max_examples=examples(150))
@given(
    path=st.one_of(st.just(PATH), st.text(max_size=50)),
    method=st.sampled_from(["POST", "GET", "PUT", "x"]),
    headers=HEADERS,
    query=st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3),
    body=st.binary(max_size=200),
)
def test_unsigned_delivery_never_starts_anything(
    path: str, method: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes
) -> None:
    """Whatever is sent without the secret is answered 401, and never an exception."""

    async def story(world: World) -> None:
        world.secrets.texts["HOOK"] = SECRET
        await world.apply(flow(methods=["POST", "GET"]))
        delivery = Delivery(path=path, method=method, headers=headers, query=query, body=body)
        assert (await world.webhooks.deliver(delivery)).status == 401
        assert await world.executions() == []

    simulate(story)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.heavy
@settings(max_examples=examples(150))
@given(value=JSON_VALUES, raw=st.one_of(st.none(), st.binary(max_size=100)))
def test_signed_delivery_is_always_answered(value: Json, raw: bytes | None) -> None:
    """Whatever a sender signs is answered with one of the answers of the format."""
    body = json.dumps(value).encode() if raw is None else raw

    async def story(world: World) -> None:
        world.secrets.texts["HOOK"] = SECRET
        inputs = {"x": "${{ trigger.body }} ${{ trigger.body.a.b }}"}
        condition = "trigger.body.skip != true"
        data = flow(top={"inputs": {"x": {}}}, inputs=inputs, **{"if": condition})
        await world.apply(data)
        answer = await Sender(world).send(body)
        assert answer.status in {202, 200, 422}

    simulate(story)


def test_answer_takes_the_same_way_for_every_path() -> None:
    """A secret is looked up and a signature made for an unknown hook as for a known one."""
    looked_up: list[str] = []

    async def story(world: World) -> None:
        await world.apply(flow())
        lookup = world.secrets.lookup

        class Noting:
            is_at_hand = True

            def lookup(self, account: str, name: str) -> object:
                looked_up.append(account)
                return lookup(account, name)

        world.webhooks._secrets = Noting()  # type: ignore[assignment]  # counts the look-ups
        sender = Sender(world)
        for path, method in ((PATH, "POST"), (PATH, "PUT"), ("default/x", "POST")):
            looked_up.clear()
            await sender.send(path=path, method=method)
            assert looked_up == ["default"]

    simulate(story)


@pytest.mark.parametrize(
    ("size", "is_at_hand", "in_thread"),
    [
        pytest.param(2, True, 0, id="small"),
        pytest.param(MOST_AT_ONCE, True, 0, id="as-large-as-may-be"),
        pytest.param(MOST_AT_ONCE + 1, True, 1, id="large"),
        pytest.param(2, False, 1, id="on-a-disk"),
    ],
)
@pytest.mark.parametrize("path", [PATH, "default/a/other"])
@pytest.mark.parametrize("secret", [SECRET, "another"])
def test_proof_keeps_the_loop_for_no_disk_and_no_large_body(
    size: int, path: str, secret: str, *, is_at_hand: bool, in_thread: int
) -> None:
    """Where a proof is judged is the same for every path and every proof, right or wrong."""

    async def story(sender: Sender) -> None:
        world, before = sender.world, []
        world.secrets.is_at_hand = is_at_hand
        run = world.webhooks._gathering.run

        def noting(work: Callable[[], Any]) -> Any:
            before.append(work)
            return run(work)

        world.webhooks._gathering.run = noting  # type: ignore[method-assign]
        await sender.send(b'"%b"' % (b"x" * (size - 2)), path=path, secret=secret)
        assert len(before) == in_thread

    told(story, flow())


def test_signature_is_that_of_githubs_documentation() -> None:
    """The published example of GitHub is accepted up to its body, which is no JSON."""

    async def story(world: World) -> None:
        world.secrets.texts["HOOK"] = "It's a Secret to Everybody"
        await world.apply(flow())
        signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        signed = {"x-hub-signature-256": f"sha256={signature}"}
        answer = await Sender(world).send(b"Hello, World!", signed=signed)
        assert answer.code == "delivery.json"

    simulate(story)
