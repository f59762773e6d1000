"""The trace of an execution that has ended: what was decided, over which values, and why."""

from __future__ import annotations

from datetime import datetime

import pytest

from flowrunner.model.expressions.explain import Came
from flowrunner.model.ids import Json
from flowrunner.model.trace import NodeTrace, Shown
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FAILS, OK, Act, Acts, World, flow, simulate
from tests.fakes.inline_threads import run_inline
from tests.fakes.traces import told, trace_of, traced

INPUTS = "inputs: {size: {type: integer, default: 3}, day: {type: string, default: monday}}"
GIVEN = {"size": 3, "day": "monday"}


class TickingClock(FakeClock):
    """Every look takes a microsecond, as on a real host."""

    def now(self) -> datetime:
        self.advance(1e-6)
        return super().now()


def run(nodes: str, acts: Acts | None = None, *, top: str = INPUTS) -> dict[str, NodeTrace]:
    """Runs some nodes with the inputs above and returns their trace."""
    return traced(flow(nodes, top=top), acts, inputs=GIVEN)


def test_condition_is_told_part_by_part() -> None:
    """Each part of an `if` has its value, and what was not reached says so."""
    condition = "inputs.size > 1 && (inputs.day == 'sunday' || !(inputs.size == 3)) && always()"
    trace = run(f'  - {{id: a, type: noop, if: "{condition}"}}')

    assert told(trace["a"].condition) == [
        condition,
        False,
        ["inputs.size > 1", True, ["inputs.size", 3]],
        [
            "inputs.day == 'sunday' || !(inputs.size == 3)",
            False,
            ["inputs.day == 'sunday'", False, ["inputs.day", "monday"]],
            ["!(inputs.size == 3)", False, ["inputs.size == 3", True, ["inputs.size", 3]]],
        ],
        ["always()", "-"],
    ]
    assert (trace["a"].state, trace["a"].why) == ("skipped", "its if is not true")
    assert trace["a"].doubts == ()


def test_needs_that_keep_a_node_out_are_named() -> None:
    """A skip because of needs names them with their ends; its `if` was not asked."""
    nodes = """
  - {id: a, needs: [], run: x}
  - {id: b, needs: [], type: noop, if: "false"}
  - {id: c, needs: [], type: noop}
  - {id: d, needs: [a, b, c], type: noop, if: inputs.size == 3}
  - {id: e, type: noop}"""
    trace = run(nodes, {"a": FAILS})

    assert trace["d"].why == "need a is failed (exit_code)"
    assert trace["d"].condition is not None
    assert trace["d"].condition.came is Came.NOT_EVALUATED
    assert trace["e"].why == "need d is skipped (needs)"
    assert trace["b"].why == "its if is not true"
    assert trace["c"].why == ""


def test_choice_of_a_switch_is_told() -> None:
    """A switch tells its cases as far as they were tried, and the left out which one it chose."""
    nodes = """
  - id: s
    type: switch
    params:
      cases:
        - {when: inputs.size > 5, goto: x}
        - {when: inputs.size > 2, goto: y}
        - {when: true, goto: z}
      default: w
  - {id: x, type: noop}
  - {id: y, type: noop, needs: [s]}
  - {id: z, type: noop, needs: [s]}
  - {id: w, type: noop, needs: [s]}
  - {id: after, type: noop, needs: [x]}"""
    trace = run(nodes)
    choice = trace["s"].choice

    assert choice is not None
    assert [(case.goto, told(case.when)[1]) for case in choice.cases] == [
        ("x", False), ("y", True), ("z", True),
    ]  # fmt: skip
    assert (choice.chosen, choice.default, trace["s"].params) == ("y", "w", {})
    assert trace["x"].why == trace["z"].why == trace["w"].why == "switch s chose y"
    assert trace["after"].why == "need x is skipped (not_chosen)"
    assert all(node.doubts == () for node in trace.values())


def test_case_behind_the_chosen_one_is_not_evaluated() -> None:
    """What a switch did not try has no value."""
    nodes = """
  - id: s
    type: switch
    params: {cases: [{when: inputs.size == 3, goto: x}, {when: inputs.size == 4, goto: x}]}
  - {id: x, type: noop}"""
    choice = run(nodes)["s"].choice

    assert choice is not None
    assert [case.when.came for case in choice.cases] == [Came.EVALUATED, Came.NOT_EVALUATED]


