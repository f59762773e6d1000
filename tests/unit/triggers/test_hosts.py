"""Promises of `runs_on`: a flow for another host is known here, and starts nothing."""

from __future__ import annotations

import pytest

from flowrunner.errors import RefusedError
from flowrunner.model.conditions import ConditionReason, ConditionType, Status
from tests.fakes.definitions import flow_text, key_of
from tests.unit.triggers.slots import NEVER, begin, due, fire, ledger, slots, wait_until
from tests.unit.triggers.test_webhooks import SECRET, Sender, flow
from tests.unit.triggers.world import World, simulate

MINUTE = 60
A = key_of("a")


@pytest.mark.parametrize(
    ("runs_on", "is_here"),
    [
        ("here", True),
        (["here"], True),
        (["near", "here"], True),
        (["here", "away"], False),
        ("away", False),
        ("Here", False),
    ],
)
def test_all_labels_must_be_those_of_the_host(runs_on: str | list[str], *, is_here: bool) -> None:
    """One label that the host lacks is enough to run elsewhere; case counts."""

    async def story(world: World) -> None:
        await begin(world, due(runs_on=runs_on))
        await fire(world, MINUTE)
        assert slots(await world.executions()) == ([60] if is_here else [])
        assert await ledger(world) == []

    simulate(story)


def test_a_flow_of_another_host_is_ready_and_not_scheduled() -> None:
    """It has nothing wrong; the condition names the label, and a secret is not missed here."""

    async def story(world: World) -> None:
        await world.apply(due(runs_on="away", secrets=["MISSING"]))
        entry = world.registry.require(A)
        scheduled = entry.condition(ConditionType.SCHEDULED)
        assert entry.is_ready
        assert scheduled is not None
        assert (scheduled.status, scheduled.reason, scheduled.message) == (
            Status.FALSE,
            ConditionReason.OTHER_HOST,
            "this host has no label away",
        )
        assert world.schedules.next_slot(A, "schedule") is None

    simulate(story)


def test_a_start_by_hand_is_refused_also_by_force() -> None:
    """The person is told which label is missing, and to force it would not make it the host."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", runs_on=["away"]))
        for force in (False, True):
            with pytest.raises(RefusedError, match="no label away") as refused:
                await world.dispatcher.start_by_hand(A, {}, as_text=False, force=force)
            assert refused.value.code == "other_host"

    simulate(story)


def test_hooks_of_another_host_are_not_known_here() -> None:
    """Which is the same answer as for a path that nobody has."""

    async def story(world: World) -> None:
        world.secrets.texts["HOOK"] = SECRET
        sender = Sender(world)
        await world.apply(flow(top={"runs_on": "away"}))
        away, unknown = await sender.send(), await sender.send(path="default/other")
        assert (
            (away.status, away.problem) == (unknown.status, unknown.problem) == (401, away.problem)
        )
        await world.apply(flow(top={"runs_on": "here"}))
        assert (await sender.send()).status == 202

    simulate(story)


def test_a_flow_that_comes_back_owes_no_slot_of_its_time_away() -> None:
    """Its schedule begins at now, as a new one does."""

    async def story(world: World) -> None:
        await begin(world, due(runs_on="here"))
        await fire(world, MINUTE)
        await world.apply(due(runs_on="away"))
        await wait_until(world, 50 * MINUTE + 30)
        await world.apply(due(runs_on="here"))
        await world.schedules.settle()
        await fire(world, 51 * MINUTE)
        assert slots(await world.executions()) == [60, 3060]
        assert await ledger(world) == []

    simulate(story)


def test_a_last_good_version_of_another_host_is_not_armed() -> None:
    """Nor does the first pass after a restart find anything to change."""

    async def story(world: World) -> None:
        await begin(world, due(runs_on="away"))
        after = await world.next_life()
        await begin(after, due(runs_on="away"))
        scheduled = after.registry.require(A).condition(ConditionType.SCHEDULED)
        assert scheduled is not None
        assert scheduled.reason is ConditionReason.OTHER_HOST
        await fire(after, 2 * MINUTE)
        assert await after.executions() == []

    simulate(story)


def test_a_host_without_the_label_owes_no_slot_of_that_time() -> None:
    """A host that loses a label over a restart, and gets it back over another, begins at now."""

    async def story(world: World) -> None:
        await begin(world, due(runs_on="here"))
        await fire(world, MINUTE)
        away = await world.next_life(labels=())
        await away.arm_last_good()
        await wait_until(away, 5 * MINUTE)
        back = await away.next_life()
        back.timers.start()
        await back.arm_last_good()
        await back.schedules.settle()
        assert await ledger(back) == []
        await fire(back, 6 * MINUTE)
        assert slots(await back.executions()) == [60, 360]

    simulate(story)


def test_a_host_with_the_label_owes_the_slots_of_a_downtime() -> None:
    """The slots that came due while the daemon of such a host was down are missed."""

    async def story(world: World) -> None:
        await begin(world, due(runs_on="here", trigger=NEVER))
        await fire(world, MINUTE)
        await wait_until(world, 5 * MINUTE)
        back = await world.next_life()
        await back.arm_last_good()
        await back.schedules.settle()
        assert [run.reason for run in await back.storage.slots.list(A)] == ["down"]

    simulate(story)
