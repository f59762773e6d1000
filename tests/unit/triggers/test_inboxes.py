"""Promises of `flowrunner.triggers.inboxes`: a flow starts once for each new content of a file."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from pathlib import Path
from typing import Self

from flowrunner.errors import RefusedError
from flowrunner.model.accounts import AccountMap
from flowrunner.model.ids import Json
from flowrunner.model.mark import MarkKind
from flowrunner.triggers.inbox_look import InboxLooks
from flowrunner.triggers.inboxes import HINTED_PAUSE_S, LONGEST_PAUSE_S, Inboxes
from tests.fakes.definitions import flow_text, key_of
from tests.fakes.files import FakeFiles
from tests.fakes.folder_watch import FakeFolderWatch
from tests.unit.triggers.slots import at, turns
from tests.unit.triggers.world import SLEEP, World, simulate

INBOX = Path("/srv/in")
ROOTS = {"default": ("/srv",)}
LONG = 25.0
"""More than `settle` and a pause between two looks."""


def inbox(path: str = "/srv/in/*.csv", **more: Json) -> Json:
    return {"type": "file", "path": path, **more}


def flow(name: str = "a", trigger: Json | None = None, **top: Json) -> bytes:
    top.setdefault("concurrency", {"on_conflict": "allow"})
    return flow_text(name, triggers=[trigger or inbox()], **top)


class Looking:
    """The inboxes of a world at work, until the end of the block."""

    def __init__(self, world: World, files: FakeFiles, *flows: bytes) -> None:
        self._world, self._flows = world, flows
        self.watch = FakeFolderWatch()
        self.inboxes = Inboxes(
            registry=world.registry,
            occasions=world.occasions,
            marks=world.storage.marks,
            looks=InboxLooks(files, ROOTS, self.watch),
            clock=world.clock,
        )
        world.subscribe(self.inboxes, AccountMap(roots=ROOTS))

    async def __aenter__(self) -> Self:
        if self._flows:
            await self._world.apply(*self._flows)
        else:
            await self._world.arm_last_good()
        self._running = asyncio.create_task(self.inboxes.run())
        await turns()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        self.inboxes.close()


async def paths(world: World) -> list[str]:
    """The files for which executions were started, in order."""
    return [str(each.cause.context["path"]) for each in await world.executions()]


def test_new_file_starts_the_flow_once_it_has_settled() -> None:
    """A file that holds still for `settle` starts the flow, with its path and nothing else."""

    async def story(world: World) -> None:
        files = FakeFiles()
        trigger = inbox(inputs={"x": "${{ trigger.path }}"})
        async with Looking(world, files, flow("a", trigger, inputs={"x": {}})):
            files.write(INBOX / "1.csv", b"one")
            files.write(INBOX / "1.txt", b"other")
            await asyncio.sleep(9)
            assert await paths(world) == []
            await asyncio.sleep(LONG)
            (execution,) = await world.executions()
            await asyncio.sleep(LONG)
        assert await paths(world) == ["/srv/in/1.csv"]
        assert (execution.cause.trigger_id, execution.cause.trigger_type) == ("file", "file")
        assert execution.inputs == {"x": "/srv/in/1.csv"}
        assert execution.cause.payload is None

    simulate(story)


def test_file_that_is_still_written_waits() -> None:
    """Each change begins the time of `settle` anew; in the end it counts once."""

    async def story(world: World) -> None:
        files = FakeFiles()
        async with Looking(world, files, flow()):
            for size in range(10):
                files.write(INBOX / "1.csv", b"x" * size)
                await asyncio.sleep(6)
            assert await paths(world) == []
            await asyncio.sleep(LONG)
        assert await paths(world) == ["/srv/in/1.csv"]

    simulate(story)


def test_file_is_taken_as_soon_as_it_has_settled() -> None:
    """The end of `settle` is looked at by itself, whatever the time between two looks."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(INBOX / "1.csv", b"one")
        async with Looking(world, files, flow("a", inbox(settle="61s"))):
            await asyncio.sleep(61)
            await turns()
            assert await paths(world) == ["/srv/in/1.csv"]

    simulate(story)


def test_new_content_counts_again_and_a_restart_does_not() -> None:
    """The same content is done with, over a restart too; another one starts the flow again."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(INBOX / "1.csv", b"one")
        async with Looking(world, files, flow()):
            await asyncio.sleep(LONG)
        later = await world.next_life()
        async with Looking(later, files):
            await asyncio.sleep(LONG)
            assert await paths(later) == ["/srv/in/1.csv"]
            files.write(INBOX / "1.csv", b"two")
            await asyncio.sleep(LONG)
        assert await paths(later) == ["/srv/in/1.csv"] * 2

    simulate(story)


def test_history_that_is_gone_does_not_matter() -> None:
    """A file is done with though no execution remembers it any more."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(INBOX / "1.csv", b"one")
        async with Looking(world, files, flow()):
            await asyncio.sleep(LONG)
        store = world.storage.executions
        await store.delete((await world.executions())[0].id)
        later = await world.next_life()
        async with Looking(later, files):
            await asyncio.sleep(LONG)
        assert await paths(later) == []

    simulate(story)


