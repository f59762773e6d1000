"""Groups of executions: who shares a limit, who must go for a newer one, who holds nobody up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.ids import ExecutionId
from tests.fakes.clock import DEFAULT_START
from tests.fakes.engine import HANGS, Act, World, flow, simulate

MINUTE = {"a": Act(lasts_s=60)}


def grouped(rules: str, name: str = "flow", top: str = "") -> str:
    return flow("  - {id: a, run: x}", name=name, top=f"{top}\nconcurrency: {{{rules}}}")


async def state_of(world: World, execution_id: ExecutionId) -> str:
    execution = (await world.outcome(execution_id)).execution
    return f"{execution.state} {execution.reason}".strip()


async def states_of(world: World, ids: list[ExecutionId]) -> list[str]:
    return [await state_of(world, each) for each in ids]


async def start_s(world: World, execution_id: ExecutionId) -> float:
    """Seconds from the beginning of the story to the start of an execution."""
    started_at = (await world.end_of(execution_id)).execution.started_at
    assert started_at is not None
    return (started_at - DEFAULT_START) / timedelta(seconds=1)


# Who shares a limit


def test_flows_with_one_group_share_its_limit() -> None:
    """Executions of different flows wait for each other when their groups have one name."""

    async def story(world: World) -> None:
        one = world.define(grouped("group: \"'db'\"", "one"))
        two = world.define(grouped("group: \"'db'\"", "two"))
        ids = [(await world.submit(spec)).id for spec in (one, two, one)]
        assert [await start_s(world, each) for each in ids] == [0, 60, 120]

    simulate(story, MINUTE)


def test_executions_of_one_flow_run_beside_each_other_in_different_groups() -> None:
    """The group is named by the inputs of each execution, and kept with it."""

    async def story(world: World) -> None:
        spec = world.define(grouped("group: inputs.host", top="inputs: {host: {}}"))
        hosts = ("web", "web", "db")
        ids = [(await world.submit(spec, inputs={"host": host})).id for host in hosts]
        outcomes = [await world.outcome(each) for each in ids]
        assert [outcome.execution.group for outcome in outcomes] == list(hosts)
        assert [await start_s(world, each) for each in ids] == [0, 60, 0]

    simulate(story, MINUTE)


def test_group_of_a_flow_is_nobody_elses() -> None:
    """A group that has the name of a flow is not the own group of that flow."""

    async def story(world: World) -> None:
        first = await world.submit(world.define(grouped("limit: 1", "db")))
        second = await world.submit(world.define(grouped("group: \"'db'\"", "other")))
        assert await states_of(world, [first.id, second.id]) == ["running"] * 2
        for each in (first, second):
            await world.end_of(each.id)

    simulate(story, MINUTE)


def test_limit_of_a_shared_group_is_that_of_the_flow_that_starts() -> None:
    """One flow may start beside what keeps another one waiting."""

    async def story(world: World) -> None:
        narrow = world.define(grouped("group: \"'db'\", limit: 1", "narrow"))
        wide = world.define(grouped("group: \"'db'\", limit: 2", "wide"))
        ids = [(await world.submit(spec)).id for spec in (narrow, wide)]
        assert await states_of(world, ids) == ["running", "running"]
        ids.append((await world.submit(narrow)).id)
        ids.append((await world.submit(wide)).id)
        assert [await start_s(world, each) for each in ids] == [0, 0, 60, 60]

    simulate(story, MINUTE)


@pytest.mark.parametrize(
    ("expression", "inputs", "complaint"),
    [
        ("inputs.data.host", {"data": {}}, "neither a text nor a whole number"),
        ("inputs.data.host", {"data": {"host": True}}, "neither a text nor a whole number"),
        ("inputs.data.host", {"data": {"host": ""}}, "0 characters"),
        ("inputs.data.host", {"data": {"host": "x" * 256}}, "256 characters"),
        ("inputs.data.host", {"data": {"host": "x\ud800"}}, "no text in UTF-8"),
        ("upper(inputs.data.host)", {"data": {}}, "upper"),
    ],
)
def test_inputs_that_name_no_group_start_nothing(
    expression: str, inputs: dict[str, object], complaint: str
) -> None:
    """A start whose group cannot be named is refused as inputs that do not fit are."""

    async def story(world: World) -> None:
        top = "inputs: {data: {type: object}}"
        spec = world.define(grouped(f"group: {expression}", top=top))
        with pytest.raises(ValidationError, match=complaint) as caught:
            await world.submit(spec, inputs=inputs)
        assert caught.value.code == "input.group"
        assert world.record == []

    simulate(story)


def test_whole_number_names_a_group() -> None:
    """A number is taken as the text that it is written as."""

    async def story(world: World) -> None:
        top = "inputs: {shard: {type: integer}}"
        spec = world.define(grouped("group: inputs.shard", top=top))
        outcome = await world.end_of((await world.submit(spec, inputs={"shard": 7})).id)
        assert outcome.execution.group == "7"

    simulate(story)


def test_group_outlives_a_crash() -> None:
    """After a restart queued executions wait in the group that they were accepted for."""

    async def story(world: World) -> None:
        spec = world.define(grouped("group: inputs.host", top="inputs: {host: {}}"))
        world.acts["a"] = HANGS
        await world.submit(spec, inputs={"host": "web"})
        ids = [(await world.submit(spec, inputs={"host": host})).id for host in ("web", "web")]
        await asyncio.sleep(1)
        after = world.after_crash(MINUTE)
        await world.engine.drain(0)
        # The version in force names its groups otherwise by now.
        current = after.define(grouped("limit: 1"))
        await after.recover()
        await asyncio.sleep(1)
        ids.append((await after.submit(current)).id)
        assert await states_of(after, ids) == ["running", "queued", "running"]
        for each in ids:
            await after.end_of(each)
        await after.idle()
        assert after.engine._admission.is_empty

    simulate(story)


# Replace


def test_replacing_start_waits_for_the_ends_of_those_it_replaces() -> None:
    """Under `replace` what runs is cancelled with the reason, and the newcomer starts after it."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: replace"))
        older = (await world.submit(spec)).id
        await asyncio.sleep(10)
        newer = (await world.submit(spec)).id
        assert await states_of(world, [older, newer]) == ["running replaced", "queued"]
        world.acts["a"] = Act(lasts_s=60)
        assert await start_s(world, newer) == 15
        assert await states_of(world, [older, newer]) == ["cancelled replaced", "succeeded"]

    simulate(story, {"a": Act(lasts_s=None, on_term_s=5)})


