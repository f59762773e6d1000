"""Promises of `flowrunner.triggers.pauses`: what holds a flow, for how long, and what it lifts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from flowrunner.engine.recovery import recover
from flowrunner.errors import NotFoundError, RefusedError, StorageError
from flowrunner.model.conditions import Condition, ConditionType
from flowrunner.model.delivery import Delivery
from flowrunner.model.ids import Json
from tests.fakes.definitions import flow_text, hook, key_of
from tests.unit.triggers.slots import at, begin, due, every, fire, ledger, slots, turns
from tests.unit.triggers.world import SLEEP, World, simulate

A = key_of("a")
FAIL = [{"id": "only", "type": "fail", "params": {"message": "no"}}]
SUCCEED = [{"id": "only", "type": "noop"}]


def minutely(**top: Json) -> bytes:
    return flow_text("a", **{"triggers": [every("1m")], **top})


async def pause(world: World, *, reason: str = "", until_s: float | None = None) -> None:
    until = None if until_s is None else at(until_s)
    await world.pauses.pause(A, reason=reason, until=until, uid=1000)


def condition(world: World, kind: ConditionType) -> Condition:
    entry = world.registry.get(A)
    assert entry is not None
    found = entry.condition(kind)
    assert found is not None
    return found


def paused(world: World) -> tuple[str, str, str]:
    """Status, reason and message of the condition `Paused`."""
    found = condition(world, ConditionType.PAUSED)
    return str(found.status), str(found.reason), found.message


async def start(world: World, *, force: bool = False) -> None:
    """Starts the flow by hand and lets it end, if it does not sleep."""
    await world.dispatcher.start_by_hand(A, {}, as_text=False, force=force)
    await turns()


async def states(world: World) -> list[str]:
    return [str(execution.state) for execution in await world.executions()]


async def hold_by_pause(world: World, **top: Json) -> None:
    await world.apply(minutely(**top))
    await pause(world)


async def hold_by_file(world: World, **top: Json) -> None:
    await world.apply(minutely(**top, suspend=True))


async def lift_pause(world: World, **top: Json) -> None:
    await world.pauses.resume(A)


async def lift_file(world: World, **top: Json) -> None:
    await world.apply(minutely(**top))


Act = Callable[..., Awaitable[None]]
HOLDS = pytest.mark.parametrize(
    ("word", "hold", "lift"),
    [
        pytest.param("paused", hold_by_pause, lift_pause, id="paused"),
        pytest.param("suspended", hold_by_file, lift_file, id="suspended"),
    ],
)


# What is held


@HOLDS
def test_slots_of_a_held_flow_are_skipped_and_not_caught_up(
    word: str, hold: Act, lift: Act
) -> None:
    """Each slot is accounted for with the reason; after the hold only later ones start."""

    async def story(world: World) -> None:
        await begin(world, due())
        await hold(world)
        await fire(world, 60)
        await fire(world, 120)
        await lift(world)
        await fire(world, 180)
        assert await ledger(world) == [("skipped", word, 60, 120, 2)]
        assert slots(await world.executions()) == [180]

    simulate(story)


@HOLDS
def test_slot_is_held_before_its_condition_is_asked(word: str, hold: Act, lift: Act) -> None:
    """A slot that would not have started anyway is skipped for the hold, which comes first."""

    async def story(world: World) -> None:
        never: Json = {"triggers": [{"type": "schedule", "every": "1m", "if": "false"}]}
        await begin(world, minutely(**never))
        await hold(world, **never)
        await fire(world, 60)
        assert await ledger(world) == [("skipped", word, 60, 60, 1)]

    simulate(story)


@HOLDS
def test_delivery_to_a_held_flow_is_to_be_sent_again(word: str, hold: Act, lift: Act) -> None:
    """It is answered 503 with Retry-After, and leaves no trace that would make it a duplicate."""

    async def story(world: World) -> None:
        world.secrets.texts = {"KEY": "k"}
        top: Json = {"triggers": [hook("push", "KEY")]}
        await world.apply(minutely(**top))
        await hold(world, **top)
        sent = Delivery(
            path="default/push",
            method="POST",
            headers={"authorization": "Bearer k", "content-type": "application/json"},
            query={},
            body=b"{}",
        )
        answer = await world.webhooks.deliver(sent)
        assert (answer.status, answer.code, answer.retry_after_s) == (503, word, 30)
        await lift(world, **top)
        assert (await world.webhooks.deliver(sent)).status == 202

    simulate(story)


@HOLDS
def test_start_by_hand_of_a_held_flow_must_be_forced(word: str, hold: Act, lift: Act) -> None:
    """Without force it is refused with the reason, and nothing is written."""

    async def story(world: World) -> None:
        await hold(world)
        with pytest.raises(RefusedError) as caught:
            await start(world)
        assert caught.value.code == word
        assert await states(world) == []
        await start(world, force=True)
        assert await states(world) == ["succeeded"]

    simulate(story)


@HOLDS
def test_queued_executions_stay_queued_and_running_ones_go_on(
    word: str, hold: Act, lift: Act
) -> None:
    """While a flow is held its line stands still; when it is lifted the line moves."""

    async def story(world: World) -> None:
        top: Json = {"nodes": [{"id": "only", "type": "wait", "params": {"for": "1m"}}]}
        await world.apply(minutely(**top))
        for _ in range(2):
            await start(world)
        await hold(world, **top)
        await asyncio.sleep(90)
        assert word
        assert await states(world) == ["succeeded", "queued"]
        await lift(world, **top)
        await asyncio.sleep(90)
        assert await states(world) == ["succeeded", "succeeded"]

    simulate(story)


def test_forced_start_that_must_wait_goes_before_the_flow_is_lifted() -> None:
    """What was forced is not held in line either, also after a restart."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", nodes=SLEEP))
        await pause(world)
        for _ in range(2):
            await start(world, force=True)
        assert await states(world) == ["running", "queued"]
        first, second = await world.executions()
        after = await world.next_life()
        await recover(after.engine, after.services, after.registry.rules_of)
        await turns()
        assert (await after.executions())[1].is_forced
        assert await states(after) == ["running", "queued"]
        await after.engine.cancel(first.id)
        await turns()
        assert (await after.executions())[1].state == "running"
        await after.engine.cancel(second.id)

    simulate(story)


