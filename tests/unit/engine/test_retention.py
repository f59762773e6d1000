"""What retention removes, and what it must not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.engine.log_quota import LogQuota
from flowrunner.engine.retention import (
    AFTER_START_S,
    EVERY_S,
    FEWEST,
    MOST,
    PAUSE_S,
    RELIEF_EVERY_S,
    TARGET_S,
    Pace,
    Retention,
    RetentionRules,
)
from flowrunner.engine.runtime import EngineFolders, log_folder
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import MOST_PROVEN, DeliveryReason
from flowrunner.model.digest import digest_of
from flowrunner.model.flow import RetentionSpec
from flowrunner.model.ids import Digest, FlowKey
from flowrunner.model.states import ExecutionState
from flowrunner.storage.local.definitions import LocalDefinitions
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.protocols import ExecutionQuery
from tests.fakes.clock import DEFAULT_START, FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.ids import sequential_id
from tests.fakes.inline_database import InlineDatabase
from tests.fakes.inline_threads import run_inline
from tests.fakes.records import BACKUP, DEFINITION, make_delivery, make_execution, make_slots

DONE, RUNNING = ExecutionState.SUCCEEDED, ExecutionState.RUNNING
STATE = Path("/state")
DAY = timedelta(days=1)


class Past:
    """A store, files and a retention of 3 executions and 30 days."""

    def __init__(
        self, executions: int = 3, log_bytes: int = 0, storage: MemoryStorage | None = None
    ) -> None:
        self.own: dict[FlowKey, RetentionSpec] = {}
        self.written = 0
        self.clock = FakeClock(DEFAULT_START + timedelta(hours=1))
        self.storage = storage or MemoryStorage()
        self.files = FakeFiles()
        self.folders = EngineFolders(
            work=STATE / "work", logs=STATE / "logs", flow=lambda _: STATE / "flows"
        )
        self.in_force: set[Digest] = set()
        self.quota = LogQuota(
            files=self.files,
            logs=self.folders.logs,
            clock=self.clock,
            executions=self.storage.executions,
            written=lambda: self.written,
            most_bytes=log_bytes,
        )
        self.retention = Retention(
            storage=self.storage,
            own=lambda: self.own,
            quota=self.quota,
            files=self.files,
            folders=self.folders,
            clock=self.clock,
            rules=RetentionRules(executions=executions, age=30 * DAY),
            in_force=lambda: self.in_force,
        )

    async def add(self, number: int, state: ExecutionState = DONE) -> None:
        """Adds an execution with a log and a work folder."""
        execution = make_execution(number, state=state)
        await self.storage.executions.create(execution)
        self.files.replace(self.log(number), b"line")
        self.files.replace(self.folders.work / execution.id / "files" / "x", b"")

    def log(self, number: int) -> Path:
        return log_folder(self.folders.logs, make_execution(number)) / "dump.1.log"

    def has(self, path: Path) -> bool:
        return self.files.stat(path) is not None

    async def kept(self) -> list[int]:
        found = await self.storage.executions.list(ExecutionQuery(limit=1_000))
        numbers = {sequential_id(number): number for number in range(400)}
        return sorted(numbers[execution.id] for execution in found)


def told(story: Callable[[Past], Awaitable[None]], executions: int = 3, log_bytes: int = 0) -> None:
    async def main() -> None:
        await story(Past(executions, log_bytes))

    run_inline(main())


def test_surplus_goes_with_its_logs() -> None:
    """The newest three stay, each with what it printed."""

    async def story(past: Past) -> None:
        for number in range(1, 6):
            await past.add(number)
        assert await past.retention.sweep() == 2
        assert await past.kept() == [3, 4, 5]
        assert [number for number in range(1, 6) if past.has(past.log(number))] == [3, 4, 5]

    told(story)


def test_rules_can_change() -> None:
    """The next sweep keeps as much as the new rules say, of executions and of logs."""

    async def story(past: Past) -> None:
        for number in range(1, 6):
            await past.add(number)
        past.retention.follow(RetentionRules(executions=2, age=30 * DAY), 1)
        assert await past.retention.sweep() == 3
        assert await past.kept() == [4, 5]
        assert past.quota.most_bytes == 1

    told(story)


def test_old_ones_go_but_for_the_newest() -> None:
    """A flow that has not run for months still tells how its last execution ended."""

    async def story(past: Past) -> None:
        await past.add(1)
        await past.add(2)
        past.clock.advance(60 * 86_400)
        assert await past.retention.sweep() == 1
        assert await past.kept() == [2]

    told(story)


def test_unfinished_execution_keeps_everything() -> None:
    """Execution, logs and work folder of what runs stay, however old."""

    async def story(past: Past) -> None:
        await past.add(1, RUNNING)
        for number in range(2, 7):
            await past.add(number)
        past.clock.advance(60 * 86_400)
        await past.retention.sweep()
        assert 1 in await past.kept()
        assert past.has(past.log(1))
        assert past.has(past.folders.work / sequential_id(1))
        assert not past.has(past.folders.work / sequential_id(6))

    told(story)


def test_logs_go_by_age_whoever_they_belong_to() -> None:
    """What a crash or a restored state left behind is removed with its day."""

    async def story(past: Past) -> None:
        old, young = past.folders.logs / "2026-01-01", past.folders.logs / "2027-02-28"
        foreign = past.folders.logs / "notes"
        for folder in (old, young, foreign):
            past.files.replace(folder / "unknown" / "a.1.log", b"")
        await past.retention.sweep()
        assert not past.has(old)
        assert past.has(young)
        assert past.has(foreign)

    told(story)


def test_folder_that_resists_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Logs and work folders behind it go all the same, and it is told by its name."""

    async def story(past: Past) -> None:
        for number in range(1, 7):
            await past.add(number)
        stuck = [make_execution(number).id for number in (1, 4)]
        for each in stuck:
            past.files.fail("remove_tree", each, PermissionError(1, "Operation not permitted"))
        assert await past.retention.sweep() == 3
        assert await past.kept() == [4, 5, 6]
        assert [past.has(past.log(number)) for number in (1, 2, 3)] == [True, False, False]
        assert past.files.names(past.folders.work) == stuck

    told(story)
    assert f"retention.left folder={STATE}/work/{make_execution(4).id}: " in caplog.text