def test_folder_that_is_away_for_a_while_brings_nothing_twice() -> None:
    """Files that vanish and come back as they were, as those of a mount, are done with."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(INBOX / "1.csv", b"one")
        async with Looking(world, files, flow()):
            await asyncio.sleep(LONG)
            files.fail("walk", "/in", OSError(errno.EIO, "Input/output error"))
            await asyncio.sleep(LONG)
            files.mend()
            await asyncio.sleep(LONG)
        assert await paths(world) == ["/srv/in/1.csv"]

    simulate(story)


def test_flow_that_cannot_take_files_leaves_them_where_they_are() -> None:
    """While it is paused, or the disk full, its files wait; later each of them starts it."""

    async def story(world: World) -> None:
        files = FakeFiles()
        async with Looking(world, files, flow()):
            await world.pauses.pause(key_of("a"), reason="", until=None, uid=0)
            files.write(INBOX / "1.csv", b"one")
            await asyncio.sleep(LONG)
            assert await paths(world) == []
            world.refusal = RefusedError("no room", code="disk")
            await world.pauses.resume(key_of("a"))
            await asyncio.sleep(LONG)
            assert await paths(world) == []
            world.refusal = None
            await asyncio.sleep(LONGEST_PAUSE_S)
        assert await paths(world) == ["/srv/in/1.csv"]
        assert world.skipped == []

    simulate(story)


def test_full_queue_takes_files_one_after_the_other() -> None:
    """Beyond `queue_limit` files wait in their folder, and none is lost."""

    async def story(world: World) -> None:
        files = FakeFiles()
        nodes = [{"id": "only", "type": "wait", "params": {"for": "1m"}}]
        limited = flow("a", nodes=nodes, concurrency={"queue_limit": 2})
        for number in range(6):
            files.write(INBOX / f"{number}.csv", b"x" * number)
        async with Looking(world, files, limited):
            await asyncio.sleep(LONG)
            assert len(await paths(world)) == 3
            await asyncio.sleep(600)
        assert await paths(world) == [f"/srv/in/{number}.csv" for number in range(6)]
        assert world.skipped == []

    simulate(story)


def test_file_that_is_not_wanted_is_done_with() -> None:
    """Where `if` is false, or under `on_conflict: skip`, a file is skipped for good, and said."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(INBOX / "1.csv", b"one")
        busy = flow("b", nodes=SLEEP, concurrency={"on_conflict": "skip"})
        never = flow("a", inbox(**{"if": "ends_with(trigger.path, '.txt')"}))
        async with Looking(world, files, never, busy):
            await asyncio.sleep(LONG)
            files.write(INBOX / "2.csv", b"two")
            await asyncio.sleep(3 * LONG)
        assert sorted(world.skipped) == [
            ("a", "file", "file", "if"),
            ("a", "file", "file", "if"),
            ("b", "file", "file", "concurrency"),
        ]
        assert await paths(world) == ["/srv/in/1.csv"]

    simulate(story)


def test_link_out_of_the_root_is_not_followed() -> None:
    """Neither a file nor a folder that a link brings in from outside is looked at."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(Path("/etc/secret.csv"), b"secret")
        files.link(INBOX / "file.csv", "/etc/secret.csv")
        files.link(Path("/srv/out"), "/etc")
        files.pipe(INBOX / "pipe.csv")
        through = flow("b", inbox("/srv/out/*.csv"))
        async with Looking(world, files, flow(), through):
            await asyncio.sleep(LONG)
        assert await paths(world) == []

    simulate(story)


def test_path_outside_of_the_roots_makes_the_flow_not_ready() -> None:
    """A flow may look only where its account may; the condition says so."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(Path("/etc/x.csv"), b"x")
        async with Looking(world, files, flow("a", inbox("/etc/*.csv"))):
            await asyncio.sleep(LONG)
        assert await paths(world) == []
        entry = world.registry.require(key_of("a"))
        assert entry.bar is not None
        assert "/etc/*.csv" in entry.bar.message

    simulate(story)


