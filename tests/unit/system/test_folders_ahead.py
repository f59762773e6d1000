"""Promises of `flowrunner.system.folders_ahead`: it saves time and changes nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flowrunner.system.durable import make_private_folders
from flowrunner.system.files import LocalFiles
from flowrunner.system.folders_ahead import FoldersAhead

NAMES = [f"flow-{number}" for number in range(200)]


def test_folders_are_private_and_those_that_are_there_stay(tmp_path: Path) -> None:
    """What it makes is the owner's alone, in a parent that need not be there; nothing is lost."""
    above = tmp_path / "registry" / "default"
    (above / "flow-1").mkdir(parents=True)
    (above / "flow-1" / "file").write_bytes(b"kept")
    make_private_folders(above, NAMES[:3], lambda: False)
    assert sorted(each.name for each in above.iterdir()) == NAMES[:3]
    assert {(above / name).stat().st_mode & 0o777 for name in ("flow-0", "flow-2")} == {0o700}
    assert (above / "flow-1" / "file").read_bytes() == b"kept"


def test_files_are_written_whoever_made_their_folders(tmp_path: Path) -> None:
    """Both may make the same folder at the same moment, and each file is in its place."""
    files = LocalFiles()
    with files.folders_ahead(tmp_path / "above", NAMES):
        files.replace_each(tmp_path / "above", "f", {name: name.encode() for name in NAMES})
    found = {path.parent.name: path.read_bytes() for path in tmp_path.glob("above/*/f")}
    assert found == {name: name.encode() for name in NAMES}


def test_nothing_is_made_once_it_is_over(tmp_path: Path) -> None:
    """What comes behind the folder at which it was told so is not made."""
    is_over = iter([False, False, True])
    make_private_folders(tmp_path, NAMES, lambda: next(is_over))
    assert sorted(each.name for each in tmp_path.iterdir()) == NAMES[:2]


def test_no_thread_outlives_it(tmp_path: Path) -> None:
    """Who leaves it knows that no folder comes any more."""
    with FoldersAhead(tmp_path, NAMES, keeps_owner_bits=False):
        pass
    assert "folders" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("place", [".", "flow-0"])
def test_what_is_in_the_way_is_left_to_who_fills_the_folders(tmp_path: Path, place: str) -> None:
    """A file where a folder should be is no failure here, and stays as it is."""
    above = tmp_path / "above"
    path = above if place == "." else above / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a file")
    with LocalFiles().folders_ahead(above, NAMES):
        pass
    assert path.read_bytes() == b"a file"
