"""What lies in a private folder was put there by this user, or it is not seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowrunner.system.private_folder import PrivateFolder, user_cache_folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns where the folder will be."""
    return tmp_path / "above" / "mine"


def test_content_comes_back(path: Path) -> None:
    """What was kept is read again; the folders on the way belong to this user alone."""
    folder = PrivateFolder(path)
    assert folder.read("a", limit=10) is None
    assert folder.replace("a", b"one")
    assert folder.replace("a", b"two")
    assert folder.read("a", limit=3) == b"two"
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path / "a")] == [
        0o700,
        0o700,
        0o600,
    ]


def test_longer_file_is_not_read(path: Path) -> None:
    """A file beyond the limit counts as missing, and no more than that is read."""
    PrivateFolder(path).replace("a", b"1234")
    assert PrivateFolder(path).read("a", limit=3) is None


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_folder_that_others_may_write_to_is_not_used(path: Path, mode: int) -> None:
    """Nothing is read from it, written to it or removed from it."""
    folder = PrivateFolder(path)
    folder.replace("a", b"x")
    path.chmod(mode)
    assert folder.read("a", limit=10) is None
    assert not folder.replace("a", b"y")
    folder.keep_newest(0)
    assert (path / "a").read_bytes() == b"x"


def test_file_that_others_may_write_to_is_not_read(path: Path) -> None:
    """A file with looser rights than ours is not ours."""
    PrivateFolder(path).replace("a", b"x")
    (path / "a").chmod(0o620)
    assert PrivateFolder(path).read("a", limit=10) is None


def test_folder_of_another_user_is_not_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the folder decides, not who may read it."""
    PrivateFolder(path).replace("a", b"x")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert PrivateFolder(path).read("a", limit=10) is None
    assert not PrivateFolder(path).replace("a", b"y")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_are_read(path: Path, kind: str) -> None:
    """Links are not followed, pipes not waited for."""
    PrivateFolder(path).replace("real", b"x")
    if kind == "link":
        (path / "a").symlink_to("real")
    elif kind == "pipe":
        os.mkfifo(path / "a")
    else:
        (path / "a").mkdir()
    assert PrivateFolder(path).read("a", limit=10) is None


def test_link_to_a_folder_is_no_folder_of_ours(path: Path, tmp_path: Path) -> None:
    """The folder itself may not be a link, which somebody may turn elsewhere."""
    PrivateFolder(tmp_path / "real").replace("a", b"x")
    path.parent.mkdir()
    path.symlink_to(tmp_path / "real")
    assert PrivateFolder(path).read("a", limit=10) is None


def test_newest_files_are_kept(path: Path) -> None:
    """The files written last stay, all others go."""
    folder = PrivateFolder(path)
    for number, name in enumerate("abc"):
        folder.replace(name, b"x")
        os.utime(path / name, (number, number))
    folder.keep_newest(2)
    assert sorted(p.name for p in path.iterdir()) == ["b", "c"]


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/flowrunner", id="xdg"),
        pytest.param({"HOME": "/h"}, "/h/.cache/flowrunner", id="home"),
        pytest.param({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/flowrunner", id="empty"),
        pytest.param({"XDG_CACHE_HOME": "c", "HOME": "/h"}, "/h/.cache/flowrunner", id="relative"),
    ],
)
def test_caches_lie_where_the_user_has_them(environment: dict[str, str], folder: str) -> None:
    """The XDG variable comes first, then `.cache` at home."""
    assert user_cache_folder(environment) == Path(folder)


def test_no_home_no_caches() -> None:
    """Without either variable no place is made up."""
    assert user_cache_folder({}) is None
