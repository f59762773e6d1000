"""Promises of `rate_limit`: how many deliveries a hook takes, and where that stands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flowrunner.model.ids import Json
from tests.fakes.definitions import flow_text
from tests.unit.triggers.test_webhooks import GITHUB, PATH, Sender, flow, told


def limited(story: Callable[[Sender], Awaitable[None]], **more: Json) -> None:
    """Runs a story with a hook that takes three deliveries a minute."""
    told(story, flow(rate_limit="3/1m", **more))


def test_deliveries_beyond_the_rate_are_refused() -> None:
    """So many come at once, then one after the other; a refusal says when to come again."""

    async def story(sender: Sender) -> None:
        answers = [await sender.send(b"[%d]" % number) for number in range(4)]
        assert [answer.status for answer in answers] == [202, 202, 202, 429]
        last = answers[-1]
        assert (last.result, last.code, last.retry_after_s) == (
            "rate_limited",
            "delivery.rate",
            20,
        )
        await asyncio.sleep(20)
        assert (await sender.send(b"[4]")).status == 202
        assert (await sender.send(b"[5]")).status == 429
        assert len(await sender.world.executions()) == 4

    limited(story)


def test_strangers_use_nothing_up() -> None:
    """What proves nothing is answered 401, whatever the rate, and counts for nobody."""

    async def story(sender: Sender) -> None:
        for number in range(10):
            assert (await sender.send(b"[%d]" % number, secret="wrong")).status == 401
        assert (await sender.send()).status == 202

    limited(story)


def test_state_comes_before_the_rate() -> None:
    """A hook whose flow cannot start answers 503, and its rate is as before."""

    async def story(sender: Sender) -> None:
        for number in range(5):
            assert (await sender.send(b"[%d]" % number)).status == 503
        await sender.world.apply(flow(rate_limit="3/1m"))
        assert (await sender.send(b"[5]")).status == 202

    limited(story, top={"secrets": ["KEY"]})


def test_rate_comes_before_the_body() -> None:
    """Beyond the rate nothing is read; within it a body that is refused counts, too."""

    async def story(sender: Sender) -> None:
        for _ in range(3):
            assert (await sender.send(b"x" * 2_000)).status == 413
        assert (await sender.send(b"x" * 2_000)).status == 429

    limited(story, max_body="1KiB")


def test_rate_outlasts_a_pass_and_ends_with_its_hook() -> None:
    """A change of the flow gives nobody more, unless it changes the rate or removes the hook."""

    async def story(sender: Sender) -> None:
        world = sender.world
        for number in range(3):
            await sender.send(b"[%d]" % number)
        await world.apply(flow(rate_limit="3/1m", top={"description": "changed"}))
        assert (await sender.send(b"[3]")).status == 429
        await world.apply(flow(rate_limit="4/1m"))
        assert (await sender.send(b"[3]")).status == 202
        await world.apply(flow(rate_limit="4/1m", path="moved"))
        assert list(world.webhooks._rates._buckets) == []

    limited(story)


def test_hooks_have_their_own_rates() -> None:
    """A hook that is used up leaves the others alone."""

    async def story(sender: Sender) -> None:
        other = {"id": "other", "type": "webhook", "auth": GITHUB, "rate_limit": "1/1h"}
        first = {"id": "push", "type": "webhook", "auth": GITHUB}
        await sender.world.apply(flow_text("a", triggers=[first, other]))
        path = PATH.replace("push", "other")
        assert [(await sender.send(b"[1]", path=path)).status for _ in range(2)] == [202, 429]
        assert (await sender.send(b"[1]")).status == 202

    limited(story)
