"""Nodes that tell people under the engine: tried again, cut short, and what they may not say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.nodes.telling import Letter, Saying
from tests.fakes.engine import World, flow, simulate

TELL = "  - {id: tell, type: notify, KEYS params: {channels: [oncall], message: MESSAGE}}"
MAIL = "  - {id: mail, type: email, KEYS params: {channel: mail, subject: s, body: b}}"


class Ear:
    """Meets `TellsPeople`; keeps what it is told, then raises or sleeps as it is told.

    Args:
        lasts_s: One for each call, the last for all that follow; None: it raises.
    """

    def __init__(self, *lasts_s: float | None) -> None:
        self._lasts_s = list(lasts_s)
        self.heard: list[Saying | Letter] = []

    @property
    def attempts(self) -> Sequence[tuple[str, int]]:
        """Node and number of each attempt that asked for something."""
        return [(each.key.node, each.key.number) for each in self.heard]

    async def tell(self, saying: Saying) -> str:
        return await self._answer(saying)

    async def mail(self, letter: Letter) -> str:
        return await self._answer(letter)

    async def _answer(self, asked: Saying | Letter) -> str:
        self.heard.append(asked)
        lasts_s = self._lasts_s.pop(0) if len(self._lasts_s) > 1 else self._lasts_s[0]
        if lasts_s is None:
            raise ExecutionError("answered 503", code="not_sent")
        await asyncio.sleep(lasts_s)
        return "told"


def nodes(keys: str = "", message: str = "hello") -> str:
    return f"{TELL}\n{MAIL}".replace("KEYS", keys).replace("MESSAGE", message)


def test_defaults_reach_mail_and_no_notify() -> None:
    """A mail acts outside; what a notify says is tried again by the outbox (FLOW_FORMAT 2)."""

    async def story(world: World) -> None:
        world.tells = ear = Ear(None)
        top = "defaults: {retry: {max_attempts: 3, delay: 1s}, timeout: 1m}"
        keys = "needs: [], "
        outcome = await world.run(flow(nodes(keys), top=top))
        assert outcome.states == {"tell": "failed", "mail": "failed"}
        assert sorted(ear.attempts) == [("mail", 1), ("mail", 2), ("mail", 3), ("tell", 1)]

    simulate(story)


def test_own_retry_and_timeout_reach_both() -> None:
    """What stands at the node holds for it; each attempt has a number, and so an id of its own."""

    async def story(world: World) -> None:
        world.tells = ear = Ear(100.0, None, 1.0)
        keys = "timeout: 5s, retry: {max_attempts: 3}, needs: [],"
        text = flow(TELL.replace("KEYS", keys).replace("MESSAGE", "hello"))
        outcome = await world.run(text)
        assert outcome.states == {"tell": "succeeded"}
        assert [each.state for each in outcome.attempts] == ["timed_out", "failed", "succeeded"]
        assert ear.attempts == [("tell", 1), ("tell", 2), ("tell", 3)]

    simulate(story)


@pytest.mark.parametrize(("keys", "again"), [("", []), ("on_interrupt: rerun,", [("tell", 1)])])
def test_crash_repeats_a_message_only_where_the_flow_says_so(
    keys: str, again: Sequence[tuple[str, int]]
) -> None:
    """It goes on as the same attempt, so that its message has the same id; else it has failed."""

    async def story(world: World) -> None:
        world.tells = Ear(1_000.0)
        text = flow(TELL.replace("KEYS", keys).replace("MESSAGE", "hello"))
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(5)
        after = world.after_crash()
        await world.engine.drain(0)
        after.tells = ear = Ear(1.0)
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        assert ear.attempts == again
        assert outcome.reasons == {"tell": "" if again else "interrupted"}
        after.assert_clean()

    simulate(story)


def test_secret_that_came_by_another_way_is_masked() -> None:
    """An input may hold what is a secret of the flow: it is neither told nor logged."""

    async def story(world: World) -> None:
        world.tells = ear = Ear(0.0)
        text = flow(
            nodes(message='"the word is ${{ inputs.word }}"'),
            top="secrets: [KEY]\ninputs: {word: {type: string}}",
        )
        accepted = await world.submit(world.define(text), inputs={"word": "hush hush"})
        await world.end_of(accepted.id)
        saying = ear.heard[0]
        assert isinstance(saying, Saying)
        assert (saying.subject, saying.message) == ("the word is ***", "the word is ***")
        assert world.log(accepted.id, "tell") == ["told: the word is ***"]

    simulate(story, secrets={"KEY": "hush hush"})