def test_definition_goes_when_nobody_names_it() -> None:
    """One in force and one of a kept execution stay; a start between two sweeps is not raced."""

    async def story(past: Past) -> None:
        unused = digest_of({"name": "unused"})
        await past.storage.definitions.put(unused, {"name": "unused"})
        ran = digest_of(DEFINITION)
        await past.storage.definitions.put(ran, DEFINITION)
        await past.add(1)
        in_force = digest_of({"name": "new"})
        await past.storage.definitions.put(in_force, {"name": "new"})
        past.in_force = {in_force}
        await past.retention.sweep()
        assert len(await past.storage.definitions.list()) == 3
        await past.retention.sweep()
        assert await past.storage.definitions.list() == sorted([ran, in_force])

    told(story)


def test_definition_that_is_used_again_in_between_stays() -> None:
    """Two sweeps in a row must find it unused."""

    async def story(past: Past) -> None:
        digest = digest_of({"name": "now and then"})
        await past.storage.definitions.put(digest, {"name": "now and then"})
        for in_force in (set(), {digest}, set(), {digest}):
            past.in_force = in_force
            await past.retention.sweep()
        assert await past.storage.definitions.list() == [digest]

    told(story)


def test_definition_of_a_start_under_way_stays() -> None:
    """It was put since the first of two sweeps, though its execution comes after the second."""

    async def story(past: Past) -> None:
        digest = digest_of(DEFINITION)
        await past.storage.definitions.put(digest, DEFINITION)
        await past.retention.sweep()
        await past.storage.definitions.put(digest, DEFINITION)
        await past.retention.sweep()
        assert await past.storage.definitions.list() == [digest]
        await past.retention.sweep()
        await past.retention.sweep()
        assert await past.storage.definitions.list() == []

    told(story)


class OnDisk(MemoryStorage):
    """A store whose definitions are rows, so that their removal takes turns of the loop."""

    def __init__(self) -> None:
        super().__init__()
        rows = InlineDatabase()
        self._local = LocalDefinitions(rows.writer, rows.readers)

    @property
    def definitions(self) -> LocalDefinitions:  # type: ignore[override]  # another kind of store
        """Those on disk."""
        return self._local


