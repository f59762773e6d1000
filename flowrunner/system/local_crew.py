"""The crew of this host: each member is a process with two pipes.

One that dies, is silent for too long or answers what is no answer is ended, and what it had comes
back undone. All end with the pipes, so also with us.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl
from itertools import chain
from typing import IO, cast

from flowrunner.system.crew import Answers
from flowrunner.system.crew_frames import HEAD_BYTES, frame, size_in

_LOG = logging.getLogger(__name__)

_PATIENCE_S = 30.0
"""How long a process may be silent while it owes an answer."""

_AHEAD = 2
"""Pieces that a process has at a time: one under way, one that waits in its pipe."""

_WINDOW = 4
"""Pieces for each process that may be done while an earlier one is not: they take memory."""

_MOST_ANSWER_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024
_INHERITED = ("PATH", "HOME", "LD_LIBRARY_PATH", "TZ", "PYTHONTZPATH")
"""Variables that decide which code and which time zones a process of ours has."""


class LocalCrew:
    """Processes of this host, as many as there are processors for us.

    Args:
        argv: What each process runs: it serves with `crew_member.serve`.
        greeting: What each has to say first. Another one is of another version, and ended.
        members: How many there are.
        clock: Seconds that never go back.
        patience_s: How long one may be silent while it owes an answer.
    """

    def __init__(
        self,
        argv: Sequence[str],
        greeting: bytes,
        members: int,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._argv = argv
        self._greeting = greeting
        self._members = members
        self._clock = clock
        self._patience_s = patience_s

    def carry(self, works: Iterable[bytes]) -> Answers:
        """Starts the processes with the first piece, and shares the work among them."""
        waiting = iter(works)
        first = next(waiting, None)
        if first is None:
            return
        members: list[_Member] = []
        try:
            with suppress(OSError):  # as many as could be started
                while len(members) < self._members:
                    members.append(_Member(self._argv, self._greeting, self._clock()))
            yield from _Shift(members, self._clock, self._patience_s).answers(
                chain((first,), waiting)
            )
        finally:
            for member in members:
                member.end()


class _Shift:
    """One stream of work and those who carry it out."""

    def __init__(
        self, members: list[_Member], clock: Callable[[], float], patience_s: float
    ) -> None:
        self._members = list(members)
        self._window = _WINDOW * len(members)
        self._clock = clock
        self._patience_s = patience_s
        self._done: dict[int, bytes | None] = {}

    def answers(self, works: Iterable[bytes]) -> Iterator[bytes | None]:
        numbered = enumerate(works)
        due, given, is_open = 0, 0, True
        while is_open or due < given:
            while is_open and given - due < max(self._window, 1) and self._has_room():
                number, work = next(numbered, (given, None))
                is_open = work is not None
                if work is not None:
                    self._give(number, work)
                    given += 1
            self._turn(must_wait=due < given and due not in self._done)
            while due in self._done:
                yield self._done.pop(due)
                due += 1

    def _has_room(self) -> bool:
        """Whether anybody can take a piece; with nobody left, all come back undone."""
        return not self._members or any(len(each.owed) < _AHEAD for each in self._members)

    def _give(self, number: int, work: bytes) -> None:
        if not self._members:
            self._done[number] = None
            return
        member = min(self._members, key=lambda each: len(each.owed))
        member.give(number, work, self._clock())

    def _turn(self, *, must_wait: bool) -> None:
        """Moves what can be moved; may wait for the first that can."""
        with selectors.PollSelector() as ready:  # one call into the kernel, for a few pipes
            for member in self._members:
                ready.register(member.answers_fd, selectors.EVENT_READ, member)
                if member.rest:
                    ready.register(member.work_fd, selectors.EVENT_WRITE, member)
            found = ready.select(self._wait_s() if must_wait else 0) if self._members else []
        now = self._clock()
        for key, _ in found:
            member = cast(_Member, key.data)
            if member not in self._members:
                continue
            try:
                if key.fd == member.answers_fd:
                    self._done.update(member.heard(now))
                else:
                    member.write()
            except (OSError, ValueError) as error:
                self._lose(member, str(error))
        for member in [each for each in self._members if each.owed]:
            if now - member.since > self._patience_s:
                self._lose(member, f"it was silent for {self._patience_s:g} s")

    def _wait_s(self) -> float:
        owing = [member.since for member in self._members if member.owed]
        return max(min(owing, default=0) + self._patience_s - self._clock(), 0) + 0.001

    def _lose(self, member: _Member, why: str) -> None:
        _LOG.warning("crew.lost pid=%d owed=%d: %s", member.pid, len(member.owed), why)
        self._members.remove(member)
        self._done.update(dict.fromkeys(member.owed))
        member.end()


class _Member:
    """One process, what it was given, and what it has said so far.

    Attributes:
        owed: The numbers of the pieces that it has not answered, in the order of its answers.
        since: Since when it has been silent.
        rest: What its pipe did not take yet.
    """

    def __init__(self, argv: Sequence[str], greeting: bytes, now: float) -> None:
        self._popen = subprocess.Popen(
            list(argv),
            env=_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self.pid = self._popen.pid
        self._work, self._answers = _piped(self._popen.stdin), _piped(self._popen.stdout)
        self.work_fd, self.answers_fd = self._work.fileno(), self._answers.fileno()
        self.owed: deque[int] = deque()
        self.since = now
        self.rest = bytearray()
        self._heard = bytearray()
        self._greeting: bytes | None = greeting

    def give(self, number: int, work: bytes, now: float) -> None:
        """Gives it a piece, as much of it as its pipe takes."""
        if not self.owed:
            self.since = now
        self.owed.append(number)
        self.rest += frame(work)
        with suppress(OSError):  # its end is seen where its answers are awaited
            self.write()

    def write(self) -> None:
        """Writes on; raises `OSError` when nobody reads any more."""
        with suppress(BlockingIOError):
            while self.rest:
                del self.rest[: os.write(self.work_fd, self.rest[:_CHUNK_BYTES])]

    def heard(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Reads on and yields the answers that are whole.

        Raises:
            OSError: Its pipe cannot be read.
            ValueError: It has ended, or what it says is no answer.
        """
        chunk = os.read(self.answers_fd, _CHUNK_BYTES)
        if not chunk:
            raise ValueError("it has ended")
        self.since = now
        self._heard += chunk
        while (size := size_in(self._heard)) is not None:
            if size > _MOST_ANSWER_BYTES:
                raise ValueError("its answer is no answer")
            end = HEAD_BYTES + size
            if len(self._heard) < end:
                return
            answer = bytes(self._heard[HEAD_BYTES:end])
            del self._heard[:end]
            if self._greeting is not None:
                self._greet(answer)
            elif self.owed:
                yield self.owed.popleft(), answer
            else:
                raise ValueError("it answers what nobody asked")

    def _greet(self, answer: bytes) -> None:
        if answer != self._greeting:
            raise ValueError("it is of another version")
        self._greeting = None

    def end(self) -> None:
        """Ends it and waits for that; does nothing the second time."""
        if self._popen.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()
        for pipe in (self._work, self._answers):
            pipe.close()


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    """Returns our end of a pipe, which never makes us wait and holds some pieces."""
    found = cast("IO[bytes]", pipe)  # it was asked for
    os.set_blocking(found.fileno(), False)
    with suppress(OSError):  # as large as this user may have it
        fcntl(found.fileno(), F_SETPIPE_SZ, _PIPE_BYTES)
    return found


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that decide which code it runs, and no secret."""
    found = {name: ours[name] for name in _INHERITED if name in ours}
    python = {name: value for name, value in ours.items() if name in _PYTHON}
    return {**found, **python, "LC_ALL": "C.UTF-8"}


_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPYCACHEPREFIX")
