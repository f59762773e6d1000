"""What a test leaves behind: tasks, descriptors, child processes, threads.

Looked at around every test by `tests/conftest.py`, so it is asked with few system calls: some 75
microseconds for both looks. /proc is searched only where there is a child.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

_FDS = "/proc/self/fd"
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)
_LAST_STEPS_S = 2.0
"""How long a thread that was let go may take to be gone; only waited for when one is there."""


class _Child(NamedTuple):
    """A direct child; the start tells two of one id apart.

    Source of both fields: proc_pid_stat(5).
    """

    pid: int
    started: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What this process has at one moment.

    Attributes:
        descriptors: What each open descriptor leads to.
        children: Direct children, those that nobody has waited for yet included.
        threads: All that keep the process from ending.
    """

    descriptors: dict[str, str]
    children: frozenset[_Child]
    threads: frozenset[threading.Thread]


def belongings() -> Belongings:
    """Looks at this process."""
    return Belongings(
        descriptors=_descriptors(), children=frozenset(_children()), threads=_threads()
    )


def left_since(before: Belongings) -> list[str]:
    """Returns a sentence about each thing that was not there before, in a stable order."""
    for thread in _threads() - before.threads:
        thread.join(_LAST_STEPS_S)
    now = belongings()
    descriptors = now.descriptors.items() - before.descriptors.items()
    return [
        *(f"descriptor {number} is open: {to}" for number, to in sorted(descriptors)),
        *(f"child {pid} is there: {_command(pid)}" for pid, _ in now.children - before.children),
        *sorted(f"thread {each.name} runs" for each in now.threads - before.threads),
    ]


def adopt_no_orphans() -> None:
    """Takes back what a daemon's part has made of this process: the subreaper of its children.

    Else orphans of later tests, which no daemon buries here, were children of this process.
    Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class PendingTasks:
    """Notes tasks that are pending when a loop is closed: `asyncio.run` cancels them unseen."""

    def __init__(self) -> None:
        self._noted: list[str] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Looks at the loops of all runners as long as the context is entered.

        The one place that every loop of `asyncio.run` passes, and no constructor takes it.
        """
        original, note = asyncio.Runner.close, self._note

        def close(runner: asyncio.Runner) -> None:
            note(getattr(runner, "_loop", None))
            original(runner)

        with patch.object(asyncio.Runner, "close", close):
            yield

    def take(self) -> list[str]:
        """Returns a sentence about each, and forgets them."""
        noted, self._noted = self._noted, []
        return noted

    def _note(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is None or loop.is_closed():
            return
        names = sorted(f"task {task.get_coro()} is pending" for task in asyncio.all_tasks(loop))
        self._noted.extend(names)


def _descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir(_FDS):  # noqa: PTH208 - twice as fast, twice around every test
        try:
            found[number] = os.readlink(f"{_FDS}/{number}")  # noqa: PTH115 - likewise
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


def _children() -> Iterator[_Child]:
    """Yields direct children; without any it costs one system call.

    Source: waitid(2): ECHILD says that there is none.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return
    own = str(os.getpid())
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[1] == own:
            yield _Child(int(folder.name), fields[19])


def _threads() -> frozenset[threading.Thread]:
    return frozenset(each for each in threading.enumerate() if not each.daemon)


def _command(pid: int) -> str:
    """Returns what a child was started as; a zombie has only its name left."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        return words.replace("\0", " ").strip() or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "it has gone meanwhile"
