"""Which defaults are above which file: a question of paths, asked for every file of a pass."""

from __future__ import annotations

from collections.abc import Iterable

from flowrunner.definitions.folder_defaults import FolderDefaults, Layers


class LayersOf:
    """Answers for the files of one reading; those of one folder share one answer."""

    def __init__(self, defaults: Iterable[FolderDefaults]) -> None:
        self._by_folder = {_folder(each.file): each for each in defaults}
        self._known: dict[str, Layers] = {}

    def __call__(self, path: str) -> Layers:
        """Returns the defaults above a path, relative to the root of the flows."""
        folder = _folder(path)
        if folder not in self._known:
            self._known[folder] = self._layers(folder)
        return self._known[folder]

    def _layers(self, folder: str) -> Layers:
        parts = folder.split("/")[:-1]
        above = ("/".join([*parts[:count], ""]) for count in range(len(parts) + 1))
        return Layers(tuple(self._by_folder[each] for each in above if each in self._by_folder))


def _folder(path: str) -> str:
    """Returns the folder of a path: empty, or with a slash at its end."""
    return path[: path.rfind("/") + 1]
