"""A systemd of one's own: process 1 of its own namespaces, with the unit as it is delivered.

It sees copies of /etc, /opt and /var, an empty /run and only the units that are given to it, so
that nothing of this host is started, changed or left behind. Needs root, systemd, util-linux and a
cgroup of version 2. Source: unshare(1), nsenter(1); systemd's "The Container Interface".
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, eventually
from tests.system.delegation import delegated_cgroup

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--cgroup")
OUTPUT = "/run/flowrunner.output"
"""What the daemon and its reloads print; there is no journal."""

_STUBS = ("basic", "sysinit", "shutdown", "multi-user")
_DROP_IN = f"""[Service]
StandardOutput=append:{OUTPUT}
StandardError=append:{OUTPUT}
"""
_BEGIN = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup || umount -lR /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for folder in /etc /opt /var; do
  mkdir -p "/run/copies$folder/upper" "/run/copies$folder/work"
  mount -t overlay overlay "$folder" \\
    -o "lowerdir=$folder,upperdir=/run/copies$folder/upper,workdir=/run/copies$folder/work"
done
systemd-sysusers "$2/systemd/flowrunner.sysusers.conf"
mkdir -p /opt/python /opt/checkout /opt/packages /opt/flowrunner/bin
mount --bind "$3" /opt/python
mount --bind "$2" /opt/checkout
mount --bind "$4" /opt/packages
cat >/opt/flowrunner/bin/flowrunner <<END
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/checkout:/opt/packages
export PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/$5 -m flowrunner "\\$@"
END
chmod 755 /opt/flowrunner/bin/flowrunner
install -d -m 750 -g flowrunner /etc/flowrunner /etc/flowrunner/credentials
install -d -m 755 /run/flows
export container=test SYSTEMD_UNIT_PATH="$1" PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec /lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=no \\
  --default-standard-output=null
"""
"""Arguments: the units, the checkout, where Python is, its packages, its name."""


class PrivateSystemd:
    """A systemd whose process 1 has this pid outside."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as root beside it."""
        inside = ("nsenter", "--target", str(self._pid), *NAMESPACES, "--")
        return subprocess.run(
            [*inside, *argv],
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE_S,
            check=False,
        )

    def write(self, path: str, text: str) -> None:
        """Puts a file that everybody may read into place."""
        script = 'printf %s "$2" >"$1" && chmod a+r "$1"'
        done = self.run("sh", "-c", script, "sh", path, text)
        assert done.returncode == 0, done.stderr

    def unit(self, verb: str) -> int:
        """Runs `systemctl VERB flowrunner` and returns how that ended."""
        return self.run("systemctl", verb, "flowrunner").returncode

    def shown(self, name: str) -> str:
        """Returns a property of the unit."""
        shown = self.run("systemctl", "show", "--value", "-p", name, "flowrunner").stdout
        return shown.strip()

    def output(self) -> str:
        """Returns what the daemon and its reloads have printed."""
        return self.run("cat", OUTPUT).stdout


@contextmanager
def private_systemd(folder: Path) -> Iterator[PrivateSystemd]:
    """Starts one that knows the unit, and ends it with everything in it.

    Skips the test where there can be none.
    """
    if os.geteuid() != 0 or not SYSTEMD.exists():
        pytest.skip("needs root and systemd")
    if subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], check=False).returncode != 0:
        pytest.skip("needs namespaces of its own")
    units = folder / "units"
    drop_ins = units / "flowrunner.service.d"
    drop_ins.mkdir(parents=True)
    for name in _STUBS:
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    shutil.copy(ROOT / "systemd" / "flowrunner.service", units)
    (drop_ins / "output.conf").write_text(_DROP_IN)
    python = Path(sys.executable).resolve()
    places = (str(units), str(ROOT), sys.base_prefix, sysconfig.get_path("purelib"), python.name)
    with delegated_cgroup() as base:
        enter = f"echo 0 >{base}/cgroup.procs && exec " + '"$@"'
        alone = ("unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc")
        started = subprocess.Popen(
            ["sh", "-c", enter, "sh", *alone, "sh", "-c", _BEGIN, "sh", *places],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            systemd = PrivateSystemd(eventually(partial(_child_of, started)))
            eventually(partial(_is_up, systemd))
            yield systemd
        finally:
            started.kill()
            started.wait(PATIENCE_S)


def _child_of(started: subprocess.Popen[bytes]) -> int | None:
    """Returns the pid of systemd, once it is that."""
    assert started.poll() is None
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    found = [int(pid) for pid in children]
    is_systemd = found and Path(f"/proc/{found[0]}/comm").read_text().strip() == "systemd"
    return found[0] if is_systemd else None


def _is_up(systemd: PrivateSystemd) -> bool:
    return systemd.run("systemctl", "is-system-running").stdout.strip() == "running"
