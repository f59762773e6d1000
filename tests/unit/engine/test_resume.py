"""An execution goes on after a crash: what had ended is not repeated, what was cut is said."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowrunner.engine.attempt import interrupted
from flowrunner.engine.recovery import RecoveryReport
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, OK, WORK, Act, Acts, Outcome, World, flow, simulate

CHAIN = "  - {id: a, run: x}\n  - {id: b, run: x, KEYS}\n  - {id: c, run: x}"


def chain(keys: str = "on_interrupt: fail") -> str:
    """Three nodes in a row, the second of which has these keys."""
    return flow(CHAIN.replace("KEYS", keys))


async def crashed(world: World, seconds: float = 5, acts: Acts | None = None) -> World:
    """Lets some seconds pass, then returns the next life; this one comes to its own end."""
    await asyncio.sleep(seconds)
    after = world.after_crash(acts)
    await world.engine.drain(0)
    return after


async def settled(world: World, execution_id: ExecutionId) -> Outcome:
    """Waits for the end of everything in a later life and checks that it left nothing."""
    outcome = await world.end_of(execution_id)
    await world.idle()
    world.assert_clean()
    assert await world.storage.journal.running() == []
    return outcome


def resumed(text: str, acts: Acts | None = None, later: Acts | None = None) -> Outcome:
    """Runs a flow whose daemon is killed after five seconds and comes back at once."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        after = await crashed(world, acts=later)
        assert await after.recover() == RecoveryReport(resumed=1)
        return await settled(after, accepted.id)

    return simulate(story, acts)


def ends(outcome: Outcome, node: str) -> list[str]:
    """State and reason of each attempt of a node."""
    mine = [attempt for attempt in outcome.attempts if attempt.key.node == node]
    return [f"{attempt.state} {attempt.reason}".strip() for attempt in mine]


def second(outcome: Outcome, node: str) -> float:
    """When a node ended, in seconds from the creation of the execution."""
    ended_at = outcome.nodes[node].ended_at
    assert ended_at is not None
    return (ended_at - outcome.execution.created_at).total_seconds()


# on_interrupt


@pytest.mark.parametrize("keys", ["on_interrupt: fail", "timeout: 1h"])
def test_attempt_in_flight_has_failed(keys: str) -> None:
    """A program that was running has failed (interrupted), as its node has; the flow goes on so."""
    outcome = resumed(chain(keys), {"b": HANGS}, {"b": OK})
    assert outcome.states == {"a": "succeeded", "b": "failed", "c": "skipped"}
    assert ends(outcome, "b") == ["failed interrupted"]
    execution = outcome.execution
    assert (execution.state, execution.reason) == (ExecutionState.FAILED, "interrupted")
    assert execution.error is not None
    assert execution.error.message == "node b: the daemon ended before the attempt did"


def test_rerun_is_one_more_attempt() -> None:
    """With `rerun` the node runs again, and what had ended before is not repeated."""
    outcome = resumed(chain("on_interrupt: rerun"), {"b": HANGS}, {"b": OK})
    assert outcome.states == {"a": "succeeded", "b": "succeeded", "c": "succeeded"}
    assert ends(outcome, "b") == ["failed interrupted", "succeeded"]
    assert ends(outcome, "a") == ["succeeded"]
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_interrupted_attempt_does_not_count_as_a_try() -> None:
    """`max_attempts` counts what the flow is to blame for, not the ends of the daemon."""
    keys = "on_interrupt: rerun, retry: {max_attempts: 2, delay: 3s}"
    outcome = resumed(chain(keys), {"b": HANGS}, {"b": [HANGS, FAILS, OK]})
    assert ends(outcome, "b") == ["failed interrupted", "failed exit_code", "succeeded"]
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_interrupted_attempt_is_apart_from_retry() -> None:
    """`retry` does not repeat what was interrupted, whatever it has left."""
    keys = "on_interrupt: fail, retry: {max_attempts: 5}"
    assert ends(resumed(chain(keys), {"b": HANGS}), "b") == ["failed interrupted"]


