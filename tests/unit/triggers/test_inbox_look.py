"""Promises of `flowrunner.triggers.inbox_look`, on real files: what a look finds, and what not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from flowrunner.model.globs import parse_glob
from flowrunner.system.files import LocalFiles
from flowrunner.triggers import inbox_look
from flowrunner.triggers.inbox_look import Content, Found, InboxLooks
from tests.fakes.folder_watch import FakeFolderWatch


def look(root: Path, below: str) -> Found:
    looks = InboxLooks(LocalFiles(), {"default": (str(root),)}, FakeFolderWatch())
    return asyncio.run(looks.look("default", parse_glob(f"{root}/{below}")))


def test_content_is_the_same_under_another_name(tmp_path: Path) -> None:
    """A file that is moved keeps its content; one that is written again has another."""
    (tmp_path / "a.csv").write_bytes(b"x")
    (before,) = look(tmp_path, "*.csv").contents.values()
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    found = look(tmp_path, "*.csv").contents
    assert found == {f"{tmp_path}/b.csv": before}
    assert Content.of(before.text) == before
    (tmp_path / "b.csv").write_bytes(b"xy")
    (after,) = look(tmp_path, "*.csv").contents.values()
    assert (after.inode, after == before) == (before.inode, False)


def test_folder_that_is_missing_has_no_files(tmp_path: Path) -> None:
    """A folder may come later: that is no trouble."""
    assert look(tmp_path, "later/*.csv") == Found()


def test_root_may_be_a_link_and_lead_anywhere(tmp_path: Path) -> None:
    """What the operator has named as a root is one, wherever it leads; links below it are not."""
    real, root = tmp_path / "real", tmp_path / "root"
    (real / "in").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "y.csv").touch()
    (real / "in" / "x.csv").touch()
    root.symlink_to(real)
    (real / "out").symlink_to(tmp_path / "other")
    assert list(look(root, "in/*.csv").contents) == [f"{root}/in/x.csv"]
    out = look(root, "out/*.csv")
    assert (out.contents, "leads out of" in out.trouble) == ({}, True)
    assert look(root, "*/*.csv").contents.keys() == {f"{root}/in/x.csv"}


def test_name_that_is_no_text_is_told_and_left(tmp_path: Path) -> None:
    """A name that is not UTF-8 cannot be a value of an expression."""
    (tmp_path / os.fsdecode(b"\xff.csv")).touch()
    (tmp_path / "a.csv").touch()
    found = look(tmp_path, "*.csv")
    assert list(found.contents) == [f"{tmp_path}/a.csv"]
    assert "not UTF-8" in found.trouble


def test_look_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the first files by their paths are found, and the rest is told."""
    monkeypatch.setattr(inbox_look, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.csv").touch()
    found = look(tmp_path, "*.csv")
    assert [Path(path).name for path in found.contents] == ["0.csv", "1.csv", "2.csv"]
    assert "more than 3" in found.trouble


def test_account_without_roots_looks_nowhere(tmp_path: Path) -> None:
    """Roots are those of the account alone."""
    looks = InboxLooks(LocalFiles(), {"other": (str(tmp_path),)}, FakeFolderWatch())
    found = asyncio.run(looks.look("default", parse_glob(f"{tmp_path}/*")))
    assert "outside of the roots" in found.trouble
