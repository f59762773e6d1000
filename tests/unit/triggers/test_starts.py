"""Promises of `flowrunner.triggers.starts`: once after a boot, or once in a life of the daemon."""

from __future__ import annotations

import asyncio

from flowrunner.errors import RefusedError
from flowrunner.model.ids import Json
from flowrunner.triggers.starts import AGAIN_S, Starts
from tests.fakes.definitions import flow_text, key_of
from tests.fakes.ids import sequential_id
from tests.unit.triggers.slots import turns
from tests.unit.triggers.world import World, simulate


def at_start(once_per: str = "boot", **more: Json) -> Json:
    return {"type": "start", "once_per": once_per, **more}


def flow(name: str = "a", once_per: str = "boot", **top: Json) -> bytes:
    return flow_text(name, triggers=[at_start(once_per)], **top)


def starts_of(world: World, boot: str = "boot-1", life: str = "life-1") -> Starts:
    return Starts(
        registry=world.registry,
        occasions=world.occasions,
        marks=world.storage.marks,
        boot=lambda: boot,
        life=life,
    )


async def begun(world: World) -> list[str]:
    """Returns the flows of all executions, in their order."""
    await turns()
    return [each.flow.name for each in await world.executions()]


def test_flow_starts_once_after_a_boot() -> None:
    """The first life after a boot starts the flow, a later one does not, the next boot again."""

    async def story(world: World) -> None:
        await world.apply(flow())
        await starts_of(world).run()
        assert await begun(world) == ["a"]
        (execution,) = await world.executions()
        assert (execution.cause.trigger_id, execution.cause.trigger_type) == ("start", "start")
        later = await world.next_life()
        await starts_of(later, life="life-2").run()
        assert await begun(later) == ["a"]
        await starts_of(later, boot="boot-2", life="life-3").run()
        assert await begun(later) == ["a", "a"]

    simulate(story)


def test_flow_starts_in_each_life_of_the_daemon() -> None:
    """With `once_per: daemon` every start of the daemon starts the flow, once."""

    async def story(world: World) -> None:
        await world.apply(flow(once_per="daemon"))
        for life in ("life-1", "life-2", "life-2"):
            await starts_of(world, life=life).run()
        assert await begun(world) == ["a", "a"]

    simulate(story)


def test_life_that_dies_in_its_round_leaves_the_rest_to_the_next() -> None:
    """What had started is known, what had not starts: the round of the boot was not done."""

    async def story(world: World) -> None:
        await world.apply(flow("a"), flow("b"))
        world.disk.fail(f"create {sequential_id(2)}")
        dying = asyncio.create_task(starts_of(world).run())
        await turns()
        dying.cancel()
        assert await begun(world) == ["a"]
        world.disk.mend()
        later = await world.next_life()
        await starts_of(later, life="life-2").run()
        assert await begun(later) == ["a", "b"]

    simulate(story)


def test_flow_that_comes_later_waits_for_the_next_boot() -> None:
    """A flow that is committed while the daemon runs, or before it restarts, does not start."""

    async def story(world: World) -> None:
        await world.apply(flow("a"))
        await starts_of(world).run()
        await world.apply(flow("a"), flow("b"))
        assert await begun(world) == ["a"]
        later = await world.next_life()
        await starts_of(later, life="life-2").run()
        assert await begun(later) == ["a"]
        await starts_of(later, boot="boot-2").run()
        assert await begun(later) == ["a", "a", "b"]

    simulate(story)


def test_held_flow_is_skipped_and_that_is_said() -> None:
    """Suspended, not Ready, kept by `if` or by its group: none starts, each with its reason."""

    async def story(world: World) -> None:
        await world.apply(
            flow("a", suspend=True),
            flow("b", secrets=["NOBODY_HAS"]),
            flow_text("c", triggers=[at_start(**{"if": "trigger.type == 'schedule'"})]),
            flow_text("d", triggers=[at_start()]),
        )
        await world.pauses.pause(key_of("d"), reason="", until=None, uid=0)
        await starts_of(world).run()
        assert await begun(world) == []
        assert [(flow, reason) for flow, _, _, reason in world.skipped] == [
            ("a", "suspended"),
            ("b", "not_ready"),
            ("c", "if"),
            ("d", "paused"),
        ]
        await starts_of(world, life="life-2").run()
        assert len(world.skipped) == 4

    simulate(story)


def test_full_disk_puts_a_start_off() -> None:
    """While the host takes nothing the start waits; it comes when there is room, once."""

    async def story(world: World) -> None:
        await world.apply(flow())
        world.disk.fail("create")
        running = asyncio.create_task(starts_of(world).run())
        await asyncio.sleep(AGAIN_S * 2.5)
        assert await begun(world) == []
        world.disk.mend()
        await running
        assert await begun(world) == ["a"]
        assert world.skipped == []

    simulate(story)


def test_flow_of_another_host_is_passed_over() -> None:
    """What runs elsewhere is neither started nor skipped."""

    async def story(world: World) -> None:
        await world.apply(flow(runs_on="elsewhere"))
        await starts_of(world).run()
        assert await begun(world) == []
        assert world.skipped == []

    simulate(story)


def test_unknown_boot_starts_nothing_for_it() -> None:
    """Where the kernel does not name its boot, only `once_per: daemon` starts."""

    async def story(world: World) -> None:
        def unknown() -> str:
            raise OSError("no such file")

        await world.apply(flow("a"), flow("b", once_per="daemon"))
        await Starts(
            registry=world.registry,
            occasions=world.occasions,
            marks=world.storage.marks,
            boot=unknown,
            life="life-1",
        ).run()
        assert await begun(world) == ["b"]

    simulate(story)


def test_inputs_of_the_trigger_are_brought() -> None:
    """A start brings its inputs, over `trigger` and the flow's own values."""

    async def story(world: World) -> None:
        trigger = at_start(inputs={"who": "${{ trigger.type }} of ${{ flow.name }}"})
        await world.apply(flow_text("a", inputs={"who": {}}, triggers=[trigger]))
        await starts_of(world).run()
        assert await world.inputs() == [{"who": "start of a"}]

    simulate(story)


def test_daemon_that_observes_tells_what_would_have_started() -> None:
    """It starts nothing and keeps nothing: the next life, which works, starts it all."""

    async def story(world: World) -> None:
        world.refusal = RefusedError("only observes", code="observe")
        unwanted = flow_text("c", triggers=[at_start(**{"if": "false"})])
        await world.apply(flow("a"), flow("b", "daemon"), unwanted)
        await starts_of(world).observe()
        assert sorted((name, reason) for name, _, _, reason in world.skipped) == [
            ("a", "observe"),
            ("b", "observe"),
            ("c", "if"),
        ]
        assert await begun(world) == []
        later = await world.next_life()
        await starts_of(later, life="life-2").run()
        assert sorted(await begun(later)) == ["a", "b"]

    simulate(story)