def test_values_are_those_that_the_attempts_got() -> None:
    """Params, environment and stdin stand resolved, the flow's environment below the node's."""
    nodes = """
  - {id: a, type: set, params: {values: {n: 42}}}
  - id: b
    run: echo
    env: {N: "${{ nodes.a.outputs.n }}", AT: "${{ now() }}", DROP: null}
    stdin: "size ${{ inputs.size }}"
  - {id: c, type: log, params: {message: "n=${{ nodes.a.outputs.n }}", level: debug}}"""
    top = f"{INPUTS}\nenv: {{N: flow, DAY: '${{{{ inputs.day }}}}', DROP: x}}"
    trace = run(nodes, top=top)
    b, c = trace["b"], trace["c"]

    assert b.params is not None
    assert b.env is not None
    assert b.now is not None
    assert b.stdin is not None
    assert c.params is not None
    assert {name: shown.value for name, shown in b.env.items()} == {
        "N": "42",
        "DAY": "monday",
        "DROP": None,
        "AT": b.now.isoformat(),
    }
    assert b.stdin.value == "size 3"
    assert {name: shown.value for name, shown in b.params.items()} == {"script": "echo"}
    assert {name: shown.value for name, shown in c.params.items()} == {
        "message": "n=42",
        "level": "debug",
    }
    assert c.env is None
    assert trace["a"].outputs is not None
    assert trace["a"].outputs.value == {"n": 42}


def test_expression_that_failed_says_where() -> None:
    """The innermost part has the error, those around it have failed, others have values."""
    condition = "inputs.size == 3 && number(inputs.day) > 2"
    trace = run(f'  - {{id: a, type: noop, if: "{condition}"}}')
    told_of = trace["a"].condition

    assert trace["a"].state == "failed"
    assert told_of is not None
    assert told_of.came is Came.FAILED
    comparison = told_of.parts[1]
    assert (comparison.came, comparison.error) == (Came.FAILED, "")
    assert comparison.parts[0].came is Came.FAILED
    assert "number" in comparison.parts[0].error
    assert trace["a"].doubts == ()


def test_parameter_without_a_value_says_why() -> None:
    """A param that could not be evaluated has the error in its place; the others have values."""
    nodes = """
  - {id: a, type: log, params: {message: "${{ number(inputs.day) }}", level: info}}"""
    params = run(nodes)["a"].params

    assert params is not None
    assert "number" in params["message"].error
    assert params["level"].value == "info"


@pytest.mark.parametrize(
    ("retry", "acts", "verdicts"),
    [
        pytest.param(
            "max_attempts: 3, delay: 4s, backoff: linear",
            [FAILS, FAILS, OK],
            [("retried: it was try 1 of 3", 4.0), ("retried: it was try 2 of 3", 8.0), ("", None)],
            id="until-it-works",
        ),
        pytest.param(
            "max_attempts: 2, delay: 1s",
            [FAILS],
            [
                ("retried: it was try 1 of 2", 1.0),
                ("not retried: it was the last of 2 tries", None),
            ],
            id="all-in-vain",
        ),
        pytest.param(
            "max_attempts: 3, delay: 1s, if: attempt.exit_code == 7",
            [Act(exit_code=7), FAILS],
            [("retried: it was try 1 of 3", 1.0), ("not retried: retry.if is not true", None)],
            id="by-its-if",
        ),
        pytest.param(
            "max_attempts: 3, if: number(attempt.reason) > 1",
            [FAILS],
            [("not retried: retry.if could not be evaluated", None)],
            id="if-that-fails",
        ),
        pytest.param(
            "max_attempts: 3, if: attempt.outputs.again == 'yes'",
            [Act(exit_code=1, outputs=b"again=yes\n"), OK],
            [("retried: it was try 1 of 3", 1.0), ("", None)],
            id="outputs-are-not-kept",
        ),
    ],
)
def test_attempts_tell_what_followed(
    retry: str, acts: list[Act], verdicts: list[tuple[str, Json]]
) -> None:
    """Each failed attempt says why another followed or none did, and after how long."""
    nodes = f"""
  - id: a
    run: x
    outputs: {{again: {{type: string}}}}
    retry: {{{retry}}}"""
    attempts = traced(flow(nodes), {"a": acts})["a"].attempts

    assert [(each.verdict, each.delay_s) for each in attempts] == verdicts
    assert [each.attempt.key.number for each in attempts] == [*range(1, len(attempts) + 1)]


def test_final_error_is_told_by_what_did_not_follow() -> None:
    """An error that no attempt can help is the last word, though tries are left."""
    nodes = '  - {id: a, run: x, env: {N: "${{ number(inputs.day) }}"}, retry: {max_attempts: 3}}'
    attempts = run(nodes)["a"].attempts

    assert [each.verdict for each in attempts] == [
        "not retried: its error is final, or the execution was being ended"
    ]


def test_finally_is_told_about_all_nodes() -> None:
    """Status functions in `finally` have the answers they had, after a failure."""
    top = """finally:
  - {id: bad, type: noop, if: failure()}
  - {id: good, type: noop, if: success()}
  - {id: cut, type: noop, if: cancelled()}"""
    trace = traced(flow("  - {id: a, run: x}", top=top), {"a": FAILS})

    assert {name: told(trace[name].condition)[1] for name in ("bad", "good", "cut")} == {
        "bad": True,
        "good": False,
        "cut": False,
    }
    assert [node.is_final_part for node in trace.values()] == [False, True, True, True]
    assert all(node.doubts == () for node in trace.values())


