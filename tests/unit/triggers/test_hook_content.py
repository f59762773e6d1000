"""Promises of `content`: which bodies a hook takes, and what the flow sees of them."""

from __future__ import annotations

import pytest

from flowrunner.model.ids import Json
from tests.unit.triggers.test_hook_providers import Provider
from tests.unit.triggers.test_hook_providers import told as told_by
from tests.unit.triggers.test_webhooks import Sender, flow, refused, told

FORM = "application/x-www-form-urlencoded"
SEEN: dict[str, Json] = {
    "top": {"inputs": {"body": {"type": "object", "default": {}}}},
    "inputs": {"body": "${{ default(trigger.body, from_json('{}')) }}"},
}


def test_form_is_a_map_of_texts() -> None:
    """Names and values are decoded; of a name that is sent twice the first value counts."""

    async def story(sender: Sender) -> None:
        body = b"command=%2Fdeploy&text=a+b%20%C3%A9&empty=&text=c&n=5"
        assert (await sender.send(body, content_type=f"{FORM}; charset=utf-8")).status == 202
        (seen,) = await sender.world.inputs()
        assert seen["body"] == {"command": "/deploy", "text": "a b é", "empty": "", "n": "5"}
        (execution,) = await sender.world.executions()
        assert execution.cause.payload == body

    told(story, flow(content="form", **SEEN))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"a=\xff", id="not-utf8"),
        pytest.param(b"a=%ff", id="not-utf8-encoded"),
        pytest.param(b"a=1&" * 1_001 + b"b=2", id="too-many-fields"),
    ],
)
def test_malformed_form_is_answered_422(body: bytes) -> None:
    """What is no form, or one without end, is refused."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(body, content_type=FORM)
        await refused(sender, answer, 422, "unprocessable")
        assert answer.code == "delivery.form"

    told(story, flow(content="form"))


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        ("form", FORM, 202),
        ("form", FORM.upper(), 202),
        ("form", "application/json", 415),
        ("form", "", 415),
        ("form", "multipart/form-data", 415),
        ("json", FORM, 415),
        ("raw", FORM, 202),
        ("raw", "", 202),
        ("raw", "image/png", 202),
    ],
)
def test_content_type_must_be_that_of_the_content(
    content: str, content_type: str, status: int
) -> None:
    """A hook takes what it says it takes, and nothing is guessed from the body."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b"1", content_type=content_type)).status == status

    told(story, flow(content=content))


def test_raw_body_is_not_looked_into() -> None:
    """Bytes of any kind reach the flow as they are, and expressions see none of them."""

    async def story(sender: Sender) -> None:
        body = bytes(range(256))
        assert (await sender.send(body)).status == 202
        (execution,) = await sender.world.executions()
        assert execution.cause.payload == body
        assert execution.inputs == {"body": {}}

    told(story, flow(content="raw", **SEEN))


def test_form_is_held_to_the_schema() -> None:
    """The fields of a form are texts to a schema."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b"n=5", content_type=FORM)).status == 202
        answer = await sender.send(b"n=x", content_type=FORM)
        assert (answer.code, answer.problem) == ("delivery.schema", "/n must match the pattern")

    told(story, flow(content="form", schema={"properties": {"n": {"pattern": "^[0-9]+$"}}}))


@pytest.mark.parametrize("content", ["form", "raw"])
def test_body_without_the_id_of_its_provider_has_none(content: str) -> None:
    """Slack's slash commands have no event id: what Slack signs is what a copy is known by."""

    async def story(provider: Provider) -> None:
        first = await provider.send(b"command=%2Fdeploy", None, **{"content-type": FORM})
        again = await provider.send(b"command=%2Fdeploy", None, **{"content-type": FORM})
        assert (first.status, again.result) == (202, "duplicate")

    told_by("slack", story, content=content)
