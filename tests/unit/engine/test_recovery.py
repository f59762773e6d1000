"""After a crash: what was accepted goes on or is ended, and nothing that it left is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from flowrunner.engine.recovery import RecoveryReport
from flowrunner.errors import StorageError
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState, Reason
from tests.fakes.engine import FAILS, HANGS, OK, WORK, Act, Acts, Outcome, World, flow, simulate

CHAIN = flow("  - {id: a, run: x}\n  - {id: b, run: x}\n  - {id: c, run: x}")


async def crashed(world: World, acts: Acts | None = None) -> World:
    """Lets five seconds pass, then returns the next life; this one comes to its own end."""
    await asyncio.sleep(5)
    after = world.after_crash(acts)
    await world.engine.drain(0)
    return after


async def settled(world: World, execution_id: ExecutionId) -> Outcome:
    """Waits for the end of everything in a later life and checks that it left nothing."""
    outcome = await world.end_of(execution_id)
    await world.idle()
    world.assert_clean()
    return outcome


def test_queued_executions_are_carried_in_their_order() -> None:
    """Nothing that waited is lost, and the line stays as it was."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(4)]
        after = await crashed(world, {"a": Act(lasts_s=60)})
        report = await after.recover()
        assert report == RecoveryReport(restored=3, resumed=1)
        assert after.observer.queued == accepted[1:]
        for each in accepted[1:]:
            outcome = await settled(after, each)
            assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert after.observer.started == accepted[1:]
        assert after.observer.resumed == accepted[:1]

    simulate(story, {"a": HANGS})


def test_execution_without_an_attempt_starts_anew() -> None:
    """What was running but had begun nothing goes on as if it had only just started."""

    async def story(world: World) -> None:
        await world.submit(world.define(flow("  - {id: hog, run: x}", name="hog")))
        accepted = await world.submit(world.define(CHAIN))
        after = await crashed(world)
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert list(outcome.states) == ["a", "b", "c"]

    simulate(story, {"hog": HANGS}, node_slots=1)


@pytest.mark.parametrize("change", ["held", "gone"])
def test_execution_without_an_attempt_keeps_its_place(change: str) -> None:
    """What runs goes on when its flow is held or gone, though its nodes still wait for a place."""

    async def story(world: World) -> None:
        await world.submit(world.define(flow("  - {id: hog, run: x}", name="hog")))
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        after = await crashed(world)
        if change == "held":
            after.held.add(spec.key)
        else:
            after.remove(spec.key)
        await after.recover()
        assert (await after.end_of(accepted[0])).execution.state is ExecutionState.SUCCEEDED
        await after.engine.cancel_queued(spec.key, Reason.CANCELLED)
        outcome = await settled(after, accepted[1])
        assert outcome.execution.started_at is None

    simulate(story, {"hog": HANGS}, node_slots=1)


@pytest.mark.parametrize(
    ("act", "state"),
    [
        pytest.param(OK, ExecutionState.SUCCEEDED, id="succeeded"),
        pytest.param(FAILS, ExecutionState.FAILED, id="failed"),
    ],
)
def test_execution_that_lacks_only_its_end_gets_it(act: Act, state: ExecutionState) -> None:
    """When every node had ended, nothing was cut short: the nodes decide as always."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CHAIN))
        world.disk.fail("update")
        await asyncio.sleep(5)
        after = world.after_crash()
        world.disk.mend()
        await world.end_of(accepted.id)
        await world.idle()
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.execution.state is state
        assert outcome.execution.reason != "interrupted"
        assert after.spawner.requests == []

    simulate(story, {"a": act})


def test_flow_that_is_gone_takes_its_queue_along() -> None:
    """What waits for a flow that was deleted meanwhile is cancelled, and says why."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        after = await crashed(world)
        after.remove(spec.key)
        assert await after.recover() == RecoveryReport(resumed=1, cancelled=1)
        await settled(after, accepted[0])
        execution = (await after.outcome(accepted[1])).execution
        assert (execution.state, execution.reason) == (ExecutionState.CANCELLED, "deleted")

    simulate(story, {"a": HANGS})


def test_what_is_left_running_is_ended_before_its_files_are_removed() -> None:
    """Of every unfinished execution, and of each that only left a folder; nothing starts before."""

    async def story(world: World) -> None:
        accepted = [(await world.submit(world.define(CHAIN))).id for _ in range(2)]
        after = await crashed(world)
        after.files.make_folder(WORK / "ended-in-the-journal")
        await after.recover()
        assert after.leftovers.executions == sorted([*accepted, "ended-in-the-journal"])
        assert "ended-in-the-journal" in after.leftovers.folders
        assert "ended-in-the-journal" not in after.files.names(WORK)
        await after.engine.drain(0)

    simulate(story, {"a": HANGS})


