"""One look for the files of a glob, inside the folders that its account may look into."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.globs import Glob, is_inside
from flowrunner.system.files import FileKind, Files, Walk
from flowrunner.system.folder_watch import Folder, FolderWatch, Followed

MOST_FILES = 10_000
"""Files of one trigger; what is more is not seen until there is room."""

_MOST_NAMES = 50_000
"""Names of one look, as many as FLOW_FORMAT 1 allows for flows."""


Sought: TypeAlias = tuple[str, Glob]
"""What is looked for: the account and the glob."""

_NOT_WATCHED = Followed()


class Content(NamedTuple):
    """What a file holds, told by its facts alone; sizes in bytes, times in ns since 1970.

    Not by the number of its device, which another boot may give to another one.
    """

    mtime_ns: int
    size: int
    inode: int

    @property
    def text(self) -> str:
        """What it is remembered by."""
        return f"{self.inode}:{self.size}:{self.mtime_ns}"

    @classmethod
    def of(cls, text: str) -> Content:
        """Returns the content that is remembered by a text."""
        inode, size, mtime_ns = map(int, text.split(":"))
        return cls(mtime_ns, size, inode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look has found.

    Attributes:
        contents: By path, as the glob names it.
        trouble: What kept it from seeing all of it; empty when nothing did.
        followed: Whether what comes from now on will be told.
    """

    contents: Mapping[str, Content] = field(default_factory=dict)
    trouble: str = ""
    followed: Followed = _NOT_WATCHED


class InboxLooks:
    """Looks for files, and lets the folders tell of what comes after a look.

    Args:
        files: The files of the host.
        roots: Account → the folders into which it may look.
        watch: Hears of folders that have been looked at.
    """

    def __init__(
        self, files: Files, roots: Mapping[str, tuple[str, ...]], watch: FolderWatch[Sought]
    ) -> None:
        self._files = files
        self._roots = roots
        self._watch = watch

    def listen(self, hint: Callable[[Sought], None]) -> None:
        """Calls `hint` in the loop with what was looked for where something has come."""
        self._watch.listen(hint)

    async def forget(self, sought: Collection[Sought]) -> None:
        """Hears no more of what is not looked for any more."""
        await asyncio.to_thread(self._watch.forget, sought)

    def close(self) -> None:
        """Hears of nothing more; blocks."""
        self._watch.close()

    async def look(self, account: str, glob: Glob) -> Found:
        """Returns the regular files that a glob means; a folder that is missing has none."""
        return await asyncio.to_thread(self._look, account, glob)

    def _look(self, account: str, glob: Glob) -> Found:
        roots = [root for root in self._roots.get(account, ()) if is_inside(glob.base, root)]
        if not roots:
            return Found(trouble=f"{glob.base} is outside of the roots of account {account}")
        try:
            walk = self._files.walk(Path(glob.base), depth=glob.depth, most=_MOST_NAMES)
            if not any(is_inside(str(walk.root), self._real(root)) for root in roots):
                return Found(trouble=f"{glob.base} leads out of {roots[0]}, to {walk.root}")
        except (FileNotFoundError, NotADirectoryError):
            return Found()
        except OSError as error:
            return Found(trouble=f"{glob.base} cannot be read: {error.strerror}")
        folders = self._folders(walk, glob)
        return replace(_found(walk, glob), followed=self._watch.follow((account, glob), folders))

    def _folders(self, walk: Walk, glob: Glob) -> list[Folder]:
        """Returns the folders into which a file that is meant may come, the topmost first."""
        facts = self._files.stat(walk.root)
        if facts is None:
            return []
        below = [
            Folder(f"{walk.root}/{entry.path}", entry.stat.device, entry.stat.inode)
            for entry in walk.entries
            if entry.stat.kind is FileKind.FOLDER
            and not entry.escapes
            and entry.path.count("/") + 1 < glob.depth
            and glob.leads(entry.path)
        ]
        return [Folder(str(walk.root), facts.device, facts.inode), *below]

    def _real(self, root: str) -> str:
        """Returns where a root is in truth; a walk of it resolves it."""
        return str(self._files.walk(Path(root), depth=1, most=1).root)


def _found(walk: Walk, glob: Glob) -> Found:
    contents: dict[str, Content] = {}
    trouble = ""
    if walk.unreadable:
        trouble = f"{walk.unreadable[0] or glob.base} below {glob.base} cannot be read"
    elif walk.truncated and len(walk.entries) >= _MOST_NAMES:
        trouble = f"there are more than {_MOST_NAMES} names below {glob.base}"
    base = glob.base.rstrip("/")
    for entry in walk.entries:
        facts = entry.stat
        if facts.kind is not FileKind.FILE or entry.escapes or not glob.matches(entry.path):
            continue
        if not _is_text(entry.path):
            trouble = trouble or f"a name below {glob.base} is not UTF-8"
            continue
        if len(contents) == MOST_FILES:
            trouble = f"there are more than {MOST_FILES} such files below {glob.base}"
            break
        contents[f"{base}/{entry.path}"] = Content(facts.mtime_ns, facts.size, facts.inode)
    return Found(contents=contents, trouble=trouble)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
