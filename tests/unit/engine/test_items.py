"""`foreach`: each item is tried like a node of its own, and all of them are one node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from flowrunner.engine.writes import MOST_PENDING
from flowrunner.model.execution import ItemCounts
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, OK, Act, Acts, Outcome, World, flow, run_flow, simulate

ENV = "env: {ITEM: '${{ item }}'}"
KEEPS_ON = ", fail_fast: false"


def each(keys: str = "", items: str = "[a, b, c]", after: str = "") -> str:
    """A flow with a node `m` that runs a program for each item, and perhaps nodes after it."""
    return flow(f"  - {{id: m, run: x, foreach: {items}, {ENV}{keys}}}\n{after}")


def ends(outcome: Outcome, node: str = "m") -> list[str]:
    """Index, number, state and reason of each attempt of a node."""
    return [
        f"{a.key.item_index}.{a.key.number} {a.state} {a.reason}".strip()
        for a in outcome.attempts
        if a.key.node == node
    ]


def spans(outcome: Outcome) -> list[tuple[float, float]]:
    """When each attempt began and ended, in seconds from the creation of the execution."""
    created = outcome.execution.created_at
    return [
        ((a.started_at - created).total_seconds(), (a.ended_at - created).total_seconds())
        for a in outcome.attempts
        if a.ended_at is not None
    ]


# Order and number


def test_items_run_one_after_the_other_by_default() -> None:
    """They start in the order of the list, each with its own `item` and `index`."""

    async def story(world: World) -> None:
        text = each(items="[a, 7, {n: x}]").replace(
            ENV, "env: {I: '${{ index }}', T: '${{ item }}'}"
        )
        outcome = await world.run(text)
        given = [(request.env["I"], request.env["T"]) for request in world.spawned("m")]
        assert given == [("0", "a"), ("1", "7"), ("2", '{"n":"x"}')]
        assert spans(outcome) == [(0, 2), (2, 4), (4, 6)]

    simulate(story, {"m": Act(lasts_s=2)})


def test_so_many_items_run_at_once() -> None:
    """`max_parallel` bounds how many are tried at once; the next starts when one has ended."""
    acts: Acts = {"m": Act(lasts_s=4), "m.a": Act(lasts_s=1)}
    outcome = run_flow(each(", max_parallel: 2", items="[a, b, c, d]"), acts)
    assert spans(outcome) == [(0, 1), (0, 4), (1, 5), (4, 8)]


def test_items_wait_for_places_of_the_host() -> None:
    """A process of an item counts among those of the host."""

    async def story(world: World) -> Outcome:
        return await world.run(each(", max_parallel: 3"))

    outcome = simulate(story, {"m": Act(lasts_s=2)}, node_slots=2)
    assert spans(outcome) == [(0, 2), (0, 2), (2, 4)]


@pytest.mark.parametrize(
    "foreach",
    ["inputs.hosts", '"${{ inputs.hosts }}"', "[a, '${{ inputs.hosts[1] }}']"],
)
def test_items_may_be_computed(foreach: str) -> None:
    """An expression gives the list, with or without the wrapper, or a single item of it."""
    text = flow(
        f"  - {{id: m, type: set, foreach: {foreach}, "
        "params: {values: {is: '${{ item }}', at: '${{ index }}'}}}",
        top="inputs: {hosts: {type: array}}",
    )
    outcome = run_flow(text, inputs={"hosts": ["a", "b"]})
    assert outcome.nodes["m"].outputs == [{"is": "a", "at": 0}, {"is": "b", "at": 1}]


@pytest.mark.parametrize("items", ["[]", "inputs.none"])
def test_empty_list_succeeds(items: str) -> None:
    """Without items the node has succeeded, its outputs are the empty list."""
    after = "  - {id: b, type: set, params: {values: {got: '${{ nodes.m.outputs }}'}}}"
    top = "inputs: {none: {type: array}}"
    text = flow(f"  - {{id: m, type: noop, foreach: {items}}}\n{after}", top=top)
    outcome = run_flow(text, inputs={"none": []})
    assert outcome.states == {"m": "succeeded", "b": "succeeded"}
    assert (outcome.nodes["m"].outputs, outcome.nodes["b"].outputs) == ([], {"got": []})


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        pytest.param("text", "foreach", "it must give a list, not a string", id="text"),
        pytest.param({"k": 1}, "foreach", "it must give a list, not a map", id="map"),
        pytest.param(
            [0] * 10_001, "foreach", "the list has 10,001 items, and may have 10,000", id="long"
        ),
        pytest.param(None, "expression", "from_json", id="fails-to-evaluate"),
    ],
)
def test_what_gives_no_list_fails_the_node(value: Json, code: str, message: str) -> None:
    """The node has failed before its first item, and says why."""
    foreach = "from_json(trigger.body.text)" if value is None else "trigger.body"
    text = flow(f"  - {{id: m, type: noop, foreach: {foreach}}}\n  - {{id: b, run: x}}")
    outcome = run_flow(text, payload=json.dumps(value).encode())
    assert outcome.states == {"m": "failed", "b": "skipped"}
    error = outcome.nodes["m"].error
    assert error is not None
    assert (error.code, error.message.startswith("foreach: ")) == (code, True)
    assert message in error.message
    assert outcome.attempts == []


def test_condition_is_evaluated_once() -> None:
    """A node whose `if` is false tries no item, and is skipped like any other."""
    assert run_flow(each(", if: false")).reasons == {"m": "if"}


# Outputs


def test_outputs_are_a_list_for_the_nodes_after() -> None:
    """In the order of the items, whichever ended first; each is what its item gave back."""
    after = "  - {id: b, type: set, params: {values: {second: '${{ nodes.m.outputs[1].n }}'}}}"
    keys = ", max_parallel: 3, outputs: {n: {type: integer}}"
    acts: Acts = {
        "m.a": Act(outputs=b"n=1\n", lasts_s=3),
        "m.b": Act(outputs=b"n=2\n"),
        "m.c": Act(lasts_s=1),
    }
    outcome = run_flow(each(keys, after=after), acts)
    assert outcome.nodes["m"].outputs == [{"n": 1}, {"n": 2}, {}]
    assert outcome.nodes["b"].outputs == {"second": 2}
    assert [a.item_end.outputs for a in outcome.attempts if a.item_end] == [{"n": 1}, {"n": 2}, {}]


def test_failed_item_has_null_for_outputs() -> None:
    """Nodes that run all the same see what the others gave back."""
    after = "  - {id: b, if: always(), type: set, params: {values: {m: '${{ nodes.m.outputs }}'}}}"
    acts: Acts = {"m": Act(outputs=b"n=1\n"), "m.b": Act(exit_code=3, outputs=b"n=9\n")}
    outcome = run_flow(each(KEEPS_ON, after=after), acts)
    assert outcome.nodes["b"].outputs == {"m": [{"n": "1"}, None, {"n": "1"}]}


def test_outputs_of_items_are_bounded_together() -> None:
    """All outputs of an execution have 4 MiB: the item that does not fit any more has failed."""
    acts: Acts = {"m": Act(outputs=b"n=" + b"x" * 260_000 + b"\n")}
    outcome = run_flow(each(items=str(list(range(20)))), acts)
    error = outcome.nodes["m"].error
    assert error is not None
    text = "item 16: the outputs of all nodes together are larger than 4 MiB"
    assert (error.code, error.message) == ("output", text)


def test_outputs_of_plain_nodes_are_bounded_together() -> None:
    """It makes no difference whether one node has them or many."""
    values = "params: {values: {n: '${{ inputs.n }}'}}"
    nodes = "\n".join(f"  - {{id: n{i}, type: set, {values}}}" for i in range(20))
    outcome = run_flow(flow(nodes, top="inputs: {n: {}}"), inputs={"n": "x" * 260_000})
    assert list(outcome.states.values()) == ["succeeded"] * 16 + ["failed"] + ["skipped"] * 3


# Failures


def test_item_that_failed_ends_the_others() -> None:
    """With `fail_fast` those in progress are cancelled and none starts any more."""
    acts: Acts = {"m": Act(lasts_s=60), "m.b": Act(exit_code=3, lasts_s=5)}
    outcome = run_flow(each(", max_parallel: 2", items="[a, b, c, d]"), acts)
    assert ends(outcome) == ["0.1 cancelled fail_fast", "1.1 failed exit_code"]
    assert outcome.states == {"m": "failed"}
    status, execution = outcome.nodes["m"], outcome.execution
    assert (status.reason, status.outputs) == ("exit_code", [None] * 4)
    assert status.error is not None
    assert (status.error.message, status.error.details["item_index"]) == ("item 1: exit code 3", 1)
    assert execution.error is not None
    assert execution.error.message == "node m: item 1: exit code 3"
    assert (execution.state, execution.reason) == (ExecutionState.FAILED, "exit_code")


def test_without_fail_fast_all_items_are_tried() -> None:
    """Then the node fails, by the item that failed first."""
    acts: Acts = {"m.a": Act(exit_code=2, lasts_s=9), "m.b": Act(exit_code=3), "m.c": OK}
    outcome = run_flow(each(", max_parallel: 2" + KEEPS_ON), acts)
    assert ends(outcome) == [
        "0.1 failed exit_code",
        "1.1 failed exit_code",
        "2.1 succeeded",
    ]
    error = outcome.nodes["m"].error
    assert error is not None
    assert error.message == "item 1: exit code 3"


def test_tolerated_item_ends_no_other() -> None:
    """With `continue_on_error` the node has failed, and the flow goes on as after a success."""
    text = each(", continue_on_error: true", after="  - {id: b, run: x}")
    outcome = run_flow(text, {"m.a": FAILS})
    assert ends(outcome) == ["0.1 failed exit_code", "1.1 succeeded", "2.1 succeeded"]
    assert outcome.states == {"m": "failed", "b": "succeeded"}
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_retry_is_for_each_item() -> None:
    """An item is tried again while others wait; `if` sees its `item`, `index` and `attempt`."""
    keys = ", retry: {max_attempts: 3, delay: 5s, if: \"item != 'c' && index < 2\"}" + KEEPS_ON
    acts: Acts = {"m.a": [FAILS, OK], "m.b": FAILS, "m.c": FAILS}
    outcome = run_flow(each(keys), acts)
    assert ends(outcome) == [
        "0.1 failed exit_code",
        "0.2 succeeded",
        "1.1 failed exit_code",
        "1.2 failed exit_code",
        "1.3 failed exit_code",
        "2.1 failed exit_code",
    ]
    lasts = [a.key[2:] for a in outcome.attempts if a.item_end is not None]
    assert lasts == [(0, 2), (1, 3), (2, 1)]


def test_timeout_is_for_each_item() -> None:
    """An item that takes too long has timed out, and so has its node."""
    outcome = run_flow(each(", timeout: 4s" + KEEPS_ON), {"m": Act(lasts_s=3), "m.b": HANGS})
    assert ends(outcome) == ["0.1 succeeded", "1.1 timed_out timeout", "2.1 succeeded"]
    assert outcome.states == {"m": "timed_out"}


def test_items_that_wait_are_cancelled_by_fail_fast_too() -> None:
    """An item between two attempts, or one that holds no process, is no obstacle."""
    keys = ", max_parallel: 2, retry: {max_attempts: 2, delay: 1h, if: item == 'a'}"
    outcome = run_flow(each(keys), {"m.a": FAILS, "m.b": Act(exit_code=3, lasts_s=5)})
    assert ends(outcome) == ["0.1 failed exit_code", "1.1 failed exit_code"]
    assert outcome.execution.ended_at is not None
    assert (outcome.execution.ended_at - outcome.execution.created_at).total_seconds() == 5
    until = 'params: {until: "add(now(), item)"}'
    waits = f"  - {{id: m, type: wait, foreach: [1h, x], max_parallel: 2, {until}}}"
    assert ends(run_flow(flow(waits))) == ["0.1 cancelled fail_fast", "1.1 failed expression"]


# Ends from outside


@pytest.mark.parametrize("keys", [", max_parallel: 2", ", max_parallel: 2" + KEEPS_ON])
def test_cancel_ends_the_items_at_work(keys: str) -> None:
    """The node is cancelled; what had ended keeps its outputs, and `finally` runs."""

    async def story(world: World) -> None:
        top = "finally: [{id: last, run: x}]"
        text = each(keys, items="[a, b, c, d, e]").replace("nodes:", f"{top}\nnodes:")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(3)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert ends(outcome) == [
            "0.1 succeeded",
            "1.1 cancelled cancelled",
            "2.1 cancelled cancelled",
        ]
        assert outcome.states == {"m": "cancelled", "last": "succeeded"}
        assert outcome.nodes["m"].outputs == [{}, None, None, None, None]
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"m": HANGS, "m.a": Act(lasts_s=2), "last": OK})


def test_timeout_of_the_flow_ends_the_items() -> None:
    """What is at work is cancelled (timeout), and so is the node."""
    outcome = run_flow(each().replace("nodes:", "timeout: 5s\nnodes:"), {"m": Act(lasts_s=4)})
    assert ends(outcome) == ["0.1 succeeded", "1.1 cancelled timeout"]
    assert outcome.reasons == {"m": "timeout"}
    assert outcome.execution.state is ExecutionState.TIMED_OUT


def test_progress_is_told() -> None:
    """How many items there are, and how they ended, is known while the node is at work."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(each(KEEPS_ON)))
        await asyncio.sleep(3)
        counts = world.engine.live_items(accepted.id)
        assert counts == {"m": ItemCounts(total=3, succeeded=1, failed=1)}
        await world.end_of(accepted.id)
        assert world.engine.live_items(accepted.id) == {}

    simulate(story, {"m.a": OK, "m.b": Act(exit_code=1, lasts_s=1), "m.c": Act(lasts_s=9)})


