"""Promises of `flowrunner.triggers.dispatcher`: who may start, and with which inputs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from flowrunner.engine.scope import body_of
from flowrunner.errors import (
    ExecutionError,
    FlowError,
    NotFoundError,
    RefusedError,
    StorageError,
    ValidationError,
)
from flowrunner.model.execution import Cause
from flowrunner.model.ids import Json
from flowrunner.triggers.dispatcher import (
    Start,
    complete_inputs,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from tests.fakes.definitions import broken_text, flow_text, hook, key_of, spec
from tests.fakes.scope import MOMENT
from tests.unit.triggers.world import SLEEP, World, simulate

A = key_of("a")
MANUAL = Cause(trigger_id="manual", trigger_type="manual")
INPUTS = {
    "who": {},
    "count": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9},
    "color": {"enum": ["red", "blue"], "default": "red"},
}


# Inputs


def test_inputs_are_completed_by_defaults() -> None:
    """An execution has every input: those given, and the defaults of the others."""
    given = {"who": "me"}
    assert complete_inputs(spec("a", inputs=INPUTS), given) == {
        "who": "me",
        "count": 3,
        "color": "red",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({}, ["'who' is required"], id="missing"),
        pytest.param({"who": 5}, ["'who' must be of type string"], id="type"),
        pytest.param({"who": None}, ["'who' must be of type string"], id="null"),
        pytest.param({"who": "me", "count": True}, ["'count' must be of type"], id="boolean"),
        pytest.param({"who": "me", "count": 0}, ["'count' must be at least 1"], id="minimum"),
        pytest.param({"who": "me", "count": 10}, ["'count' must be at most 9"], id="maximum"),
        pytest.param({"who": "me", "color": "green"}, ["one of red, blue"], id="enum"),
        pytest.param({"who": "me", "x": 1}, ["'x' is not an input of this flow"], id="unknown"),
        pytest.param({"who": "me", "x": 1}, ["inputs: who, count, color"], id="names-them"),
        pytest.param(
            {"count": 0, "x": 1}, ["'who' is required", "'count'", "'x'"], id="all-at-once"
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(given: Mapping[str, Json], words: list[str]) -> None:
    """Every input that is missing, unknown or does not fit is named, all at once."""
    with pytest.raises(ValidationError) as caught:
        complete_inputs(spec("a", inputs=INPUTS), given)
    assert caught.value.code == "input.invalid"
    assert all(word in caught.value.message for word in words)
    assert len(caught.value.findings) == len(words)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        pytest.param([], "(it has none)", id="none"),
        pytest.param([f"n{n}" for n in range(21)], "n18, n19, …)", id="many"),
    ],
)
def test_list_of_inputs_is_bounded(names: list[str], told: str) -> None:
    """The message about an unknown input lists at most 20, and says when there are none."""
    inputs = {name: {"default": ""} for name in names}
    with pytest.raises(ValidationError) as caught:
        complete_inputs(spec("a", inputs=inputs), {"x": 1})
    assert caught.value.message.endswith(told)


def test_each_finding_of_inputs_has_its_own_message() -> None:
    """A finding names one input and says what is wrong with that one."""
    with pytest.raises(ValidationError) as caught:
        complete_inputs(spec("a", inputs=INPUTS), {"count": 0})
    assert [dict(finding) for finding in caught.value.findings] == [
        {"input": "who", "message": "is required"},
        {"input": "count", "message": "must be at least 1"},
    ]


# `if` and `inputs` of a trigger


def scoped(body: bytes, **more: Json) -> tuple[bool, Mapping[str, Json] | str]:
    """Whether a delivery wants a start, and its inputs or the code of their fault."""
    inputs = {"ref": {"default": "none"}}
    flow = spec("a", inputs=inputs, vars={"main": "main"}, triggers=[hook("push", **more)])
    context = {"headers": {"x-event": "push"}, "query": {"q": "1"}}
    cause = Cause(trigger_id="webhook", trigger_type="webhook", context=context, payload=body)
    scope = trigger_scope(flow, cause, MOMENT, body_of(cause))
    (trigger,) = flow.webhooks
    try:
        return wants_start(trigger, scope), trigger_inputs(flow, trigger, scope)
    except FlowError as error:
        return False, error.code


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param("trigger.body.ref == 'main'", True, id="body"),
        pytest.param("trigger.body.ref == vars.main", True, id="vars"),
        pytest.param("trigger.headers['x-event'] == 'push'", True, id="headers"),
        pytest.param("trigger.query.q == '1'", True, id="query"),
        pytest.param("trigger.type == 'webhook'", True, id="type"),
        pytest.param("flow.name == 'a'", True, id="flow"),
        pytest.param("trigger.body.missing", False, id="missing-is-false"),
        pytest.param("trigger.body.ref == 'other'", False, id="other"),
        pytest.param("${{ trigger.body.ref == 'main' }}", True, id="wrapped"),
    ],
)
def test_condition_sees_the_delivery(condition: str, expected: bool) -> None:  # noqa: FBT001 - a case
    """`if` decides over the delivery, the flow and its vars."""
    assert scoped(b'{"ref": "main"}', **{"if": condition})[0] is expected


def test_trigger_without_a_condition_always_wants_a_start() -> None:
    """Without `if` every delivery starts the flow."""
    assert scoped(b"{}")[0]


@pytest.mark.parametrize(
    ("value", "body", "expected"),
    [
        pytest.param("fixed", b"{}", {"ref": "fixed"}, id="literal"),
        pytest.param("${{ trigger.body.ref }}", b'{"ref": "x"}', {"ref": "x"}, id="expression"),
        pytest.param("at ${{ trigger.query.q }}", b"{}", {"ref": "at 1"}, id="mixed"),
        pytest.param("${{ trigger.body.ref }}", b"{}", "input.invalid", id="null-does-not-fit"),
        pytest.param("${{ trigger.body.ref }}", b'{"ref": 5}', "input.invalid", id="type"),
        pytest.param(
            "${{ trigger.body.ref }}",
            b'{"ref": "${{ secrets.X }}"}',
            {"ref": "${{ secrets.X }}"},
            id="never-evaluated-again",
        ),
        pytest.param("${{ lower(trigger.body.a) }}", b"{}", "expression", id="no-value"),
    ],
)
def test_inputs_of_a_trigger_are_evaluated(
    value: str, body: bytes, expected: Mapping[str, Json] | str
) -> None:
    """`inputs` are expressions over the delivery; what they give must fit the flow's inputs."""
    assert scoped(body, inputs={"ref": value})[1] == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(
            "${{ trigger.body.ref }}",
            "must be of type string, not null: trigger.body.ref is missing; "
            "default(trigger.body.ref, …) does without it",
            id="missing",
        ),
        pytest.param(
            "${{ trigger.body.old }}",
            "must be of type string, not null: trigger.body.old is null; "
            "default(trigger.body.old, …) does without it",
            id="null",
        ),
        pytest.param("${{ trigger.body.count }}", "must be of type string", id="type"),
    ],
)
def test_input_that_is_null_says_why(value: str, said: str) -> None:
    """Who reads the answer to a delivery learns which key it lacks, and what to write."""
    flow = spec("a", inputs={"ref": {}}, triggers=[hook("push", inputs={"ref": value})])
    cause = Cause(
        trigger_id="webhook", trigger_type="webhook", payload=b'{"old": null, "count": 5}'
    )
    (trigger,) = flow.webhooks
    with pytest.raises(ValidationError) as caught:
        trigger_inputs(flow, trigger, trigger_scope(flow, cause, MOMENT, body_of(cause)))
    assert [dict(each) for each in caught.value.findings] == [{"input": "ref", "message": said}]


