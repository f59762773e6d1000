"""Which revision a folder is at: git's HEAD, with `-dirty` when git sees other content.

Asks the system's git; a folder without git, or a host without it, has no revision of that kind.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from flowrunner.model.ids import Revision
from flowrunner.system.files import Files
from flowrunner.system.tools import ToolFailedError, ToolRunner

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 30.0


class RevisionReader(Protocol):
    """Tells the revision of a folder; blocks."""

    def read(self, root: Path) -> Revision:
        """Returns the revision, or an empty one when nothing but the content can tell."""


class GitRevisions:
    """The revision by git, without taking its lock or running anything of the checkout's."""

    def __init__(self, run: ToolRunner, files: Files) -> None:
        self._run = run
        self._files = files

    def read(self, root: Path) -> Revision:
        """Returns HEAD's commit, ending in `-dirty` when git reports changes under the root."""
        top = self._top(root)
        if top is None:
            return Revision("")
        try:
            head = self._git(root, top, "rev-parse", "--verify", "--quiet", "HEAD").strip()
            changes = self._git(root, top, "status", "--porcelain", "--", ".")
        except ToolFailedError as error:
            _LOG.warning("source.git_failed root=%s: %s", root, error.message)
            return Revision("")
        return Revision(f"{head}-dirty" if changes.strip() else head)

    def _git(self, root: Path, top: Path, *arguments: str) -> str:
        """Runs git on a checkout that may belong to someone else, hooks and monitors off."""
        options = (
            "--no-optional-locks",
            "-c",
            f"safe.directory={top}",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        )
        return self._run(("git", "-C", str(root), *options, *arguments), timeout_s=_TIMEOUT_S)

    def _top(self, root: Path) -> Path | None:
        """Returns the folder of the checkout that holds the root, or None."""
        folders = (root, *root.parents)
        return next((f for f in folders if self._files.stat(f / ".git") is not None), None)


class NoRevisions:
    """No revision but the content's: for checks outside a daemon, which need not ask git."""

    def read(self, root: Path) -> Revision:  # noqa: ARG002 - the Protocol's signature
        """Returns an empty revision."""
        return Revision("")
