"""Promises of reading slots: each one once, the latest first, and why, in one sentence."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from flowrunner.errors import NotFoundError
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.schedule import EverySchedule, Schedule, parse_cron
from flowrunner.service.delivery_desk import DeliveryDesk
from flowrunner.service.ledger_desk import LedgerDesk
from flowrunner.service.slot_ledger import SlotReader, newest_between
from flowrunner.service.slot_views import SlotView
from flowrunner.service.why import Why
from tests.fakes.clock import DEFAULT_START as NOON
from tests.fakes.definitions import flow_text, hook, key_of
from tests.unit.triggers.slots import MINUTE, A, at, begin, due, every, fire, wait_until
from tests.unit.triggers.world import SLEEP, World, simulate

EPOCH = datetime.fromtimestamp(0, tz=NOON.tzinfo)


def desk(world: World) -> LedgerDesk:
    reader = SlotReader(world.registry, world.storage.slots, world.storage.executions)
    deliveries = DeliveryDesk(world.storage.deliveries, world.delivery_log)
    why = Why(world.registry, reader, deliveries, world.dispatcher, world.clock)
    return LedgerDesk(world.registry, world.schedules, reader, why)


def anybody(_: str) -> bool:
    """Sees every account."""
    return True


async def listed(world: World, limit: int = 100, **bounds: float) -> list[SlotView]:
    """All slots, page by page."""
    found: list[SlotView] = []
    after = at(bounds["after"]) if "after" in bounds else EPOCH
    until = at(bounds.get("until", 1e6))
    page = await desk(world).slots(A, after=after, until=until, limit=limit)
    found.extend(page.items)
    while page.next_place is not None:
        assert len(page.items) == limit
        page = await desk(world).slots(
            A, after=after, until=until, place=page.next_place, limit=limit
        )
        found.extend(page.items)
    return found


def told(found: list[SlotView]) -> list[tuple[float, str, str]]:
    return [
        ((view.place.slot_at - NOON).total_seconds(), str(view.outcome), view.reason)
        for view in found
    ]


async def sentence(world: World, seconds: float | None = None, key: FlowKey = A) -> str:
    moment = None if seconds is None else at(seconds)
    return (await desk(world).why(key, moment)).sentence


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_slot_is_listed_once_whatever_the_pages(limit: int) -> None:
    """Started, queued, superseded, skipped and missed slots stand in one list, the latest first."""

    async def story(world: World) -> None:
        await begin(world, due(nodes=SLEEP))
        for minute in (1, 2, 3):
            await fire(world, minute * MINUTE)
        await world.pauses.pause(A, reason="", until=None, uid=0)
        await fire(world, 4 * MINUTE)
        await fire(world, 8 * MINUTE + 10)
        found = await listed(world, limit)
        assert told(found) == [
            (480, "skipped", "paused"),
            (420, "missed", "superseded"),
            (360, "missed", "superseded"),
            (300, "missed", "superseded"),
            (240, "skipped", "paused"),
            (180, "None", "queued"),
            (120, "skipped", "superseded"),
            (60, "started", ""),
        ]
        entry = world.registry.require(A)
        assert {(each.digest, each.revision) for each in found} == {(entry.digest, entry.revision)}
        within = await listed(world, limit, after=120, until=420)
        assert [when for when, _, _ in told(within)] == [420, 360, 300, 240, 180]

    simulate(story)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_slots_of_several_schedules_at_one_moment_are_apart(limit: int) -> None:
    """A page may end between two slots of the same moment."""

    async def story(world: World) -> None:
        triggers = [every("1m", id=name, **{"if": False}) for name in ("one", "three", "two")]
        await begin(world, flow_text("a", triggers=triggers))
        await fire(world, MINUTE)
        await fire(world, 2 * MINUTE)
        found = await listed(world, limit)
        assert [view.place.trigger for view in found] == ["one", "three", "two"] * 2

    simulate(story)


def test_slots_of_a_schedule_that_is_gone_are_one_item() -> None:
    """What nobody can tell apart any more is counted."""

    async def story(world: World) -> None:
        await begin(world, due(trigger={"if": False}))
        for minute in range(1, 6):
            await fire(world, minute * MINUTE)
        await world.apply(due(period="7m"))
        (view,) = await listed(world)
        assert (view.count, view.first_at, view.place.slot_at) == (5, at(60), at(300))
        assert "with 4 others since" in await sentence(world)

    simulate(story)


@pytest.mark.parametrize(
    "schedule",
    [EverySchedule(period_s=7), parse_cron("*/7 3-5 * * mon"), parse_cron("0 0 29 2 *")],
    ids=str,
)
@pytest.mark.parametrize("most", [1, 5, 300])
def test_newest_slots_are_those_of_a_walk(schedule: Schedule, most: int) -> None:
    """Going back over growing spans finds what a walk through all of them finds."""
    after = NOON - timedelta(days=1 if isinstance(schedule, EverySchedule) else 4_000)
    walked = list(schedule.slots_between(after, NOON))
    assert newest_between(schedule, after, NOON, most) == walked[::-1][:most]


def test_what_is_due_next_is_sorted_and_paged() -> None:
    """Each schedule stands there once, the soonest first."""

    async def story(world: World) -> None:
        triggers = [every("10m", id="ten"), every("3m", id="three")]
        await begin(world, flow_text("a", triggers=triggers), due("b", "5m"), flow_text("c"))
        found = await desk(world).schedule(
            sees=anybody, account=None, flow=None, after=None, limit=9
        )
        assert [(each.flow.name, each.trigger) for each in found] == [
            ("a", "three"),
            ("b", "schedule"),
            ("a", "ten"),
        ]
        rest = await desk(world).schedule(
            sees=anybody, account=None, flow=None, after=found[0], limit=1
        )
        assert rest == found[1:2]
        mine = await desk(world).schedule(
            sees=anybody, account="default", flow="b", after=None, limit=9
        )
        assert [each.flow.name for each in mine] == ["b"]
        other = await desk(world).schedule(
            sees=anybody, account="x", flow=None, after=None, limit=9
        )
        nobody = await desk(world).schedule(
            sees=lambda _: False, account=None, flow=None, after=None, limit=9
        )
        assert other == nobody == []

    simulate(story)


# Why


def test_why_names_the_execution_of_a_slot_that_started() -> None:
    """It says which one, how late, and which version."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE, late=2)
        (execution,) = await world.executions()
        told = await sentence(world, MINUTE)
        assert f"started {execution.id} 2.0s after the slot" in told
        assert execution.digest.removeprefix("sha256:")[:12] in told
        assert "2027-03-01T12:02:00Z" in told

    simulate(story)