@pytest.mark.parametrize("comes_by", ["a start", "a version in force"])
def test_start_at_any_moment_of_a_sweep_finds_its_definition(comes_by: str) -> None:
    """Whenever an unused definition is put again while a sweep removes it, the execution has it."""

    async def story(turns: int, seen: set[bool]) -> None:
        past = Past(storage=OnDisk())
        definitions, digest = past.storage.definitions, digest_of(DEFINITION)
        await definitions.put(digest, DEFINITION)
        await past.retention.sweep()
        sweeping = asyncio.create_task(past.retention.sweep())
        await asyncio.sleep(4 * PAUSE_S)  # start keys, slots, events and deliveries come before
        for _ in range(turns):
            await asyncio.sleep(0)
        seen.add(await definitions.get(digest) is None)
        if comes_by == "a version in force":
            past.in_force.add(digest)
        await definitions.put(digest, DEFINITION)
        await past.add(1)
        await sweeping
        assert await definitions.get(digest) == DEFINITION, turns

    seen: set[bool] = set()
    for turns in range(20):
        run_inline(story(turns, seen))
    assert seen == {False, True}


@pytest.mark.heavy
def test_large_history_is_removed_in_pieces() -> None:
    """Other writes get their turn between two of ours."""

    async def story(past: Past) -> None:
        for number in range(1, 300):
            await past.add(number)
        sweeping = asyncio.create_task(past.retention.sweep())
        sizes = []
        while not sweeping.done():
            await asyncio.sleep(0.005)
            sizes.append(len(await past.kept()))
        steps = [before - after for before, after in itertools.pairwise(sizes)]
        assert max(steps) <= MOST
        assert await past.kept() == [297, 298, 299]

    told(story)


def test_pieces_follow_what_the_disk_can_do() -> None:
    """They grow while it is fast, shrink while it is slow, between bounds; so does the rest."""
    pace = Pace()
    for _ in range(20):
        pace.learn(TARGET_S / 10)
    assert (pace.size, pace.rest_s) == (MOST, PAUSE_S)
    pace.learn(TARGET_S * 0.75)
    assert pace.size == MOST
    for _ in range(20):
        pace.learn(1.0)
    assert (pace.size, pace.rest_s) == (FEWEST, 1.0)


async def ended(running: asyncio.Task[None]) -> None:
    """Cancels a task and waits until it is gone."""
    running.cancel()
    await asyncio.wait([running])


def test_sweeps_come_by_the_clock() -> None:
    """One soon after the start, then one every ten minutes."""

    async def story(past: Past) -> None:
        running = asyncio.create_task(past.retention.run())
        for number in range(1, 6):
            await past.add(number)
        await asyncio.sleep(AFTER_START_S + 1)
        assert await past.kept() == [3, 4, 5]
        await past.add(6)
        await asyncio.sleep(EVERY_S + 1)
        assert await past.kept() == [4, 5, 6]
        await ended(running)

    told(story)


@pytest.mark.heavy
@given(
    states=st.lists(st.sampled_from(list(ExecutionState)), max_size=12),
    keep=st.integers(1, 6),
    days=st.integers(0, 60),
)
def test_what_must_stay_stays(states: list[ExecutionState], keep: int, days: int) -> None:
    """Unfinished ones, the newest ended and the newest so many that are young; nothing else."""

    async def story(past: Past) -> None:
        for number, state in enumerate(states, 1):
            await past.add(number, state)
        past.clock.advance(days * 86_400)
        await past.retention.sweep()
        numbers = list(range(1, len(states) + 1))
        ended = [number for number in numbers if states[number - 1].is_final]
        young = numbers[-keep:] if days <= 29 else []
        must = {n for n in numbers if n not in ended} | set(ended[-1:]) | set(young)
        assert await past.kept() == sorted(must)

    told(story, keep)


def test_flow_says_how_many_of_its_executions_are_kept() -> None:
    """What the version in force says wins, key by key; without one the settings hold again."""

    async def story(past: Past) -> None:
        for number in range(1, 7):
            await past.add(number)
        past.own[make_execution(1).flow] = RetentionSpec(executions=5)
        await past.retention.sweep()
        assert await past.kept() == [2, 3, 4, 5, 6]
        past.own.clear()
        await past.retention.sweep()
        assert await past.kept() == [4, 5, 6]

    told(story)


def test_flow_says_for_how_long_its_executions_are_kept() -> None:
    """A longer age keeps executions and logs beyond that of the settings."""

    async def story(past: Past) -> None:
        for number in (1, 2, 3):
            await past.add(number)
        past.own[make_execution(1).flow] = RetentionSpec(age_s=90 * 86_400.0)
        past.clock.advance(60 * 86_400)
        await past.retention.sweep()
        assert await past.kept() == [1, 2, 3]
        assert past.has(past.log(1))
        past.clock.advance(40 * 86_400)
        await past.retention.sweep()
        assert await past.kept() == [3]
        assert not past.has(past.log(3))

    told(story)


