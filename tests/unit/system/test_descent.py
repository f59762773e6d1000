"""Families by descent: who is whose, and that what has hidden is found all the same."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from flowrunner.system.descent import (
    OF_ENDING,
    UNOWNED,
    DescentFamilies,
    Judge,
    Newcomer,
    tell_owners,
)
from flowrunner.system.marks import Mark
from flowrunner.system.process import LocalSpawner, Process, SpawnRequest
from flowrunner.system.process_table import ProcessFacts, read_facts
from tests.fakes.spawner import RecordingSink

US, FIRST, SECOND = 10, 20, 30
"""Our number, and those of two leaders: the second began later."""

MARKS = {
    FIRST: Mark(execution="x", node="a", attempt="1", work="/state/work/x/files"),
    SECOND: Mark(execution="x", node="b", attempt="1", work="/state/work/x/files"),
}


def process(
    pid: int, parent: int, *, start: int = 0, state: str = "S", of: int = 0, threads: int = 1
) -> ProcessFacts:
    """A process in the session and group `of`, by default its own."""
    return ProcessFacts(
        pid=pid,
        state=state,
        parent=parent,
        group=of or pid,
        session=of or pid,
        threads=threads,
        start=start or pid,
    )


LEADERS = (process(FIRST, US), process(SECOND, US))


def members(
    *others: ProcessFacts,
    of: int = FIRST,
    orphans: frozenset[int] = frozenset(),
    marks: dict[int, Mark] | None = None,
    newcomers: tuple[Newcomer, ...] = (),
    ending: Collection[int] = (),
) -> list[int]:
    """Who belongs to a leader, besides itself."""
    table = {facts.pid: facts for facts in (*LEADERS, *others)}
    known = marks or {}
    judge = Judge(table, orphans, MARKS, newcomers, frozenset(ending), mark_of=known.get)
    found = tell_owners(table, US, judge).members.get(of, ())
    return sorted(facts.pid for facts in found if facts.pid != of)


def test_descendants_belong_at_any_distance() -> None:
    """A grandchild in a session of its own is found by its parents."""
    assert members(process(40, FIRST, of=FIRST), process(41, 40), process(42, SECOND)) == [40, 41]


def test_orphan_is_told_by_its_session_or_group() -> None:
    """Its parent has ended, its session has not: the number of the leader is still taken."""
    assert members(process(40, US, of=FIRST), process(41, US, of=SECOND)) == [40]


def test_orphan_is_told_by_its_mark() -> None:
    """In a session of its own it still carries the environment of its attempt, its children too."""
    marks = {40: MARKS[FIRST], 50: MARKS[SECOND]}
    found = members(
        process(40, US), process(41, 40), process(50, US), orphans=frozenset({40, 50}), marks=marks
    )
    assert found == [40, 41]


def test_orphan_without_any_trace_is_left_while_another_may_own_it() -> None:
    """Two attempts began before it: whose it is cannot be told, and nobody else's is killed."""
    orphan = process(40, US)
    assert members(orphan, orphans=frozenset({40})) == []
    assert members(orphan, orphans=frozenset({40}), of=SECOND) == []


@pytest.mark.parametrize(
    ("ending", "found"), [({FIRST, SECOND}, [40]), ({FIRST}, [])], ids=["all", "one"]
)
def test_orphan_without_any_trace_goes_with_all_that_may_own_it(
    ending: set[int], found: list[int]
) -> None:
    """Attempts that are killed together do not leave it to each other; one alone does."""
    orphans = frozenset({40})
    assert members(process(40, US), orphans=orphans, of=OF_ENDING, ending=ending) == found


def test_orphan_without_any_trace_goes_to_the_only_one_that_can_own_it() -> None:
    """The other attempt began after it did."""
    orphan = process(40, US, start=25)
    assert members(orphan, orphans=frozenset({40})) == [40]
    assert members(orphan, orphans=frozenset({40}), of=SECOND) == []


@pytest.mark.parametrize(("start", "found"), [(25, []), (26, [40])], ids=["before", "after"])
def test_orphan_that_one_being_started_may_own_is_left(start: int, found: list[int]) -> None:
    """A process may run, and have orphans, before we have heard of its start."""
    orphan = process(40, US, start=25)
    newcomers = (Newcomer(mark=None, start=start),)
    assert members(orphan, orphans=frozenset({40}), newcomers=newcomers) == found