def test_lost_definition_fails_the_execution() -> None:
    """An execution whose definition is damaged cannot run what it was accepted with."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        after = await crashed(world)
        after.storage.definitions._definitions.clear()
        assert await after.recover() == RecoveryReport(lost=2)
        ends = [(await after.outcome(each)).execution for each in accepted]
        assert [each.reason for each in ends] == ["definition_lost"] * 2
        assert {each.state for each in ends} == {ExecutionState.FAILED}

    simulate(story, {"a": HANGS})


def test_definition_that_no_longer_compiles_fails_the_execution() -> None:
    """A node type that left with an upgrade is a reason to fail, not to stop the daemon."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        after = await crashed(world)
        after.nodes._factories.clear()
        await after.recover()
        execution = (await after.outcome(accepted[1])).execution
        assert (execution.state, execution.reason) == (ExecutionState.FAILED, "definition_lost")

    simulate(story, {"a": HANGS})


def test_restored_execution_keeps_what_was_pinned() -> None:
    """Inputs, payload, cause and the moment of its creation are those of the acceptance."""
    text = flow(
        "  - {id: a, run: x, env: {D: '${{ inputs.day }}', R: '${{ trigger.body.ref }}'}}",
        top="inputs: {day: {default: monday}}",
    )

    async def story(world: World) -> None:
        spec = world.define(text)
        await world.submit(spec)
        accepted = await world.submit(
            spec, trigger="webhook:push", payload=b'{"ref": "main"}', inputs={"day": "friday"}
        )
        after = await crashed(world, {"a": OK})
        await after.recover()
        outcome = await settled(after, accepted.id)
        (request,) = after.spawned("a")
        assert (request.env["D"], request.env["R"]) == ("friday", "main")
        execution = outcome.execution
        assert execution.cause.trigger_id == "push"
        assert execution.started_at is not None
        assert execution.started_at - execution.created_at == timedelta(seconds=5)

    simulate(story, {"a": HANGS})


def test_folders_of_an_earlier_life_are_removed() -> None:
    """What a killed daemon left in its work folder is gone before anything new begins."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        await world.submit(spec)
        waiting = await world.submit(spec)
        after = await crashed(world, {"a": OK})
        after.files.write(WORK / "left" / "over", b"")
        await after.recover()
        assert "left" not in after.files.names(WORK)
        await settled(after, waiting.id)
        assert after.files.names(WORK) == []

    simulate(story, {"a": HANGS})


def test_work_folder_that_resists_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Rubbish that cannot be removed is told by its name; the rest goes, and nothing stops."""

    async def story(world: World) -> None:
        for name in ("1-goes", "2-stays", "3-stays", "4-goes"):
            world.files.write(WORK / name / "over", b"")
        world.files.fail("remove_tree", "-stays", PermissionError(13, "Permission denied"))
        assert await world.recover() == RecoveryReport()
        assert world.files.names(WORK) == ["2-stays", "3-stays"]

    simulate(story)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"engine.work_left folder={WORK}/{name}: [Errno 13] Permission denied"
        for name in ("2-stays", "3-stays")
    ]


def test_work_that_cannot_be_listed_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """A work folder that nobody can look into is told, and stops nothing."""

    async def story(world: World) -> None:
        world.files.write(WORK / "left" / "over", b"")
        world.files.fail("names", "work", PermissionError(13, "Permission denied"))
        assert await world.recover() == RecoveryReport()

    simulate(story)
    assert f"engine.work_left folder={WORK}: " in caplog.text


def test_recovery_of_nothing_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A first start has nothing to say."""

    async def story(world: World) -> None:
        assert await world.recover() == RecoveryReport()

    simulate(story)
    assert caplog.text == ""


def test_recovery_that_cannot_write_fails() -> None:
    """A daemon that cannot record what became of its work must not take more."""

    async def story(world: World) -> None:
        await world.submit(world.define(CHAIN))
        after = await crashed(world)
        after.storage.definitions._definitions.clear()
        after.disk.fail("finish")
        with pytest.raises(StorageError):
            await after.recover()

    simulate(story, {"a": HANGS})


def test_second_crash_loses_nothing_either() -> None:
    """A crash during or after a recovery finds a journal in which every word is still true."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(3)]
        after = await crashed(world)
        await after.recover()
        last = await crashed(after, {"a": OK})
        assert await last.recover() == RecoveryReport(restored=1, resumed=1)
        await settled(last, accepted[2])
        ends = [str((await last.outcome(each)).execution.state) for each in accepted]
        assert ends == ["failed", "failed", "succeeded"]

    simulate(story, {"a": HANGS})
