"""Promises of `why` and of the last column of `deliveries`: one sentence that says it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from flowrunner.model.delivery import Delivery
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.service.delivery_sentences import WORDS, reason_text
from flowrunner.service.slot_views import WhyView
from tests.fakes.definitions import flow_text, hook, key_of
from tests.fakes.ids import sequential_id
from tests.fakes.records import make_delivery
from tests.unit.service.test_slot_ledger import desk
from tests.unit.triggers.slots import begin, every
from tests.unit.triggers.world import World, simulate

A = key_of("a")
R = DeliveryReason
PATH = "default/a/push"
HOOK = {**hook("a/push"), "id": "push", "auth": {"type": "none"}}


def push(path: str = PATH, body: bytes = b"{}", **changes: Any) -> Delivery:
    """A delivery of this machine."""
    headers = {"content-type": "application/json"}
    made = Delivery(path=path, method="POST", headers=headers, query={}, body=body, is_local=True)
    return replace(made, **changes)


def flow(**trigger: Any) -> bytes:
    """The flow `a` with the hook `push`."""
    return flow_text("a", triggers=[{**HOOK, **trigger}])


def told(story: Callable[[World], Awaitable[None]], data: bytes) -> None:
    """Runs a story with one flow in force."""

    async def whole(world: World) -> None:
        await begin(world, data)
        await story(world)

    simulate(whole)


async def why(world: World) -> WhyView:
    """Asks why the flow did not start."""
    return await desk(world).why(A, None)


def test_every_reason_has_words() -> None:
    """None is left to be guessed."""
    assert WORDS.keys() == set(DeliveryReason)
    assert len(set(WORDS.values())) == len(WORDS)


@pytest.mark.parametrize("reason", DeliveryReason)
def test_sentence_stays_on_its_line(reason: DeliveryReason) -> None:
    """It is short, names the execution, and redacted it quotes nothing."""
    record = replace(make_delivery(1, reason), execution=sequential_id(1), detail="of the data")
    assert sequential_id(1) in reason_text(record)
    assert "of the data" not in reason_text(record, redacted=True)
    assert "\n" not in reason_text(record)


@pytest.mark.parametrize(
    ("data", "sent", "words"),
    [
        (
            flow(**{"if": "trigger.body.ref == 'x'"}),
            {},
            "was answered 200: the condition of the trigger was false: trigger.body.ref == 'x'",
        ),
        (flow(), {"is_local": False}, "was refused with 401 (off_host): the hook asks for no"),
        (flow(), {"body": b"{"}, "was refused with 422 (body): the body could not be read"),
        (
            flow(schema={"type": "object", "required": ["ref"]}),
            {},
            "(schema): the body did not fit the schema of the hook: /ref is missing",
        ),
        (flow(), {}, "was accepted: it started 00000000-"),
    ],
    ids=["if", "off host", "body", "schema", "accepted"],
)
def test_why_tells_the_last_delivery(data: bytes, sent: Mapping[str, Any], words: str) -> None:
    """In one line: when, to which hook, what it was answered and why."""

    async def story(world: World) -> None:
        await world.webhooks.deliver(push(**sent))
        sentence = (await why(world)).sentence
        assert sentence.startswith("the last delivery to push, 2027-03-01T12:")
        assert words in sentence
        assert "\n" not in sentence
        assert "schedule" not in sentence

    told(story, data)


def test_why_says_that_nothing_came() -> None:
    """It names the address, so that it can be compared with that of the sender."""

    async def story(world: World) -> None:
        answer = await why(world)
        assert answer.sentence == "no delivery to push (/hooks/default/a/push) is recorded."
        assert answer.deliveries == ()

    told(story, flow())


def test_why_tells_of_a_later_delivery_to_no_hook() -> None:
    """A wrong address at the sender is the usual reason that nothing comes."""

    async def story(world: World) -> None:
        await world.webhooks.deliver(push("default/a/pusch"))
        assert "went to /hooks/default/a/pusch, where no hook is" in (await why(world)).sentence
        await asyncio.sleep(60)
        await world.webhooks.deliver(push())
        assert "pusch" not in (await why(world)).sentence

    told(story, flow())


def test_why_finds_deliveries_from_before_the_hook_was_in_force() -> None:
    """Those to its path that were no hook's then, and one that is disabled says so."""

    async def story(world: World) -> None:
        await world.webhooks.deliver(push())
        sentence = (await why(world)).sentence
        assert "was refused with 401 (no_hook)" in sentence
        assert "the hook push is disabled" in sentence

    told(story, flow(enabled=False))


def test_why_at_a_time_tells_what_had_come_by_then() -> None:
    """Later deliveries are not the reason for what did not happen before."""

    async def story(world: World) -> None:
        await world.webhooks.deliver(push(body=b"{"))
        earlier = world.clock.now()
        await asyncio.sleep(300)
        await world.webhooks.deliver(push())
        assert "(body)" in (await desk(world).why(A, earlier)).sentence
        assert "was accepted" in (await why(world)).sentence

    told(story, flow())


def test_why_tells_slots_and_deliveries_of_a_flow_with_both() -> None:
    """Neither takes the place of the other."""

    async def story(world: World) -> None:
        await world.webhooks.deliver(push())
        sentence = (await why(world)).sentence
        assert "the last delivery to push" in sentence
        assert "the next slot is" in sentence

    told(story, flow_text("a", triggers=[every("1m"), HOOK]))
