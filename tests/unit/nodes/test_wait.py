"""Promises of `wait` with `until`: the wall clock ends it, in whichever life of the daemon."""

from __future__ import annotations

import asyncio
from datetime import timedelta, timezone

import pytest

from flowrunner.engine.recovery import RecoveryReport
from flowrunner.model.ids import Json
from flowrunner.nodes.builtin.wait import WaitNode
from tests.fakes.engine import Outcome, World, flow, simulate

HOUR = "add(execution.created_at, '1h')"


def waiting(until: str, keys: str = "") -> str:
    """A flow with one wait, for an input `v` that may be anything."""
    node = f'  - {{id: w, type: wait, params: {{until: "{until}"}}{keys}}}'
    return flow(node, top="inputs: {v: {type: object, default: {}}}")


def lasted(outcome: Outcome) -> float:
    """How long the wait took, in seconds."""
    status = outcome.nodes["w"]
    assert status.started_at is not None
    assert status.ended_at is not None
    return (status.ended_at - status.started_at).total_seconds()


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        pytest.param(HOUR, 3_600, id="bare"),
        pytest.param("${{ add(now(), '90m') }}", 5_400, id="wrapped"),
        pytest.param("inputs.v.at", 7_200, id="given"),
        pytest.param("add(now(), '1500ms')", 1.5, id="fraction"),
        pytest.param("now()", 0, id="now"),
        pytest.param("add(now(), '-400d')", 0, id="past"),
        pytest.param("0001-01-01T00:00:00Z", 0, id="first-time-of-all"),
    ],
)
def test_until_ends_at_its_time(until: str, seconds: float) -> None:
    """A wait ends at the time that is written or computed, at once if that is in the past."""

    async def story(world: World) -> Outcome:
        at = (world.clock.now() + timedelta(hours=2)).isoformat()
        outcome = await world.run(waiting(until), inputs={"v": {"at": at}})
        assert world.spawner.requests == []
        return outcome

    outcome = simulate(story)
    assert (outcome.states, lasted(outcome)) == ({"w": "succeeded"}, seconds)


def test_written_time_is_waited_for() -> None:
    """A time that stands in the file is one instant, whatever zone it is written in."""

    async def story(world: World) -> Outcome:
        at = world.clock.now() + timedelta(minutes=10)
        return await world.run(waiting(at.astimezone(timezone(timedelta(hours=5))).isoformat()))

    assert lasted(simulate(story)) == 600


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        True,
        ["2026-03-30T02:30:00Z"],
        "soon",
        "2026-03-30",
        "2026-03-30T02:30:00",
        "0001-01-01T00:00:00+23:59",
    ],
    ids=str,
)
def test_what_is_no_time_fails_for_good(value: Json) -> None:
    """Another attempt would not help; the value may be data, so the message does not quote it."""

    async def story(world: World) -> Outcome:
        text = waiting("inputs.v.at", ", retry: {max_attempts: 3}")
        return await world.run(text, inputs={"v": {"at": value}})

    outcome = simulate(story)
    error = outcome.nodes["w"].error
    assert error is not None
    assert (error.code, len(outcome.attempts)) == ("expression", 1)
    assert error.message == (
        "'until' gave no time: a time is an RFC 3339 text with its zone, such as "
        "2026-03-30T02:30:00+02:00"
    )


@pytest.mark.parametrize(
    ("jump", "passed"),
    [pytest.param(1_800, 1_800, id="forward"), pytest.param(-1_800, 5_400, id="back")],
)
def test_until_follows_the_wall_clock(jump: float, passed: float) -> None:
    """When somebody sets the clock, the wait ends at its time by the new one."""

    async def story(world: World) -> float:
        accepted = await world.submit(world.define(waiting(HOUR)))
        await asyncio.sleep(61)
        world.clock.jump(jump)
        await world.end_of(accepted.id)
        return world.clock.monotonic()

    assert simulate(story) == passed


@pytest.mark.parametrize("until", [HOUR, "add(now(), '1h')"], ids=["fixed", "now"])
@pytest.mark.parametrize(("down", "seconds"), [(0, 3_600), (600, 3_600), (7_200, 7_205)])
def test_restart_does_not_move_the_time(until: str, down: float, seconds: float) -> None:
    """The same attempt goes on to the same time; one that passed meanwhile ends at once."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(waiting(until)))
        await asyncio.sleep(5)
        after = world.after_crash()
        await world.engine.drain(0)
        await asyncio.sleep(down)
        assert await after.recover() == RecoveryReport(resumed=1)
        outcome = await after.end_of(accepted.id)
        await after.idle()
        after.assert_clean()
        return outcome

    outcome = simulate(story)
    (attempt,) = outcome.attempts
    assert (attempt.key.number, str(attempt.state)) == (1, "succeeded")
    assert lasted(outcome) == seconds


def test_timeout_bounds_until() -> None:
    """The node's own `timeout` strikes before a time that is further away."""
    outcome = simulate(lambda world: world.run(waiting(HOUR, ", timeout: 10s")))
    assert (outcome.states, lasted(outcome)) == ({"w": "timed_out"}, 10)


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, ()),
        ({"for": "5s", "until": "now()"}, ("until",)),
        ({"until": "2026-03-30"}, ("until",)),
        ({"until": "2026-02-30T02:30:00Z"}, ("until",)),
    ],
)
def test_wait_refuses_what_has_no_one_end(params: dict[str, Json], path: tuple[str, ...]) -> None:
    """Neither end, both, and a text that begins like a time and is none are found at load."""
    (problem,) = WaitNode().validate(params)
    assert problem.path == path


@pytest.mark.parametrize("until", ["2026-03-30t02:30:00.25z", "now()", "${{ now() }}", "soon"])
def test_wait_leaves_expressions_to_others(until: str) -> None:
    """What is no written time is an expression, which other checks judge."""
    assert list(WaitNode().validate({"until": until})) == []
