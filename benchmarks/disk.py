"""Where what is measured keeps its files.

Never a memory file system, on which a commit would cost nothing. `BENCH_DISK` names a folder on
another disk: on some file systems a new file costs more for minutes after many were removed (ext4
without a journal passes over every inode that was freed lately), which is none of ours.
"""

from __future__ import annotations

import os

DISK = os.environ.get("BENCH_DISK", "/var/tmp")