def test_orphan_with_the_mark_of_one_being_started_is_its() -> None:
    """However early it began, as clocks are coarse."""
    mark = Mark(execution="y", node="a", attempt="1", work="/state/work/y/files")
    newcomers = (Newcomer(mark=mark, start=99),)
    found = members(
        process(40, US, start=25), orphans=frozenset({40}), marks={40: mark}, newcomers=newcomers
    )
    assert found == []


def test_orphan_that_is_older_than_every_attempt_is_unowned() -> None:
    """It has outlived its own: nobody has to be asked before it is ended."""
    assert members(process(15, US), orphans=frozenset({15}), of=UNOWNED) == [15]


def test_child_that_is_no_orphan_is_nobodys() -> None:
    """A tool of our own, such as git, is not touched, however alone an attempt is."""
    assert members(process(25, US)) == []


def test_mark_of_an_attempt_that_is_not_ours_counts_for_nothing() -> None:
    """A child of ours with the mark of another daemon is told by what is known of it here."""
    stranger = Mark(execution="x", node="a", attempt="1", work="/other/work/x/files")
    assert members(process(40, US), orphans=frozenset({40}), marks={40: stranger}) == []


def test_dead_do_not_belong_but_their_threads_do() -> None:
    """An ended process is nobody; one whose first thread has ended lives."""
    dead = process(40, FIRST, state="Z")
    headless = process(41, FIRST, state="Z", threads=2)
    assert members(dead, headless) == [41]


def test_strangers_and_circles_are_nobodys() -> None:
    """Who does not descend from us is not looked at; numbers given anew may even form a circle."""
    assert members(process(50, 1), process(60, 61), process(61, 60)) == []


# Real processes


@pytest.fixture
def spawner() -> Iterator[LocalSpawner]:
    made = LocalSpawner(DescentFamilies())
    yield made
    made.close()


def environment(node: str) -> dict[str, str]:
    """The environment of an attempt."""
    mark = {"EXECUTION_ID": "x", "NODE_ID": node, "ATTEMPT": "1", "WORK_DIR": "/state/work/x/files"}
    return {"PATH": "/usr/bin:/bin", **mark}


async def begin(spawner: LocalSpawner, script: str, node: str = "a") -> tuple[Process, int]:
    """Starts a script and returns the number that it prints."""
    sink = RecordingSink()
    request = SpawnRequest(argv=("/bin/sh", "-c", script), env=environment(node), cwd=Path("/"))
    started = await spawner.spawn(lambda: request, sink)
    while not sink.data["stdout"].endswith(b"\n"):  # noqa: ASYNC110 - another process sets no event
        await asyncio.sleep(0)
    return started, int(sink.data["stdout"])


def is_alive(pid: int) -> bool:
    facts = read_facts(pid)
    return facts is not None and facts.is_alive


ORPHAN = "setsid sh -c 'sleep 600 >/dev/null 2>&1 & echo $!'; {then}"
NAMELESS = "env -i setsid sh -c 'sleep 600 >/dev/null 2>&1 & echo $!'; {then}"


@pytest.mark.parametrize("script", [ORPHAN, NAMELESS], ids=["marked", "without-mark"])
def test_signals_reach_orphans(spawner: LocalSpawner, script: str) -> None:
    """A process in another session, whose parent has ended, gets its attempt's SIGTERM."""

    async def main() -> None:
        running, orphan = await begin(spawner, script.format(then="exec sleep 600"))
        await running.signal_all(signal.SIGTERM, signal.SIGCONT)
        assert await running.vacate(30)
        assert not is_alive(orphan)
        await running.close()

    asyncio.run(main())


def test_attempt_without_its_own_orphans_leaves_those_of_others(spawner: LocalSpawner) -> None:
    """What another attempt has running in the background goes on until that attempt ends."""

    async def main() -> None:
        first, orphan = await begin(spawner, ORPHAN.format(then="exec sleep 600"), "a")
        for _ in range(3):
            second, _pid = await begin(spawner, "echo $$", "b")
            await second.close()
            assert is_alive(orphan)
        await first.close()
        assert not is_alive(orphan)

    asyncio.run(main())