def test_both_holds_must_be_lifted() -> None:
    """A flow that is suspended and paused starts when it is neither."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", suspend=True))
        await pause(world)
        await world.pauses.resume(A)
        with pytest.raises(RefusedError, match="suspended"):
            await start(world)
        await pause(world)
        await world.apply(flow_text("a"))
        with pytest.raises(RefusedError, match="paused"):
            await start(world)
        await world.pauses.resume(A)
        await start(world)
        assert await states(world) == ["succeeded"]

    simulate(story)


# Conditions


def test_conditions_tell_the_holds() -> None:
    """`Paused` says who, until when and why; `Suspended` that it is the file."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", suspend=True))
        suspended = condition(world, ConditionType.SUSPENDED)
        assert (suspended.status, suspended.reason) == ("True", "Suspended")
        assert paused(world) == ("False", "NotPaused", "")
        await asyncio.sleep(5)
        await pause(world, reason="migration", until_s=3600)
        message = f"by uid 1000 until {at(3600):%Y-%m-%dT%H:%M:%SZ}: migration"
        assert paused(world) == ("True", "Paused", message)
        assert condition(world, ConditionType.PAUSED).last_transition_at == at(5)
        await world.apply(flow_text("a", description="another version"))
        assert paused(world) == ("True", "Paused", message)
        assert condition(world, ConditionType.PAUSED).last_transition_at == at(5)
        assert condition(world, ConditionType.SUSPENDED).status == "False"

    simulate(story)


def test_pause_during_a_pass_is_in_the_conditions() -> None:
    """A pass that has begun before the pause does not bring the old conditions back."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        passing = asyncio.create_task(world.apply(flow_text("a"), flow_text("b")))
        await asyncio.sleep(0)
        await pause(world)
        assert not passing.done()
        await passing
        assert paused(world)[0] == "True"

    simulate(story)


# How long


def test_pause_outlives_a_restart() -> None:
    """The next life holds the flow before anything could start it, and tells who paused it."""

    async def story(world: World) -> None:
        await begin(world, due())
        await pause(world, reason="migration")
        after = await world.next_life()
        assert paused(after) == ("True", "Paused", "by uid 1000: migration")
        await begin(after, due())
        await fire(after, 60)
        assert await ledger(after) == [("skipped", "paused", 60, 60, 1)]
        await after.pauses.resume(A)
        assert paused(await after.next_life())[0] == "False"

    simulate(story)


@asynccontextmanager
async def running(world: World):  # type: ignore[no-untyped-def]
    """Lets pauses end by themselves."""
    task = asyncio.create_task(world.pauses.run())
    yield
    task.cancel()
    await asyncio.wait([task])


def test_pause_ends_when_its_time_has_come() -> None:
    """At `until` the flow is lifted and its line moves on; a later pause may be longer."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        async with running(world):
            await pause(world, until_s=100)
            await asyncio.sleep(50)
            await pause(world, until_s=200)
            await asyncio.sleep(149)
            assert paused(world)[0] == "True"
            await asyncio.sleep(1.5)
            assert paused(world)[0] == "False"
        assert (await world.storage.pauses.list())[A].pause is None

    simulate(story)


