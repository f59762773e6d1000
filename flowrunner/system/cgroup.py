"""One control group of version 2: who is in it, killing all of them, waiting, removing.

Source: Documentation/admin-guide/cgroup-v2.rst of Linux. Which groups there are, and that the
daemon may make them, is left to `flowrunner.system.cgroup_family`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from flowrunner.system.process_table import ProcessFacts, read_facts, send

PROCS = "cgroup.procs"
_EVENTS, _KILL, _FREEZE = "cgroup.events", "cgroup.kill", "cgroup.freeze"
_EVENT_BYTES = 256
_GONE = (errno.ENOENT, errno.ENODEV)
"""What reading a file of a group says that is removed, or is removed meanwhile."""
_INHABITED = (errno.EBUSY, errno.ENOTEMPTY)
"""What rmdir(2) says of a group with processes or groups in it."""


class Cgroup:
    """A control group and all groups below it.

    Args:
        path: Its folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def members(self) -> list[ProcessFacts]:
        """Returns the live processes; blocks.

        Raises:
            OSError: They cannot be told: this process has run out of descriptors.
        """
        found = (read_facts(pid) for folder in self._tree() for pid in _numbers(folder))
        return [facts for facts in found if facts is not None and facts.is_alive]

    def send(self, *numbers: int) -> None:
        """Signals everybody who is in it now; blocks."""
        for facts in self.members():
            for number in numbers:
                send(facts, number)

    def kill(self) -> None:
        """Kills everybody, also who is being started just now; blocks.

        Raises:
            OSError: The system refuses.
        """
        with suppress(FileNotFoundError):
            try:
                (self.path / _KILL).write_text("1")
            except FileNotFoundError:  # before Linux 5.14, or the group is gone
                self.kill_frozen()

    def kill_frozen(self) -> None:
        """Does what `kill` does where the kernel has no `cgroup.kill`.

        Who is frozen starts nobody, and dies of SIGKILL all the same.

        Raises:
            FileNotFoundError: The group is gone.
        """
        (self.path / _FREEZE).write_text("1")
        try:
            self.send(signal.SIGKILL)
        finally:
            (self.path / _FREEZE).write_text("0")

    async def until_empty(self) -> None:
        """Returns once nobody is in it; woken by the kernel. Safe to cancel.

        Raises:
            OSError: It cannot be told for want of descriptors.
        """
        with ExitStack() as cleanup:
            try:
                events = os.open(self.path / _EVENTS, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            cleanup.callback(os.close, events)
            poll = select.epoll()
            cleanup.callback(poll.close)
            # Reading the file sets what counts as new; only then is a change told, as priority
            # data. An epoll in the loop's own, since the loop asks for ordinary data alone.
            poll.register(events, select.EPOLLPRI)
            loop, changed = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(poll.fileno(), changed.set)
            cleanup.callback(loop.remove_reader, poll.fileno())
            while _is_populated(events):
                changed.clear()
                await changed.wait()

    def wait_empty(self, timeout_s: float) -> bool:
        """Does the same for `timeout_s` seconds at most, and says whether it is empty; blocks."""
        deadline = time.monotonic() + timeout_s
        try:
            events = os.open(self.path / _EVENTS, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            while _is_populated(events):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(left * 1000)
        finally:
            os.close(events)
        return True

    def remove(self) -> bool:
        """Removes it and all groups below; False if somebody is in one of them. Blocks."""
        try:
            with suppress(FileNotFoundError):
                self.path.rmdir()
                return True
        except OSError as error:
            if error.errno not in _INHABITED:
                raise
        try:
            for folder in reversed(self._tree()):
                with suppress(FileNotFoundError):
                    folder.rmdir()
        except OSError as error:
            if error.errno in _INHABITED:
                return False
            raise
        return True

    def _tree(self) -> list[Path]:
        """Returns its folder and those below, parents first."""
        return [Path(folder) for folder, _, _ in os.walk(self.path)]


def _numbers(folder: Path) -> list[int]:
    try:
        text = (folder / PROCS).read_text()
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise
    return [int(line) for line in text.split()]


def _is_populated(events: int) -> bool:
    try:
        return b"populated 1" in os.pread(events, _EVENT_BYTES, 0)
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise
