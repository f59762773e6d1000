"""Promises of `wait` with a `probe`: it looks every so often, and a restart does not disturb it."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

import pytest

from flowrunner.engine.recovery import RecoveryReport
from flowrunner.errors import ExecutionError, FlowError
from flowrunner.model.ids import Json
from flowrunner.nodes.builtin.probe import ProbeNode
from flowrunner.nodes.builtin.wait import WaitNode
from tests.fakes.engine import FAILS, HANGS, OK, Act, Acts, Outcome, World, flow, run_flow, simulate
from tests.fakes.nodes import builtin_nodes

PROBE = {"probe": "test -e /srv/x", "every": "30s"}


def probing(keys: str = "", every: str = "30s") -> str:
    """A flow with one probe."""
    return flow(f"  - {{id: w, type: wait, params: {{probe: look, every: {every}}}{keys}}}")


def lasted(outcome: Outcome) -> float:
    """How long the wait took, in seconds."""
    status = outcome.nodes["w"]
    assert status.started_at is not None
    assert status.ended_at is not None
    return (status.ended_at - status.started_at).total_seconds()


@pytest.mark.parametrize("tries", [0, 1, 5, 300])
def test_probe_is_repeated_until_it_succeeds(tries: int) -> None:
    """The first probe starts at once, the others every so often; it is one attempt."""
    acts = chain(repeat(FAILS, tries), [OK])
    outcome = run_flow(probing(), {"w": acts})
    assert (outcome.states, lasted(outcome)) == ({"w": "succeeded"}, 30.0 * tries)
    (attempt,) = outcome.attempts
    assert (attempt.exit_code, str(attempt.state)) == (0, "succeeded")


def test_probe_has_the_rhythm_of_its_starts() -> None:
    """The time that a probe takes is part of `every`; a longer one is followed at once."""
    acts = iter([Act(exit_code=1, lasts_s=10), Act(exit_code=1, lasts_s=100), OK])
    assert lasted(run_flow(probing(), {"w": acts})) == 130


def test_outputs_are_those_of_the_probe_that_succeeded() -> None:
    """What an earlier probe wrote is forgotten, also where the last one writes nothing."""
    keys = ", outputs: {n: {type: integer}, m: {}}"
    acts = iter([Act(exit_code=1, outputs=b"n=1\nm=x\n"), Act(outputs=b"n=2\n")])
    assert run_flow(probing(keys), {"w": acts}).nodes["w"].outputs == {"n": 2}
    acts = iter([Act(exit_code=1, outputs=b"n=1\n"), OK])
    assert run_flow(probing(keys), {"w": acts}).nodes["w"].outputs == {}


def test_listed_exit_code_ends_the_wait() -> None:
    """`success_exit_codes` says which codes end it: 0 counts only when it stands there."""
    acts = iter([OK, Act(exit_code=1), Act(exit_code=3)])
    outcome = run_flow(probing(", success_exit_codes: [3]"), {"w": acts})
    assert (outcome.states, outcome.attempts[0].exit_code) == ({"w": "succeeded"}, 3)
    assert lasted(outcome) == 60


@pytest.mark.parametrize("code", [126, 127])
def test_missing_command_ends_the_wait_for_good(code: int) -> None:
    """A probe whose command is not there will not find it later: no probe and no attempt more."""
    outcome = run_flow(probing(", retry: {max_attempts: 3}"), {"w": Act(exit_code=code)})
    (attempt,) = outcome.attempts
    assert (str(attempt.state), attempt.exit_code, attempt.reason) == ("failed", code, "exit_code")
    assert attempt.error is not None
    assert "not there, or not executable" in attempt.error.message


def test_listed_127_is_a_success() -> None:
    """What the author lists is no failure, whatever it means to others."""
    outcome = run_flow(probing(", success_exit_codes: [127]"), {"w": Act(exit_code=127)})
    assert outcome.states == {"w": "succeeded"}


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        pytest.param(Act(signal="SIGKILL"), "signal:SIGKILL", id="killed"),
        pytest.param(Act(raises=ExecutionError("no", code="spawn_failed")), "spawn_failed", id="n"),
        pytest.param(Act(outputs=b"no output\n"), "output", id="malformed"),
    ],
)
def test_what_is_no_answer_fails_the_attempt(act: Act, reason: str) -> None:
    """A probe that a signal ended, that cannot start, or whose outputs are malformed."""
    outcome = run_flow(probing(), {"w": iter([FAILS, act])})
    assert (outcome.states, outcome.reasons) == ({"w": "failed"}, {"w": reason})


def test_retry_begins_a_new_wait() -> None:
    """Another attempt probes anew, with the whole `timeout`."""
    acts = iter([Act(signal="SIGKILL"), FAILS, OK])
    outcome = run_flow(probing(", timeout: 40s, retry: {max_attempts: 2, delay: 5s}"), {"w": acts})
    assert (outcome.states, len(outcome.attempts), lasted(outcome)) == ({"w": "succeeded"}, 2, 35)


@pytest.mark.parametrize("act", [FAILS, HANGS], ids=["between", "within"])
def test_timeout_bounds_the_whole_wait(act: Act) -> None:
    """The node's `timeout` strikes between two probes, and within one, which is ended."""
    outcome = run_flow(probing(", timeout: 100s"), {"w": act})
    assert (outcome.states, lasted(outcome)) == ({"w": "timed_out"}, 100)


