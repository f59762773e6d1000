"""The storage contract, over every backend: what is kept of the history of flows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.flow_events import MOST_EVENTS, FlowEvent, FlowState
from flowrunner.model.ids import Digest, FlowKey, Revision
from flowrunner.storage.factory import BACKENDS, make_storage
from flowrunner.storage.protocols import Storage
from flowrunner.system.files import LocalFiles
from tests.contract.test_storage import Use, use_storage
from tests.fakes.clock import FakeClock
from tests.fakes.records import BACKUP, minutes

OTHER = FlowKey("team-a", "backup")
READY = Condition(
    type=ConditionType.READY,
    status=Status.FALSE,
    reason=ConditionReason.SECRET_MISSING,
    message="this host has no secret ÄÖ 'x'",
    last_transition_at=minutes(-7),
)
STATE = FlowState(
    number=1, conditions=(READY,), digest=Digest("sha256:1"), rejected="abc", is_held=True
)


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""
    return lambda body: use_storage(request.param, tmp_path / "state", body)


def make_event(number: int, *, flow: FlowKey = BACKUP, at: int = 0) -> FlowEvent:
    """The event of a condition, `at` minutes after noon."""
    return FlowEvent(
        flow=flow,
        number=number,
        at=minutes(at),
        type="Ready",
        status=Status.FALSE,
        reason="SecretMissing",
        message=f"no secret {number} ÄÖ" + "\udcff" * (number % 2),  # a name that is no text
        revision=Revision("r1"),
        generation=number,
    )


async def record(storage: Storage, *events: FlowEvent, is_gone: bool = False) -> None:
    """Records events, with the states that they come to."""
    states = {event.flow: replace(STATE, number=event.number, is_gone=is_gone) for event in events}
    await storage.events.record(events, states)


async def numbers(storage: Storage, flow: FlowKey = BACKUP) -> list[int]:
    """Returns the numbers of the events that are kept of a flow, newest first."""
    return [event.number for event in await storage.events.list(flow, limit=1_000)]


def test_events_and_states_come_back_as_they_were(use: Use) -> None:
    """Every field, of a version too, which has no status."""
    version = replace(make_event(2), type="Definition", status=None, reason="Applied")

    async def body(storage: Storage) -> None:
        await record(storage, make_event(1), version)
        assert await storage.events.list(BACKUP) == [version, make_event(1)]
        assert await storage.events.states() == {BACKUP: replace(STATE, number=2)}

    use(body)


def test_events_are_paged_newest_first(use: Use) -> None:
    """The number of the last one of a page leads to the next page."""

    async def body(storage: Storage) -> None:
        await record(storage, *(make_event(number) for number in range(1, 6)))
        first = await storage.events.list(BACKUP, limit=2)
        second = await storage.events.list(BACKUP, before=first[-1].number, limit=9)
        assert [each.number for each in (*first, *second)] == [5, 4, 3, 2, 1]
        assert await storage.events.list(BACKUP, before=1) == []

    use(body)


def test_accounts_have_histories_of_their_own(use: Use) -> None:
    """The same name in another account shares neither events nor state."""

    async def body(storage: Storage) -> None:
        await record(storage, make_event(1), make_event(1, flow=OTHER), make_event(2, flow=OTHER))
        assert (await numbers(storage), await numbers(storage, OTHER)) == ([1], [2, 1])
        states = await storage.events.states()
        assert (states[BACKUP].number, states[OTHER].number) == (1, 2)

    use(body)


def test_the_newest_events_of_a_flow_are_kept(use: Use) -> None:
    """What one flow does takes nothing from another one."""

    async def body(storage: Storage) -> None:
        await record(storage, make_event(1, flow=OTHER))
        await record(storage, *(make_event(number) for number in range(1, 11)))
        await record(storage, *(make_event(number) for number in range(11, MOST_EVENTS + 6)))
        assert await numbers(storage) == list(range(MOST_EVENTS + 5, 5, -1))
        assert await numbers(storage, OTHER) == [1]

    use(body)


def test_old_events_go_in_small_pieces(use: Use) -> None:
    """Those from before a moment, whatever flow they are of; the states of flows stay."""

    async def body(storage: Storage) -> None:
        await record(storage, make_event(1, at=-9), make_event(2, at=-8), make_event(3, at=1))
        await record(storage, make_event(1, flow=OTHER, at=-7))
        assert await storage.events.prune(minutes(0), limit=2) == 2
        assert await storage.events.prune(minutes(0), limit=2) == 1
        assert await storage.events.prune(minutes(0), limit=2) == 0
        assert (await numbers(storage), await numbers(storage, OTHER)) == ([3], [])
        assert (await storage.events.states()).keys() == {BACKUP, OTHER}

    use(body)


def test_a_flow_that_left_is_forgotten_with_its_last_event(use: Use) -> None:
    """As long as one event is kept, it is known how its numbers go on."""

    async def body(storage: Storage) -> None:
        await record(storage, make_event(1, at=-9), make_event(2, at=5), is_gone=True)
        await storage.events.prune(minutes(0), limit=10)
        assert (await storage.events.states())[BACKUP].number == 2
        await storage.events.prune(minutes(9), limit=10)
        assert await storage.events.states() == {}

    use(body)


def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path) -> None:
    """The backend with a disk keeps events and states over its lives."""

    async def life(*events: FlowEvent) -> tuple[list[int], set[FlowKey]]:
        storage = make_storage(
            "local", folder=tmp_path / "state", files=LocalFiles(), clock=FakeClock()
        )
        await storage.open()
        try:
            if events:
                await record(storage, *events)
            return await numbers(storage), set(await storage.events.states())
        finally:
            await storage.close()

    asyncio.run(life(make_event(1), make_event(2)))
    assert asyncio.run(life()) == ([2, 1], {BACKUP})
