"""Secrets in an attempt: who gets them, what is masked, and that no output carries one away."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue, revealed
from flowrunner.nodes.context import ExecutionContext
from tests.fakes.engine import Act, Acts, Outcome, World, flow, run_flow, simulate
from tests.fakes.secret_node import CallNode, Work

HOST = {"KEY": "hunter22", "LOGIN": '{"user": "robot", "password": "s\\u00e9same", "port": 54321}'}
TOP = "secrets: [KEY, LOGIN]"


def _shell(env: str, act: Act, keys: str = "") -> tuple[Outcome, Mapping[str, str], list[str]]:
    """Runs one script; returns what became of it, its environment and its log."""

    async def story(world: World) -> tuple[Outcome, Mapping[str, str], list[str]]:
        node = f"  - {{id: a, run: x, env: {{{env}}}{keys}}}"
        outcome = await world.run(flow(node, top=TOP))
        return outcome, world.spawned("a")[0].env, world.log(outcome.execution.id, "a")

    return simulate(story, {"a": act}, secrets=HOST)


def _call(params: str, work: Work, acts: Acts | None = None) -> tuple[Outcome, list[str]]:
    """Runs one node with secret params; returns what became of it and its log."""

    async def story(world: World) -> tuple[Outcome, list[str]]:
        world.nodes.register("call", lambda: CallNode(work))
        node = f"  - {{id: a, type: call, params: {{{params}}}, retry: {{max_attempts: 3}}}}"
        outcome = await world.run(flow(node, top=TOP))
        return outcome, world.log(outcome.execution.id, "a")

    return simulate(story, acts, secrets=HOST)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        pytest.param("${{ secrets.KEY }}", "hunter22", id="whole"),
        pytest.param("Bearer ${{ secrets.KEY }}", "Bearer hunter22", id="mixed"),
        pytest.param("${{ to_json(secrets.KEY) }}", '"hunter22"', id="function"),
        pytest.param("${{ from_json(secrets.LOGIN).password }}", "s\u00e9same", id="member"),
        pytest.param("${{ from_json(secrets.LOGIN).port }}", "54321", id="number"),
        pytest.param("${{ from_json(secrets.LOGIN).none }}", "", id="null"),
        pytest.param("${{ flow.name && secrets.KEY }}", "hunter22", id="chosen"),
    ],
)
def test_what_is_made_of_a_secret_reaches_the_program_alone(expression: str, text: str) -> None:
    """Its environment has the text; its log has stars, from its first byte on."""
    outcome, env, log = _shell(f'V: "{expression}"', Act(prints=f"<{text}>\n".encode()))
    assert env["V"] == text
    assert log == ["<***>" if text else "<>"]
    assert not text or text not in repr(outcome)


def test_truth_value_out_of_a_secret_is_not_masked() -> None:
    """`true` in stars would hide nothing and spoil every log."""
    secrets = {**HOST, "LOGIN": '{"admin": true}'}
    node = "  - {id: a, run: x, env: {V: '${{ from_json(secrets.LOGIN).admin }}'}}"

    async def story(world: World) -> list[str]:
        outcome = await world.run(flow(node, top=TOP))
        return world.log(outcome.execution.id, "a")

    assert simulate(story, {"a": Act(prints=b"true\n")}, secrets=secrets) == ["true"]


def test_node_gets_secret_params_as_secret_values() -> None:
    """Only who reveals them has the text, and what is no secret comes as it is."""
    seen: list[Json] = []

    def work(_ctx: ExecutionContext, params: Mapping[str, Json]) -> Mapping[str, Json]:
        seen.append(params)
        return {}

    text = "Bearer ${{ secrets.KEY }}"
    _call(f"url: 'x/${{{{ flow.name }}}}', headers: {{a: '{text}', b: plain}}", work)
    (params,) = seen
    assert (params["url"], params["headers"]["b"]) == ("x/flow", "plain")
    assert isinstance(params["headers"]["a"], SecretValue)
    assert params["headers"]["a"].reveal() == "Bearer hunter22"


def test_derived_param_is_masked_in_log_and_error() -> None:
    """What a node got is hidden in its notes and in what it says of its failure."""

    def work(ctx: ExecutionContext, params: Mapping[str, Json]) -> Mapping[str, Json]:
        ctx.sink.note(f"sent {revealed(params['body'])}")
        raise ExecutionError(f"refused {revealed(params['body'])}", final=True)

    outcome, log = _call("body: '${{ from_json(secrets.LOGIN).password }}'", work)
    error = outcome.attempts[0].error
    assert error is not None
    assert error.message == "refused ***"
    assert log == ["sent ***"]


def test_crash_that_quotes_a_secret_is_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the journal nor the daemon's log quotes it, whatever caused the crash."""

    def work(_ctx: ExecutionContext, params: Mapping[str, Json]) -> Mapping[str, Json]:
        secret = revealed(params["body"])
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ValueError(f"no {secret}") from error

    with caplog.at_level(logging.ERROR):
        outcome, _ = _call("body: '${{ from_json(secrets.LOGIN).password }}'", work)
    (record,) = [each for each in caplog.records if "node.crashed" in each.getMessage()]
    told = logging.Formatter().format(record)
    assert "ValueError: no ***" in told
    assert "in work" in told
    assert "s\u00e9same" not in told
    assert outcome.attempts[0].error is not None
    assert outcome.attempts[0].error.details == {"error": "ValueError: no ***"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param("n=hunter22", "output n contains a secret", id="whole"),
        pytest.param("m=1\nn=a hunter22 b", "output n contains a secret", id="inside"),
        pytest.param("n<<E\na\nhunter22\nE", "output n contains a secret", id="in-lines"),
        pytest.param("n=s\u00e9same", "output n contains a secret", id="derived"),
        pytest.param("hunter22=1", "output *** contains a secret", id="name"),
        pytest.param("i=54321", "output i contains a secret", id="number"),
        pytest.param('o=[{"hunter22": 1}]', "output o contains a secret", id="key"),
        pytest.param('o=["\\u0068unter22"]', "output o contains a secret", id="escaped"),
        pytest.param("i=hunter22", "output i contains a secret", id="before-it-is-quoted"),
    ],
)
def test_output_with_a_secret_is_refused(written: str, message: str) -> None:
    """The attempt fails finally, and what it says does not quote the secret."""
    env = "V: '${{ from_json(secrets.LOGIN).password }}', W: '${{ from_json(secrets.LOGIN).port }}'"
    keys = ", retry: {max_attempts: 3}, outputs: {i: {type: integer}, o: {type: array}}"
    outcome, _, _ = _shell(env, Act(outputs=f"{written}\n".encode()), keys)
    (attempt,) = outcome.attempts
    assert attempt.error is not None
    assert (attempt.error.code, attempt.error.message) == ("output_contains_secret", message)
    assert attempt.reason == "output_contains_secret"
    assert outcome.nodes["a"].outputs is None