def test_pause_whose_end_cannot_be_written_goes_on() -> None:
    """Nothing is lifted that would be back after a restart; it is tried again."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        async with running(world):
            await pause(world, until_s=10)
            world.slots.fails.add("pause")
            await asyncio.sleep(11)
            assert paused(world)[0] == "True"
            world.slots.fails.clear()
            await asyncio.sleep(61)
            assert paused(world)[0] == "False"

    simulate(story)


def test_command_that_cannot_be_written_changes_nothing() -> None:
    """A pause or a resume that is not durable is an error, and the flow is as before."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        world.slots.fails.add("pause")
        with pytest.raises(StorageError):
            await pause(world)
        assert paused(world)[0] == "False"
        world.slots.fails.clear()
        await pause(world)
        world.slots.fails.add("pause")
        with pytest.raises(StorageError):
            await world.pauses.resume(A)
        assert paused(world)[0] == "True"

    simulate(story)


def test_unknown_flow_is_neither_paused_nor_resumed() -> None:
    """A name that is no flow is told, with the one that may be meant, and not remembered."""

    async def story(world: World) -> None:
        await world.apply(flow_text("aa"))
        with pytest.raises(NotFoundError, match="did you mean 'aa'"):
            await pause(world)
        with pytest.raises(NotFoundError):
            await world.pauses.resume(A)
        assert await world.storage.pauses.list() == {}

    simulate(story)


def test_pause_leaves_with_its_flow() -> None:
    """A flow of the same name that comes later begins without it."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        await pause(world)
        await world.apply()
        await world.pauses.settle()
        assert await world.storage.pauses.list() == {}
        await world.apply(flow_text("a"))
        await start(world)
        assert await states(world) == ["succeeded"]

    simulate(story)


def test_pause_of_a_flow_that_left_before_a_crash_is_forgotten() -> None:
    """A crash between the removal of a flow and that of its record does not keep the pause."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), flow_text("b"))
        await pause(world)
        kept = await world.storage.pauses.list()
        await world.apply(flow_text("b"))
        await world.pauses.settle()
        await world.storage.pauses.put(A, kept[A])  # as a crash would have left it
        after = await world.next_life()
        await after.apply(flow_text("b"))
        await after.pauses.settle()
        assert await after.storage.pauses.list() == {}
        await after.apply(flow_text("a"), flow_text("b"))
        assert paused(after)[0] == "False"

    simulate(story)


