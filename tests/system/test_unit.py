"""The unit as it is delivered, hardened as it is, under a real systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.flow_files import NOTHING, flow_text
from tests.system.private_systemd import PrivateSystemd, private_systemd

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SETTINGS = "source: {path: /run/flows}\nserver: {listen: '127.0.0.1:0'}\n"


def settle(systemd: PrivateSystemd, more: str = "") -> None:
    systemd.write("/etc/flowrunner/flowrunner.yaml", SETTINGS + more)


def test_systemd_starts_reloads_and_stops_the_daemon(tmp_path: Path) -> None:
    """A reload carries its result, and the daemon goes on whatever that is."""
    with private_systemd(tmp_path) as systemd:
        settle(systemd)
        systemd.write("/run/flows/one.yaml", flow_text("one", NOTHING))
        assert systemd.unit("start") == 0, systemd.output()
        pid = systemd.shown("MainPID")
        assert systemd.shown("StatusText") == "1 flows, 0 running, 0 queued"
        assert "process.families kind=cgroup" in systemd.output()

        assert systemd.unit("reload") == 0, systemd.output()
        settle(systemd, "logging: {levl: debug}\n")
        assert systemd.unit("reload") == 1
        assert "status=4" in systemd.shown("ExecReload")
        assert "unknown key 'logging.levl' [settings.unknown_key]" in systemd.output()
        settle(systemd, "logging: {level: debug}\n")
        assert systemd.unit("reload") == 0, systemd.output()
        systemd.write("/run/flows/two.yaml", flow_text("two", "nodes: []\n"))
        assert systemd.unit("reload") == 1
        assert "status=3" in systemd.shown("ExecReload")

        assert (systemd.shown("ActiveState"), systemd.shown("MainPID")) == ("active", pid)
        assert systemd.unit("stop") == 0
        assert (systemd.shown("Result"), systemd.shown("ExecMainStatus")) == ("success", "0")


def test_attempt_cannot_pass_for_systemd(tmp_path: Path) -> None:
    """A cgroup that an attempt makes in the place of systemd's opens nothing to it."""
    script = """
    group=/sys/fs/cgroup/system.slice/flowrunner.service/.control
    mkdir $group && echo $$ >$group/cgroup.procs && grep -q control /proc/self/cgroup || exit 9
    env -i setsid --wait /opt/flowrunner/bin/flowrunner reload --socket $RUNTIME/control.sock
    """
    body = "".join(f"      {line.strip()}\n" for line in script.strip().splitlines())
    nodes = "nodes:\n  - id: work\n    env: {RUNTIME: /run/flowrunner}\n    run: |\n" + body
    with private_systemd(tmp_path) as systemd:
        settle(systemd)
        systemd.write("/run/flows/evil.yaml", flow_text("evil", nodes))
        assert systemd.unit("start") == 0, systemd.output()
        socket = ("--socket", "/run/flowrunner/control.sock")
        done = systemd.run("/opt/flowrunner/bin/flowrunner", "run", "evil", "--follow", *socket)
        assert "may not command the daemon" in done.stdout
        assert "exit code 5" in done.stdout + done.stderr
        assert systemd.unit("stop") == 0