def test_output_with_a_secret_is_refused_of_any_node_type() -> None:
    """The engine looks at the outputs of every node, at any depth."""

    def work(_ctx: ExecutionContext, params: Mapping[str, Json]) -> Mapping[str, Json]:
        return {"fine": 1, "answer": {"list": [None, f"x{revealed(params['body'])}"]}}

    outcome, _ = _call("body: '${{ secrets.KEY }}'", work)
    (attempt,) = outcome.attempts
    assert attempt.error is not None
    assert attempt.error.code == "output_contains_secret"
    assert attempt.error.message == "output answer contains a secret"


def test_output_with_a_secret_from_outside_is_refused_of_set() -> None:
    """An input that happens to be a secret does not get into an output either."""
    nodes = "  - {id: a, type: set, params: {values: {x: '${{ inputs.x }}'}}}"
    outcome = run_flow(
        flow(nodes, top=f"{TOP}\ninputs: {{x: {{}}}}"), secrets=HOST, inputs={"x": "hunter22"}
    )
    assert outcome.reasons == {"a": "output_contains_secret"}


@pytest.mark.parametrize("value", ["abc", "x"])
def test_secret_that_is_too_short_to_mask_is_not_looked_for(value: str) -> None:
    """Whoever has a secret of a few characters must still be able to have outputs."""
    nodes = "  - {id: a, run: x, env: {V: '${{ secrets.KEY }}'}}"
    acts = {"a": Act(outputs=f"n={value}\n".encode())}
    outcome = run_flow(flow(nodes, top="secrets: [KEY]"), acts, secrets={"KEY": value})
    assert outcome.nodes["a"].outputs == {"n": value}


def test_output_beside_the_secrets_is_kept() -> None:
    """Part of a secret, or a flow with secrets, is no reason to refuse."""
    outcome, _, _ = _shell("V: '${{ secrets.KEY }}'", Act(outputs=b"n=hunter2\nm=robots\n"))
    assert outcome.nodes["a"].outputs == {"n": "hunter2", "m": "robots"}