# Who may start


def test_start_pins_version_revision_and_cause() -> None:
    """An execution keeps definition, revision, inputs and cause of the moment it was accepted."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", inputs={"who": {"default": "me"}}), revision="r7")
        entry = world.registry.entries[A]
        start = Start(cause=MANUAL, inputs={"who": "you"}, start_key="once")
        accepted = await world.dispatcher.submit(entry, start)
        assert accepted.created
        (execution,) = await world.executions()
        assert (execution.revision, execution.digest) == ("r7", entry.digest)
        assert (execution.inputs, execution.cause) == ({"who": "you"}, MANUAL)
        assert execution.start_key == "once"
        assert await world.storage.definitions.get(entry.digest) == entry.definition

    simulate(story)


def test_start_key_starts_once() -> None:
    """A second start with the same key is the same execution."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        entry = world.registry.entries[A]
        start = Start(cause=MANUAL, inputs={}, start_key="once")
        first = await world.dispatcher.submit(entry, start)
        second = await world.dispatcher.submit(entry, start)
        assert (first.id, second.created) == (second.id, False)

    simulate(story)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        pytest.param(broken_text("a"), "no valid definition", id="never-valid"),
        pytest.param(flow_text("a", secrets=["KEY"]), "the secret KEY", id="secret-missing"),
    ],
)
def test_flow_that_is_not_ready_starts_nothing(data: bytes, word: str) -> None:
    """A flow without a version or without its secrets is refused, and says why."""

    async def story(world: World) -> None:
        await world.apply(data)
        start = Start(cause=MANUAL, inputs={})
        with pytest.raises(RefusedError, match=word) as caught:
            await world.dispatcher.submit(world.registry.entries[A], start)
        assert caught.value.code == "not_ready"
        assert await world.executions() == []

    simulate(story)


