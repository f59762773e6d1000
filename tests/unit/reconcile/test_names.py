"""Promises of `flowrunner.reconcile.names`: which names are meant as flow files."""

from __future__ import annotations

import pytest

from flowrunner.reconcile.names import is_considered, patterns_of
from flowrunner.system.files import FileKind, FileStat, WalkEntry


def entry(path: str, kind: FileKind = FileKind.FILE) -> WalkEntry:
    return WalkEntry(path=path, stat=FileStat(kind, 1, 1, 1, 1))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("a.yaml", id="yaml"),
        pytest.param("a.yml", id="yml"),
        pytest.param("team/sub/a.yaml", id="in-folders"),
        pytest.param("a.b.yaml", id="dots-within"),
        pytest.param("test.yaml", id="named-test"),
        pytest.param("team.d/a.yaml", id="dot-within-a-folder"),
    ],
)
def test_considers_flow_files(path: str) -> None:
    """Every `*.yaml` and `*.yml` at any depth is meant as a flow."""
    assert is_considered(entry(path))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("a.json", id="other-suffix"),
        pytest.param("yaml", id="no-suffix"),
        pytest.param("a.YAML", id="capitals"),
        pytest.param(".a.yaml", id="hidden"),
        pytest.param("_defaults.yaml", id="underscore"),
        pytest.param(".git/a.yaml", id="hidden-folder"),
        pytest.param("_old/a.yaml", id="underscore-folder"),
        pytest.param("team/_old/b/a.yaml", id="underscore-folder-below"),
        pytest.param("a.test.yaml", id="flow-test"),
        pytest.param("team/a.test.yml", id="flow-test-yml"),
        pytest.param("a.yaml~", id="backup"),
        pytest.param(".a.yaml.swp", id="vim-swap"),
        pytest.param("4913", id="vim-probe"),
        pytest.param("#a.yaml#", id="emacs-autosave"),
        pytest.param(".#a.yaml", id="emacs-lock"),
        pytest.param("a.yaml.orig", id="merge-original"),
        pytest.param("a.yaml.rej", id="merge-reject"),
        pytest.param("a.yaml.tmp", id="half-written"),
    ],
)
def test_leaves_out_what_is_no_flow(path: str) -> None:
    """Hidden names, tests of flows and what editors leave behind are not considered."""
    assert not is_considered(entry(path))


def test_leaves_out_folders_with_the_name_of_a_file() -> None:
    """A folder named `a.yaml` is no file."""
    assert not is_considered(entry("a.yaml", FileKind.FOLDER))


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        pytest.param("vendor", ["vendor/a.yaml", "x/vendor/a.yaml"], ["vendors/a.yaml"], id="name"),
        pytest.param("vendor/", ["vendor/a.yaml", "x/vendor/b/a.yaml"], ["vendor"], id="folder"),
        pytest.param("/vendor", ["vendor/a.yaml"], ["x/vendor/a.yaml"], id="from-the-root"),
        pytest.param("x/y", ["x/y/a.yaml"], ["z/x/y/a.yaml", "x/a.yaml"], id="with-a-slash"),
        pytest.param("old-*.yaml", ["old-1.yaml", "x/old-1.yaml"], ["old.yaml"], id="star"),
        pytest.param("x/*.yaml", ["x/a.yaml"], ["x/y/a.yaml", "a.yaml"], id="star-in-one-part"),
        pytest.param("a?.yaml", ["ab.yaml"], ["a.yaml"], id="question-mark"),
        pytest.param("[ab].yaml", ["a.yaml"], ["c.yaml"], id="set"),
        pytest.param("A.yaml", ["A.yaml"], ["a.yaml"], id="case-matters"),
    ],
)
def test_pattern_ignores_as_in_gitignore(pattern: str, ignored: list[str], kept: list[str]) -> None:
    """A pattern of the ignore file fits as it would in `.gitignore`."""
    paths = [path if path.endswith(".yaml") else f"{path}.yaml" for path in [*ignored, *kept]]
    left_out = [path for path in paths if not is_considered(entry(path), (pattern,))]
    assert left_out == paths[: len(ignored)]


def test_last_fitting_pattern_decides() -> None:
    """A pattern with `!` takes back what an earlier one ignored, and not what a later one does."""
    patterns = ("generated", "!keep.yaml", "generated/keep.yaml/never")
    assert is_considered(entry("generated/keep.yaml"), patterns)
    assert not is_considered(entry("generated/other.yaml"), patterns)
    assert not is_considered(entry("generated/keep.yaml"), (*patterns, "keep.*"))


def test_ignore_file_has_comments_and_empty_lines() -> None:
    """Comments, empty lines and spaces around a line mean nothing."""
    assert patterns_of("# no\n\n  old.yaml  \r\n#x\nvendor/") == ("old.yaml", "vendor/")


@pytest.mark.parametrize("pattern", ["/", "!", "//", "[", "**"])
def test_strange_pattern_harms_nobody(pattern: str) -> None:
    """A line that means nothing neither raises nor ignores everything below the root."""
    assert is_considered(entry("team/sub/a.yaml"), (pattern,)) or pattern == "**"