def test_cancel_ends_a_running_probe() -> None:
    """A cancel sends SIGTERM, and SIGKILL `kill_after` later, as to any program."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(probing(", kill_after: 7s")))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert world.signals("w") == ["SIGTERM", "SIGCONT", "SIGKILL"]
        return outcome

    outcome = simulate(story, {"w": Act(lasts_s=None, on_term_s=None)})
    assert outcome.states == {"w": "cancelled"}
    assert lasted(outcome) == 8


def test_cancel_ends_a_wait_between_two_probes() -> None:
    """Nothing runs then, and nothing starts any more."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(probing()))
        await asyncio.sleep(45)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert len(world.spawned("w")) == 2
        return outcome

    assert simulate(story, {"w": FAILS}).states == {"w": "cancelled"}


def test_no_place_is_held_between_probes() -> None:
    """On a host with one place other nodes run while a wait is between two probes."""
    nodes = probing().split("nodes:\n")[1] + "  - {id: a, run: x, needs: []}"

    async def story(world: World) -> Outcome:
        return await world.run(flow(nodes))

    acts: Acts = {"w": chain(repeat(FAILS, 3), [OK]), "a": Act(lasts_s=50)}
    outcome = simulate(story, acts, node_slots=1)
    ended = {name: status.ended_at for name, status in outcome.nodes.items()}
    began = outcome.execution.started_at
    assert began is not None
    seconds = {name: (at - began).total_seconds() for name, at in ended.items() if at is not None}
    assert seconds == {"a": 50, "w": 110}  # the second probe waited for the place of `a`


@pytest.mark.parametrize("act", [FAILS, HANGS], ids=["between", "within"])
@pytest.mark.parametrize("down", [0, 600])
def test_restart_does_not_disturb_it(act: Act, down: float) -> None:
    """The attempt goes on and probes at once; a probe that was cut short is simply repeated."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(probing(", timeout: 1h")))
        await asyncio.sleep(5)
        after = world.after_crash({"w": OK})
        await world.engine.drain(0)
        await asyncio.sleep(down)
        assert await after.recover() == RecoveryReport(resumed=1)
        outcome = await after.end_of(accepted.id)
        await after.idle()
        after.assert_clean()
        return outcome

    outcome = simulate(story, {"w": act})
    (attempt,) = outcome.attempts
    assert (attempt.key.number, str(attempt.state)) == (1, "succeeded")
    assert lasted(outcome) == 5 + down


def test_restart_does_not_move_the_deadline() -> None:
    """The time that the daemon was away counts towards the `timeout` of the wait."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(probing(", timeout: 100s")))
        await asyncio.sleep(45)
        after = world.after_crash()
        await world.engine.drain(0)
        await asyncio.sleep(20)
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        return outcome

    outcome = simulate(story, {"w": FAILS})
    assert (outcome.states, lasted(outcome)) == ({"w": "timed_out"}, 100)


