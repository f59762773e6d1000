"""`now()` of a node is one instant, and it is in the journal; dates and names beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowrunner.model.ids import Json
from tests.fakes.clock import DEFAULT_START as NOON
from tests.fakes.engine import FAILS, HOST, OK, Act, World, flow, run_flow, simulate

AT_NOON = "2027-03-01T12:00:00+00:00"


def test_all_attempts_of_a_node_see_one_instant() -> None:
    """An attempt an hour later has the `now()` of the first, which the journal has as the start."""
    text = flow(
        "  - {id: a, run: x, env: {NOW: '${{ now() }}'}, retry: {max_attempts: 2, delay: 1h}}"
    )

    async def story(world: World) -> None:
        outcome = await world.run(text)
        assert [request.env["NOW"] for request in world.spawned("a")] == [AT_NOON, AT_NOON]
        assert outcome.attempts[1].started_at == NOON + timedelta(hours=1)
        assert outcome.nodes["a"].started_at == NOON

    simulate(story, {"a": [FAILS, OK]})


def test_condition_and_attempts_of_a_node_see_one_instant() -> None:
    """A node that must wait for a process to end has the `now()` at which its `if` held."""
    text = flow(f"""
  - {{id: a, run: x}}
  - id: b
    needs: []
    if: now() == '{AT_NOON}'
    run: x
    env: {{NOW: "${{{{ now() }}}}"}}
""")

    async def story(world: World) -> None:
        outcome = await world.run(text)
        assert outcome.attempts[-1].started_at == NOON + timedelta(seconds=10)
        assert world.spawned("b")[0].env["NOW"] == AT_NOON
        assert outcome.nodes["b"].started_at == NOON

    simulate(story, {"a": Act(lasts_s=10.0)}, node_slots=1)


def test_each_node_has_its_own_instant() -> None:
    """A node that starts later sees a later `now()`."""
    text = flow("""
  - {id: a, run: x}
  - {id: b, type: set, params: {values: {v: "${{ now() }}"}}}
""")
    outcome = run_flow(text, {"a": Act(lasts_s=90.0)})
    assert outcome.nodes["b"].outputs == {"v": "2027-03-01T12:01:30+00:00"}


NIGHTLY = """
triggers:
  - {id: berlin, type: schedule, cron: 30 0 * * *, timezone: Europe/Berlin}
  - {id: utc, type: schedule, cron: 30 0 * * *, timezone: UTC}
  - {id: often, type: schedule, every: 1h}
"""


@pytest.mark.parametrize(
    ("trigger", "date"),
    [
        pytest.param("schedule:berlin", "2027-03-02", id="zone-of-the-schedule"),
        pytest.param("schedule:utc", "2027-03-01", id="utc"),
        pytest.param("schedule:often", "2027-03-01", id="a-period-has-no-zone"),
        pytest.param("manual", None, id="no-slot"),
    ],
)
def test_date_of_a_slot_is_that_of_its_trigger(trigger: str, date: Json) -> None:
    """Half past midnight in Berlin is a day later than the same instant in UTC."""
    nodes = '  - {id: a, type: set, params: {values: {v: "${{ execution.slot_date }}"}}}'
    slot = datetime(2027, 3, 1, 23, 30, tzinfo=UTC)

    async def story(world: World) -> Json:
        spec = world.define(flow(nodes, top=NIGHTLY))
        slot_at = None if trigger == "manual" else slot
        accepted = await world.submit(spec, trigger=trigger, slot_at=slot_at)
        return (await world.end_of(accepted.id)).nodes["a"].outputs["v"]

    assert simulate(story) == date


def test_labels_and_facts_of_the_host_are_seen() -> None:
    """What the settings say of the host; a fact that it does not have is null."""
    text = flow(
        "  - {id: a, type: set, params: {values: {labels: '${{ host.labels }}', "
        "cores: '${{ host.facts.cores }}', none: '${{ host.facts.other }}'}}}"
    )

    async def story(world: World) -> Json:
        accepted = await world.submit(world.define(text))
        return (await world.end_of(accepted.id)).nodes["a"].outputs

    assert HOST.labels
    assert simulate(story) == {"labels": list(HOST.labels), "cores": 8, "none": None}


def test_name_of_the_host_is_seen() -> None:
    """`host.name` is what `$HOST_NAME` is, in nodes and in the flow's env."""
    text = flow("  - {id: a, run: x}", top="env: {H: '${{ host.name }}'}")

    async def story(world: World) -> None:
        await world.run(text)
        (request,) = world.spawned("a")
        assert request.env["H"] == request.env["HOST_NAME"] == HOST.name

    simulate(story)