def test_tolerated_interruption_lets_the_flow_go_on() -> None:
    """`continue_on_error` holds for an attempt that was cut short as well."""
    outcome = resumed(chain("continue_on_error: true"), {"b": HANGS})
    assert outcome.states == {"a": "succeeded", "b": "failed", "c": "succeeded"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_rescue_runs_after_an_interruption() -> None:
    """`failure()` sees the attempt that was cut short."""
    text = flow("  - {id: a, run: x}\n  - {id: rescue, run: x, if: failure()}")
    assert resumed(text, {"a": HANGS}).states == {"a": "failed", "rescue": "succeeded"}


# Waits and delays


def test_wait_keeps_its_end() -> None:
    """A wait goes on as the same attempt and ends when it would have ended."""
    text = flow("  - {id: w, type: wait, params: {for: 1h}}\n  - {id: b, run: x}")
    outcome = resumed(text)
    assert ends(outcome, "w") == ["succeeded"]
    assert second(outcome, "w") == 3600
    assert outcome.states == {"w": "succeeded", "b": "succeeded"}


def test_wait_that_is_over_ends_at_once() -> None:
    """A daemon that was down for longer than the wait finds it over."""

    async def story(world: World) -> Outcome:
        text = flow("  - {id: w, type: wait, params: {for: 1m}}")
        accepted = await world.submit(world.define(text))
        after = await crashed(world)
        await asyncio.sleep(3600)
        await after.recover()
        return await settled(after, accepted.id)

    assert second(simulate(story), "w") == 3605


def test_timeout_of_a_wait_goes_on_too() -> None:
    """The bound of an attempt that goes on counts from its begin."""
    text = flow("  - {id: w, type: wait, params: {for: 1h}, timeout: 10s}")
    outcome = resumed(text)
    assert (ends(outcome, "w"), second(outcome, "w")) == (["timed_out timeout"], 10)


def test_wait_may_be_told_to_fail() -> None:
    """With `on_interrupt: fail` a wait that was cut short has failed."""
    text = flow("  - {id: w, type: wait, params: {for: 1h}, on_interrupt: fail}")
    assert ends(resumed(text), "w") == ["failed interrupted"]


def test_retry_delay_keeps_its_end() -> None:
    """The next attempt starts when it would have started without the crash."""
    text = flow("  - {id: a, run: x, retry: {max_attempts: 3, delay: 1m, backoff: linear}}")
    outcome = resumed(text, {"a": FAILS})
    assert ends(outcome, "a") == ["failed exit_code"] * 3
    assert second(outcome, "a") == 180


@pytest.mark.parametrize(
    ("node", "all_s"),
    [
        ("type: wait, params: {for: 1h}", 3600),
        ("type: wait, params: {for: 1h}, timeout: 10s", 10),
        ("run: x, retry: {max_attempts: 2, delay: 1m}", 60),
    ],
    ids=["wait", "timeout", "retry"],
)
def test_clock_of_the_past_makes_nothing_longer_than_it_is(node: str, all_s: float) -> None:
    """A host without a battery boots with it: no wait, timeout or delay grows by that."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(f"  - {{id: a, {node}}}")))
        after = await crashed(world)
        after.clock.jump(-86_400 * 365)
        await after.recover()
        await settled(after, accepted.id)
        assert asyncio.get_running_loop().time() == 5 + all_s

    simulate(story, {"a": FAILS})


def test_second_crash_finds_the_same_wait() -> None:
    """Ends of the daemon may come one after the other: the wait ends when it should."""

    async def story(world: World) -> Outcome:
        text = flow("  - {id: w, type: wait, params: {for: 1m}}")
        accepted = await world.submit(world.define(text))
        after = await crashed(world)
        await after.recover()
        last = await crashed(after)
        await last.recover()
        return await settled(last, accepted.id)

    outcome = simulate(story)
    assert (ends(outcome, "w"), second(outcome, "w")) == (["succeeded"], 60)


# Around it


def test_now_of_a_resumed_node_is_its_first_start() -> None:
    """`now()` stands still for a node, in all its attempts, before and after the crash."""
    text = flow("  - {id: a, run: x, on_interrupt: rerun, env: {AT: '${{ string(now()) }}'}}")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        after = await crashed(world, acts={"a": OK})
        await after.recover()
        await settled(after, accepted.id)
        (before,), (again,) = world.spawned("a"), after.spawned("a")
        assert before.env["AT"] == again.env["AT"]
        assert (before.env["ATTEMPT"], again.env["ATTEMPT"]) == ("1", "2")

    simulate(story, {"a": HANGS})


def test_outputs_and_exit_codes_of_an_earlier_life_are_seen() -> None:
    """Expressions of later nodes read what had ended before the crash."""
    text = flow("""
  - {id: a, run: x, outputs: {n: {type: integer}}}
  - {id: b, run: x, on_interrupt: rerun}
  - id: c
    type: set
    params: {values: {n: "${{ nodes.a.outputs.n }}", code: "${{ nodes.a.exit_code }}"}}
""")
    outcome = resumed(text, {"a": Act(outputs=b"n=7\n"), "b": HANGS}, {"b": OK})
    assert outcome.nodes["c"].outputs == {"n": 7, "code": 0}


def test_choice_of_an_earlier_life_stands() -> None:
    """A switch that had chosen is not asked again."""
    text = flow("""
  - {id: s, type: switch, params: {cases: [{when: true, goto: a}], default: b}}
  - {id: a, run: x, on_interrupt: rerun}
  - {id: b, run: x}
""")
    outcome = resumed(text, {"a": HANGS}, {"a": OK})
    assert outcome.states == {"s": "succeeded", "b": "skipped", "a": "succeeded"}
    assert ends(outcome, "s") == ["succeeded"]


def test_execution_of_a_flow_that_is_gone_goes_on() -> None:
    """Deleting a flow while the daemon is down does not end what it had begun."""

    async def story(world: World) -> None:
        spec = world.define(chain("on_interrupt: rerun"))
        accepted = await world.submit(spec)
        after = await crashed(world, acts={"b": OK})
        after.remove(spec.key)
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"b": HANGS})


def test_resumed_execution_holds_its_place() -> None:
    """Who waits for the flow's limit goes on waiting until the resumed execution has ended."""

    async def story(world: World) -> None:
        spec = world.define(chain("on_interrupt: rerun"))
        first, queued = [(await world.submit(spec)).id for _ in range(2)]
        after = await crashed(world, acts={"b": Act(lasts_s=60)})
        await after.recover()
        assert (after.engine.running_count, after.engine.queued_count) == (1, 1)
        ended = await after.end_of(first)
        outcome = await settled(after, queued)
        assert ended.execution.ended_at is not None
        assert outcome.execution.started_at is not None
        assert outcome.execution.started_at >= ended.execution.ended_at

    simulate(story, {"b": HANGS})


@pytest.mark.parametrize("has_crash", [pytest.param(n, id=f"crash-{n}") for n in (False, True)])
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param("retry: {max_attempts: 2, delay: 1h}", id="plain"),
        pytest.param(
            "foreach: [1, 2], fail_fast: false, retry: {max_attempts: 2, delay: 1h, if: item == 2}",
            id="items",
        ),
    ],
)
def test_node_cancelled_between_attempts_has_no_exit_code(keys: str, *, has_crash: bool) -> None:
    """What `finally` sees is the same in the life of the cancel and in the next."""
    tidy = "{id: tidy, run: x, on_interrupt: rerun, env: {CODE: '${{ nodes.a.exit_code }}'}}"
    text = flow(
        f"  - {{id: a, run: x, {keys}}}",
        top=f"finally: [{tidy}]",
    )

    async def story(world: World) -> list[str]:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        await asyncio.sleep(1)
        if not has_crash:
            await world.end_of(accepted.id)
            return [each.env["CODE"] for each in world.spawned("tidy")]
        after = world.after_crash({})
        await world.engine.drain(0)
        await after.recover()
        assert (await after.end_of(accepted.id)).states["a"] == "cancelled"
        await after.idle()
        return [each.env["CODE"] for each in after.spawned("tidy")]

    assert simulate(story, {"a": FAILS, "tidy": Act(lasts_s=5)}) == [""]


