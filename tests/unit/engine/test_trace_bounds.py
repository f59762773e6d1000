"""What a trace does not tell, and what it costs at most: secrets, sizes, work."""

from __future__ import annotations

import asyncio
import json

import pytest

from flowrunner.engine.scope import ContextScope
from flowrunner.engine.tracing.told import TOO_MUCH, Teller
from flowrunner.engine.tracing.values import LEAST, VALUE_LIMIT, Budget, Shelf
from flowrunner.model.expressions import condition
from flowrunner.model.expressions.explain import UNKNOWN_SECRET, Came
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from flowrunner.model.trace import Shown
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.traces import TracePage, TraceReader
from flowrunner.web.trace_wire import trace_json
from tests.fakes.engine import FAILS, Acts, World, flow, simulate
from tests.fakes.scope import MOMENT
from tests.fakes.traces import trace_page

SECRET = "hunter2-and-more"


def page(
    text: str,
    acts: Acts | None = None,
    *,
    inputs: dict[str, Json] | None = None,
    payload: bytes | None = None,
) -> TracePage:
    """Runs a flow on a host with a secret and returns the first page of its trace."""

    async def story(world: World) -> TracePage:
        outcome = await world.run(text, inputs=inputs, payload=payload)
        return await trace_page(world, outcome.execution.id)

    return simulate(story, acts, secrets={"TOKEN": SECRET})


@pytest.mark.parametrize(
    "expression",
    [
        "${{ secrets.TOKEN }}",
        "Bearer ${{ secrets.TOKEN }}",
        "${{ upper(secrets.TOKEN) }}",
        "${{ sha256(format('{0}:{1}', inputs.user, secrets.TOKEN)) }}",
        "${{ to_json(split(secrets.TOKEN, '-')) }}",
        "${{ from_json(secrets.TOKEN).a }}",
        "${{ default(secrets.TOKEN, inputs.user) }}",
        "${{ inputs.user && secrets.TOKEN }}",
        "x${{ lower(trim(secrets.TOKEN)) }}${{ inputs.user }}",
    ],
)
def test_whatever_is_made_of_a_secret_is_stars(expression: str) -> None:
    """A secret taints what is made of it, through every function, and none was looked up."""
    top = "secrets: [TOKEN]\ninputs: {user: {type: string}}\nenv: {FLOW: '${{ secrets.TOKEN }}'}"
    nodes = f'  - {{id: a, run: x, env: {{T: "{expression}"}}, stdin: "{expression}"}}'
    found = page(flow(nodes, top=top), inputs={"user": "ann"})
    node = found.nodes[0]

    assert node.env is not None
    assert node.stdin is not None
    assert {name: shown.value for name, shown in node.env.items()} == {"FLOW": "***", "T": "***"}
    assert node.stdin.value == "***"
    text = json.dumps(trace_json(found))
    for form in (SECRET, SECRET.upper(), "hunter2", "aHVudGVyM"):
        assert form not in text


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("secrets.A == 'x'", Came.FAILED),
        ("contains(secrets.A, 'x')", Came.FAILED),
        ("!secrets.A", Came.FAILED),
        ("secrets.A && true", Came.FAILED),
        ("upper(secrets.A)", Came.EVALUATED),
    ],
)
def test_answer_about_a_secret_is_refused_as_in_the_run(text: str, came: Came) -> None:
    """Where a secret would decide, the trace computes nothing either, and says why."""
    budget = Budget()
    scope = ContextScope({"secrets": UNKNOWN_SECRET}, lambda _name: True, MOMENT)
    answer = Teller(scope, Shelf(budget), budget).condition(condition(text))

    assert (answer.holds, answer.told.came) == (None, came)
    assert "secret" in answer.told.error


def test_what_is_no_secret_is_not_masked() -> None:
    """Nothing is masked by guess: a value that looks like a secret stands as it is."""
    top = "secrets: [TOKEN]\ninputs: {password: {type: string}}"
    nodes = "  - {id: a, run: x, env: {P: '${{ inputs.password }}'}}"
    node = page(flow(nodes, top=top), inputs={"password": "swordfish"}).nodes[0]

    assert node.env is not None
    assert node.env["P"].value == "swordfish"


