"""One owner of a state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.system.lock import StateLock

HOLD = """
import sys
from pathlib import Path
from flowrunner.system.lock import StateLock
lock = StateLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Starts a process that holds the lock until its standard input ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    """Two daemons never share a state directory, and the message names the other."""
    with hold_elsewhere(tmp_path) as holder:
        with pytest.raises(StorageError) as caught:
            StateLock(tmp_path).acquire()
        holder.kill()
    assert caught.value.code == "storage.locked"
    assert caught.value.details["pid"] == holder.pid
    assert str(holder.pid) in caught.value.message


def test_the_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    """A daemon killed without warning leaves no lock behind."""
    with hold_elsewhere(tmp_path) as holder:
        holder.kill()
        holder.wait()
    with StateLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_release_lets_the_next_one_in(tmp_path: Path) -> None:
    """A lock given back can be taken again, and giving it back twice is fine."""
    first = StateLock(tmp_path)
    first.acquire()
    first.release()
    first.release()
    with StateLock(tmp_path):
        pass


def test_the_file_of_the_lock_is_private(tmp_path: Path) -> None:
    """Nobody else can open the lock and hold it against the daemon."""
    with StateLock(tmp_path):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    """A command that outlives the daemon does not keep the next daemon out."""
    lock = StateLock(tmp_path)
    lock.acquire()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        with StateLock(tmp_path):
            pass


def test_a_pid_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A damaged lock file changes the message, not the refusal."""
    with StateLock(tmp_path):
        (tmp_path / "lock").write_text("nonsense")
        with pytest.raises(StorageError, match="another process"):
            StateLock(tmp_path).acquire()


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    """The lock makes no folders: a wrong path is an error."""
    with pytest.raises(StorageError) as caught:
        StateLock(tmp_path / "missing").acquire()
    assert caught.value.code == "storage.unavailable"


def test_a_folder_that_cannot_be_written_is_read_only() -> None:
    """Where no file can be made the code says so; in /sys not even root can."""
    with pytest.raises(StorageError) as caught:
        StateLock(Path("/sys")).acquire()
    assert caught.value.code == "storage.read_only"