def test_cancel_survives_a_crash() -> None:
    """An execution that was being cancelled is so after the restart, whatever `on_interrupt`."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(chain("on_interrupt: rerun")))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        after = await crashed(world, acts={"b": OK})
        assert (await after.outcome(accepted.id)).execution.reason == "cancelled"
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert outcome.states == {"a": "succeeded", "c": "cancelled", "b": "cancelled"}
        assert ends(outcome, "b") == ["failed interrupted"]
        execution = outcome.execution
        assert (execution.state, execution.reason) == (ExecutionState.CANCELLED, "cancelled")
        counted = [attempt.key.node for _, attempt in after.observer.attempts]
        assert counted == ["b"]  # the attempt that the crash cut short is counted, too

    simulate(story, {"b": Act(lasts_s=None, on_term_s=None)})


def test_attempt_cut_short_ends_once_whatever_follows() -> None:
    """A cancel in the delay of the attempts after it leaves it as it was journaled."""

    async def story(world: World) -> None:
        keys = "on_interrupt: rerun, retry: {max_attempts: 3, delay: 1m}"
        accepted = await world.submit(world.define(chain(keys)))
        await asyncio.sleep(1)
        after = await crashed(world, acts={"b": Act(exit_code=1)})
        await after.recover()
        await asyncio.sleep(5)
        before = list(after.observer.attempts)
        assert [attempt.reason for _, attempt in before] == ["interrupted", "exit_code"]
        await after.engine.cancel(accepted.id)
        outcome = await settled(after, accepted.id)
        assert outcome.states["b"] == "cancelled"
        assert after.observer.attempts == before
        assert ends(outcome, "b") == ["failed interrupted", "failed exit_code"]

    simulate(story, {"b": HANGS})


def test_attempt_whose_end_was_lost_is_ended() -> None:
    """A disk that came back between two writes has kept the later one alone."""

    async def story(world: World) -> None:
        keys = "on_interrupt: rerun, retry: {max_attempts: 2, delay: 1m}"
        accepted = await world.submit(world.define(chain(keys)))
        await asyncio.sleep(1)
        after = await crashed(world, acts={"b": Act(exit_code=1)})
        (lost,) = await after.storage.journal.running()
        second = replace(lost, key=lost.key._replace(number=2))
        await after.storage.journal.finish(interrupted(second, after.clock.now()))
        await after.recover()
        outcome = await settled(after, accepted.id)
        assert ends(outcome, "b") == 2 * ["failed interrupted"] + 2 * ["failed exit_code"]
        assert await after.storage.journal.running() == []

    simulate(story, {"b": HANGS})


def test_work_folder_of_an_execution_that_goes_on_is_kept() -> None:
    """`$WORK_DIR` is one for each execution: a restart does not empty it, its end removes it."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(chain("on_interrupt: rerun")))
        after = await crashed(world, acts={"b": Act(lasts_s=5)})
        made = WORK / accepted.id / "files" / "half-done"
        after.files.write(made, b"x")
        await after.recover()
        await asyncio.sleep(1)
        assert after.files.read(made, limit=9) == b"x"
        await settled(after, accepted.id)
        assert after.files.names(WORK) == []

    simulate(story, {"b": HANGS})


def test_attempts_that_are_cut_short_are_told() -> None:
    """The observer hears of each: metrics count them as failed."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(chain()))
        after = await crashed(world)
        await after.recover()
        await settled(after, accepted.id)
        assert [(kind, each.reason) for kind, each in after.observer.attempts] == [
            ("shell", "interrupted")
        ]

    simulate(story, {"b": HANGS})
