"""The defaults above a file that is named by itself, when no folder says where the flows begin.

The daemon knows the root of its flows, a command with a file does not. It takes the top of the git
checkout that holds the file, else the current folder if the file is below it, else the file's own
folder: never a folder that somebody else may write to.
"""

from __future__ import annotations

import os
from pathlib import Path

from flowrunner.definitions.folder_defaults import DEFAULTS_FILE, FolderDefaults, Layers
from flowrunner.reconcile.scan import Scanner


def layers_above(scanner: Scanner, path: Path) -> Layers:
    """Returns the defaults above a file, under names that a person can open from here.

    Raises:
        UnstableSourceError: One changed while it was read.
    """
    found = (_read(scanner, folder / DEFAULTS_FILE, path) for folder in folders_above(path))
    return Layers(tuple(each for each in found if each is not None))


def _read(scanner: Scanner, defaults: Path, near: Path) -> FolderDefaults | None:
    if not os.path.lexists(defaults) or defaults.is_dir():
        return None
    name = str(defaults) if near.is_absolute() else os.path.relpath(defaults)
    return scanner.read_defaults(defaults, name)


def folders_above(path: Path) -> list[Path]:
    """Returns the folders from the top to that of the file."""
    own = path.absolute().parent
    own = Path(os.path.realpath(own))
    upwards = [own, *own.parents]
    here = Path(os.path.realpath(Path.cwd()))
    checkout = next((each for each in upwards if os.path.lexists(each / ".git")), None)
    top = checkout or (here if here in upwards else own)
    return upwards[upwards.index(top) :: -1]