@pytest.mark.parametrize(
    ("trigger", "top", "words"),
    [
        ({"if": "1 == 2"}, {}, "skipped (if): the condition of its trigger was false: 1 == 2"),
        ({}, {"secrets": ["KEY"]}, "skipped (not_ready): the flow was not ready: "),
        ({}, {"suspend": True}, "skipped (suspended): the file of the flow said suspend"),
        ({}, {}, "the flow was paused by user 7 until 2027-03-01T13:00:00Z: repairs"),
    ],
    ids=["if", "not-ready", "suspended", "paused"],
)
def test_why_says_what_stood_in_the_way(
    trigger: dict[str, Json], top: dict[str, Json], words: str
) -> None:
    """The rule, the secret, the pause and its reason are part of the sentence."""

    async def story(world: World) -> None:
        await begin(world, due(trigger=trigger, **top))
        if "paused" in words:
            await world.pauses.pause(A, reason="repairs", until=at(3600), uid=7)
        await fire(world, MINUTE)
        assert words in await sentence(world, MINUTE)
        assert words in await sentence(world)  # the newest slot is what is asked for

    simulate(story)


def test_why_claims_no_time_of_decision_that_it_does_not_know() -> None:
    """Slots alike share a row, which has the time of the last one: of others it is a bound."""

    async def story(world: World) -> None:
        await begin(world, due(suspend=True))
        for minute in (1, 2, 3):
            await fire(world, minute * MINUTE)
        for minute in (1, 2):
            assert ", decided by 2027-03-01T12:03:00" in await sentence(world, minute * MINUTE)
        assert ", decided 2027-03-01T12:03:00" in await sentence(world, 3 * MINUTE)

    simulate(story)


def test_why_names_the_execution_that_was_in_the_way() -> None:
    """Under `skip` it is said who ran."""

    async def story(world: World) -> None:
        await begin(world, due(nodes=SLEEP, concurrency={"on_conflict": "skip"}))
        await fire(world, MINUTE)
        await fire(world, 2 * MINUTE)
        (execution,) = await world.executions()
        assert f"another execution was in the way: {execution.id}" in await sentence(world)

    simulate(story)


def test_why_says_what_is_in_line_and_who_took_a_place() -> None:
    """A slot whose execution waits, or never began, is told by that execution."""

    async def story(world: World) -> None:
        await begin(world, due(nodes=SLEEP))
        for minute in (1, 2, 3):
            await fire(world, minute * MINUTE)
        _, second, third = await world.executions()
        assert f"waits in line as {third.id}" in await sentence(world)
        assert f"its execution was {second.id}" in await sentence(world, 2 * MINUTE)

    simulate(story)


def test_why_answers_for_a_time_that_is_no_slot() -> None:
    """The last slot before it, what became of it, and the next one are named."""

    async def story(world: World) -> None:
        await begin(world, due())
        await fire(world, MINUTE)
        told = await sentence(world, 90)
        assert told.startswith("2027-03-01T12:01:30Z is no slot of default/a; the last one before")
        assert "2027-03-01T12:01:00Z, started" in told
        assert "the next slot is 2027-03-01T12:02:00Z (schedule)" in told

    simulate(story)


def test_why_answers_for_a_time_before_the_flow_was_known() -> None:
    """A slot of the past without a record is not explained away."""

    async def story(world: World) -> None:
        await wait_until(world, 5 * MINUTE + 30)
        await begin(world, due())
        told = await sentence(world, MINUTE)
        assert "has no record: this schedule came into force later" in told

    simulate(story)


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        (due(suspend=True), "but now it would not start (suspended)"),
        (due(secrets=["KEY"]), "but now it would not start (not_ready)"),
        (due(runs_on=["elsewhere"]), "but now it would not start (other_host)"),
        (flow_text("a"), "it has no schedule"),
        (flow_text("a", triggers=[hook("push")], suspend=True), "would start nothing now (not_r"),
    ],
    ids=["suspended", "not-ready", "other-host", "no-schedule", "hook"],
)
def test_why_answers_for_the_future(flow: bytes, words: str) -> None:
    """Of a slot to come it is said what would keep it from starting now."""

    async def story(world: World) -> None:
        await begin(world, flow)
        told = await sentence(world, 10 * MINUTE)
        assert words in told
        assert "is still to come" in told or "no schedule" in told or "no delivery to" in told

    simulate(story)


def test_why_of_an_unknown_flow_is_not_found() -> None:
    """A name that nobody knows is an error that helps."""

    async def story(world: World) -> None:
        await begin(world, due())
        with pytest.raises(NotFoundError, match="there is no flow"):
            await desk(world).why(key_of("aa"), None)

    simulate(story)
