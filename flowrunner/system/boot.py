"""Which boot of the host this is."""

from __future__ import annotations

from pathlib import Path

from flowrunner.system.files import Files

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A UUID, new with each boot. Source: proc(5), `/proc/sys/kernel/random`."""

_MOST_BYTES = 100


def boot_id(files: Files) -> str:
    """Returns the id of this boot; blocks.

    Raises:
        OSError: The kernel does not say it, or says nothing.
    """
    found = files.read(_BOOT_ID, limit=_MOST_BYTES).decode("ascii", errors="replace").strip()
    if not found:
        raise OSError(f"{_BOOT_ID} is empty")
    return found
