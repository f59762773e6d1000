"""Promises of `flowrunner.reconcile.commit_words`, held against the real git."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowrunner.model.ids import Revision
from flowrunner.reconcile.commit_words import CommitWords
from flowrunner.reconcile.git_commands import GitCommands
from flowrunner.system.files import LocalFiles
from flowrunner.system.tools import ToolFailedError, run_tool
from tests.fakes.checkouts import Checkout

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(shutil.which("git") is None, reason="there is no git"),
]


class Asking:
    """The real git, counted; fails while it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_failing = False
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self, argv: Sequence[str], **more: Any) -> bytes:
        self.asked += 1
        self.meanwhile()
        if self.is_failing:
            raise ToolFailedError("it is ill", code="tool.failed")
        return run_tool(argv, **more)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path.resolve() / "repository")


def words_of(root: Path, asking: Asking | None = None) -> CommitWords:
    run = run_tool if asking is None else asking.run
    return CommitWords(GitCommands(run, LocalFiles()), LocalFiles(), root)


def said(checkout: Checkout, *options: str) -> Revision:
    checkout.git("commit", "--quiet", "--allow-empty", *options)
    return Revision(checkout.git("rev-parse", "HEAD"))


def signed_by_nobody(checkout: Checkout) -> Revision:
    """Gives HEAD a signature, and returns what it is then. Source: gitformat-signature(5)."""
    lines = checkout.git("cat-file", "commit", "HEAD").split("\n")
    at = next(n for n, line in enumerate(lines) if line.startswith("committer ")) + 1
    seal = ["gpgsig -----BEGIN PGP SIGNATURE-----", " ", " x", " -----END PGP SIGNATURE-----"]
    made = checkout.path / "commit"
    made.write_text("\n".join([*lines[:at], *seal, *lines[at:], ""]))
    return Revision(checkout.git("hash-object", "-t", "commit", "-w", str(made)))


def test_commit_is_told_through_a_link_and_of_a_dirty_revision(checkout: Checkout) -> None:
    """Author, first line and time; git is asked once for each commit."""
    revision = said(checkout, "--message", "Say more\n\nand why", "--author", "Ann Ä <a@x>")
    (checkout.path / "flows").mkdir()
    link = checkout.path.parent / "current"
    link.symlink_to(checkout.path / "flows")
    asking = Asking()
    words = words_of(link, asking)
    found = words.of(revision)
    assert found is not None
    assert (found.revision, found.author, found.subject) == (revision, "Ann Ä", "Say more")
    assert found.committed_at == checkout.git("log", "-1", "--format=%cI")
    count = asking.asked
    assert words.of(Revision(f"{revision}-dirty")) is found
    assert asking.asked == count
    later = said(checkout, "--message", "later")
    again = words.of(later)
    assert again is not None
    assert again.subject == "later"


def test_words_of_strangers_are_bounded_and_run_nothing(checkout: Checkout) -> None:
    """What steers a terminal is taken out, and settings of the checkout start no program."""
    marker, program = checkout.path / "ran", checkout.path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    checkout.git("config", "log.showSignature", "true")
    checkout.git("config", "gpg.program", str(program))
    said(checkout, "--message", "a\x1b[2J" + "b" * 500)
    revision = signed_by_nobody(checkout)
    found = words_of(checkout.path).of(revision)
    assert found is not None
    assert found.subject.startswith("a\N{REPLACEMENT CHARACTER}[2Jbbb")
    assert len(found.subject) == 200
    assert not marker.exists()


@pytest.mark.parametrize("revision", ["", "sha256:" + "0" * 64, "0" * 39, "--all"])
def test_revision_that_is_no_commit_asks_nobody(checkout: Checkout, revision: str) -> None:
    """A plain folder has a hash for a revision, and nobody wrote that."""
    asking = Asking()
    assert words_of(checkout.path, asking).of(Revision(revision)) is None
    assert asking.asked == 0


def test_what_git_cannot_say_is_asked_again(checkout: Checkout, tmp_path: Path) -> None:
    """A commit that is gone, a git that fails, a folder without git: none, and no error."""
    revision = said(checkout, "--message", "here")
    asking = Asking()
    words = words_of(checkout.path, asking)
    assert words.of(Revision("f" * 40)) is None
    asking.is_failing = True
    assert words.of(revision) is None
    asking.is_failing = False
    assert words.of(revision) is not None
    assert words_of(tmp_path / "missing").of(revision) is None
    assert words_of(Path("/")).of(revision) is None


def test_git_that_hangs_keeps_nobody_else_waiting(checkout: Checkout) -> None:
    """While one caller waits for git, others are told at once that it is not known yet."""
    revision = said(checkout, "--message", "here")
    asking = Asking()
    words = words_of(checkout.path, asking)
    others: list[object] = []
    asking.meanwhile = lambda: others.append(words.of(revision))
    assert words.of(revision) is not None
    assert others == [None] * asking.asked
    assert words.of(revision) is not None
