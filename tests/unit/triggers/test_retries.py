"""Promises of `flowrunner.triggers.retries`: an ended execution once more, as it was accepted."""

from __future__ import annotations

import pytest

from flowrunner.errors import NotFoundError, RefusedError, ValidationError
from flowrunner.model.accounts import AccountMap
from flowrunner.model.delivery import Delivery
from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, Json
from tests.fakes.definitions import flow_text, hook, key_of
from tests.fakes.ids import sequential_id
from tests.unit.triggers.slots import at, begin, fire, turns
from tests.unit.triggers.world import SLEEP, World, simulate

A = key_of("a")


def shows(**values: str) -> list[Json]:
    """A node whose outputs are these expressions."""
    wrapped = {name: f"${{{{ {text} }}}}" for name, text in values.items()}
    return [{"id": "show", "type": "set", "params": {"values": wrapped}}]


async def run(world: World, **inputs: Json) -> Execution:
    await world.dispatcher.start_by_hand(A, inputs, as_text=False)
    await turns()
    return (await world.executions())[-1]


async def retry(world: World, execution: Execution, *, force: bool = False) -> Execution:
    found = await world.retries.retry(execution.id, force=force)
    await turns()
    again = (await world.executions())[-1]
    assert again.id == found
    return again


async def outputs(world: World, execution_id: ExecutionId) -> Json:
    (node,) = await world.storage.journal.nodes(execution_id)
    return node.outputs


async def refusal(world: World, execution: Execution) -> str:
    before = await world.executions()
    with pytest.raises(RefusedError) as caught:
        await world.retries.retry(execution.id)
    assert await world.executions() == before
    return caught.value.code


def test_retry_runs_the_pinned_definition_with_the_same_inputs() -> None:
    """Whatever the file says by now; the new execution names the one that it repeats."""

    async def story(world: World) -> None:
        nodes = shows(who="inputs.who", of="execution.retry_of", id="trigger.id")
        await world.apply(flow_text("a", inputs={"who": {}}, nodes=nodes), revision="r1")
        first = await run(world, who="me")
        await world.apply(flow_text("a", description="another version"), revision="r2")
        again = await retry(world, first)
        assert (again.digest, again.revision, again.inputs) == (first.digest, "r1", {"who": "me"})
        assert (again.retry_of, again.cause.trigger_type) == (first.id, "retry")
        assert await outputs(world, first.id) == {"who": "me", "of": None, "id": "manual"}
        assert await outputs(world, again.id) == {"who": "me", "of": first.id, "id": "retry"}
        assert (await retry(world, again)).retry_of == again.id

    simulate(story)


def test_retry_has_what_the_delivery_brought() -> None:
    """Headers and body are those of the first one, and it is no delivery that could be a copy."""

    async def story(world: World) -> None:
        world.secrets.texts = {"KEY": "k"}
        nodes = shows(ref="trigger.body.ref", event="trigger.headers['x-event']")
        await world.apply(flow_text("a", triggers=[hook("push", "KEY")], nodes=nodes))
        headers = {"authorization": "Bearer k", "content-type": "application/json", "x-event": "e"}
        delivery = Delivery(
            path="default/push", method="POST", headers=headers, query={}, body=b'{"ref": "main"}'
        )
        await world.webhooks.deliver(delivery)
        await turns()
        (first,) = await world.executions()
        again = await retry(world, first)
        assert await outputs(world, again.id) == {"ref": "main", "event": "e"}
        assert again.start_key is None

    simulate(story)


def test_retry_of_a_slot_is_of_the_same_day() -> None:
    """The slot and its date, in the zone of its schedule, are those of the first one."""

    async def story(world: World) -> None:
        zone = "Pacific/Kiritimati"  # fourteen hours ahead: another date than in UTC
        trigger: Json = {"id": "daily", "type": "schedule", "cron": "1 * * * *", "timezone": zone}
        nodes = shows(at="execution.slot_at", day="execution.slot_date")
        await begin(world, flow_text("a", triggers=[trigger], nodes=nodes))
        await fire(world, 60)
        (first,) = await world.executions()
        again = await retry(world, await retry(world, first))
        assert again.cause.slot_at == at(60)
        assert not again.cause.is_slot
        assert await outputs(world, again.id) == await outputs(world, first.id)
        assert (await outputs(world, first.id))["day"] != f"{at(0):%Y-%m-%d}"

    simulate(story)


