"""What only the real files can show: changes meanwhile, full disks, permissions."""

from __future__ import annotations

import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.system.files import (
    ChangedWhileReadError,
    LocalFiles,
    NotRegularError,
)

LIMIT = 100_000
NOBODY = 65534


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Lets the kernel refuse to write beyond a size, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def ordinary_user(folder: Path) -> Iterator[None]:
    """Gives up the privileges of root, to which every folder is readable."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user can reach, unlike `tmp_path` of root."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("change", ["grown", "replaced", "removed"])
def test_read_tells_when_the_file_changed_meanwhile(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that may be half old, half new is never returned."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    read = os.read

    def read_and_change(fd: int, size: int) -> bytes:
        monkeypatch.setattr(os, "read", read)
        data = read(fd, size)
        if change == "grown":
            path.write_bytes(b"longer")
        elif change == "replaced":
            (tmp_path / "new").write_bytes(b"old")
            (tmp_path / "new").rename(path)
        else:
            path.unlink()
        return data

    monkeypatch.setattr(os, "read", read_and_change)
    with pytest.raises(ChangedWhileReadError):
        LocalFiles().read(path, limit=LIMIT)


def test_read_refuses_a_socket(tmp_path: Path) -> None:
    """A socket, which cannot be opened, is refused like every other odd file."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(NotRegularError):
            LocalFiles().read(tmp_path / "socket", limit=LIMIT)


def test_read_returns_an_empty_file_within_any_limit(tmp_path: Path) -> None:
    """Nothing fits into nothing."""
    (tmp_path / "empty").touch()
    assert LocalFiles().read(tmp_path / "empty", limit=0) == b""


@pytest.mark.parametrize("method", ["replace", "replace_durably"])
def test_replace_leaves_the_old_file_whole_when_the_disk_is_full(
    method: str, tmp_path: Path
) -> None:
    """A write that ends half-way changes nothing and leaves nothing."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with file_size_limit(4096), pytest.raises(OSError, match="too large"):
        getattr(LocalFiles(), method)(path, b"x" * 10_000)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_replace_each_leaves_each_file_old_or_new_when_the_disk_is_full(tmp_path: Path) -> None:
    """A write that ends half-way leaves what came before it, and nothing of itself."""
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"old")
    with file_size_limit(4096), pytest.raises(OSError, match="too large"):
        LocalFiles().replace_each(tmp_path, "f", {"a": b"new", "b": b"x" * 10_000, "c": b"new"})
    left = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.glob("*/*")}
    assert left == {"a/f": b"new", "b/f": b"old", "c/f": b"old"}


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Files and folders get the mode asked for, whatever the process inherited."""
    before = os.umask(0o077)
    try:
        LocalFiles().replace(tmp_path / "file", b"", mode=0o644)
        LocalFiles().make_folder(tmp_path / "folder", 0o755)
        os.umask(0o477)
        LocalFiles().replace_each(tmp_path / "many", "file", {"one": b""})
    finally:
        os.umask(before)
    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")
    }
    private = {"many": 0o700, "many/one": 0o700, "many/one/file": 0o600}
    assert modes == {"file": 0o644, "folder": 0o755, **private}


def test_names_leave_out_what_a_crash_left_unfinished(tmp_path: Path) -> None:
    """The temporary file of an interrupted `replace` is nobody's content."""
    (tmp_path / ".tmp-0123456789abcdef").touch()
    (tmp_path / "a").touch()
    assert LocalFiles().names(tmp_path) == ["a"]


def test_walk_lists_folders_that_cannot_be_read(open_folder: Path) -> None:
    """A folder without permission is told apart from an empty one."""
    for name in ("closed", "listable", "open"):
        (open_folder / name).mkdir()
        (open_folder / name / "file").touch()
    with ordinary_user(open_folder):
        (open_folder / "closed").chmod(0o000)
        (open_folder / "listable").chmod(0o400)
        walk = LocalFiles().walk(open_folder, depth=16, most=100)
        (open_folder / "closed").chmod(0o700)
        (open_folder / "listable").chmod(0o700)
    assert walk.unreadable == ("closed", "listable")
    assert [entry.path for entry in walk.entries] == ["closed", "listable", "open", "open/file"]


def test_walk_of_an_unreadable_root_fails(open_folder: Path) -> None:
    """A root without permission is never taken for an empty one."""
    root = open_folder / "root"
    root.mkdir()
    with ordinary_user(open_folder):
        root.chmod(0o000)
        with pytest.raises(PermissionError):
            LocalFiles().walk(root, depth=16, most=100)
        root.chmod(0o700)


def test_walk_says_that_the_tree_moved_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that vanishes after it was listed makes the walk a doubtful one."""
    (tmp_path / "folder").mkdir()
    scandir = os.scandir

    def scan_and_remove(fd: int) -> object:
        found = list(scandir(fd))
        if Path(f"/proc/self/fd/{fd}").resolve() == tmp_path.resolve():
            _ = [entry.stat(follow_symlinks=False) for entry in found]
            (tmp_path / "folder").rmdir()
        return _Listing(found)

    monkeypatch.setattr(os, "scandir", scan_and_remove)
    walk = LocalFiles().walk(tmp_path, depth=16, most=100)
    assert walk.changed
    assert walk.unreadable == ()


class _Listing:
    """What `os.scandir` returns, from a list."""

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self._entries = entries

    def __enter__(self) -> Iterator[os.DirEntry[str]]:
        return iter(self._entries)

    def __exit__(self, *details: object) -> None:
        self._entries = []


def test_stat_shows_that_rights_changed(tmp_path: Path) -> None:
    """A file that was opened up or closed is read again, though its content is the same."""
    path = tmp_path / "flow.yaml"
    path.write_text("x")
    (before,) = LocalFiles().walk(tmp_path, depth=1, most=9).entries
    while path.stat().st_ctime_ns == before.stat.ctime_ns:  # it ticks some hundred times a second
        path.chmod(0o640)
    (after,) = LocalFiles().walk(tmp_path, depth=1, most=9).entries
    assert after.stat != before.stat
    assert after.stat.mtime_ns == before.stat.mtime_ns
