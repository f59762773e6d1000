"""Promises of `flowrunner.model.globs`: which paths a glob means, and which texts are none."""

from __future__ import annotations

import pytest

from flowrunner.model.globs import MOST_FOLDERS, GlobError, is_inside, parse_glob


@pytest.mark.parametrize(
    ("text", "base", "depth"),
    [
        ("/srv/in/*.csv", "/srv/in", 1),
        ("/srv/in/orders.csv", "/srv/in", 1),
        ("/srv/*/in/*.csv", "/srv", 3),
        ("/srv/**/*.csv", "/srv", MOST_FOLDERS),
        ("/srv/in/**", "/srv/in", MOST_FOLDERS),
        ("/*.csv", "/", 1),
        ("/srv/[ab]/x", "/srv", 2),
    ],
)
def test_glob_looks_below_its_literal_folder(text: str, base: str, depth: int) -> None:
    """The base is the longest part without special characters, never the name of the file."""
    glob = parse_glob(text)

    assert (glob.base, glob.depth) == (base, depth)


@pytest.mark.parametrize(
    ("text", "path", "is_meant"),
    [
        ("/in/*.csv", "a.csv", True),
        ("/in/*.csv", "a.csv.part", False),
        ("/in/*.csv", "b/a.csv", False),
        ("/in/*.csv", ".a.csv", False),
        ("/in/?.csv", "ab.csv", False),
        ("/in/[ab].csv", "b.csv", True),
        ("/in/[!ab].csv", "b.csv", False),
        ("/in/A.csv", "a.csv", False),
        ("/in/**/*.csv", "a.csv", True),
        ("/in/**/*.csv", "b/c/a.csv", True),
        ("/in/**/*.csv", "b/.c/a.csv", False),
        ("/in/**/b/*.csv", "a/b/c/b/x.csv", True),
        ("/in/**/b/*.csv", "a/b/c/x.csv", False),
        ("/in/**", "a/b/c", True),
        ("/in/*/x", "a/x", True),
        ("/in/*/x", "x", False),
    ],
)
def test_glob_means_paths(text: str, path: str, *, is_meant: bool) -> None:
    """Names are compared one by one; `**` is any number of folders, and dots are hidden."""
    assert parse_glob(text).matches(path) is is_meant


@pytest.mark.parametrize(
    ("text", "folder", "leads"),
    [
        ("/in/*/x/*.csv", "a", True),
        ("/in/*/x/*.csv", "a/x", True),
        ("/in/*/x/*.csv", "a/y", False),
        ("/in/*/x/*.csv", ".a", False),
        ("/in/*/*.csv", "a/x.csv", False),
        ("/in/**/*.csv", "a/b/c", True),
        ("/in/**/*.csv", "a/.b", False),
    ],
)
def test_glob_tells_where_what_it_means_may_lie(text: str, folder: str, *, leads: bool) -> None:
    """Folders in which nothing can be that is meant need no look."""
    assert parse_glob(text).leads(folder) is leads


@pytest.mark.parametrize(
    "text",
    [
        "in/*.csv",
        "",
        "~/in/*",
        "/in//x",
        "/in/../x",
        "/in/./x",
        "/in/",
        "/a**/x",
        "/a\0b",
        "/in/.x",
        "/in/*/.done/*",
    ],
)
def test_text_that_is_no_glob_is_refused(text: str) -> None:
    """A relative path, an empty name, a way upwards and half a `**` are no globs."""
    with pytest.raises(GlobError):
        parse_glob(text)


def test_hostile_glob_is_judged_at_once() -> None:
    """Many stars against a long name that nearly fits need no more than a moment."""
    glob = parse_glob("/in/" + "*a" * 60 + "b")

    assert not glob.matches("a" * 255)


def test_inside_is_told_by_whole_names() -> None:
    """A folder with a longer name beside a root is not inside of it; the root itself is."""
    assert is_inside("/srv/in", "/srv/in")
    assert is_inside("/srv/in/a", "/srv/in")
    assert is_inside("/srv", "/")
    assert not is_inside("/srv/inbox", "/srv/in")