def test_execution_that_has_not_ended_is_not_retried() -> None:
    """Neither one that runs nor one that waits."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", nodes=SLEEP))
        for execution in (await run(world), await run(world)):
            assert await refusal(world, execution) == "not_ended"

    simulate(story)


def test_unknown_execution_is_not_retried() -> None:
    """An id that nobody has is told."""

    async def story(world: World) -> None:
        with pytest.raises(NotFoundError):
            await world.retries.retry(sequential_id(99))

    simulate(story)


def test_retry_needs_the_flow_and_the_definition() -> None:
    """Without either there is nothing to run, and the code says which is missing."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        first = await run(world)
        definitions = world.storage.definitions._definitions
        kept = definitions.pop(first.digest)
        assert await refusal(world, first) == "definition_lost"
        definitions[first.digest] = {**kept, "nodes": [{"id": "only", "type": "gone"}]}
        assert await refusal(world, first) == "definition_lost"
        await world.apply()
        assert await refusal(world, first) == "deleted"

    simulate(story)


def test_retry_uses_no_node_type_that_its_account_lost() -> None:
    """What the version in force may not use, an earlier one may not either."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        first = await run(world)
        world.dispatcher._accounts = AccountMap(node_types={"default": frozenset({"set"})})
        assert await refusal(world, first) == "not_ready"
        world.dispatcher._accounts = AccountMap(node_types={"default": frozenset({"noop"})})
        assert (await retry(world, first)).retry_of == first.id

    simulate(story)


def test_retry_is_a_start_by_hand() -> None:
    """It is refused while the flow is held or, under `skip`, busy; and can be forced."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a"))
        first = await run(world)
        await world.apply(flow_text("a", suspend=True))
        assert await refusal(world, first) == "suspended"
        assert (await retry(world, first, force=True)).is_forced
        await world.apply(flow_text("a", nodes=SLEEP, concurrency={"on_conflict": "skip"}))
        await run(world)
        assert await refusal(world, first) == "concurrency"

    simulate(story)


# From a node

TWO: list[Json] = [
    {"id": "first", "type": "set", "params": {"values": {"n": "${{ inputs.n }}"}}},
    {"id": "second", "type": "fail", "params": {"message": "no"}},
]


def test_retry_from_a_node_takes_over_the_rest() -> None:
    """The new execution names the first one; its nodes above have their results already."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", inputs={"n": {}}, nodes=TWO))
        first = await run(world, n="7")
        found = await world.retries.retry(first.id, from_node="second")
        await turns()
        nodes = await world.storage.journal.nodes(found)
        assert [(each.node, each.state, each.reason) for each in nodes] == [
            ("first", "succeeded", "kept"),
            ("second", "failed", "fail"),
        ]
        assert nodes[0].outputs == {"n": "7"}
        again = (await world.executions())[-1]
        assert (again.id, again.retry_of, again.inputs) == (found, first.id, {"n": "7"})

    simulate(story)


def test_retry_from_a_node_that_is_none_starts_nothing() -> None:
    """A name that the pinned version does not have is refused, and nothing is accepted."""

    async def story(world: World) -> None:
        await world.apply(flow_text("a", inputs={"n": {}}, nodes=TWO))
        first = await run(world, n="7")
        await world.apply(flow_text("a", nodes=[{"id": "third", "type": "noop"}]))
        with pytest.raises(ValidationError, match="no node 'third'") as caught:
            await world.retries.retry(first.id, from_node="third")
        assert caught.value.code == "request.from"
        assert await world.executions() == [first]

    simulate(story)