def test_old_logs_of_the_newest_execution_go_though_others_keep_theirs_longer() -> None:
    """An execution that is kept as the newest of its flow loses its logs, and that is known."""

    async def story(past: Past) -> None:
        await past.add(1)
        past.own[FlowKey("default", "other")] = RetentionSpec(age_s=900 * 86_400.0)
        past.clock.advance(31 * 86_400)
        await past.retention.sweep()
        assert await past.kept() == [1]
        assert not past.has(past.log(1))
        assert past.retention.logs_are_gone(make_execution(1))

    told(story)


def test_beyond_the_bytes_the_oldest_logs_go() -> None:
    """The executions stay, what runs keeps its log, and those that lost theirs are known."""

    async def story(past: Past) -> None:
        await past.add(1, RUNNING)
        for number in range(2, 7):
            await past.add(number)
        await past.retention.sweep()
        assert await past.kept() == [1, 2, 3, 4, 5, 6]
        has_log = [past.has(past.log(number)) for number in range(1, 7)]
        assert has_log == [True, False, False, False, True, True]
        gone = [past.retention.logs_are_gone(make_execution(number)) for number in range(1, 7)]
        assert gone == [not has for has in has_log]

    told(story, executions=100, log_bytes=12)


def test_what_is_written_counts_without_another_walk() -> None:
    """Between two walks the sum follows what was written and removed."""

    async def story(past: Past) -> None:
        for number in (1, 2, 3):
            await past.add(number)
        await past.retention.sweep()
        assert past.quota.total == 12
        past.files.replace(past.log(2).with_name("later.1.log"), b"not looked at")
        past.written += 5
        await past.retention.sweep()
        assert past.quota.total == 13
        assert [past.has(past.log(number)) for number in (1, 2, 3)] == [False, True, True]

    told(story, executions=100, log_bytes=15)


def test_low_disk_takes_logs_but_none_of_the_last_day() -> None:
    """Room is made once it is asked for; what a person looks for today stays."""

    async def story(past: Past) -> None:
        running = asyncio.create_task(past.retention.run())
        for number in (1, 2, 3):
            await past.add(number)
        past.retention.disk_low(5)
        await asyncio.sleep(1)
        assert past.has(past.log(1))
        past.clock.advance(3 * 86_400)
        past.retention.disk_low(5)
        await asyncio.sleep(RELIEF_EVERY_S)
        assert [past.has(past.log(number)) for number in (1, 2, 3)] == [False, False, True]
        await ended(running)

    told(story, executions=100)


def test_slot_ledger_is_pruned_with_the_longest_age() -> None:
    """Rows go when no flow keeps executions of their time any more."""

    async def story(past: Past) -> None:
        await past.storage.slots.record(make_slots(1, 1))
        await past.storage.slots.record(make_slots(2, 2, reason="other"))
        past.own[make_execution(1).flow] = RetentionSpec(age_s=90 * 86_400.0)
        past.clock.advance(60 * 86_400)
        await past.retention.sweep()
        assert len(await past.storage.slots.list(BACKUP)) == 2
        past.own.clear()
        await past.retention.sweep()
        assert len(await past.storage.slots.list(BACKUP)) == 1

    told(story)


def test_old_deliveries_go() -> None:
    """Those older than anything that is kept, whoever sent them."""

    async def story(past: Past) -> None:
        reason = DeliveryReason.IF_FALSE
        await past.storage.deliveries.record([make_delivery(n, reason) for n in (1, 2)])
        past.clock.advance((30 * DAY).total_seconds() - 3_480.0)
        await past.storage.deliveries.record([make_delivery(3, reason)])
        await past.retention.sweep()
        kept = await past.storage.deliveries.list(DeliveryQuery())
        assert [each.id[-1] for each in kept] == ["3", "2"]

    run_inline(story(Past()))


def test_newest_deliveries_of_each_flow_are_kept() -> None:
    """A hook that is called all day costs no other one its records."""
    other = FlowKey("default", "other")

    async def story(past: Past) -> None:
        quiet = make_delivery(0, DeliveryReason.IF_FALSE, flow=other)
        many = [make_delivery(n, DeliveryReason.IF_FALSE) for n in range(1, MOST_PROVEN + 251)]
        busy = [replace(each, at=past.clock.now()) for each in many]
        await past.storage.deliveries.record([quiet, *busy])
        await past.retention.sweep()
        kept = await past.storage.deliveries.list(DeliveryQuery(limit=9_999))
        assert len(kept) == MOST_PROVEN + 1
        assert quiet.id in {each.id for each in kept}
        assert busy[-1].id in {each.id for each in kept}

    run_inline(story(Past()))