def test_broken_new_version_starts_the_last_good_one() -> None:
    """While its file is broken a flow goes on starting as it was."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"), revision="r1")
        await world.apply(broken_text("a"), revision="r2")
        await world.dispatcher.start_by_hand(A, {}, as_text=False)
        (execution,) = await world.executions()
        assert execution.revision == "r1"

    simulate(story)


def test_limit_refuses_under_skip() -> None:
    """Under `skip` a start beyond the limit is refused with `concurrency`."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", nodes=SLEEP, concurrency={"on_conflict": "skip"}))
        await world.dispatcher.start_by_hand(A, {}, as_text=False)
        with pytest.raises(RefusedError) as caught:
            await world.dispatcher.start_by_hand(A, {}, as_text=False)
        assert caught.value.code == "concurrency"

    simulate(story)


def test_stopping_daemon_starts_nothing() -> None:
    """Once the engine drains every start is refused with `draining`."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        await world.engine.drain(0)
        with pytest.raises(RefusedError) as caught:
            await world.dispatcher.start_by_hand(A, {}, as_text=False)
        assert caught.value.code == "draining"

    simulate(story)


def test_store_that_fails_accepts_nothing() -> None:
    """What cannot be written was not accepted, and the next start succeeds."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        world.disk.fail("create")
        with pytest.raises(StorageError):
            await world.dispatcher.start_by_hand(A, {}, as_text=False)
        assert await world.executions() == []
        world.disk.mend()
        assert await world.dispatcher.start_by_hand(A, {}, as_text=False)

    simulate(story)


# By hand


def test_start_by_hand_converts_texts() -> None:
    """Inputs from a command line are texts, converted by the types of the inputs."""

    async def story(world: World) -> None:
        declared = {"who": {}, "count": {"type": "integer"}, "on": {"type": "boolean"}}
        await world.apply(flow_text("a", inputs=declared))
        given = {"who": "5", "count": "5", "on": "true"}
        await world.dispatcher.start_by_hand(A, given, as_text=True)
        assert await world.inputs() == [{"who": "5", "count": 5, "on": True}]
        (execution,) = await world.executions()
        assert execution.cause == MANUAL

    simulate(story)


@pytest.mark.parametrize(
    ("given", "as_text", "word"),
    [
        pytest.param({"count": "five"}, True, "'count' must be of type integer$", id="text"),
        pytest.param({"count": "5"}, False, "'count' must be of type integer", id="value"),
        pytest.param({"cuont": "5"}, True, "'cuont' is not an input", id="unknown"),
        pytest.param({}, True, "'count' is required", id="missing"),
        pytest.param({"count": "1", "day": "x"}, True, "'day' must be of format date", id="format"),
        pytest.param({"count": "1", "name": "B"}, True, "'name' must match \\^a", id="pattern"),
        pytest.param({"count": "1", "list": "[1, 2]"}, True, "'list' at index 1", id="item"),
    ],
)
def test_start_by_hand_refuses_what_does_not_fit(
    given: Mapping[str, Json],
    as_text: bool,  # noqa: FBT001 - a case
    word: str,
) -> None:
    """What does not fit is refused by name, and nothing starts."""

    async def story(world: World) -> None:
        inputs = {
            "count": {"type": "integer"},
            "day": {"format": "date", "default": "2026-03-30"},
            "name": {"pattern": "^a", "default": "a"},
            "list": {"type": "array", "items": {"type": "integer", "maximum": 1}, "default": []},
        }
        await world.apply(flow_text("a", inputs=inputs))
        with pytest.raises(ValidationError, match=word) as caught:
            await world.dispatcher.start_by_hand(A, given, as_text=as_text)
        assert caught.value.code == "input.invalid"
        assert await world.executions() == []

    simulate(story)


def test_start_by_hand_of_an_unknown_flow_names_a_near_one() -> None:
    """A misspelt name is answered with the nearest known one."""

    async def story(world: World) -> None:
        await world.apply(flow_text("backup"))
        with pytest.raises(NotFoundError, match=r"no flow default/bakcup; did you mean 'backup'\?"):
            await world.dispatcher.start_by_hand(key_of("bakcup"), {}, as_text=False)
        with pytest.raises(NotFoundError, match=r"no flow default/zzz$"):
            await world.dispatcher.start_by_hand(key_of("zzz"), {}, as_text=False)

    simulate(story)


def test_condition_that_cannot_be_evaluated_is_an_error_of_the_flow() -> None:
    """An `if` that meets data it cannot judge is told apart from one that is false."""
    flow = spec("a", triggers=[hook("push", **{"if": "trigger.body.n > 5"})])
    cause = Cause(trigger_id="webhook", trigger_type="webhook", payload=b'{"n": "x"}')
    with pytest.raises(ExecutionError) as caught:
        wants_start(flow.webhooks[0], trigger_scope(flow, cause, MOMENT, body_of(cause)))
    assert caught.value.code == "expression"
