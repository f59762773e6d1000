"""What a person knows the revision of a checkout by: who wrote its commit, and its first line.

Asked for when somebody looks, not in a pass: a pass needs no more of a commit than its name. What a
repository is that the daemon pulls, the source itself knows.
"""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path

from flowrunner.model.ids import Revision
from flowrunner.reconcile.git_commands import GitCommands
from flowrunner.reconcile.upstream.values import Commit, bounded_text
from flowrunner.system.files import Files
from flowrunner.system.tools import ToolFailedError

_LOG = logging.getLogger(__name__)
_DIRTY = "-dirty"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""A commit in full, by SHA-1 or SHA-256; the revision of a plain folder is none."""


class CommitWords:
    """Asks git once for each revision, for any number of threads.

    Args:
        git: Of its own: nobody else asks at the same time.
        files: Where the root is, through its links.
        root: The folder of the flows.
    """

    def __init__(self, git: GitCommands, files: Files, root: Path) -> None:
        self._git = git
        self._files = files
        self._root = root
        self._lock = threading.Lock()
        self._known: Commit | None = None

    def of(self, revision: Revision) -> Commit | None:
        """Returns the commit of a revision, without the edits of a dirty one. Blocks.

        None when there is none: the folder is no checkout, git cannot say, or somebody else is
        asking it just now; it is asked again then. So a git that hangs holds one thread, whoever
        wants to see the source meanwhile.
        """
        commit = Revision(revision.removesuffix(_DIRTY))
        if _COMMIT.fullmatch(commit) is None:
            return None
        known = self._known
        if known is not None and known.revision == commit:
            return known
        if not self._lock.acquire(blocking=False):
            return None
        try:
            self._known = self._asked(commit)
            return self._known
        finally:
            self._lock.release()

    def _asked(self, commit: Revision) -> Commit | None:
        try:
            root = self._files.walk(self._root, depth=1, most=1).root
            checkout = self._git.checkout(root)
            words = None if checkout is None else self._git.words(checkout, commit)
        except (OSError, ToolFailedError) as error:
            _LOG.debug("source.commit_unknown revision=%s: %s", commit, error)
            return None
        if words is None:
            return None
        author, subject, at = map(bounded_text, words)
        return Commit(revision=commit, author=author, subject=subject, committed_at=at)
