"""Peers of the control socket: attempts are told from people, with real processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.system.peers import ProcPeers, local_peers

UID = os.geteuid()
STRANGER = UID + 1
MARK = {"EXECUTION_ID": "x", "NODE_ID": "dump", "ATTEMPT": "1"}
NO_DAEMON = 2**22
"""Above the largest pid of Linux: descends nobody."""


@contextmanager
def sleeping(*argv: str, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """A process that waits until its standard input ends; it has printed a line, so it is up."""
    command = argv or ("/bin/sh", "-c", "echo $$; read line")
    with subprocess.Popen(
        command,
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline())
        child.communicate("\n")


def write_proc(proc: Path, pid: int, *, parent: int, uid: int = UID, environ: bytes = b"") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "status").write_text(f"Name:\todd: name\nPPid:\t{parent}\nUid:\t{uid}\t0\t0\t0\n")
    (folder / "environ").write_bytes(environ)


def test_child_of_the_daemon_is_an_attempt() -> None:
    """A process that the daemon started is recognised without any mark."""
    with sleeping() as pid:
        assert local_peers().is_attempt(pid, UID)


def test_grandchild_with_an_emptied_environment_is_an_attempt() -> None:
    """Descent counts at any distance, and emptying the environment does not help."""
    script = "env -i /bin/sh -c 'echo $$; read line'; exit"
    with sleeping("/bin/sh", "-c", script, env=MARK) as pid:
        assert local_peers().is_attempt(pid, UID)


def test_marked_process_is_an_attempt_without_descent() -> None:
    """The mark alone is enough: it finds those whose parents have ended."""
    with sleeping(env=MARK) as pid:
        assert ProcPeers(NO_DAEMON, UID).is_attempt(pid, UID)


@pytest.mark.parametrize("mark", list(MARK))
@pytest.mark.parametrize("value", ["1", ""], ids=["set", "emptied"])
def test_one_mark_is_enough(mark: str, value: str) -> None:
    """A script that unset or changed part of the mark is still an attempt: in doubt yes."""
    with sleeping(env={mark: value}) as pid:
        assert ProcPeers(NO_DAEMON, UID).is_attempt(pid, UID)


def test_unrelated_process_is_no_attempt() -> None:
    """A command in somebody's shell, here the daemon's own parent, is no attempt."""
    peers = ProcPeers(NO_DAEMON, UID)
    with sleeping(env={"X_EXECUTION_ID": "x", "NODE_ID_": "x", "V": "ATTEMPT=1"}) as pid:
        assert not peers.is_attempt(pid, UID)


def test_daemon_itself_is_no_attempt(tmp_path: Path) -> None:
    """The daemon does not descend from itself."""
    write_proc(tmp_path, 10, parent=1)

    assert not ProcPeers(10, UID, tmp_path).is_attempt(10, UID)


@pytest.mark.parametrize(
    ("uid", "expected"), [(UID, True), (STRANGER, False)], ids=["ours", "other-user"]
)
def test_invisible_process_counts_by_its_user(tmp_path: Path, uid: int, *, expected: bool) -> None:
    """One of ours that cannot be seen has ended and is refused; others may just be hidden."""
    assert ProcPeers(10, UID, tmp_path).is_attempt(77, uid) is expected


@pytest.mark.parametrize(
    ("uid", "expected"), [(UID, True), (STRANGER, False)], ids=["ours", "other-user"]
)
def test_hidden_environment_counts_by_the_user(tmp_path: Path, uid: int, *, expected: bool) -> None:
    """One of ours that hides its environment is refused; other users' cannot be read at all."""
    write_proc(tmp_path, 77, parent=1, uid=uid)
    (tmp_path / "77" / "environ").unlink()

    assert ProcPeers(10, UID, tmp_path).is_attempt(77, uid) is expected


def test_descent_goes_before_the_user(tmp_path: Path) -> None:
    """A descendant that has become another user (sudo) is still an attempt."""
    write_proc(tmp_path, 20, parent=10)
    write_proc(tmp_path, 30, parent=20, uid=STRANGER)

    assert ProcPeers(10, UID, tmp_path).is_attempt(30, STRANGER)


def test_ancestors_in_a_circle_end(tmp_path: Path) -> None:
    """Numbers given anew while they are read cannot make the search go round for ever."""
    write_proc(tmp_path, 20, parent=30)
    write_proc(tmp_path, 30, parent=20)

    assert not ProcPeers(10, UID, tmp_path).is_attempt(20, UID)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/unit/attempt-3.x.a.1", True),
        ("/unit/attempt-3.x.a.1/own", True),
        ("/unit/daemon", False),
        ("/other/attempt-3.x.a.1", False),
    ],
)
def test_process_in_the_cgroup_of_an_attempt_is_one(
    tmp_path: Path, path: str, *, expected: bool
) -> None:
    """Whatever it has shed: without a mark, and the child of init."""
    write_proc(tmp_path, 77, parent=1)
    (tmp_path / "77" / "cgroup").write_text(f"1:cpu:/unit/attempt-1\n0::{path}\n")

    peers = ProcPeers(10, UID, tmp_path, "/unit/attempt-")
    assert peers.is_attempt(77, UID) is expected
    assert not ProcPeers(10, UID, tmp_path).is_attempt(77, UID)


@pytest.mark.parametrize("pid", [0, -1])
def test_process_of_another_pid_namespace_is_no_attempt(pid: int) -> None:
    """The kernel gives 0 for a process it cannot name here; attempts can always be named."""
    assert not local_peers().is_attempt(pid, UID)


def test_what_the_service_manager_starts_is_no_attempt(tmp_path: Path) -> None:
    """One in the cgroup of its control processes may hide: systemd has started it for a reload."""
    group = tmp_path / ".control"
    group.mkdir()
    (group / "cgroup.procs").write_text("41\n42\n")
    of_another = ProcPeers(NO_DAEMON, STRANGER, proc=tmp_path, manager_cgroup=group)
    assert not of_another.is_attempt(42, STRANGER)
    assert of_another.is_attempt(4, STRANGER)


def test_group_that_an_attempt_has_made_is_not_that_of_the_service_manager(tmp_path: Path) -> None:
    """Whoever may make a cgroup below the daemon's cannot pass for systemd by it."""
    group = tmp_path / ".control"
    peers = ProcPeers(NO_DAEMON, UID, proc=tmp_path, manager_cgroup=group)
    assert peers.is_attempt(42, UID)
    group.mkdir()
    (group / "cgroup.procs").write_text("42\n")
    assert peers.is_attempt(42, UID)