def test_cancelled_nodes_say_who_ended_them() -> None:
    """After a cancel a node says so, its `if` was never asked, and `finally` knows of it."""
    top = "finally:\n  - {id: cut, type: noop, if: cancelled()}"
    nodes = "  - {id: a, type: wait, params: {for: 1h}}\n  - {id: b, type: noop, if: always()}"

    async def story(world: World) -> Json:
        accepted = await world.submit(world.define(flow(nodes, top=top)))
        await world.engine.cancel(accepted.id)
        await world.end_of(accepted.id)
        return await trace_of(world, accepted.id)

    trace = simulate(story)
    why = "the execution was cancelled before it could end"
    assert (trace["a"].why, trace["b"].why) == (why, why)
    assert trace["b"].condition.came is Came.NOT_EVALUATED
    assert told(trace["cut"].condition) == ["cancelled()", True]
    assert all(node.doubts == () for node in trace.values())


def test_moment_of_a_condition_is_the_one_it_was_judged_at() -> None:
    """`now()` comes out the same to the microsecond, for nodes that ran and for skipped ones."""
    even = "if: \"matches(now(), '[02468][+]00:00$')\""
    nodes = "\n".join(f"  - {{id: n{number}, type: noop, {even}}}" for number in range(9))

    async def main() -> dict[str, NodeTrace]:
        world = World(clock=TickingClock())
        outcome = await world.run(flow(nodes))
        return await trace_of(world, outcome.execution.id)

    trace = run_inline(main())
    assert {node.state for node in trace.values()} == {"succeeded", "skipped"}
    assert all(node.doubts == () for node in trace.values())


def test_items_are_told_attempt_by_attempt() -> None:
    """Each item has its verdicts, its values, and its own answer to `retry.if`."""
    keys = "foreach: [a, b, c], fail_fast: false, env: {ITEM: '${{ item }}'}, stdin: '${{ index }}'"
    retry = "retry: {max_attempts: 2, if: item == 'a'}"
    trace = run(f"  - {{id: m, run: x, {keys}, {retry}}}", {"m.a": [FAILS, OK], "m.b": FAILS})["m"]

    assert [(each.attempt.key[2:], each.verdict) for each in trace.attempts] == [
        ((0, 1), "retried: it was try 1 of 2"),
        ((0, 2), ""),
        ((1, 1), "not retried: retry.if is not true"),
        ((2, 1), ""),
    ]
    asked = [each.retry_if for each in trace.attempts if each.retry_if]
    assert [told(each)[1] for each in asked] == [True, False]
    assert (trace.env, trace.doubts, trace.item_count) == (None, (), 3)
    given = [(each.index, each.item.value, each.env, each.stdin) for each in trace.items]
    assert given == [
        (0, "a", {"ITEM": Shown(value="a")}, Shown(value="0")),
        (1, "b", {"ITEM": Shown(value="b")}, Shown(value="1")),
        (2, "c", {"ITEM": Shown(value="c")}, Shown(value="2")),
    ]


def test_items_that_failed_are_told_first() -> None:
    """Of many items a few are told, and those that say why the node failed are among them."""
    items = ", ".join(map(str, range(100)))
    keys = f"foreach: [{items}], fail_fast: false, env: {{ITEM: '${{{{ item }}}}'}}"
    retry = "retry: {max_attempts: 2, if: item == 1}"
    acts: Acts = {f"m.{number}": FAILS for number in (50, 99, 3)}
    trace = run(f"  - {{id: m, run: x, {keys}, {retry}}}", acts)["m"]

    assert [each.index for each in trace.items] == [0, 1, 2, 3, 4, 5, 6, 7, 50, 99]
    assert trace.item_count == 100
    asked = [each for each in trace.attempts if each.retry_if]
    assert [each.attempt.key.item_index for each in asked] == [3, 50, 99]


def test_secret_item_is_stars() -> None:
    """Params of an item that are made of a secret are masked like any other."""
    node = "{id: m, run: x, foreach: [a], env: {S: '${{ item }}${{ secrets.TOKEN }}'}}"
    trace = traced(flow(f"  - {node}", top="secrets: [TOKEN]"), secrets={"TOKEN": "hunter2"})["m"]
    assert trace.items[0].env == {"S": Shown(value="***")}


def test_foreach_that_gives_no_list_is_no_doubt() -> None:
    """The node was judged, and failed before its first item."""
    trace = run("  - {id: m, type: noop, foreach: from_json(inputs.day)}")["m"]
    assert (trace.state, trace.doubts) == ("failed", ())
