"""Which revision a folder is at: git's HEAD, with `-dirty` when git sees other content.

Asks the system's git; a folder without git, or a host without it, has no revision of that kind.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from flowrunner.model.ids import Revision
from flowrunner.registry.entry import NO_REVISION
from flowrunner.system.files import Files
from flowrunner.system.tools import ToolFailedError, ToolRunner

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 30.0
_HEAD = "# branch.oid "
_NO_COMMIT = f"{_HEAD}(initial)"


class RevisionReader(Protocol):
    """Tells the revision of a folder; blocks."""

    def read(self, root: Path) -> Revision:
        """Returns the revision, or an empty one when nothing but the content can tell."""


class GitRevisions:
    """The revision by git, without taking its lock, with hooks and monitors off."""

    def __init__(self, run: ToolRunner, files: Files) -> None:
        self._run = run
        self._files = files
        self._last_failure = ""

    def read(self, root: Path) -> Revision:
        """Returns HEAD's commit, ending in `-dirty` when git reports changes under the root.

        Empty without git, before the first commit, and when git fails, which is logged once.
        """
        top = self._top(root)
        if top is None:
            return NO_REVISION
        try:
            lines = self._status(root, top).splitlines()
        except ToolFailedError as error:
            self._report(root, error.message)
            return NO_REVISION
        self._last_failure = ""
        head = next((line for line in lines if line.startswith(_HEAD)), _NO_COMMIT)
        if head == _NO_COMMIT:
            return NO_REVISION
        is_dirty = any(not line.startswith("#") for line in lines)
        return Revision(head.removeprefix(_HEAD) + ("-dirty" if is_dirty else ""))

    def _status(self, root: Path, top: Path) -> str:
        """Asks git for HEAD and the changes at once; the checkout may belong to someone else.

        Source: git-status(1), "Porcelain Format Version 2".
        """
        options = (
            "--no-optional-locks",
            "-c",
            f"safe.directory={top}",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        )
        wanted = ("--porcelain=v2", "--branch", "--no-ahead-behind", "--untracked-files=normal")
        command = ("git", "-C", str(root), *options, "status", *wanted, "--", ".")
        return self._run(command, timeout_s=_TIMEOUT_S)

    def _report(self, root: Path, failure: str) -> None:
        if failure != self._last_failure:
            _LOG.warning("source.git_failed root=%s: %s", root, failure)
        self._last_failure = failure

    def _top(self, root: Path) -> Path | None:
        """Returns the folder of the checkout that holds the root, or None."""
        folders = (root, *root.parents)
        return next((f for f in folders if self._files.stat(f / ".git") is not None), None)


class NoRevisions:
    """No revision but the content's: for checks outside a daemon, which need not ask git."""

    def read(self, root: Path) -> Revision:  # noqa: ARG002 - the Protocol's signature
        """Returns an empty revision."""
        return NO_REVISION