def test_pause_outlives_the_loss_of_the_last_good_version() -> None:
    """A record of the flow that is damaged at start does not lift the pause: the file is there."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        await pause(world)
        await world.storage.flows.delete(A)
        after = await world.next_life()
        assert after.registry.get(A) is None
        await after.apply(flow_text("a"))
        assert paused(after)[0] == "True"

    simulate(story)


# Failures in a row


def failing(most: int = 3, nodes: Json = FAIL, **top: Json) -> bytes:
    return flow_text("a", nodes=nodes, pause_after_failures=most, **top)


def test_failures_in_a_row_pause_the_flow() -> None:
    """After that many the next start is refused, and the condition says why."""

    async def story(world: World) -> None:
        await world.apply(failing(2))
        for _ in range(2):
            assert paused(world)[0] == "False"
            await start(world)
        assert paused(world) == ("True", "ConsecutiveFailures", "2 executions failed in a row")
        with pytest.raises(RefusedError, match="paused"):
            await start(world)

    simulate(story)


def test_queued_execution_does_not_slip_through() -> None:
    """Who waits while the decisive failure ends stays queued."""

    async def story(world: World) -> None:
        slow = [{"id": "a", "type": "wait", "params": {"for": "1m"}}, *FAIL]
        await world.apply(failing(1, slow))
        for _ in range(2):
            await start(world)
        await asyncio.sleep(120)
        assert await states(world) == ["failed", "queued"]

    simulate(story)


def test_success_ends_the_row_and_a_cancel_does_not_count() -> None:
    """Only failures without a success between them are in a row."""

    async def story(world: World) -> None:
        inputs = {"ok": {"type": "boolean", "default": False}}
        nodes = [{"id": "w", "type": "wait", "params": {"for": "1s"}}]
        nodes.append({"id": "f", "type": "fail", "if": "!inputs.ok", "params": {"message": "no"}})
        await world.apply(failing(2, nodes, inputs=inputs))

        async def run(*, ok: bool = False, cancelled: bool = False) -> None:
            found = await world.dispatcher.start_by_hand(A, {"ok": ok}, as_text=False)
            if cancelled:
                await world.engine.cancel(found)
            await asyncio.sleep(2)

        await run()
        await run(ok=True)
        await run()
        await run(cancelled=True)
        assert paused(world)[0] == "False"
        await run()
        assert paused(world)[0] == "True"

    simulate(story)


def test_resume_begins_a_new_row() -> None:
    """After a resume it takes as many failures again, also over a restart."""

    async def story(world: World) -> None:
        await world.apply(failing(2))
        for _ in range(2):
            await start(world)
        await asyncio.sleep(1)
        await world.pauses.resume(A)
        await asyncio.sleep(1)
        await start(world)
        after = await world.next_life()
        assert paused(after)[0] == "False"
        await start(after)
        assert paused(after)[0] == "True"

    simulate(story)


def test_new_version_begins_a_new_row_and_ends_the_pause() -> None:
    """A changed definition may be the cure; the pause of a person stays."""

    async def story(world: World) -> None:
        await world.apply(failing(1))
        await start(world)
        assert paused(world)[1] == "ConsecutiveFailures"
        await world.apply(failing(1, description="cured"))
        await turns()
        assert paused(world)[0] == "False"
        await pause(world)
        await world.apply(failing(1, description="cured again"))
        await turns()
        assert paused(world)[1] == "Paused"

    simulate(story)


def test_version_that_comes_back_begins_a_new_row() -> None:
    """Failures of its earlier time in force are not counted, not even after a restart."""

    async def story(world: World) -> None:
        await world.apply(failing(2))
        await start(world)
        await asyncio.sleep(1)
        await world.apply(failing(2, description="other"))
        await turns()
        await asyncio.sleep(1)
        await world.apply(failing(2))
        after = await world.next_life()
        await start(after)
        assert paused(after)[0] == "False"

    simulate(story)


def test_row_of_failures_outlives_a_restart() -> None:
    """The failures before it count, and a crash before the pause was written loses nothing."""

    async def story(world: World) -> None:
        await world.apply(failing(3))
        for _ in range(2):
            await start(world)
        after = await world.next_life()
        after.slots.fails.add("pause")
        await start(after)
        assert paused(after)[0] == "True"
        assert await after.storage.pauses.list() == {}
        assert paused(await after.next_life())[0] == "True"

    simulate(story)


def test_failures_of_a_paused_flow_keep_the_pause_of_the_person() -> None:
    """A forced start that fails does not turn it into one that a new version ends."""

    async def story(world: World) -> None:
        await world.apply(failing(1))
        await pause(world, reason="by hand")
        await start(world, force=True)
        assert paused(world) == ("True", "Paused", "by uid 1000: by hand")

    simulate(story)


def test_pause_ends_after_a_change_while_the_daemon_was_down() -> None:
    """The first pass of a new life that brings another version ends an automatic pause."""

    async def story(world: World) -> None:
        await world.apply(failing(1))
        await start(world)
        after = await world.next_life()
        assert paused(after)[0] == "True"
        await after.apply(failing(1, description="cured"))
        await turns()
        assert paused(after)[0] == "False"

    simulate(story)


def test_end_of_a_pause_forgets_the_row() -> None:
    """When the time of a pause has come the flow gets as many tries as after a resume."""

    async def story(world: World) -> None:
        await world.apply(failing(2))
        await start(world)
        async with running(world):
            await pause(world, until_s=10)
            await asyncio.sleep(timedelta(seconds=11).total_seconds())
        await start(world)
        assert paused(world)[0] == "False"

    simulate(story)


@pytest.mark.parametrize("between", range(6))
def test_a_stop_is_heard_right_behind_a_resume(between: int) -> None:
    """Lifting by time ends when it is cancelled, however soon after a change that woke it."""

    async def story(world: World) -> None:
        await world.apply(minutely())
        await pause(world)
        task = asyncio.create_task(world.pauses.run())
        await turns()
        await world.pauses.resume(A)
        for _ in range(between):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=1.0)
        assert done == {task}
        assert task.cancelled()

    simulate(story)