def test_replacing_start_takes_the_place_of_those_who_wait() -> None:
    """Of several starts in a row only the newest is carried out, whoever started them."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: replace"))
        ids = [
            (await world.submit(spec, trigger=kind)).id
            for kind in ("webhook", "manual", "schedule", "webhook")
        ]
        world.acts["a"] = Act()
        await world.end_of(ids[-1])
        assert await states_of(world, ids) == ["cancelled replaced"] * 3 + ["succeeded"]
        assert world.observer.started == [ids[0], ids[-1]]

    simulate(story, {"a": Act(lasts_s=None, on_term_s=5)})


def test_delivery_that_is_replaced_does_not_fill_the_queue() -> None:
    """Who makes way is not counted: under `replace` the newest delivery always finds a place."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: replace, queue_limit: 1"))
        ids = [(await world.submit(spec, trigger="webhook")).id for _ in range(4)]
        await world.end_of(ids[-1])
        assert await states_of(world, ids) == ["cancelled replaced"] * 3 + ["succeeded"]

    simulate(story, MINUTE)


def test_replacing_start_that_is_not_durable_replaces_nobody() -> None:
    """Nothing is cancelled for an execution that never came to be."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: replace"))
        older = (await world.submit(spec)).id
        world.disk.fail("create")
        with pytest.raises(Exception, match="no space"):
            await world.submit(spec)
        assert (await world.end_of(older)).execution.state == "succeeded"

    simulate(story, MINUTE)


def test_replacing_start_leaves_other_groups_alone() -> None:
    """`replace` speaks of its own group."""

    async def story(world: World) -> None:
        rules = "group: inputs.host, on_conflict: replace"
        spec = world.define(grouped(rules, top="inputs: {host: {}}"))
        hosts = ("web", "db", "web")
        ids = [(await world.submit(spec, inputs={"host": host})).id for host in hosts]
        for each in ids:
            await world.end_of(each)
        assert await states_of(world, ids) == ["cancelled replaced", "succeeded", "succeeded"]

    simulate(story, MINUTE)


# Allow


def test_allowed_start_neither_waits_nor_takes_a_place() -> None:
    """Under `allow` any number runs, and nobody else of the flow waits for them later."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: allow"))
        ids = [(await world.submit(spec)).id for _ in range(3)]
        assert await states_of(world, ids) == ["running"] * 3
        ids.append((await world.submit(world.define(grouped("limit: 1")))).id)
        assert await states_of(world, ids) == ["running"] * 4
        for each in ids:
            await world.end_of(each)

    simulate(story, MINUTE)


# The host


def test_host_limit_holds_over_all_flows() -> None:
    """No more executions run than the settings allow, whatever the flows say."""

    async def story(world: World) -> None:
        specs = [world.define(grouped("on_conflict: allow", f"f{number}")) for number in range(4)]
        ids = [(await world.submit(spec)).id for spec in specs]
        assert (world.engine.running_count, world.engine.queued_count) == (2, 2)
        assert [await start_s(world, each) for each in ids] == [0, 0, 60, 60]

    simulate(story, MINUTE, most_executions=2)


