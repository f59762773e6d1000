"""Which folders are watched for a root, and which changes matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.system.watch_paths import ANY_NAME, find_doors, find_git_files, hint_of, is_watched


@pytest.mark.parametrize(
    "folder", ["a", "a/b", ".git", ".git/refs/heads", ".git/refs/heads/feature"]
)
def test_folders_of_flows_and_branches_are_watched(folder: str) -> None:
    """Whatever a scan looks at has a watch, and the branches too."""
    assert is_watched(folder)


@pytest.mark.parametrize(
    "folder", [".git/objects", ".git/refs/tags", ".git/logs", ".flowrunner", "a/.git", "a/.b/c"]
)
def test_hidden_folders_are_not_watched(folder: str) -> None:
    """What a scan passes over costs no watches."""
    assert not is_watched(folder)


@pytest.mark.parametrize("path", ["a.yaml", "a/b/c.yaml", "a/_defaults.yaml", "README.md", "a"])
def test_a_name_that_a_scan_looks_at_is_a_hint_of_itself(path: str) -> None:
    """Whoever is told of it may look at it alone."""
    assert hint_of(path) == path


@pytest.mark.parametrize(
    "path",
    [
        ".flowrunnerignore",
        ".git/HEAD",
        ".git/packed-refs",
        ".git/index",
        ".git/index.lock",
        "..data",
        "volume/..data",
        ".git/refs/heads/main",
        ".git/refs/heads/feature/x",
    ],
)
def test_what_decides_about_other_names_is_a_hint_of_all(path: str) -> None:
    """A revision, patterns and the link of a volume say something of every file."""
    assert hint_of(path) == ANY_NAME


@pytest.mark.parametrize(
    "path",
    [
        ".git/config.lock",
        ".git/FETCH_HEAD",
        ".git/refs/heads/main.lock",
        ".a.yaml.swp",
        "a/.b.yaml.swp",
        ".flowrunner/flowrunner.db-wal",
    ],
)
def test_work_of_git_editors_and_the_daemon_is_no_hint(path: str) -> None:
    """What a scan passes over wakes nobody; above all not the daemon by its own writing."""
    assert hint_of(path) is None


def test_doors_of_a_plain_root_are_its_own_name(tmp_path: Path) -> None:
    """A root that is no link is replaced through its parent only."""
    assert find_doors(tmp_path / "flows") == {tmp_path: {"flows"}}


def test_doors_of_a_linked_root_are_every_link_on_the_way(tmp_path: Path) -> None:
    """A swap of any link, also one above the root or behind another link, is seen."""
    target = tmp_path / "trees" / "rev-1" / "flows"
    target.mkdir(parents=True)
    (tmp_path / "current").symlink_to("trees/rev-1")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "root").symlink_to(tmp_path / "current" / "flows")
    assert find_doors(tmp_path / "links" / "root") == {
        tmp_path / "links": {"root"},
        tmp_path: {"current"},
        target.parent: {"flows"},
    }


def test_doors_of_a_loop_of_links_are_found(tmp_path: Path) -> None:
    """A root that leads to itself ends the search, not the daemon."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert find_doors(tmp_path / "a") == {tmp_path: {"a", "b"}}


def git_files(folder: Path) -> dict[Path, set[str]]:
    """The files by which git tells that a checkout has moved, for its `.git` folder."""
    return {
        folder: {"HEAD", "index", "index.lock"},
        folder / "logs": {"HEAD"},
        folder / "reftable": {"tables.list"},
    }


def test_git_of_a_checkout_above_the_root_is_found(tmp_path: Path) -> None:
    """Flows in a subfolder have the revision of the checkout, whose `.git` is further up."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "host" / "flows").mkdir(parents=True)
    (tmp_path / "link").symlink_to("host/flows")
    assert find_git_files(tmp_path / "host" / "flows") == git_files(tmp_path / ".git")
    assert find_git_files(tmp_path / "link") == git_files(tmp_path / ".git")


@pytest.mark.parametrize("is_absolute", [True, False], ids=["absolute", "relative"])
def test_git_of_a_linked_worktree_is_found(tmp_path: Path, *, is_absolute: bool) -> None:
    """Where `.git` is a file it names the folder that has the worktree's own HEAD."""
    own = tmp_path / "main" / ".git" / "worktrees" / "it"
    own.mkdir(parents=True)
    (tmp_path / "it").mkdir()
    target = own if is_absolute else "../main/.git/worktrees/it"
    (tmp_path / "it" / ".git").write_text(f"gitdir: {target}\n")
    assert find_git_files(tmp_path / "it") == git_files(own)


def test_git_in_the_root_is_left_to_the_rules_of_the_root(tmp_path: Path) -> None:
    """What lies below the root is watched with it."""
    (tmp_path / ".git").mkdir()
    assert find_git_files(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"gitdir: ", b"\xff"])
def test_git_file_that_makes_no_sense_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """Only latency is lost."""
    (tmp_path / ".git").write_bytes(content)
    assert find_git_files(tmp_path) == {}


def test_root_without_git_has_no_files_of_git(tmp_path: Path) -> None:
    """A plain folder, or none, is watched for itself alone."""
    assert find_git_files(tmp_path / "missing") == {}
