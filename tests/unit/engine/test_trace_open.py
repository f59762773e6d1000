"""The trace of an execution that has not ended, or of which something is gone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from flowrunner.errors import NotFoundError, ValidationError
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.execution import NodeStatus
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json
from flowrunner.model.pause import Pause
from flowrunner.model.trace import NodeTrace
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.traces import TracePage, TraceReader, held_waits
from tests.fakes.engine import FAILS, HANGS, OK, Act, Acts, World, flow, simulate
from tests.fakes.ids import sequential_id
from tests.fakes.journal import FakeJournal
from tests.fakes.records import NOON
from tests.fakes.traces import told, trace_of, trace_page


def waits(
    nodes: str, acts: Acts | None = None, *, seconds: float = 5, top: str = "", slots: int = 9
) -> dict[str, Json]:
    """What each open node waits for after some seconds: kind, message, seconds until it goes on."""

    async def story(world: World) -> dict[str, Json]:
        accepted = await world.submit(world.define(flow(nodes, top=top)))
        await asyncio.sleep(seconds)
        trace = await trace_of(world, accepted.id)
        now = world.clock.now()
        await world.engine.cancel(accepted.id, force=True)
        await world.observer.wait(accepted.id)
        return {name: _shown(node, now) for name, node in trace.items() if node.wait}

    return simulate(story, acts, node_slots=slots)


def _shown(node: NodeTrace, now: Json) -> Json:
    wait = node.wait
    assert wait is not None
    left = None if wait.until is None else (wait.until - now) / timedelta(seconds=1)
    return (str(wait.kind), wait.message, left)


def test_open_nodes_say_what_they_wait_for() -> None:
    """Needs, an attempt, a delay, a time: each open node says what it waits for and until when."""
    nodes = """
  - {id: a, run: x, needs: []}
  - {id: b, type: noop}
  - {id: c, run: x, needs: [], retry: {max_attempts: 2, delay: 20s}}
  - {id: d, type: wait, needs: [], params: {for: 1m}}
  - {id: e, type: wait, needs: [], params: {until: "add(execution.created_at, '2m')"}}"""
    top = "finally:\n  - {id: f, type: noop}"

    assert waits(nodes, {"a": HANGS, "c": FAILS}, top=top) == {
        "a": ("work", "attempt 1 is at work", None),
        "b": ("needs", "its needs must end before: a", None),
        "c": ("delay", "it waits for its next attempt", 15.0),
        "d": ("time", "it lets time pass", 55.0),
        "e": ("time", "it lets time pass", 115.0),
        "f": ("needs", "all of nodes must end before: a, b, c, d, e", None),
    }


def test_delay_with_jitter_is_a_bound() -> None:
    """Chance may have taken something off a delay, so it ends at the latest then."""
    nodes = "  - {id: a, run: x, retry: {max_attempts: 2, delay: 20s, jitter: 0.5}}"
    assert waits(nodes, {"a": FAILS})["a"] == (
        "delay", "it waits for its next attempt, at the latest until then", 15.0,
    )  # fmt: skip


def test_node_that_waits_for_a_child_names_it() -> None:
    """An open node of type `flow` says whose end it waits for, of items the first of them."""
    parent = """
  - {id: call, type: flow, needs: [], params: {flow: child}}
  - {id: calls, type: flow, needs: [], params: {flow: child}, foreach: [1, 2], max_parallel: 2}"""

    async def story(world: World) -> None:
        world.define(flow("  - {id: a, run: x}", top="concurrency: {limit: 9}", name="child"))
        accepted = await world.submit(world.define(flow(parent)))
        await asyncio.sleep(5)
        found = await world.storage.executions.children(accepted.id, limit=9)
        trace = await trace_of(world, accepted.id)
        for name in ("call", "calls"):
            of_node = tuple(
                each.id for each in found if each.parent and each.parent.attempt.node == name
            )
            wait = trace[name].wait
            assert wait is not None
            assert (str(wait.kind), wait.executions) == ("execution", of_node)
            assert wait.message == f"it waits for the end of execution {', '.join(of_node)}"
        await world.engine.cancel(accepted.id, force=True)
        await world.observer.wait(accepted.id)

    simulate(story, {"a": HANGS})


def test_wait_with_a_probe_says_how_often_it_looks() -> None:
    """It is at work, also between two looks."""
    node = "  - {id: a, type: wait, params: {probe: test -e x, every: 30s}}"
    assert waits(node, {"a": FAILS})["a"] == ("work", "attempt 1 probes every 30s", None)


def test_node_without_a_place_says_so() -> None:
    """A process that waits for others to end waits for a place; its `if` has been judged."""
    nodes = "  - {id: a, run: x, needs: []}\n  - {id: b, run: x, needs: [], if: always()}"
    found = waits(nodes, {"a": HANGS}, slots=1)

    assert found["b"] == ("place", "it waits for a place among the processes", None)


async def queued_waits(
    world: World, text: str, *, hold: str = ""
) -> list[tuple[str, str, tuple[ExecutionId, ...]]]:
    """Lets one execution run and two wait, and returns what the last one waits for.

    `hold` is what happens to the flow meanwhile: `gone` or `suspended`.
    """
    registry, spec = FlowRegistry(), world.define(text)
    first, second, third = [await world.submit(spec) for _ in range(3)]
    if hold:
        world.held.add(spec.key)
    if hold != "gone":
        now = replace(spec, is_suspended=hold == "suspended")
        registry.replace({spec.key: FlowEntry(key=spec.key, path="flow.yaml", spec=now)})
    page = await trace_page(world, third.id, registry=registry)
    assert [node.state for node in page.nodes] == ["pending"]
    for each in (third, second, first):
        await world.engine.cancel(each.id)
    await world.observer.wait(first.id)
    return [(wait.kind, wait.message, wait.executions) for wait in page.waits]


@pytest.mark.parametrize(
    ("hold", "expected"),
    [
        pytest.param(
            "",
            [
                ("group", "its concurrency group is full (1 running)", (sequential_id(1),)),
                ("turn", "others of its concurrency group come first (1)", ()),
            ],
            id="in-line",
        ),
        pytest.param(
            "suspended", [("suspended", "its flow is suspended by its file", ())], id="suspended"
        ),
        pytest.param("gone", [("flow", "its flow is not in force", ())], id="gone"),
    ],
)
def test_queued_execution_says_what_it_waits_for(hold: str, expected: Json) -> None:
    """One that waits for its group names those with its places; one that is held says by what."""
    text = flow("  - {id: a, run: x}")
    assert simulate(lambda world: queued_waits(world, text, hold=hold), {"a": HANGS}) == expected


def test_queued_execution_of_a_full_host_says_so() -> None:
    """One that waits for the host says so, and nothing of its group."""
    text = flow("  - {id: a, run: x}", top="concurrency: {on_conflict: allow}")
    found = simulate(lambda world: queued_waits(world, text), {"a": HANGS}, most_executions=1)

    assert found == [("host", "as many executions run as this host allows", ())]


def test_queued_execution_of_a_full_account_says_so() -> None:
    """One that waits for its account says so, and not that the host is full."""
    text = flow("  - {id: a, run: x}", top="concurrency: {on_conflict: allow}")
    limits = {"default": (1, 9)}
    found = simulate(lambda world: queued_waits(world, text), {"a": HANGS}, limits=limits)

    assert found == [("account", "as many executions run as account default may", ())]


def test_queued_execution_of_a_paused_flow_says_why() -> None:
    """A pause is told with the words of its condition, which name who paused it and why."""
    registry = FlowRegistry()
    spec = FlowSpec(key=FlowKey("default", "flow"), digest=Digest("sha256:00"))
    condition = Condition(
        type=ConditionType.PAUSED,
        status=Status.TRUE,
        reason=ConditionReason.PAUSED,
        message="paused by uid 1000: maintenance",
        last_transition_at=NOON,
    )
    entry = FlowEntry(key=spec.key, path="flow.yaml", spec=spec, conditions=(condition,))
    registry.replace({spec.key: entry})
    registry.set_pause(spec.key, Pause(at=NOON))

    assert [(wait.kind, wait.message) for wait in held_waits(registry, spec.key)] == [
        ("paused", "paused by uid 1000: maintenance")
    ]


def test_definition_that_is_gone_leaves_the_journal() -> None:
    """Without its definition an execution still shows its nodes and attempts, and says why not."""

    async def story(world: World) -> TracePage:
        outcome = await world.run(flow("  - {id: a, run: x}\n  - {id: b, type: noop}"))
        await world.storage.definitions.delete(Digest(outcome.execution.digest))
        return await trace_page(world, outcome.execution.id)

    page = simulate(story, {"a": FAILS})
    assert page.problem is not None
    assert page.problem.code == "definition_lost"
    assert [(node.id, node.type, node.state, node.reason) for node in page.nodes] == [
        ("a", "", "failed", "exit_code"),
        ("b", "", "skipped", "needs"),
    ]
    assert [each.attempt.exit_code for each in page.nodes[0].attempts] == [1]


def test_pages_go_through_all_nodes_in_the_order_of_the_flow() -> None:
    """Pages join to the whole, whatever ended first; each says in which place it ended."""
    nodes = "\n".join(f"  - {{id: n{number}, run: x, needs: []}}" for number in range(7))
    acts = {f"n{number}": Act(lasts_s=10 - number) for number in range(7)}

    async def story(world: World) -> dict[str, NodeTrace]:
        outcome = await world.run(flow(nodes))
        return await trace_of(world, outcome.execution.id, limit=3)

    trace = simulate(story, acts)
    assert [(name, node.ended_as) for name, node in trace.items()] == [
        (f"n{number}", 7 - number) for number in range(7)
    ]


class CountedJournal(FakeJournal):
    """Counts how often the nodes of an execution are read."""

    reads = 0

    async def nodes(self, execution_id: ExecutionId) -> list[NodeStatus]:
        self.reads += 1
        return await super().nodes(execution_id)


def test_pages_of_an_ended_execution_read_its_journal_once() -> None:
    """It changes no more; one that goes on is read for each page, and one that is gone is gone."""
    nodes = "\n".join(f"  - {{id: n{number}, run: x}}" for number in range(3))

    async def story(world: World) -> None:
        journal = CountedJournal(world.storage.journal, world.disk)
        services = replace(world.services, journal=journal)
        reader = TraceReader(services, world.engine, FlowRegistry())

        async def pages(execution_id: ExecutionId) -> tuple[list[str], int]:
            names: list[str] = []
            before, after = journal.reads, None
            while not names or after is not None:
                page = await reader.page(execution_id, after=after, limit=1)
                names += [node.id for node in page.nodes]
                after = page.next_cursor
            return names, journal.reads - before

        every = ["n0", "n1", "n2"]
        accepted = await world.submit(world.define(flow(nodes)))
        await asyncio.sleep(5)
        assert await pages(accepted.id) == (every, 3)
        await world.observer.wait(accepted.id)
        assert await pages(accepted.id) == (every, 1)
        await reader.page(accepted.id, after=None, limit=1)
        newer = await world.run(flow(nodes))
        await world.storage.executions.prune([accepted.id])
        with pytest.raises(NotFoundError):
            await reader.page(accepted.id, after="n0", limit=1)
        assert await pages(newer.execution.id) == (every, 1)

    simulate(story, {"n1": Act(lasts_s=20)})


def test_cursor_of_another_execution_is_refused() -> None:
    """A cursor that is no node of the execution is a mistake of the caller."""

    async def story(world: World) -> None:
        outcome = await world.run(flow("  - {id: a, type: noop}"))
        with pytest.raises(ValidationError) as caught:
            await trace_page(world, outcome.execution.id, after="elsewhere")
        assert caught.value.code == "request.parameter"
        with pytest.raises(NotFoundError):
            await trace_page(world, ExecutionId("00000000-0000-7000-8000-00000000ffff"))

    simulate(story)


def test_trace_after_a_crash_agrees_with_what_was_resumed() -> None:
    """What was judged before a crash and after it comes out as it did, and attempts say why."""
    nodes = """
  - {id: a, type: set, params: {values: {n: 1}}}
  - {id: b, run: x, if: nodes.a.outputs.n == 1, on_interrupt: rerun}
  - {id: c, type: noop, if: nodes.b.exit_code == 0 && failure()}"""

    async def story(world: World) -> dict[str, NodeTrace]:
        accepted = await world.submit(world.define(flow(nodes)))
        await asyncio.sleep(5)
        after = world.after_crash({"b": OK})
        await world.engine.drain(0)
        await after.recover()
        await after.end_of(accepted.id)
        await after.idle()
        return await trace_of(after, accepted.id)

    trace = simulate(story, {"b": HANGS})
    assert [each.verdict for each in trace["b"].attempts] == ["on_interrupt: rerun", ""]
    assert told(trace["c"].condition)[1] is False
    assert all(node.doubts == () for node in trace.values())


def test_what_has_changed_since_is_doubted() -> None:
    """Where the journal contradicts what is worked out, the trace says so."""
    nodes = "  - {id: a, type: noop, if: execution.flow_dir == '/flows/default'}"

    async def story(world: World) -> dict[str, NodeTrace]:
        outcome = await world.run(flow(nodes))
        services = world.services
        moved = type(services.folders)(
            work=services.folders.work,
            logs=services.folders.logs,
            flow=lambda _key: services.folders.work,
        )
        object.__setattr__(services, "folders", moved)
        return await trace_of(world, outcome.execution.id)

    assert simulate(story)["a"].doubts == (
        "then it started, now it was skipped (if): what it reads has changed",
    )
