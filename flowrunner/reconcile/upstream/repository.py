"""The bare repository: made, fetched into, looked into, and made anew when it is broken."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import NamedTuple

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.reconcile.upstream.git_client import GitClient
from flowrunner.reconcile.upstream.values import Commit, RefusedRevisionError, bounded_text
from flowrunner.system.files import Files
from flowrunner.system.tools import StoppedError, ToolFailedError

_LOG = logging.getLogger(__name__)
_FETCHED = "refs/flowrunner/fetched"
_KEPT = "refs/flowrunner/kept/"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FORMATS = {40: "sha1", 64: "sha256"}
"""How git names objects, by how many digits that takes. Source: git-init(1), `--object-format`."""
_USUAL = 40
_NO_REPOSITORY = "not a git repository"
_ATTRIBUTES = b"* -text -eol -ident -filter -working-tree-encoding\n"
"""Files are checked out as they are, whatever the repository's own attributes say: these win.
Source: gitattributes(5)."""


class Target(NamedTuple):
    """What is to be fetched: a whole ref and what it names, or a commit twice."""

    name: str
    object: str


def is_commit(text: str) -> bool:
    """Whether a text is a commit in full, by SHA-1 or SHA-256."""
    return _COMMIT.fullmatch(text) is not None


class Repository:
    """One bare repository in `repo.git` below a folder. Every method blocks."""

    def __init__(self, git: GitClient, files: Files, ref: str | None) -> None:
        self._git = git
        self._files = files
        self._ref = ref

    @property
    def git(self) -> GitClient:
        """Asks git about it."""
        return self._git

    def prepare(self) -> None:
        """Makes it if there is none, and removes the locks of a git that was killed.

        Nobody else works in it: the state directory belongs to one daemon, and git ends with it.
        """
        path = self._git.repository
        self._files.remove_tree(_beside(path))
        if not self._is_there():
            self._files.remove_tree(path)
            self._make(self._git, _USUAL)
        for lock in self._locks(path):
            _LOG.warning("source.lock_removed: %s was left behind", lock)
            self._files.remove(lock)

    def _is_there(self) -> bool:
        try:
            self._git.git("rev-parse", "--git-dir")
        except ToolFailedError as error:
            if _NO_REPOSITORY not in error.message:
                raise
            return False
        return True

    def _make(self, git: GitClient, digits: int) -> None:
        self._files.make_folder(git.repository)
        # Not said of the usual one, which a git from before the other does not know by name.
        form = () if digits == _USUAL else (f"--object-format={_FORMATS[digits]}",)
        git.git("init", "--quiet", "--bare", "--template=", *form, str(git.repository))
        self._files.replace(git.repository / "info" / "attributes", _ATTRIBUTES)

    def _locks(self, path: Path) -> list[Path]:
        folders = [path, path / "refs" / "flowrunner", path / "refs" / "flowrunner" / "kept"]
        folders += [path / "objects" / "info", path / "objects" / "pack", path / "objects"]
        return [
            folder / name
            for folder in folders
            if self._files.stat(folder) is not None
            for name in self._files.names(folder)
            if name.endswith(".lock") or name.startswith("tmp_")
        ]

    def newest(self) -> Target:
        """Returns what the configured ref names now: a commit or an annotated tag.

        Raises:
            RefusedRevisionError: There is no such ref, or two.
            ToolFailedError: The remote does not answer.
        """
        if self._ref is not None and is_commit(self._ref):
            return Target(self._ref, self._ref)
        names = _names_of(self._ref)
        printed = self._git.of_remote("ls-remote", "--quiet", "{url}", *names)
        lines = printed.decode(errors="replace").splitlines()
        found = dict(reversed(line.partition("\t")[::2]) for line in lines)
        matches = [name for name in names if name in found]
        if not matches:
            what = "a default branch" if self._ref is None else f"a branch or tag {self._ref!r}"
            text = f"the repository has not {what}"
            raise RefusedRevisionError(ConditionReason.REF_MISSING, text)
        if len(matches) > 1:
            text = f"{self._ref!r} is a branch and a tag: write one of {', '.join(matches)}"
            raise RefusedRevisionError(ConditionReason.REF_AMBIGUOUS, text)
        return Target(matches[0], found[matches[0]])

    def fetch(self, target: Target) -> None:
        """Fetches what the ref names, which may have moved on since it was looked at.

        Raises:
            ToolFailedError: Git failed, for good if the repository is sound.
        """
        fetched = self._fetched()
        if fetched == target.object:
            return
        if len(target.object) != (len(fetched) or _USUAL):
            if fetched:
                _LOG.warning("source.repository_renewed: its objects are named by another hash")
            self._renew(target)
            return
        try:
            self._fetch(self._git, target)
        except StoppedError:
            raise
        except ToolFailedError:
            if not self.renew_if_broken(target):
                raise

    def _fetched(self) -> str:
        try:
            return self._git.text("rev-parse", "--verify", "--quiet", _FETCHED)
        except StoppedError:
            raise
        except ToolFailedError:
            return ""

    def _fetch(self, git: GitClient, target: Target) -> None:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        try:
            git.over_network("fetch", *options, "{url}", f"+{target.name}:{_FETCHED}")
        except StoppedError:
            raise
        except ToolFailedError:
            if not is_commit(target.name):
                raise
            # A server may hand out only what a ref names.
            everything = (
                "+refs/heads/*:refs/flowrunner/all/*",
                "+refs/tags/*:refs/flowrunner/tags/*",
            )
            git.over_network("fetch", *options, "--prune", "{url}", *everything)
            git.git("update-ref", _FETCHED, target.object)

    def _is_sound(self) -> bool:
        try:
            self._git.git("fsck", "--no-dangling", "--no-progress")
        except StoppedError:
            raise
        except ToolFailedError as error:
            _LOG.warning("source.repository_broken: %s", error.message)
            return False
        return True

    def _renew(self, target: Target) -> None:
        """Clones beside the repository, and puts the clone in its place."""
        path = self._git.repository
        fresh = self._git.beside(_beside(path))
        self._files.remove_tree(fresh.repository)
        self._make(fresh, len(target.object))
        self._fetch(fresh, target)
        self._files.remove_tree(path)
        fresh.repository.rename(path)  # a crash before this leaves none, and one is made

    def renew_if_broken(self, target: Target) -> bool:
        """Clones anew if the repository is broken, and returns whether it did."""
        if self._is_sound():
            return False
        self._renew(target)
        _LOG.warning("source.repository_renewed: it was broken")
        return True

    def commit(self) -> Revision:
        """Returns the commit that was fetched last."""
        return Revision(self._git.text("rev-parse", "--verify", _FETCHED + "^{commit}"))

    def fetched_object(self) -> str:
        """Returns what was fetched last, a commit or an annotated tag."""
        return self._git.text("rev-parse", "--verify", _FETCHED)

    def find(self, revision: str) -> Revision | None:
        """Returns the only commit that begins with some digits; None if there is none."""
        try:
            found = self._git.text("rev-parse", "--verify", "--quiet", revision + "^{commit}")
        except StoppedError:
            raise
        except ToolFailedError:
            return None
        return Revision(found)

    def descends(self, commit: Revision, ancestor: Revision) -> bool:
        """Whether a commit has another one among its ancestors; not if that one is unknown."""
        try:
            self._git.git("merge-base", "--is-ancestor", ancestor, commit)
        except StoppedError:
            raise
        except ToolFailedError:
            return False
        return True

    def describe(self, commit: Revision, *, is_verified: bool) -> Commit:
        """Returns what a person knows a commit by."""
        form = "--format=%an%x00%s%x00%cI"
        printed = self._git.git("log", "-1", "--no-show-signature", form, commit)
        author, subject, at, *_ = printed.decode(errors="replace").strip("\n").split("\0")
        return Commit(
            revision=commit,
            author=bounded_text(author),
            subject=bounded_text(subject),
            committed_at=at[:40],
            is_verified=is_verified,
        )

    def keep(self, commits: set[Revision]) -> None:
        """Lets git keep these commits, whatever becomes of their branch, and no others."""
        printed = self._git.git("for-each-ref", "--format=%(refname)", _KEPT)
        before = {line.removeprefix(_KEPT) for line in printed.decode().splitlines()}
        for name in before - commits:
            self._git.git("update-ref", "-d", _KEPT + name)
        for commit in commits - before:
            if self.find(commit) is not None:
                self._git.git("update-ref", _KEPT + commit, commit)

    def clean(self) -> None:
        """Packs what many small fetches have left; git drops what nothing names after 2 weeks."""
        self._git.git("gc", "--quiet")


def _names_of(ref: str | None) -> tuple[str, ...]:
    if ref is None:
        return ("HEAD",)
    return (ref,) if ref.startswith("refs/") else (f"refs/heads/{ref}", f"refs/tags/{ref}")


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")
