"""Every slot has exactly one outcome, whatever is edited, held, stopped, lost or set.

The real schedules, engine and ledger live through a story on virtual time, over the store in memory
and over the rows of the local one. At the end every slot that any version of the schedule had while
it was in force is found in the ledger or among the executions, once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.engine.recovery import recover
from flowrunner.model.execution import ScheduleKey, SlotRun
from flowrunner.model.ids import Json
from flowrunner.model.schedule import Schedule, count_between
from flowrunner.model.states import Reason
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.memory_slots import MemorySlots
from flowrunner.triggers.armed import start_key
from flowrunner.triggers.slot_keeper import SlotKeeper
from tests.fakes.definitions import flow_text
from tests.fakes.inline_threads import run_inline
from tests.fakes.local_rows import LocalRows
from tests.profile import examples
from tests.unit.triggers.slots import A, begin, every
from tests.unit.triggers.world import World

MOMENT = timedelta(microseconds=1)
PERIODS = ("10s", "1m", "7m")
LENGTHS = ("0s", "25s", "3m")

EDITS = st.tuples(
    st.just("edit"),
    st.fixed_dictionaries(
        {
            "every": st.sampled_from(PERIODS),
            "catchup": st.sampled_from(("none", "latest", "all")),
            "enabled": st.sampled_from((True, True, True, False)),
            "if": st.sampled_from((True, True, False)),
            "suspend": st.sampled_from((False, False, True)),
            "secrets": st.sampled_from(([], [], ["KEY"])),
            "on_conflict": st.sampled_from(("queue", "skip", "replace", "allow")),
            "length": st.sampled_from(LENGTHS),
        }
    ),
)
STEPS = st.lists(
    st.one_of(
        EDITS,
        st.just(("delete",)),
        st.just(("pause",)),
        st.just(("resume",)),
        st.tuples(st.just("pass"), st.sampled_from((5, 10, 40, 60, 130, 900))),
        st.tuples(st.just("sleep"), st.sampled_from((50, 70, 400, 30_000))),
        st.tuples(st.just("restart"), st.sampled_from((0, 5, 70, 400, 30_000))),
        st.tuples(st.just("jump"), st.sampled_from((-3600, -60, -3, 3, 61, 3600))),
    ),
    max_size=25,
)
FIRST: dict[str, Json] = {
    "every": "1m",
    "catchup": "latest",
    "enabled": True,
    "if": True,
    "suspend": False,
    "secrets": [],
    "on_conflict": "queue",
    "length": "25s",
}


def flow_of(said: dict[str, Any]) -> bytes:
    trigger = every(said["every"], **{key: said[key] for key in ("catchup", "enabled", "if")})
    return flow_text(
        "a",
        triggers=[trigger],
        suspend=said["suspend"],
        secrets=said["secrets"],
        concurrency={"on_conflict": said["on_conflict"]},
        nodes=[{"id": "only", "type": "wait", "params": {"for": said["length"]}}],
    )


def _key(fingerprint: str) -> ScheduleKey:
    return ScheduleKey(flow=A, trigger="schedule", fingerprint=fingerprint)


@dataclass
class Story:
    """A world, and how long each schedule was in force: from when it came to when it left.

    Attributes:
        spans: For each fingerprint the intervals in which it was in force, by the wall clock.
    """

    world: World
    files: list[bytes] = field(default_factory=list)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    spans: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    since: tuple[str, datetime] | None = None

    async def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("edit", said):
                await self.put(flow_of(said))
            case ("delete",):
                await self.put()
            case ("pause",) if A in self.world.registry.entries:
                await self.world.pauses.pause(A, reason="", until=None, uid=0)
            case ("resume",) if A in self.world.registry.entries:
                await self.world.pauses.resume(A)
            case ("pass", seconds):
                for _ in range(seconds // 5):
                    await asyncio.sleep(5)
                    await self.look()
            case ("sleep", seconds):
                await asyncio.sleep(seconds)
                await self.look()
            case ("restart", seconds):
                after = await self.world.next_life()
                await asyncio.sleep(seconds)
                await recover(after.engine, after.services, after.registry.rules_of)
                self.world = after
                await begin(after, *self.files)
                await self.rest()
            case ("jump", seconds):
                self.world.clock.jump(seconds)
                await self.look()

    async def put(self, *files: bytes) -> None:
        """Puts a version in force; a schedule that is another one begins at now."""
        await self.look()
        self.files = list(files)
        await self.world.apply(*files)
        await self.rest()
        entry, now = self.world.registry.get(A), self.world.clock.now()
        schedule = entry.spec.schedules[0].schedule if entry and entry.spec else None
        fingerprint = schedule.fingerprint if schedule else None
        if self.since is not None and self.since[0] != fingerprint:
            self._leaves(now)
        if schedule is not None and fingerprint is not None and self.since is None:
            self.schedules[fingerprint] = schedule
            # Under a clock that was set back it waits for what it has shown already.
            cursor = await self.world.storage.slots.cursor(_key(fingerprint))
            self.since = (fingerprint, max(now, cursor or now))

    async def look(self) -> None:
        """Lets the timers look at what is due."""
        self.world.timers.fire_due()
        await self.rest()

    async def rest(self) -> None:
        for _ in range(3):
            await self.world.schedules.settle()
            for _ in range(20):
                await asyncio.sleep(0)

    def _leaves(self, now: datetime) -> None:
        assert self.since is not None
        fingerprint, since = self.since
        self.spans.setdefault(fingerprint, []).append((since, now))
        self.since = None

    async def end(self) -> None:
        """Lets all that is in line be decided, and closes the last span."""
        self.world.timers.fire_all()
        await self.rest()
        await asyncio.sleep(3 * 3600)
        await self.rest()
        await self.put()
        await self.judge()

    async def judge(self) -> None:
        rows = await self.world.storage.slots.list(A, limit=100_000)
        started = Counter(
            execution.start_key
            for execution in await self.world.executions()
            if execution.cause.is_slot
        )
        assert [key for key, count in started.items() if count > 1] == []
        for fingerprint, spans in self.spans.items():
            mine = [row for row in rows if row.schedule.fingerprint == fingerprint]
            self._judge(fingerprint, spans, mine, set(started))

    def _judge(
        self,
        fingerprint: str,
        spans: list[tuple[datetime, datetime]],
        rows: list[SlotRun],
        started: set[str | None],
    ) -> None:
        schedule = self.schedules[fingerprint]
        outcomes = Counter[datetime]()
        for row in rows:
            covered = count_between(schedule, row.first - MOMENT, row.last)
            assert covered.total == row.count, row
            outcomes.update(schedule.slots_between(row.first - MOMENT, row.last))
        first = min(since for since, _ in spans)
        last = max([until for _, until in spans] + [row.last for row in rows])
        for slot in schedule.slots_between(first - timedelta(hours=2), last + timedelta(hours=3)):
            key = start_key(_key(fingerprint), slot)
            outcomes[slot] += key in started
        twice = [slot for slot, count in outcomes.items() if count > 1]
        assert twice == [], f"{schedule} has two outcomes at {twice[:3]}"
        due = {slot for since, until in spans for slot in schedule.slots_between(since, until)}
        none = sorted(slot for slot in due if not outcomes[slot])
        assert none == [], f"{schedule} has no outcome at {none[:3]}"


def live(steps: list[tuple[Any, ...]], make: Callable[[], MemoryStorage]) -> None:
    async def main() -> None:
        storage = make()
        world = World(storage)
        told = Story(world)
        try:
            await begin(world)
            await told.put(flow_of(FIRST))
            for step in steps:
                await told.step(step)
            await told.end()
        finally:
            await world.end()
            await storage.close()

    run_inline(main())


@pytest.mark.parametrize("make", [MemoryStorage, LocalRows], ids=["memory", "local"])
@settings(max_examples=examples(25))
@given(STEPS)
def test_every_slot_has_exactly_one_outcome(
    make: Callable[[], MemoryStorage], steps: list[tuple[Any, ...]]
) -> None:
    """No slot is forgotten and none has two outcomes, through all that may happen."""
    live(steps, make)


def _misses_the_superseded(original: Callable[..., Any]) -> Callable[..., Any]:
    async def miss(self: SlotKeeper, armed: Any, until: Any, reason: Any, *rest: Any) -> None:
        if reason != Reason.SUPERSEDED:
            await original(self, armed, until, reason, *rest)

    return miss


def _forgets_whatever_is_later(original: Callable[..., Any]) -> Callable[..., Any]:
    async def forget(self: MemorySlots, keys: Any, _: datetime) -> None:
        await original(self, keys, datetime.max.replace(tzinfo=UTC))

    return forget


SLEEPS = [("sleep", 400)]
NEVER = ("edit", {**FIRST, "if": False})
BACK = [NEVER, ("pass", 900), ("delete",), ("jump", -600), NEVER, ("pass", 300), ("delete",)]


@pytest.mark.parametrize(
    ("owner", "name", "make_bug", "steps", "verdict"),
    [
        (SlotKeeper, "_miss", _misses_the_superseded, SLEEPS, "no outcome"),
        (MemorySlots, "forget", _forgets_whatever_is_later, BACK, "two outcomes"),
    ],
    ids=["forgotten", "twice"],
)
def test_planted_bug_is_found(
    owner: type,
    name: str,
    make_bug: Callable[[Any], Any],
    steps: list[tuple[Any, ...]],
    verdict: str,
) -> None:
    """The story tells a slot that was forgotten, and one that was decided twice."""
    with (
        patch.object(owner, name, make_bug(getattr(owner, name))),
        pytest.raises(AssertionError, match=verdict),
    ):
        live(steps, MemoryStorage)
    live(steps, MemoryStorage)
