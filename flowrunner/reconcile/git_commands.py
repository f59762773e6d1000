"""What is asked of the system's git about a checkout, with its own programs kept from running.

Nothing is written: no lock is taken, so no person's git is kept waiting and no watcher is woken.
Hooks and monitors that the checkout's settings name do not run, submodules are not entered, and
the checkout may belong to somebody else. Paths of a repository never stand on a command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.system.files import Files, FileStat
from flowrunner.system.tools import ToolFailedError, ToolRunner, ToolTalksTooMuchError

_TIMEOUT_S = 30.0
_HEAD = b"# branch.oid "
_NO_COMMIT = b"(initial)"
_CHUNK = 1_000
"""Blobs asked for at once."""
_CHUNK_BYTES = 16 * 1024 * 1024
_FACTS_BYTES = 200
"""More than the lines of git around one blob take."""


class BlobMissingError(Exception):
    """A blob is gone: the commit was removed from the repository meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """Where a root lies: the folder that holds its `.git`, and git's own folder."""

    root: Path
    top: Path
    git: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a checkout saw.

    Attributes:
        commit: HEAD; empty before the first commit.
        changes: What git has to say of every changed and untracked file below the root.
        lock: The index lock of another git at work, before or after git was asked.
        at: When it was asked, monotonic seconds.
    """

    commit: str
    changes: tuple[bytes, ...] = ()
    lock: FileStat | None = None
    at: float = 0.0


class GitCommands:
    """Asks git. Every method blocks, and raises `ToolFailedError`."""

    def __init__(self, run: ToolRunner, files: Files) -> None:
        self._run = run
        self._files = files
        self._known: tuple[Path, FileStat | None, Checkout] | None = None

    def checkout(self, root: Path) -> Checkout | None:
        """Returns where the root lies, or None: no folder above it has a `.git`."""
        for top in (root, *root.parents):
            facts = self._files.stat(top / ".git")
            if facts is not None:
                return self._checkout(root, top, facts)
        return None

    def _checkout(self, root: Path, top: Path, facts: FileStat) -> Checkout:
        """Asks once where git's folder is, which for a linked worktree is elsewhere."""
        facts = facts._replace(mtime_ns=0, size=0)  # git works in there all the time
        if self._known is not None and self._known[:2] == (root, facts):
            return self._known[2]
        words = self._ask(root, top, "rev-parse", "--absolute-git-dir")
        git = Path(os.fsdecode(words.removesuffix(b"\n")))
        found = Checkout(root=root, top=top, git=git)
        self._known = (root, facts, found)
        return found

    def lock(self, checkout: Checkout) -> FileStat | None:
        """Returns the facts of the lock of the index; None if there is none."""
        return self._files.stat(checkout.git / "index.lock")

    def head(self, checkout: Checkout) -> str:
        """Returns the commit of HEAD; empty before the first one."""
        found = self._ask(checkout.root, checkout.top, "rev-list", "-1", "--ignore-missing", "HEAD")
        return found.decode("ascii", errors="replace").strip()

    def words(self, checkout: Checkout, commit: str) -> tuple[str, str, str]:
        """Returns author, subject and time of a commit, texts of strangers.

        By `rev-list`, which knows neither signatures nor pagers of the checkout's settings.
        """
        form = "--format=%an%x00%s%x00%cI%x00"
        which = ("-1", "--encoding=UTF-8", form, commit, "--")
        printed = self._ask(checkout.root, checkout.top, "rev-list", *which)
        _, _, told = printed.decode(errors="replace").partition("\n")  # below `commit …`
        author, subject, at, *_ = [*told.split("\0"), "", ""]
        return author, subject, at

    def look(self, checkout: Checkout, at: float) -> Look:
        """Asks for HEAD and the changes at once.

        Source: git-status(1), "Porcelain Format Version 2".
        """
        lock = self.lock(checkout)
        wanted = ("--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--no-renames")
        which = ("--untracked-files=normal", "--ignore-submodules=all", "--", ".")
        printed = self._ask(checkout.root, checkout.top, "status", *wanted, *which)
        lines = printed.split(b"\0")[:-1]
        head = next((line.removeprefix(_HEAD) for line in lines if line.startswith(_HEAD)), b"")
        return Look(
            commit="" if head == _NO_COMMIT else head.decode("ascii", errors="replace"),
            changes=tuple(line for line in lines if not line.startswith(b"# ")),
            lock=lock or self.lock(checkout),
            at=at,
        )

    def names(self, checkout: Checkout, commit: str) -> Iterator[tuple[str, str, str]]:
        """Yields mode, object id and path below the root of everything in a commit.

        Raises:
            ToolTalksTooMuchError: There are too many. Folders that hold each other many times
                over make millions of names out of a small repository.
        """
        printed = self._ask(checkout.root, checkout.top, "ls-tree", "-r", "-z", commit)
        for line in printed.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, _, name = facts.decode("ascii").split(" ")
            yield mode, name, os.fsdecode(path)

    def ignored(self, checkout: Checkout) -> tuple[str, ...]:
        """Returns the paths below the root that git ignores; those of folders end in a slash."""
        which = ("--others", "--ignored", "--exclude-standard", "--directory")
        printed = self._ask(checkout.root, checkout.top, "ls-files", "-z", *which)
        return tuple(os.fsdecode(path) for path in printed.split(b"\0")[:-1])

    def ignores_root(self, checkout: Checkout) -> bool:
        """Whether git ignores the root as a whole."""
        if checkout.root == checkout.top:
            return False
        try:
            self._ask(
                checkout.top,
                checkout.top,
                "check-ignore",
                "--quiet",
                "-z",
                "--stdin",
                feed=os.fsencode(checkout.root.relative_to(checkout.top)) + b"\0",
            )
        except ToolFailedError:
            return False
        return True

    def blobs(
        self, checkout: Checkout, names: Sequence[str], *, limit: int
    ) -> dict[str, bytes | None]:
        """Returns the content of some first blobs of `names`, at least of one.

        None stands for the content of a blob that has more than `limit` bytes.

        Raises:
            BlobMissingError: One is not there.
        """
        wanted = list(dict.fromkeys(names[:_CHUNK]))
        try:
            return self._batch(checkout, wanted, _CHUNK_BYTES)
        except ToolTalksTooMuchError:
            pass
        sizes = self._sizes(checkout, wanted)
        found: dict[str, bytes | None] = {n: None for n in wanted if sizes[n] > limit}
        small: list[str] = []
        room = _CHUNK_BYTES
        for name in wanted:
            if name not in found:
                room -= sizes[name]
                if small and room < 0:
                    break
                small.append(name)
        most = sum(sizes[name] + _FACTS_BYTES for name in small)
        found.update(self._batch(checkout, small, most))
        return found

    def _batch(
        self, checkout: Checkout, names: Sequence[str], most: int
    ) -> dict[str, bytes | None]:
        if not names:
            return {}
        feed = "".join(f"{name}\n" for name in names).encode()
        printed = self._ask(
            checkout.root, checkout.top, "cat-file", "--batch", feed=feed, most=most
        )
        found: dict[str, bytes | None] = {}
        at = 0
        for name in names:
            end = printed.index(b"\n", at)
            size = _size(name, printed[at:end])
            found[name] = printed[end + 1 : end + 1 + size]
            at = end + size + 2
        return found

    def _sizes(self, checkout: Checkout, names: Sequence[str]) -> dict[str, int]:
        feed = "".join(f"{name}\n" for name in names).encode()
        printed = self._ask(checkout.root, checkout.top, "cat-file", "--batch-check", feed=feed)
        lines = printed.splitlines()
        return {name: _size(name, line) for name, line in zip(names, lines, strict=True)}

    def _ask(
        self, folder: Path, top: Path, *words: str, feed: bytes = b"", most: int | None = None
    ) -> bytes:
        options = (
            "--no-optional-locks",
            "-c",
            f"safe.directory={top}",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        )
        command = ("git", "-C", str(folder), *options, *words)
        if most is None:
            return self._run(command, timeout_s=_TIMEOUT_S, feed=feed)
        return self._run(command, timeout_s=_TIMEOUT_S, feed=feed, most=most)


def _size(name: str, line: bytes) -> int:
    """Returns the size that git tells in ``NAME blob SIZE``. Source: git-cat-file(1)."""
    match line.split(b" "):
        case [_, b"blob", size]:
            return int(size)
        case _:
            raise BlobMissingError(f"the object {name} is gone")
