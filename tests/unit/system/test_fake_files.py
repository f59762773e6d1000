"""What the files in memory can do beyond the real ones: faults by order, crashes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.fakes.files import FakeFiles

ROOT = Path("/state")


def content(files: FakeFiles, name: str) -> bytes | None:
    path = ROOT / name
    return files.read(path, limit=100) if files.stat(path) else None


def test_a_crash_undoes_what_was_not_synced() -> None:
    """New files, new content and removals since the last sync are lost."""
    files = FakeFiles()
    for name in ("changed", "removed"):
        files.replace(ROOT / name, b"old")
    files.sync(ROOT)
    files.replace(ROOT / "changed", b"new")
    files.replace(ROOT / "added", b"new")
    files.remove(ROOT / "removed")
    files.crash()
    assert content(files, "changed") == b"old"
    assert content(files, "added") is None
    assert content(files, "removed") == b"old"


def test_a_crash_keeps_what_was_replaced_durably() -> None:
    """A durable write stands with its new parents, its neighbours do not."""
    files = FakeFiles()
    files.replace_durably(ROOT / "a" / "kept", b"new")
    files.replace(ROOT / "a" / "lost", b"new")
    files.crash()
    assert files.names(ROOT / "a") == ["kept"]


def test_a_fault_hits_its_operation_and_path_until_mended() -> None:
    """A test chooses what fails; the failed operation has no effect."""
    files = FakeFiles()
    files.fail("replace", "/b", OSError(errno.ENOSPC, "full"))
    files.replace(ROOT / "a", b"")
    with pytest.raises(OSError, match="full"):
        files.replace(ROOT / "b", b"")
    assert files.names(ROOT) == ["a"]
    files.mend()
    files.replace(ROOT / "b", b"")
    assert files.names(ROOT) == ["a", "b"]


def test_a_walk_reports_a_folder_that_is_made_unreadable() -> None:
    """A fault on `list` stands for a folder without permission."""
    files = FakeFiles()
    files.write(ROOT / "a" / "file", b"")
    files.fail("list", "/a", PermissionError(errno.EACCES, "denied"))
    walk = files.walk(ROOT, depth=16, most=10)
    assert ([entry.path for entry in walk.entries], walk.unreadable) == (["a"], ("a",))


def test_calls_are_recorded_in_order() -> None:
    """A test can see that a file was not read again, or that one sync was enough."""
    files = FakeFiles()
    files.replace(ROOT / "a", b"")
    files.sync(ROOT)
    assert files.calls == [("replace", ROOT / "a"), ("sync", ROOT)]