def test_who_is_started_by_hand_passes_those_who_are_not() -> None:
    """On a full host and in a full group starts by hand come first, each kind in its order."""

    async def story(world: World) -> None:
        one, two = (world.define(grouped("limit: 1", name)) for name in ("one", "two"))
        first = (await world.submit(one)).id
        slot = (await world.submit(two, trigger="schedule")).id
        hook = (await world.submit(one, trigger="webhook")).id
        hands = [(await world.submit(spec)).id for spec in (one, two)]
        for each in (first, slot, hook, *hands):
            await world.end_of(each)
        assert world.observer.started == [first, *hands, slot, hook]

    simulate(story, MINUTE, most_executions=1)


def test_full_host_makes_a_skipping_start_wait_once() -> None:
    """A full host is no conflict: the start waits; a second one of its group is one."""

    async def story(world: World) -> None:
        first = (await world.submit(world.define(grouped("limit: 1", "one")))).id
        spec = world.define(grouped("on_conflict: skip", "two"))
        second = (await world.submit(spec)).id
        with pytest.raises(RefusedError) as caught:
            await world.submit(spec)
        assert caught.value.code == "concurrency"
        assert [await start_s(world, each) for each in (first, second)] == [0, 60]

    simulate(story, MINUTE, most_executions=1)


def test_limit_of_an_account_holds_for_it_alone() -> None:
    """An account's executions wait for each other, in order and by hand first; others go on."""

    async def story(world: World) -> None:
        one, two = (
            world.define(grouped("on_conflict: allow", name), account="pay")
            for name in ("one", "two")
        )
        other = world.define(grouped("on_conflict: allow"), account="web")
        first = (await world.submit(one)).id
        slot = (await world.submit(two, trigger="schedule")).id
        hand = (await world.submit(two)).id
        others = [(await world.submit(other)).id for _ in range(3)]
        assert (world.engine.running_count, world.engine.queued_count) == (4, 2)
        assert [await start_s(world, each) for each in (first, hand, slot)] == [0, 60, 120]
        assert [await start_s(world, each) for each in others] == [0, 0, 0]

    simulate(story, MINUTE, limits={"pay": (1, 9)})


def test_limits_can_change_while_executions_run() -> None:
    """A larger limit starts who waits at once; a new one of an account counts who runs already."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: allow"), account="pay")
        ids = [(await world.submit(spec)).id for _ in range(3)]
        running = [world.engine.running_count]
        for host, accounts in ((2, {}), (9, {"pay": 2}), (9, {})):
            world.engine.limits.host, world.engine.limits.accounts = host, accounts
            world.engine.admit_waiting()
            running.append(world.engine.running_count)
        assert running == [1, 2, 2, 3]
        for each in ids:
            await world.end_of(each)

    simulate(story, MINUTE, most_executions=1)


def test_full_account_makes_nobody_of_another_one_wait_for_the_host() -> None:
    """When a place of the host gets free, it goes past those whose account is full."""

    async def story(world: World) -> None:
        pay = world.define(grouped("on_conflict: allow"), account="pay")
        web = world.define(grouped("on_conflict: allow"), account="web")
        ids = [(await world.submit(spec)).id for spec in (pay, web, pay, web)]
        await world.engine.cancel(ids[1])
        assert [await start_s(world, each) for each in (ids[0], ids[2])] == [0, 60]
        assert await start_s(world, ids[3]) < 60

    simulate(story, MINUTE, most_executions=2, limits={"pay": (1, 9)})


def test_limit_of_an_account_holds_after_a_crash() -> None:
    """What ran keeps its place, what waited waits, and a place that is free is not lost."""

    async def story(world: World) -> None:
        spec = world.define(grouped("on_conflict: allow"), account="pay")
        ids = [(await world.submit(spec)).id for _ in range(3)]
        await asyncio.sleep(10)
        later = world.after_crash()
        await later.recover()
        assert (later.engine.running_count, later.engine.queued_count) == (1, 2)
        for each in ids:
            await later.end_of(each)
        await later.idle()
        assert later.engine._admission.is_empty
        await world.engine.drain(0)

    simulate(story, MINUTE, limits={"pay": (1, 9)})


# Those who are held


def test_held_flow_keeps_its_place_in_line_and_stops_nobody() -> None:
    """In a shared group those of a held flow are passed, and go on when it is lifted."""

    async def story(world: World) -> None:
        held = world.define(grouped("group: \"'db'\"", "held"))
        other = world.define(grouped("group: \"'db'\"", "other"))
        ids = [(await world.submit(spec)).id for spec in (other, held, other)]
        world.held.add(held.key)
        await asyncio.sleep(150)
        assert await states_of(world, ids) == ["succeeded", "queued", "succeeded"]
        world.held.clear()
        world.engine.admit_waiting()
        assert await start_s(world, ids[1]) == 150

    simulate(story, MINUTE)
