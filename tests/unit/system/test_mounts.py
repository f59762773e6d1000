"""Promises of `flowrunner.system.mounts`."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.system.mounts import file_system_of, network_file_system

TABLE = r"""22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv rw,relatime shared:5 master:2 - nfs4 host:/export rw,vers=4.2
31 30 0:41 / /srv/local rw - tmpfs tmpfs rw
32 22 0:42 / /mnt/with\040space rw - cifs //host/share rw
33 22 0:43 / /mnt/remote rw - fuse.sshfs me@host: rw
34 22 0:44 / /over rw - ext4 /dev/vdb rw
35 22 0:45 / /over rw - nfs host:/over rw
a line that makes no sense
""".replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/flows", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/flows/team", "nfs4"),
        ("/srv/local/flows", "tmpfs"),
        ("/srvs", "ext4"),
        ("/mnt/with space/flows", "cifs"),
        ("/over/flows", "nfs"),
    ],
)
def test_the_innermost_mount_counts(path: str, kind: str) -> None:
    """A path belongs to the last of the longest mounts above it."""
    assert file_system_of(Path(path), TABLE) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/flows", ""), ("/srv/flows", "nfs4"), ("/mnt/remote/flows", "fuse.sshfs")],
)
def test_only_networks_are_told(tmp_path: Path, path: str, kind: str) -> None:
    """Where this host sees every change there is nothing to tell."""
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert network_file_system(Path(path), table) == kind


def test_a_host_without_the_table_tells_nothing(tmp_path: Path) -> None:
    """Doubt is no reason to distrust the watcher."""
    assert network_file_system(tmp_path, tmp_path / "missing") == ""