def test_orphan_without_mark_ends_with_the_last_that_may_own_it(spawner: LocalSpawner) -> None:
    """With two attempts running it is not known whose it is; it does not survive both."""

    async def main() -> None:
        other, _pid = await begin(spawner, "echo $$; exec sleep 600", "b")
        owner, orphan = await begin(spawner, NAMELESS.format(then="exec sleep 600"), "a")
        await owner.close()
        assert is_alive(orphan)
        await other.close()
        assert not is_alive(orphan)

    asyncio.run(main())


def test_orphans_that_have_ended_are_buried() -> None:
    """No corpse is kept of what an attempt has let go, while the attempt goes on."""
    families = DescentFamilies()
    spawner = LocalSpawner(families)

    async def main() -> None:
        running, orphan = await begin(spawner, "setsid sh -c 'true & echo $!'; exec sleep 600")

        while read_facts(orphan) is not None:
            await families.tidy()
        await running.close()

    asyncio.run(main())
    spawner.close()


def test_what_outlived_its_attempt_is_ended_when_nothing_runs() -> None:
    """What a kill could not find in time does not stay; while an attempt runs it is left alone."""
    families = DescentFamilies()
    spawner = LocalSpawner(families)

    async def main() -> None:
        running, orphan = await begin(spawner, ORPHAN.format(then="exec sleep 600"))
        await families.tidy()
        assert is_alive(orphan)
        os.kill(running.pid, signal.SIGKILL)
        await running.wait()
        families.remove(running.pid)
        while is_alive(orphan):
            await families.tidy()
        families._leaders[running.pid] = None
        await running.close()

    asyncio.run(main())
    spawner.close()


def test_status_of_a_leader_is_not_stolen() -> None:
    """Burying orphans takes no leader's exit code, also when its thread has ended before it."""
    families = DescentFamilies()
    spawner = LocalSpawner(families)

    async def main() -> int | None:
        running, pid = await begin(spawner, "echo $$; read line </dev/null; exit 7")
        await asyncio.to_thread(spawner.close)  # leaves its children to the main thread
        await running.wait()
        families.reap()
        assert read_facts(pid) is not None
        await running.close()
        return (await running.wait()).exit_code

    assert asyncio.run(main()) == 7


@pytest.mark.heavy
def test_everybody_who_forks_while_being_killed_ends(spawner: LocalSpawner, tmp_path: Path) -> None:
    """Processes that replace themselves in new sessions all the time do not get away."""
    allowed = tmp_path / "relay"  # whoever gets away ends by itself once the test has
    allowed.touch()
    script = f"""
    relay=': {os.getpid()}; sleep 0.01; [ -e {allowed} ] || exit
    kill -0 {os.getpid()} || exit; setsid sh -c "$RELAY" >/dev/null 2>&1 & exit'
    RELAY=$relay setsid sh -c "$relay" >/dev/null 2>&1
    echo $$
    exec sleep 600
    """

    async def main() -> None:
        running, _pid = await begin(spawner, script)
        await running.close()

    try:
        asyncio.run(main())
        assert [pid for pid in _relays() if is_alive(pid)] == []
    finally:
        allowed.unlink()


def _relays() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"RELAY=: {os.getpid()};".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.heavy
def test_orphans_of_fifty_at_once_all_end() -> None:
    """Attempts that all leave an orphan behind: no process and no descriptor stays."""
    families = DescentFamilies()
    spawner = LocalSpawner(families)

    async def one(number: int) -> int:
        running, orphan = await begin(spawner, ORPHAN.format(then="exit 0"), f"n{number}")
        await running.wait()
        await running.drain()
        await running.close()
        return orphan

    async def main() -> list[int]:
        await one(0)
        before = _resources()
        found = await asyncio.gather(*(one(number) for number in range(1, 51)))
        assert _resources() == before
        return found

    orphans = asyncio.run(main())
    spawner.close()
    assert [pid for pid in orphans if read_facts(pid) is not None] == []


def _resources() -> tuple[int, set[int]]:
    """Descriptors, and children of ours, dead ones too."""
    children = {
        facts.pid
        for entry in Path("/proc").glob("[0-9]*")
        if (facts := read_facts(int(entry.name))) and facts.parent == os.getpid()
    }
    return len(list(Path("/proc/self/fd").iterdir())), children
