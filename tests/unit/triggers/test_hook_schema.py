"""Promises of `schema` at a hook: where in the order it stands, and what a refusal says."""

from __future__ import annotations

import pytest

from flowrunner.model.ids import Json
from tests.unit.triggers.test_webhooks import Sender, flow, refused, told

SCHEMA: Json = {
    "type": "object",
    "required": ["ref"],
    "properties": {"ref": {"type": "string", "pattern": "^[a-z]+$"}, "n": {"maximum": 9}},
}


def test_body_that_fits_is_accepted() -> None:
    """What the schema says nothing about may be anything."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b'{"ref": "main", "more": [1]}')).status == 202

    told(story, flow(schema=SCHEMA))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{}", "/ref is missing"),
        (b"[]", "the body must be of type object"),
        (b"", "the body must be of type object"),
        (b'{"ref": "Hunter-22", "n": 10}', "/ref must match the pattern; /n must be at most 9"),
    ],
)
def test_body_that_does_not_fit_is_answered_422(body: bytes, problem: str) -> None:
    """A refusal names the places and what belongs there, and nothing starts."""

    async def story(sender: Sender) -> None:
        answer = await sender.send(body)
        await refused(sender, answer, 422, "unprocessable")
        assert (answer.code, answer.problem) == ("delivery.schema", problem)

    told(story, flow(schema=SCHEMA))


def test_schema_comes_before_the_condition() -> None:
    """`if` may rely on what the schema says: it never sees another body."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b'{"ref": 5}')).status == 422
        assert (await sender.send(b'{"ref": "x"}')).result == "ignored"

    condition: dict[str, Json] = {"if": "trigger.body.ref == 'main'"}
    told(story, flow(schema=SCHEMA, **condition))


def test_ping_need_not_fit() -> None:
    """A provider that tries the hook does not know what the flow wants."""

    async def story(sender: Sender) -> None:
        assert (await sender.send(b"{}", x_github_event="ping")).result == "ignored"

    told(story, flow(schema=SCHEMA))