def test_logs_have_the_index_in_their_names() -> None:
    """`<node>.<index>.<attempt>.log`, also for the first item; other nodes have none."""

    async def story(world: World) -> None:
        text = flow("""
  - {id: m, type: log, foreach: [a, b], params: {message: "${{ index }} ${{ item }}"}}
  - {id: n, type: log, params: {message: alone}}
""")
        execution = (await world.run(text)).execution
        found = [world.log(execution.id, name) for name in ("m.0", "m.1", "n")]
        assert found == [["0 a"], ["1 b"], ["alone"]]

    simulate(story)


def test_items_have_files_of_their_own() -> None:
    """`$TMPDIR` and `$FLOW_OUTPUT` of one item are not those of another."""

    async def story(world: World) -> None:
        await world.run(each(", max_parallel: 3"))
        for name in ("TMPDIR", "FLOW_OUTPUT"):
            assert len({request.env[name] for request in world.spawned("m")}) == 3

    simulate(story)


def test_items_of_types_that_never_wait_let_others_have_turns() -> None:
    """10,000 of them do not hold the loop from the first to the last."""

    async def story(world: World) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        busy = asyncio.create_task(other())
        items = "split('" + "," * 999 + "', ',')"
        outcome = await world.run(flow(f'  - {{id: m, type: noop, foreach: "{items}"}}'))
        busy.cancel()
        assert len(outcome.attempts) == 1_000
        assert turns > 1_000

    simulate(story)


