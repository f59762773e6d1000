"""What a folder is mounted from: on some file systems nobody tells of changes made elsewhere.

Source: proc(5), ``/proc/PID/mountinfo``; inotify(7), "Limitations and caveats".
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

_TABLE = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "glusterfs", "gpfs", "lustre",
        "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs", "virtiofs",
    }
)  # fmt: skip
_NETWORK_FUSE = ("fuse.ceph", "fuse.gluster", "fuse.rclone", "fuse.s3fs", "fuse.sshfs")
_MOUNT_POINT = 4
"""Which word of a line it is, counted from 0."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path, table: Path = _TABLE) -> str:
    """Returns the type of the file system of a resolved path if it is a network's, else nothing.

    Nothing also where the table of mounts cannot be read.
    """
    try:
        text = table.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    kind = file_system_of(path, text)
    is_network = kind in _NETWORK or kind.startswith(_NETWORK_FUSE)
    return kind if is_network else ""


def file_system_of(path: Path, table: str) -> str:
    """Returns the type of the file system of a resolved path; of two on one place the later one."""
    found, depth = "", -1
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        words = fields.split(" ")
        if len(words) <= _MOUNT_POINT or not rest:
            continue
        place = PurePosixPath(_ESCAPED.sub(_unescaped, words[_MOUNT_POINT]))
        if len(place.parts) >= depth and path.is_relative_to(place):
            found, depth = rest.split(" ")[0], len(place.parts)
    return found


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
