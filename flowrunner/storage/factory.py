"""Makes a backend by its name in the settings; the one door to the backends.

What works on a state on disk without its daemon is handed on from here too.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from flowrunner.errors import SettingsError
from flowrunner.storage.local.offline import backup_offline, check_state, restore_offline
from flowrunner.storage.local.storage import LocalOptions, LocalStorage
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.protocols import Storage
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files

__all__ = [
    "BACKENDS",
    "LocalOptions",
    "backup_offline",
    "check_state",
    "make_storage",
    "restore_offline",
]

BACKENDS = ("local", "memory")
"""What `storage.backend` may name."""


def make_storage(
    backend: str,
    *,
    folder: Path,
    files: Files,
    clock: Clock,
    observe_commit: Callable[[float], None] = lambda _: None,
    options: LocalOptions = LocalOptions(),  # noqa: B008 - frozen
) -> Storage:
    """Returns a backend that is not open yet; the caller opens and closes it.

    Args:
        backend: One of `BACKENDS`.
        folder: The state directory, made when the backend opens if it needs one.
        files: Every access to files but the database's own.
        clock: Tells when the state was last seen to work, and how long commits take.
        options: What an operator may choose of a backend on disk.
        observe_commit: Learns, in a thread, the seconds of each commit of a backend on disk.

    Raises:
        SettingsError: ``settings.unknown_backend``.
    """
    match backend:
        case "local":
            return LocalStorage(folder, files, clock, observe_commit, options)
        case "memory":
            return MemoryStorage()
        case _:
            close = get_close_matches(backend, BACKENDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"use {' or '.join(BACKENDS)}"
            raise SettingsError(
                f"there is no storage backend {backend!r}; {hint}",
                code="settings.unknown_backend",
                details={"found": backend, "known": list(BACKENDS)},
            )