@pytest.mark.parametrize(
    ("value", "shown", "is_cut"),
    [
        pytest.param("x" * VALUE_LIMIT, "x" * VALUE_LIMIT, False, id="fits"),
        pytest.param("x" * 10**6, "x" * VALUE_LIMIT + "…", True, id="text"),
        pytest.param(list(range(10**5)), list(range(112)), True, id="list"),
        pytest.param({"a": "x" * 5_000, "b": 1}, {"a": "x" * 250 + "…", "b": 1}, True, id="map"),
        pytest.param({"k" * 5_000: 1}, {"k" * 250 + "…": 1}, True, id="key"),
        pytest.param([1e999, -1e999], ["inf", "-inf"], False, id="no-json"),
        pytest.param({"a": [SecretValue("x")]}, {"a": ["***"]}, False, id="secret"),
    ],
)
def test_values_are_cut_and_say_so(value: Json, shown: Json, *, is_cut: bool) -> None:
    """A large value is cut where its room ends, without a look at the rest."""
    assert Shelf(Budget()).show(value) == Shown(value=shown, is_cut=is_cut)


def test_deep_values_are_cut() -> None:
    """Nesting beyond twenty levels is cut."""
    value: Json = "deepest"
    for _ in range(100):
        value = [value]
    told = Shelf(Budget()).show(value)

    assert told.is_cut
    assert "deepest" not in json.dumps(told.value)


def test_later_values_of_a_node_have_less_room() -> None:
    """A node with much to say still has a bounded trace: its last values are cut short."""
    shelf = Shelf(Budget())
    shown = [shelf.show("y" * 5_000) for _ in range(40)]

    assert len(shown[0].value) == VALUE_LIMIT + 1
    assert len(shown[-1].value) == LEAST + 1
    assert all(each.is_cut for each in shown)


@pytest.mark.heavy
def test_page_ends_when_it_has_much_to_say() -> None:
    """A page of nodes with long values ends early, and the next one goes on behind it."""
    values = ", ".join(f"V{number}: '${{{{ inputs.big }}}}'" for number in range(20))
    nodes = "\n".join(
        f"  - {{id: n{number}, run: x, needs: [], env: {{{values}}}}}" for number in range(150)
    )
    top = "inputs: {big: {type: string}}"

    async def story(world: World) -> list[TracePage]:
        outcome = await world.run(flow(nodes, top=top), inputs={"big": "x" * 3_000})
        first = await trace_page(world, outcome.execution.id)
        after = first.next_cursor
        return [first, await trace_page(world, outcome.execution.id, after=after)]

    first, rest = simulate(story)
    ids = [node.id for node in (*first.nodes, *rest.nodes)]
    assert 2 * 1024**2 < len(json.dumps(trace_json(first))) < 3 * 1024**2
    assert ids == [f"n{number}" for number in range(150)]
    assert len(rest.nodes) > 0
    assert rest.next_cursor is None


def test_page_ends_when_its_work_is_done() -> None:
    """Expressions over much data end a page early; what a node has too much of says so."""
    values = ", ".join(f"v{n}: '${{{{ length(upper(inputs.big)) }}}}'" for n in range(60))
    nodes = f"""
  - {{id: a, type: noop}}
  - {{id: b, type: set, params: {{values: {{{values}}}}}}}
  - {{id: c, type: noop}}"""
    found = page(flow(nodes, top="inputs: {big: {type: string}}"), inputs={"big": "x" * 900_000})

    assert [node.id for node in found.nodes] == ["a", "b"]
    assert found.next_cursor == "b"
    assert found.nodes[1].params is not None
    assert found.nodes[1].params["values"].error == TOO_MUCH


def test_errors_of_attempts_are_those_of_the_journal() -> None:
    """What a failed attempt said was masked when it was journaled, and stays so."""
    nodes = "  - {id: a, type: fail, params: {message: 'no'}}\n  - {id: b, run: x, needs: []}"
    found = page(flow(nodes, top="secrets: [TOKEN]"), {"b": FAILS})

    assert next(node.error.message for node in found.nodes if node.error) == "no"
    assert SECRET not in json.dumps(trace_json(found))


def test_caller_who_leaves_disturbs_nobody() -> None:
    """A trace that nobody waits for any more ends by itself, and the next one is right."""

    async def story(world: World) -> list[str]:
        one = await world.run(flow("  - {id: a, type: noop}", name="one"))
        two = await world.run(flow("  - {id: b, type: noop}", name="two"))
        reader = TraceReader(world.services, world.engine, FlowRegistry())
        asked = [
            asyncio.create_task(reader.page(each.execution.id, after=None, limit=9))
            for each in (one, two, one, two)
        ]
        await asyncio.sleep(0)
        asked[0].cancel()
        asked[2].cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [each.nodes[0].id for each in found if isinstance(each, TracePage)]

    assert simulate(story) == ["b", "b"]
