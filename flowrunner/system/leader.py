"""Starts the leader of a family, and reaps it: the one door to `subprocess` for attempts.

`Popen` holds Python's lock until the child has become its program, a tenth of a millisecond for
which the event loop stands still, and asks for the lock again at each of its own system calls. So
the leader is started by `posix_spawn`, which is one call without the lock. What that is not made
for, or what the system refuses, is left to `Popen`: it knows how to say why.

Both use vfork, so a big daemon starts a program as fast as a small one. `preexec_fn` and `user=`
would turn that into a fork of the whole daemon; they stay unused.

Sources: posix_spawn(3); `posix_spawn_file_actions_addchdir_np` and `_addclosefrom_np`, and in
<spawn.h> the values of the flags (glibc, 2.34 and later; without them `Popen` starts everything).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from flowrunner.system.descent import signal_group

_SETSIGDEF = 0x04
_SETSID = 0x80
_ROOM = 1024
"""Bytes, for each of the libc's own structures: three times what the largest of them takes."""
_STREAMS = 3
"""Descriptors from here on are none of the program's."""

_CALLS = (
    "posix_spawn",
    "posix_spawnattr_init",
    "posix_spawnattr_setflags",
    "posix_spawnattr_setsigdefault",
    "posix_spawn_file_actions_addchdir_np",
    "posix_spawn_file_actions_addclosefrom_np",
    "posix_spawn_file_actions_adddup2",
    "posix_spawn_file_actions_destroy",
    "posix_spawn_file_actions_init",
    "sigaddset",
    "sigemptyset",
)


_Words: TypeAlias = "ctypes.Array[ctypes.c_char_p]"


class Streams(NamedTuple):
    """The descriptors that become 0, 1 and 2 of a program."""

    stdin: int
    stdout: int
    stderr: int


class Leaders:
    """Starts leaders of sessions; serves any number of threads."""

    def __init__(self) -> None:
        self._quick = QuickSpawn()

    def start(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Streams
    ) -> int:
        """Starts a program with its own session and nothing open but the streams.

        Returns its number, which is its own until it is reaped.

        Raises:
            OSError: The system refuses; `filename` is the folder or the program, as the case is.
            ValueError: A word or a variable cannot be passed to the system.
        """
        return self._quick.start(words, env, str(cwd), streams) or _popen(words, env, cwd, streams)


def reap(pid: int) -> None:
    """Takes note of the end of a leader, and waits for it; its number is free then."""
    with suppress(ChildProcessError):  # SIGCHLD is ignored: the kernel reaped it
        os.waitid(os.P_PID, pid, os.WEXITED)


def kill_and_reap(pid: int) -> None:
    """Blocks until the leader has ended, which after SIGKILL is a matter of the kernel."""
    signal_group(pid, signal.SIGKILL)
    reap(pid)


class QuickSpawn:
    """Starts by `posix_spawn` what it can.

    All is as `Popen` has it, but that the program ignores signals 32 and 33: they are the libc's
    own, which takes them back where it needs them.
    """

    def __init__(self) -> None:
        self._free = ctypes.CDLL(None)  # lets go of Python's lock for the time of a call
        self._held = ctypes.PyDLL(None)  # keeps it: for what only fills structures
        self._is_able = all(hasattr(self._held, name) for name in _CALLS)
        self._attributes = ctypes.create_string_buffer(_ROOM)
        if self._is_able:
            self._set_attributes()

    def start(
        self, words: Sequence[str], env: Mapping[str, str], cwd: str, streams: Streams
    ) -> int | None:
        """Starts a program and returns its number.

        None: nothing was started, and `Popen` does it or says why. So it is for a program without
        a slash, which has to be looked for.
        """
        if not self._is_able or "/" not in words[0] or min(streams) < _STREAMS:
            return None
        argv, folder = _texts(words), _texts([cwd])
        envp = _texts([f"{name}={value}" for name, value in env.items()])
        if argv is None or envp is None or folder is None or any("=" in name for name in env):
            return None
        pid, actions = ctypes.c_int(), ctypes.create_string_buffer(_ROOM)
        if self._held.posix_spawn_file_actions_init(actions):
            return None
        try:
            refused = self._set_actions(actions, folder, streams) or self._free.posix_spawn(
                ctypes.byref(pid), argv[0], actions, self._attributes, argv, envp
            )
        finally:
            self._held.posix_spawn_file_actions_destroy(actions)
        return None if refused else pid.value

    def _set_actions(
        self, actions: ctypes.Array[ctypes.c_char], folder: _Words, streams: Streams
    ) -> bool:
        """Says what the child does before it becomes the program; returns whether that failed."""
        held = self._held
        steps = [
            held.posix_spawn_file_actions_adddup2(actions, fd, number)
            for number, fd in enumerate(streams)
        ]
        steps.append(held.posix_spawn_file_actions_addclosefrom_np(actions, _STREAMS))
        steps.append(held.posix_spawn_file_actions_addchdir_np(actions, folder[0]))
        return any(steps)

    def _set_attributes(self) -> None:
        """Asks for a session, and for signals as they were before Python ignored some of them."""
        ignored = ctypes.create_string_buffer(_ROOM)
        self._held.sigemptyset(ignored)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            self._held.sigaddset(ignored, int(number))
        self._held.posix_spawnattr_init(self._attributes)
        self._held.posix_spawnattr_setsigdefault(self._attributes, ignored)
        self._held.posix_spawnattr_setflags(self._attributes, ctypes.c_short(_SETSIGDEF | _SETSID))


def _texts(words: Sequence[str]) -> _Words | None:
    """Returns words as C has them; None if one cannot be, for it holds a NUL."""
    encoded = [os.fsencode(word) for word in words]
    if b"\0" in b"".join(encoded):
        return None
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded)


def _popen(words: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Streams) -> int:
    popen = subprocess.Popen(
        words,
        env=env,
        cwd=cwd,
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        close_fds=True,
        start_new_session=True,
    )
    popen.returncode = 0  # we reap it ourselves: its finaliser must not
    return popen.pid
