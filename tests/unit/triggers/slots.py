"""Short words for stories about slots: flows that are due, time that passes, the ledger."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from flowrunner.model.execution import Execution, ScheduleKey, SlotRun
from flowrunner.model.ids import Json
from flowrunner.model.schedule import EverySchedule
from flowrunner.triggers.schedules import FIRST_PASS
from tests.fakes.clock import DEFAULT_START as NOON
from tests.fakes.definitions import flow_text, key_of
from tests.unit.triggers.world import World

A, B = key_of("a"), key_of("b")
MINUTE, HOUR = 60.0, 3600.0


def every(period: str, **more: Json) -> Json:
    return {"type": "schedule", "every": period, **more}


def due(
    name: str = "a", period: str = "1m", *, trigger: dict[str, Json] | None = None, **top: Json
) -> bytes:
    """A flow that is due every minute, or every `period`; more keys of its trigger."""
    return flow_text(name, triggers=[every(period, **(trigger or {}))], **top)


NEVER: dict[str, Json] = {"catchup": "none"}
"""Keys of a trigger whose lost slots are not caught up."""


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def ledger_key(period_s: int = 60, trigger: str = "schedule") -> ScheduleKey:
    fingerprint = EverySchedule(period_s=period_s).fingerprint
    return ScheduleKey(flow=A, trigger=trigger, fingerprint=fingerprint)


async def turns() -> None:
    """Lets everything run that can run without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


async def begin(world: World, *files: bytes) -> None:
    """Starts the timers and puts flows in force; their cursors are open afterwards."""
    await world.schedules.load()
    world.timers.start()
    await world.arm_last_good()
    await world.apply(*files)
    world.schedules.lift_catchup(FIRST_PASS)
    await world.schedules.settle()


async def wait_until(world: World, seconds: float) -> None:
    """Lets virtual time pass, without any timer firing, up to so long after noon."""
    await asyncio.sleep(seconds - world.clock.monotonic())


async def fire(world: World, seconds: float, *, late: float = 0.0) -> None:
    """Lets time pass up to a moment and wakes what is due, `late` seconds later."""
    await wait_until(world, seconds + late)
    world.timers.fire_due()
    await world.schedules.settle()
    await turns()


def slots(executions: list[Execution]) -> list[float]:
    """When the slots of executions were due, in seconds after noon."""
    found = [each.cause.slot_at for each in executions]
    return [(slot - NOON).total_seconds() for slot in found if slot is not None]


def rows(found: list[SlotRun]) -> list[tuple[str, str, float, float, int]]:
    """Ledger rows in a few words, oldest first: outcome, reason, first, last, count."""
    return [
        (
            str(run.outcome),
            run.reason,
            (run.first - NOON).total_seconds(),
            (run.last - NOON).total_seconds(),
            run.count,
        )
        for run in reversed(found)
    ]


async def ledger(world: World) -> list[tuple[str, str, float, float, int]]:
    return rows(await world.storage.slots.list(A))
