"""Many flows due in the same second, for the figures of rows 3 and 4."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.in_daemon import folder_of_a_run
from flowrunner.config.settings import EngineSettings, Settings, SourceSettings, StorageSettings
from flowrunner.daemon.build import Parts, build
from flowrunner.daemon.garbage import begin
from flowrunner.model.execution import Execution
from flowrunner.model.ids import FlowKey
from flowrunner.model.schedule import EverySchedule
from flowrunner.system.descent import DescentFamilies
from flowrunner.triggers.schedules import FIRST_PASS

_ROOM_S = 2.0
"""Before a slot: so long at least everything is armed and at rest."""
_PREPARATION_S = 2.0
_PREPARATION_OF_EACH_S = 0.008
"""How long it takes to write flows and to arm them, at most as a rule."""
_PERIODS_S = range(30, 3_600)
"""No second slot comes before the last start of the first one."""
_SOON_S = 3.0
_FLOW = """version: 1
name: due-{number}
triggers:
  - type: schedule
    every: {period}s
nodes:
  - id: only
    run: 'true'
"""


class _Seen(NamedTuple):
    """What was measured, in seconds.

    Attributes:
        delays: From the slot to the start of each node.
        turns: How long each turn of the loop took that was looked at; none if that was not asked.
    """

    delays: list[float]
    turns: list[float]


class Bursts:
    """Bursts of so many flows; two rows about the same one share them, in their order.

    A burst takes seconds. The turns of the loop have bursts of their own: to look at them takes the
    loop a fiftieth of its time.
    """

    def __init__(self) -> None:
        self._seen: dict[int, list[_Seen]] = {}
        self._asked: Counter[tuple[str, int]] = Counter()

    def median_s(self, flows: int) -> float:
        """Returns the median from the slot to the start of the node, in seconds."""
        return median(self._next("median", flows).delays)

    def last_s(self, flows: int) -> float:
        """Returns the last of them."""
        return max(self._next("last", flows).delays)

    def stall_s(self, flows: int) -> float:
        """Returns how long the loop was held at most while they started."""
        return max(_run(flows, looks_at_turns=True).turns)

    def _next(self, what: str, flows: int) -> _Seen:
        """Returns the next burst of which this was not asked yet."""
        seen, number = self._seen.setdefault(flows, []), self._asked[what, flows]
        self._asked[what, flows] += 1
        if number == len(seen):
            seen.append(_run(flows))
        return seen[number]


def _run(flows: int, *, looks_at_turns: bool = False) -> _Seen:
    root = folder_of_a_run()
    (root / "flows").mkdir()
    period_s = _period_s(time.time() + _PREPARATION_S + flows * _PREPARATION_OF_EACH_S + _ROOM_S)
    for number in range(flows):
        text = _FLOW.format(number=number, period=period_s)
        (root / "flows" / f"{number}.yaml").write_text(text)
    return asyncio.run(_carried(root, flows, period_s, looks_at_turns=looks_at_turns))


def _period_s(after: float) -> int:
    """Returns a period with a slot soon after a time: a short one, should that slot be missed."""
    return min(_PERIODS_S, key=lambda each: (-after % each > _SOON_S, each))


async def _carried(root: Path, flows: int, period_s: int, *, looks_at_turns: bool) -> _Seen:
    settings = replace(
        Settings(),
        storage=StorageSettings(path=root / "state"),
        source=SourceSettings(path=root / "flows"),
        engine=EngineSettings(max_running_executions=10_000),
    )
    parts = build(settings, {}, DescentFamilies())
    await parts.storage.open()
    try:
        await parts.reconciler.start()
        parts.schedules.lift_catchup(FIRST_PASS)
        await parts.schedules.settle()
        slot = _next_slot(parts, period_s)
        ticks: list[float] = []
        parts.timers.start()
        begin()
        await _until(lambda: parts.ground.clock.now() >= slot - timedelta(seconds=0.5))
        ticking = asyncio.create_task(_tick(ticks)) if looks_at_turns else None
        await _until(lambda: parts.ground.clock.now() >= slot)
        await _until_ended(parts, flows, slot)
        if ticking is not None:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
        return _Seen(await _delays(parts, flows, slot), ticks)
    finally:
        parts.timers.stop()
        await parts.schedules.settle()
        await parts.engine.drain(10)
        parts.log_writer.close()
        parts.spawner.close()
        await parts.storage.close()


def _next_slot(parts: Parts, period_s: int) -> datetime:
    now = parts.ground.clock.now() + timedelta(seconds=_ROOM_S)
    found = EverySchedule(period_s=period_s).next_after(now)
    if found is None:
        raise RuntimeError("a period always has a next slot")
    return found


async def _tick(found: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(0)
        found.append(loop.time() - before)
        await asyncio.sleep(0.001)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.005)


async def _until_ended(parts: Parts, flows: int, slot: datetime) -> None:
    """Returns when every flow has run; one alone may have begun and ended between two looks."""
    while True:
        await _until(lambda: parts.engine.running_count == 0)
        found = await _executions(parts, flows, slot)
        if len(found) == flows and all(each.state.is_final for each in found):
            return
        await asyncio.sleep(0.005)


async def _executions(parts: Parts, flows: int, slot: datetime) -> list[Execution]:
    """Returns the executions of a slot, up to the first flow that has none."""
    found: list[Execution] = []
    for number in range(flows):
        key, before = FlowKey("default", f"due-{number}"), slot - timedelta(seconds=1)
        of_flow = await parts.storage.executions.of_slots(key, after=before, until=slot, limit=1)
        if not of_flow:
            break
        found += of_flow
    return found


async def _delays(parts: Parts, flows: int, slot: datetime) -> list[float]:
    """Returns how long after the slot each flow's node began."""
    delays = []
    for execution in await _executions(parts, flows, slot):
        (attempt,) = await parts.storage.journal.attempts(execution.id)
        delays.append((attempt.started_at - slot).total_seconds())
    return delays
