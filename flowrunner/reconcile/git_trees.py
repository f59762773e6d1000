"""Which state of a checkout a pass reads: HEAD, or the worktree with what is not committed.

HEAD is one commit whatever git is doing meanwhile, and so it is what `auto` reads, unless a person
edits: then git lists the same changes at two looks a second apart. A git at work changes what it
lists, moves HEAD or holds the lock of the index. In a pull git renames the index, so that the lock
is gone, before HEAD moves; so the lock alone says little.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, TypeAlias

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.reconcile.git_commands import Checkout, GitCommands, Look
from flowrunner.reconcile.head_tree import HeadNames, HeadTree, read_names
from flowrunner.reconcile.tree import (
    FolderTree,
    FolderTrees,
    LookAgainError,
    Names,
    Tree,
    UnstableSourceError,
    UnusableSourceError,
)
from flowrunner.reconcile.worktree import WorktreeTree
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files, FileStat
from flowrunner.system.tools import ToolFailedError

ReadMode: TypeAlias = Literal["auto", "head", "worktree"]

_LOG = logging.getLogger(__name__)
_APART_S = 1.0
_MOST_LOOKS = 3
"""Looks in one pass: more than two where each sees something else, as while a person saves."""
_LOCK_POLL_S = 0.2
_LOCK_LIMIT_S = 30.0
_NO_REPOSITORY = "not a git repository"


class GitTrees:
    """Opens roots in checkouts, and plain folders as they are."""

    def __init__(self, git: GitCommands, files: Files, clock: Clock, mode: ReadMode) -> None:
        self._git = git
        self._files = files
        self._folders = FolderTrees(files)
        self._clock = clock
        self._mode = mode
        self._before: Look | None = None
        self._looks = 0
        self._names: HeadNames | None = None
        self._ignored_lock: FileStat | None = None
        self._lock: tuple[FileStat, float] | None = None
        self._last_said = ""

    def open(self, root: Path) -> Tree:
        """Returns what is to be read now."""
        try:
            checkout = self._git.checkout(root)
            if checkout is None:
                return self._plain(root, f"{root} is no git checkout")
            return self._opened(checkout)
        except ToolFailedError as error:
            self._looks = 0
            if error.code == "tool.missing" or _NO_REPOSITORY in error.message:
                self._say("source.git_failed", f"{root}: {error.message}")
                return self._plain(root, error.message)
            raise UnstableSourceError(error.message) from error

    def names(self, root: Path) -> Names | None:
        """Returns those of a plain folder: in a checkout git says what belongs together."""
        if self._mode == "head":
            return None
        try:
            checkout = self._git.checkout(root)
        except ToolFailedError:
            return None
        return self._folders.names(root) if checkout is None else None

    def ignore_lock(self, root: Path) -> None:
        """Takes the lock that is there now for none, until another one is in its place."""
        try:
            checkout = self._git.checkout(root)
        except ToolFailedError:
            return  # a pass will say so
        if checkout is not None:
            self._ignored_lock = self._git.lock(checkout)

    def _plain(self, root: Path, why: str) -> Tree:
        if self._mode == "head":
            text = f"source.read is head, and there is none: {why}"
            raise UnusableSourceError(ConditionReason.SOURCE_UNREADABLE, text)
        return self._folders.open(root)

    def _opened(self, checkout: Checkout) -> Tree:
        if self._mode == "head":
            commit = self._git.head(checkout)
            if not commit:
                return self._plain(checkout.root, "the checkout has no commit yet")
            return self._head(checkout, commit)
        look = self._git.look(checkout, self._clock.monotonic())
        if not look.commit:
            return self._plain(checkout.root, "the checkout has no commit yet")
        if self._mode == "worktree":
            return self._unlocked(checkout, look)
        return self._chosen(checkout, look)

    def _chosen(self, checkout: Checkout, look: Look) -> Tree:
        """Judges by what was seen before; an earlier pass may have looked."""
        before, self._before = self._before, look
        if not look.changes:
            self._looks = 0
            return self._committed(checkout, look.commit)
        lock = self._lock_of(look)
        if lock is not None:
            self._looks = 0
            self._before = None
            self._warn_of_age(lock)
            return self._committed(checkout, look.commit)
        is_same = before is not None and _same(before, look)
        if before is not None and is_same:
            self._before = before  # the same since then
            left_s = _APART_S - (look.at - before.at)
            if left_s <= 0:
                self._looks = 0
                return self._worktree(checkout, look, is_strict=True)
        else:
            left_s = _APART_S
        self._looks += 1
        if self._looks >= _MOST_LOOKS and not is_same:
            self._looks = 0
            return self._committed(checkout, look.commit)
        raise LookAgainError("git lists changes that may go on", left_s)

    def _unlocked(self, checkout: Checkout, look: Look) -> Tree:
        """Returns the worktree when no other git is at work on it."""
        lock = self._lock_of(look)
        if lock is None:
            return self._worktree(checkout, look, is_strict=False)
        if self._age_s(lock) > _LOCK_LIMIT_S:
            text = (
                f"{checkout.git}/index.lock is older than {_LOCK_LIMIT_S:.0f} s: if no git is at "
                f"work there, remove it or run flowrunner reconcile --ignore-lock"
            )
            raise UnusableSourceError(ConditionReason.GIT_LOCKED, text)
        raise LookAgainError("another git holds the lock of the index", _LOCK_POLL_S)

    def _committed(self, checkout: Checkout, commit: str) -> Tree:
        tree = self._head(checkout, commit)
        if not tree.walk.entries and self._git.ignores_root(checkout):
            return self._folders.open(checkout.root)
        return tree

    def _head(self, checkout: Checkout, commit: str) -> Tree:
        return HeadTree(self._git, checkout, self._names_of(checkout, commit))

    def _names_of(self, checkout: Checkout, commit: str) -> HeadNames:
        known = self._names
        if known is None or (known.root, known.commit) != (checkout.root, commit):
            known = self._names = read_names(self._git, checkout, commit)
            if known.submodules:
                self._say("source.submodules", f"not read: {', '.join(known.submodules)[:300]}")
        return known

    def _worktree(self, checkout: Checkout, look: Look, *, is_strict: bool) -> Tree:
        """Returns the worktree; if strict, without what does not belong to the repository."""
        left_out: tuple[str, ...] = ()
        if is_strict:
            submodules = self._names_of(checkout, look.commit).submodules
            left_out = (*submodules, *self._git.ignored(checkout))
        return WorktreeTree(
            FolderTree(self._files, checkout.root),
            Revision(look.commit + ("-dirty" if look.changes else "")),
            left_out,
            lambda: self._is_as_in(checkout, look),
        )

    def _is_as_in(self, checkout: Checkout, look: Look) -> bool:
        now = self._git.look(checkout, look.at)
        return _same(now, look) and self._lock_of(now) is None

    def _lock_of(self, look: Look) -> FileStat | None:
        return None if look.lock == self._ignored_lock else look.lock

    def _age_s(self, lock: FileStat) -> float:
        """Returns how old a lock is: by its time stamp, or since it was first seen."""
        now = self._clock.monotonic()
        if self._lock is None or self._lock[0] != lock:
            self._lock = (lock, now)
        by_stamp_s = self._clock.now().timestamp() - lock.mtime_ns / 1e9
        return max(by_stamp_s, now - self._lock[1])

    def _warn_of_age(self, lock: FileStat) -> None:
        if self._age_s(lock) > _LOCK_LIMIT_S:
            text = "index.lock is old: what is not committed is not read until it is gone"
            self._say("source.locked", f"{text}, or flowrunner reconcile --ignore-lock")

    def _say(self, event: str, text: str) -> None:
        """Logs once, not in every pass."""
        if text != self._last_said:
            _LOG.warning("%s %s", event, text)
        self._last_said = text


def _same(one: Look, other: Look) -> bool:
    return (one.commit, one.changes) == (other.commit, other.changes)