def test_stop_leaves_it_at_once() -> None:
    """A stop does not wait for a probe: it is ended, and the next life repeats it."""

    async def story(world: World) -> float:
        await world.submit(world.define(probing()))
        await asyncio.sleep(5)
        await world.engine.drain(600)
        return world.clock.monotonic()

    assert simulate(story, {"w": HANGS}) == 5


def test_interrupted_wait_has_failed_where_its_node_says_so() -> None:
    """With `on_interrupt: fail` the end of the daemon is the end of the attempt."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(probing(", on_interrupt: fail")))
        await asyncio.sleep(5)
        after = world.after_crash()
        await world.engine.drain(0)
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        return outcome

    assert simulate(story, {"w": FAILS}).reasons == {"w": "interrupted"}


def test_log_tells_probes_apart() -> None:
    """A line with the number of the probe, and how the one before ended, stands before each."""

    async def story(world: World) -> list[str]:
        outcome = await world.run(probing())
        return world.log(outcome.execution.id, "w")

    acts = iter([Act(exit_code=1, prints=b"a\nb"), Act(exit_code=4), Act(prints=b"c\n")])
    assert simulate(story, {"w": acts}) == [
        "probe 1",
        "a",
        "b",
        "probe 2; the one before ended with exit code 1",
        "probe 3; the one before ended with exit code 4",
        "c",
    ]


def test_work_folder_of_a_flow_that_only_probes_is_removed() -> None:
    """An execution that started probes leaves no folder behind."""

    async def story(world: World) -> None:
        outcome = await world.run(probing())
        await world.idle()
        assert world.files.stat(world.services.folders.work / outcome.execution.id) is None

    simulate(story)


def test_defaults_reach_a_probe_and_no_other_wait() -> None:
    """A wait with a probe acts outside and has a script; one without is pure."""
    top = "defaults: {timeout: 5m, kill_after: 3s, shell: bash, working_dir: x}"
    nodes = (
        "  - {id: w, type: wait, params: {probe: x, every: 1s}}\n"
        "  - {id: p, type: wait, params: {for: 1s}}"
    )

    async def story(world: World) -> None:
        probe, pure = world.define(flow(nodes, top=top)).nodes
        assert (probe.timeout_s, probe.kill_after_s) == (300, 3)
        assert (probe.process.shell[0], probe.process.working_dir) == ("bash", "x")
        assert (pure.timeout_s, pure.process.working_dir) == (None, None)

    simulate(story)


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"probe": "x"}, ("probe",)),
        ({"every": "5s"}, ()),
        ({"for": "5s", "every": "5s"}, ("every",)),
        ({"for": "5s", **PROBE}, ("probe",)),
        ({"until": "now()", **PROBE}, ("probe",)),
        ({**PROBE, "probe": "a\0b"}, ("probe",)),
        ({**PROBE, "every": "999ms"}, ("every",)),
        ({**PROBE, "every": "24h1s"}, ("every",)),
        ({**PROBE, "every": "0s"}, ("every",)),
        ({**PROBE, "every": "30"}, ("every",)),
    ],
)
def test_wait_refuses_a_probe_that_is_none(params: dict[str, Json], path: tuple[str, ...]) -> None:
    """Either form of the type says the same, since the file decides which one is asked."""
    (problem,) = WaitNode().validate(params)
    assert problem.path == path
    node = builtin_nodes().require("wait", PROBE)
    assert list(node.validate(params)) == [problem]


def test_registry_knows_the_form_by_its_key() -> None:
    """The params decide which node carries a wait; the form is no type, and there is one."""
    nodes = builtin_nodes()
    assert isinstance(nodes.require("wait", PROBE), ProbeNode)
    assert isinstance(nodes.require("wait", {"for": "5s"}), WaitNode)
    assert isinstance(nodes.require("wait"), WaitNode)
    assert not [word for word in nodes.types if " " in word]
    with pytest.raises(FlowError, match="two forms"):
        nodes.register_form("wait", "other", WaitNode)