def test_marks_leave_with_their_trigger() -> None:
    """What was done with is forgotten when its trigger is gone, and kept when it changes."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.write(INBOX / "1.csv", b"one")
        async with Looking(world, files, flow("a"), flow("b")):
            await asyncio.sleep(LONG)
            await world.apply(flow("a", inbox("/srv/in/*")), flow_text("b"), flow("c"))
            await asyncio.sleep(LONG)
        assert [each.flow.name for each in await world.executions()] == ["a", "b", "c"]
        marks = await world.storage.marks.list(MarkKind.FILE)
        assert sorted(key.flow.name for key in marks) == ["a", "c"]

    simulate(story)


def test_daemon_without_such_triggers_looks_at_nothing() -> None:
    """No trigger, no look: files cost those alone who ask for them."""

    async def story(world: World) -> None:
        files = FakeFiles()
        async with Looking(world, files, flow_text("a")):
            await asyncio.sleep(3_600)
        assert files.calls == []

    simulate(story)


# Hints


def test_hint_is_a_reason_to_look_at_once() -> None:
    """A file starts its flow `settle` after it came, not after the next look."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.make_folder(INBOX)
        async with Looking(world, files, flow("a", inbox(settle="20s"))) as looking:
            await asyncio.sleep(1)
            files.write(INBOX / "1.csv", b"one")
            looking.watch.poke(str(INBOX))
            await asyncio.sleep(20)
            await turns()
            assert await paths(world) == ["/srv/in/1.csv"]
            (execution,) = await world.executions()
            assert execution.created_at == at(21)

    simulate(story)


def test_file_that_nobody_tells_of_is_found_by_looking() -> None:
    """Without a hint it starts its flow all the same, up to ten seconds later."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.make_folder(INBOX)
        async with Looking(world, files, flow("a", inbox(settle="20s"))):
            await asyncio.sleep(1)
            files.write(INBOX / "1.csv", b"one")
            await asyncio.sleep(20 + LONGEST_PAUSE_S)
        assert await paths(world) == ["/srv/in/1.csv"]

    simulate(story)


def test_hints_that_keep_coming_do_not_take_all_the_time() -> None:
    """A folder into which something comes all the time is looked at twice a second at most."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.make_folder(INBOX)
        async with Looking(world, files, flow()) as looking:
            before = files.calls.count(("walk", INBOX))
            for _ in range(1_000):
                looking.watch.poke(str(INBOX))
                await asyncio.sleep(0.01)
            looks = files.calls.count(("walk", INBOX)) - before
        assert 10 / HINTED_PAUSE_S - 1 <= looks <= 10 / HINTED_PAUSE_S + 1

    simulate(story)


def test_folder_that_is_heard_of_from_now_on_is_looked_at_once_more() -> None:
    """What came between the look and the watch is found without a hint of its own."""

    async def story(world: World) -> None:
        files = FakeFiles()
        glob = inbox("/srv/in/**/*.csv", settle="20s")
        async with Looking(world, files, flow("a", glob)) as looking:
            files.make_folder(INBOX)
            await asyncio.sleep(LONGEST_PAUSE_S)
            files.make_folder(INBOX / "new")
            looking.watch.poke(str(INBOX))
            await turns()
            (folders,) = looking.watch.followed.values()
            assert [each.path for each in folders] == ["/srv/in", "/srv/in/new"]
            files.write(INBOX / "new" / "1.csv", b"one")
            await asyncio.sleep(20 + 2 * HINTED_PAUSE_S)
            assert await paths(world) == ["/srv/in/new/1.csv"]

    simulate(story)


def test_only_folders_where_a_file_may_come_are_followed() -> None:
    """What the glob does not lead to is not, nor anything once no trigger looks there."""

    async def story(world: World) -> None:
        files = FakeFiles()
        for name in ("a/in/deep", "a/other", "b/in", ".hidden/in"):
            files.make_folder(Path("/srv") / name)
        async with Looking(world, files, flow("a", inbox("/srv/*/in/*.csv"))) as looking:
            (folders,) = looking.watch.followed.values()
            found = [each.path for each in folders]
            assert found == ["/srv", "/srv/a", "/srv/a/in", "/srv/b", "/srv/b/in"]
            await world.apply(flow("a", inbox("/srv/b/in/*.csv")))
            await asyncio.sleep(LONG)
            (folders,) = looking.watch.followed.values()
            assert [each.path for each in folders] == ["/srv/b/in"]

    simulate(story)


def test_folders_that_do_not_tell_are_told_of() -> None:
    """While hints cannot be relied on there is a condition, a number, and one line in the log."""

    async def story(world: World) -> None:
        files = FakeFiles()
        files.make_folder(INBOX)
        flows = (flow("a"), flow("b", inbox("/srv/in/*.txt")))
        async with Looking(world, files) as looking:
            looking.watch.failure = "no room"
            await asyncio.sleep(1)
            await world.apply(*flows)
            await asyncio.sleep(LONG)
            (condition,) = looking.inboxes.conditions()
            assert (condition.type, condition.status) == ("FilesWatched", "False")
            assert condition.message.endswith(": no room, and so of 1 more")
            assert condition.last_transition_at == at(1)
            assert looking.inboxes.unheard() == 2
            looking.watch.failure = ""
            await asyncio.sleep(LONG)
            assert (looking.inboxes.conditions(), looking.inboxes.unheard()) == ((), 0)

    simulate(story)