@pytest.mark.heavy
def test_items_wait_for_a_slow_disk() -> None:
    """Ends that are not on disk yet are bounded, so that no list fills the queue of the writer."""

    async def story(world: World) -> None:
        world.disk.latency_s = 1
        items = "split('" + "," * 2_999 + "', ',')"
        await world.run(flow(f'  - {{id: m, type: noop, foreach: "{items}"}}'))
        waiting = most = 0
        for text in world.record:
            waiting += text.startswith("finish m") - text.startswith("durable finish m")
            most = max(most, waiting)
        assert 0 < most <= MOST_PENDING + 1

    simulate(story)


# Restarts


def resumed(
    text: str,
    acts: Acts | None = None,
    later: Acts | None = None,
    *,
    check: Callable[[World], None] = lambda _: None,
) -> Outcome:
    """Runs a flow whose daemon is killed after five seconds and comes back at once."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(5)
        after = world.after_crash(later)
        await world.engine.drain(0)
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        after.assert_clean()
        assert await after.storage.journal.running() == []
        check(after)
        return outcome

    return simulate(story, acts)


def test_items_that_ended_well_are_not_repeated() -> None:
    """After a crash their outputs are there, and only what had not ended runs."""
    acts: Acts = {"m.a": Act(outputs=b"n=1\n"), "m.b": HANGS}
    later = {"m.b": OK, "m.c": Act(outputs=b"n=3\n")}

    def check(world: World) -> None:
        assert [request.env["ITEM"] for request in world.spawned("m")] == ["b", "c"]

    outcome = resumed(each(", on_interrupt: rerun"), acts, later, check=check)
    assert ends(outcome) == [
        "0.1 succeeded",
        "1.1 failed interrupted",
        "1.2 succeeded",
        "2.1 succeeded",
    ]
    assert outcome.nodes["m"].outputs == [{"n": "1"}, {}, {"n": "3"}]


def test_item_in_flight_at_a_crash_has_failed() -> None:
    """With `on_interrupt: fail` it counts as failed: alone, or as the end of its node."""
    acts, later = {"m.a": OK, "m.b": HANGS}, {"m.b": OK}
    outcome = resumed(each(), acts, later)
    assert ends(outcome) == ["0.1 succeeded", "1.1 failed interrupted"]
    assert outcome.reasons == {"m": "interrupted"}
    outcome = resumed(each(KEEPS_ON), acts, later)
    assert ends(outcome) == ["0.1 succeeded", "1.1 failed interrupted", "2.1 succeeded"]
    assert outcome.nodes["m"].outputs == [{}, None, {}]


def test_item_that_failed_for_good_is_not_tried_again_after_a_crash() -> None:
    """A retry that was not wanted is told from one that is due."""
    keys = ", retry: {max_attempts: 2, delay: 8s, if: item == 'b'}, max_parallel: 2" + KEEPS_ON
    outcome = resumed(each(keys), {"m": FAILS, "m.c": HANGS}, {"m": OK, "m.c": OK})
    assert ends(outcome) == [
        "0.1 failed exit_code",
        "1.1 failed exit_code",
        "1.2 succeeded",
        "2.1 failed interrupted",
    ]
    assert spans(outcome)[2] == (8, 8)
    error = outcome.nodes["m"].error
    assert error is not None
    assert error.details["item_index"] == 0


def test_waits_of_items_keep_their_ends() -> None:
    """Each goes on as the same attempt, and ends when it would have ended."""
    text = flow(
        "  - {id: m, type: wait, foreach: [7s, 60s, 9s], max_parallel: 2, params: "
        '{until: "add(execution.created_at, item)"}}'
    )
    outcome = resumed(text)
    assert ends(outcome) == ["0.1 succeeded", "1.1 succeeded", "2.1 succeeded"]
    assert [end for _, end in spans(outcome)] == [7, 60, 9]


def test_fail_fast_goes_on_after_a_crash() -> None:
    """A crash while the others are being ended does not let them, or any other, run again."""
    acts: Acts = {"m.a": Act(exit_code=3, lasts_s=4), "m.b": Act(lasts_s=None, on_term_s=60)}
    keys = ", max_parallel: 2, kill_after: 90s, on_interrupt: rerun"
    outcome = resumed(each(keys), acts, {"m": OK})
    assert ends(outcome) == ["0.1 failed exit_code", "1.1 failed interrupted"]
    error = outcome.nodes["m"].error
    assert error is not None
    assert error.message == "item 0: exit code 3"


@pytest.mark.parametrize("turns", range(12))
def test_cancel_at_any_turn_of_a_restart_ends_what_goes_on(turns: int) -> None:
    """Whether or not the items have taken up yet what they were at, their attempts end."""

    async def story(world: World) -> None:
        nodes = "  - {id: m, type: wait, foreach: [1, 2, 3], max_parallel: 2, params: {for: 60s}}"
        accepted = await world.submit(world.define(flow(nodes)))
        await asyncio.sleep(5)
        after = world.after_crash()
        await world.engine.drain(0)
        await after.recover()
        for _ in range(turns):
            await asyncio.sleep(0)
        await after.engine.cancel(accepted.id)
        outcome = await after.end_of(accepted.id)
        await after.idle()
        assert [each.key.item_index for each in outcome.attempts if each.ended_at] == [0, 1]
        assert outcome.reasons == {"m": "cancelled"}
        after.assert_clean()

    simulate(story)


def test_cancel_of_items_survives_a_crash() -> None:
    """The next life ends what was begun, and tries none again."""

    async def story(world: World) -> None:
        text = each(", max_parallel: 2, on_interrupt: rerun, kill_after: 90s")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        await asyncio.sleep(1)
        after = world.after_crash({"m": OK})
        await world.engine.drain(0)
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        assert ends(outcome) == ["0.1 failed interrupted", "1.1 failed interrupted"]
        assert outcome.reasons == {"m": "cancelled"}
        assert after.spawned("m") == []
        assert await after.storage.journal.running() == []

    simulate(story, {"m": Act(lasts_s=None, on_term_s=60)})


def test_drain_lets_items_at_work_end_and_leaves_the_rest() -> None:
    """What is at work gets its time; the next life goes on with the items that are open."""

    async def story(world: World) -> None:
        keys = ", max_parallel: 2, retry: {max_attempts: 2, delay: 1h}"
        accepted = await world.submit(world.define(each(keys, items="[a, b, c, d]")))
        await asyncio.sleep(1)
        await world.engine.drain(300)
        assert world.clock.monotonic() == 60
        left = await world.outcome(accepted.id)
        assert (ends(left), left.states) == (["0.1 failed exit_code", "1.1 succeeded"], {})
        after = world.after_crash({"m.a": OK})
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        after.assert_clean()
        assert ends(outcome)[:2] == ["0.1 failed exit_code", "0.2 succeeded"]
        assert outcome.states == {"m": "succeeded"}
        assert outcome.execution.ended_at is not None
        assert (outcome.execution.ended_at - outcome.execution.created_at).total_seconds() == 3600

    simulate(story, {"m.a": FAILS, "m.b": Act(lasts_s=60)})


@pytest.mark.parametrize(
    ("keys", "states"),
    [
        pytest.param("", {"m": "failed"}, id="fails"),
        pytest.param(KEEPS_ON, {}, id="others-are-to-come"),
        pytest.param(", on_interrupt: rerun", {}, id="runs-again-later"),
    ],
)
def test_stop_interrupts_items(keys: str, states: dict[str, str]) -> None:
    """An item that outlasts the drain is failed (interrupted), and `on_interrupt` decides."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(each(keys)))
        await asyncio.sleep(1)
        await world.engine.drain(10)
        outcome = await world.outcome(accepted.id)
        assert ends(outcome) == ["0.1 failed interrupted"]
        assert outcome.states == states
        if states:
            return
        after = world.after_crash({"m": OK})
        await after.recover()
        later = await after.end_of(accepted.id)
        await after.idle()
        assert later.states == {"m": "failed" if keys == KEEPS_ON else "succeeded"}

    simulate(story, {"m": HANGS})


