"""Folders whose hints and faults are given by the test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from flowrunner.system.folder_watch import Folder, Followed
from flowrunner.triggers.inbox_look import Sought


class FakeFolderWatch:
    """Meets `FolderWatch`.

    Attributes:
        followed: What is followed, by key.
        failure: What every `follow` says.
    """

    def __init__(self) -> None:
        self.followed: dict[Sought, tuple[Folder, ...]] = {}
        self.failure = ""
        self._hint: Callable[[Sought], None] | None = None

    def listen(self, hint: Callable[[Sought], None]) -> None:
        self._hint = hint

    def follow(self, key: Sought, folders: Sequence[Folder]) -> Followed:
        before = set(self.followed.get(key, ()))
        self.followed[key] = tuple(folders)
        return Followed(bool(set(folders) - before), self.failure)

    def forget(self, keys: Collection[Sought]) -> None:
        for key in keys:
            self.followed.pop(key, None)

    def close(self) -> None:
        self._hint = None

    def poke(self, path: str) -> None:
        """Gives a hint, as if something had come into a folder."""
        for key, folders in self.followed.items():
            if self._hint is not None and path in {folder.path for folder in folders}:
                self._hint(key)
