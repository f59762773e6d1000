"""The table of processes: read as the kernel writes it, and signals to nobody else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.system.process_table import (
    ProcessFacts,
    newest_number,
    read_facts,
    read_table,
    send,
    wait_for_end,
)


def write_stat(
    proc: Path, pid: int, *, state: str = "S", threads: int = 1, name: str = "x"
) -> None:
    """What the kernel shows of a process. Source: proc(5), /proc/pid/stat."""
    (proc / str(pid)).mkdir()
    rest = f"{state} 5 6 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 990 1000"
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {rest}\n")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as running:
        yield running
        running.kill()


def facts_of(pid: int) -> ProcessFacts:
    facts = read_facts(pid)
    assert facts is not None
    return facts


def test_table_is_read_whatever_a_name_looks_like(tmp_path: Path) -> None:
    """Numbers are processes, other entries are not, and a name may hold anything."""
    write_stat(tmp_path, 20, name="odd) Z 1 99 (name")
    (tmp_path / "21").mkdir()
    (tmp_path / "uptime").write_text("1 1")
    expected = ProcessFacts(pid=20, state="S", parent=5, group=6, session=7, threads=1, start=990)
    assert read_table(tmp_path) == {20: expected}


def test_parent_that_ends_while_the_table_is_read_is_not_believed(tmp_path: Path) -> None:
    """A child that was read before its parent had ended is read again, and has its new parent."""
    orphan = ProcessFacts(pid=20, state="S", parent=7, group=6, session=7, threads=1, start=990)
    answers = iter([replace(orphan, parent=19), orphan])
    (tmp_path / "20").mkdir()
    assert read_table(tmp_path, lambda _pid, _proc: next(answers)) == {20: orphan}


def test_table_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A look that fails is not taken for an empty host."""
    with pytest.raises(OSError, match="No such file"):
        read_table(tmp_path / "none")


@pytest.mark.parametrize(
    ("state", "threads", "alive"),
    [("T", 1, True), ("Z", 1, False), ("X", 0, False), ("Z", 2, True)],
    ids=["stopped", "zombie", "dead", "first-thread-ended"],
)
def test_who_is_alive(tmp_path: Path, state: str, threads: int, *, alive: bool) -> None:
    """Stopped is alive, ended is not, and a process may live without its first thread."""
    write_stat(tmp_path, 20, state=state, threads=threads)
    assert read_table(tmp_path)[20].is_alive is alive


def test_newest_number_where_the_view_is_cut_down(tmp_path: Path) -> None:
    """Without /proc/loadavg nothing is told, and nothing fails."""
    assert newest_number(tmp_path) == b""
    assert newest_number().isdigit()


def test_signal_reaches_exactly_that_process(child: subprocess.Popen[bytes]) -> None:
    """A process is signalled under its number and the time of its start."""
    send(facts_of(child.pid), signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


def test_number_that_was_given_anew_is_not_signalled(child: subprocess.Popen[bytes]) -> None:
    """One that began at another time is a stranger: it is neither signalled nor waited for."""
    stranger = replace(facts_of(child.pid), start=1)
    send(stranger, signal.SIGKILL)
    asyncio.run(wait_for_end(stranger))
    assert child.poll() is None


def test_end_is_waited_for(child: subprocess.Popen[bytes]) -> None:
    """The wait ends with the process, also when it is not ours to reap, and with one long gone."""

    async def main() -> None:
        facts = facts_of(child.pid)
        waiting = asyncio.create_task(wait_for_end(facts))
        await asyncio.sleep(0)
        assert not waiting.done()
        child.kill()
        await waiting
        await wait_for_end(facts)
        child.wait()
        await wait_for_end(facts)

    asyncio.run(main())


def test_given_up_wait_leaves_no_descriptor(child: subprocess.Popen[bytes]) -> None:
    """A wait that is cancelled closes what it held."""

    async def main() -> tuple[int, int]:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts, no more
        waiting = asyncio.create_task(wait_for_end(facts_of(child.pid)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        return before, len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts, no more

    before, after = asyncio.run(main())
    assert before == after