def test_store_that_fails_holds_the_items_up() -> None:
    """An item whose begin cannot be journaled runs when the disk is back, and no other twice."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(each(", max_parallel: 2")))
        world.disk.fail("begin m.2")
        await asyncio.sleep(60)
        assert len(world.spawned("m")) == 2
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert len(world.spawned("m")) == 3

    simulate(story, {"m": Act(lasts_s=5)})


def test_items_run_in_finally() -> None:
    """Its nodes may have items too."""
    top = "finally: [{id: m, run: x, foreach: [a, b], " + ENV + "}]"
    outcome = run_flow(flow("  - {id: n, run: x}", top=top), {"n": FAILS})
    assert outcome.states == {"n": "failed", "m": "succeeded"}


def test_later_nodes_see_items_of_an_earlier_life() -> None:
    """Their outputs, and the exit code of the one that failed first, are those of the journal."""
    values = "{code: '${{ nodes.m.exit_code }}', all: '${{ nodes.m.outputs }}'}"
    after = f"""
  - {{id: h, run: x, on_interrupt: rerun}}
  - {{id: s, type: set, params: {{values: {values}}}}}"""
    acts = {"m.b": Act(exit_code=3), "m.c": Act(exit_code=4), "h": HANGS}
    outcome = resumed(each(", continue_on_error: true", after=after), acts, {"h": OK})
    assert outcome.nodes["s"].outputs == {"code": 3, "all": [{}, None, None]}


def test_outputs_of_an_earlier_life_count() -> None:
    """The bound of an execution's outputs does not begin anew with a restart."""
    large = Act(outputs=b"n=" + b"x" * 260_000 + b"\n")
    after = f"""
  - {{id: h, run: x, on_interrupt: rerun}}
  - {{id: z, run: x, foreach: [0, 1, 2, 3, 4, 5, 6, 7], {ENV}}}"""
    text = each(items="[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", after=after)
    outcome = resumed(text, {"m": large, "z": large, "h": HANGS}, {"h": OK})
    assert outcome.reasons["z"] == "output"
    assert ends(outcome, "z")[-2:] == ["5.1 succeeded", "6.1 failed output"]
