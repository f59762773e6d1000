"""A state on a disk of its own that is really full, or nearly: needs the right to mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, command, daemon, eventually
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, hook, push
from tests.system.flow_files import NOTHING, write_flow

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk"),
]

ENVIRONMENT = {**OPEN, **SECRET_IN_ENVIRONMENT, "FLOWRUNNER_STORAGE__MIN_FREE": "0B"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A state directory on a file system of 1 MiB, unmounted whatever happens."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    options = "size=1m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this host does not let root mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Takes all room that is left, and returns what takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_full_disk_degrades_the_store_and_room_heals_it(flows: Path, disk: Path) -> None:
    """Nothing is accepted, everything says why, and it ends without a restart."""
    write_flow(flows, "hooked", hook(), NOTHING)

    with daemon(flows, disk, env=ENVIRONMENT) as running:
        assert running.metric("flowrunner_store_healthy") == 1
        ballast = fill(disk)
        refused = push(running, "hooked/webhook", {"text": "x" * 100_000})
        assert refused.status == 503
        assert "retry-after" in refused.headers
        by_hand = running.command("run", "hooked", check=False)
        assert (by_hand.returncode, "storage.full" in by_hand.stderr) == (5, True)
        assert "store: storage.full" in running.request("/readyz").text
        assert running.metric("flowrunner_store_healthy") == 0

        ballast.unlink()
        eventually(lambda: running.metric("flowrunner_store_healthy") == 1)
        assert running.request("/readyz").status == 200
        assert running.ended(running.start("hooked"))["state"] == "succeeded"
        assert len(running.executions("hooked")) == 1
        assert running.output.count("store.degraded") == 1
        assert running.output.count("store.healthy") == 1


def test_execution_goes_on_when_there_is_room_again(flows: Path, disk: Path) -> None:
    """What could not be journaled was cut short, what may run again does, and `finally` runs."""
    nodes = """nodes:
  - id: work
    on_interrupt: rerun
    outputs: {text: {}}
    run: |
      printf 'text=%0200000d\\n' 7 > "$FLOW_OUTPUT"
      echo written
      while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done
finally: [{id: tidy, run: echo tidy}]
"""
    write_flow(flows, "large", nodes)
    (flows / "hold").touch()

    with daemon(flows, disk, env=ENVIRONMENT) as running:
        execution_id = running.start("large")
        eventually(lambda: "written" in running.logs(execution_id))
        ballast = fill(disk)
        (flows / "hold").unlink()
        eventually(lambda: "execution.given_up" in running.output)
        ballast.unlink()
        execution = running.ended(execution_id)
        assert execution["state"] == "succeeded"
        assert [each["reason"] for each in execution["nodes"][0]["attempts"]] == ["interrupted", ""]
        assert execution["nodes"][1]["state"] == "succeeded"


def test_below_the_floor_new_executions_are_refused(flows: Path, disk: Path) -> None:
    """A disk with less room than `storage.min_free` takes no start, and says so."""
    write_flow(flows, "hooked", hook(), NOTHING)
    environment = {**ENVIRONMENT, "FLOWRUNNER_STORAGE__MIN_FREE": "2MiB"}

    with daemon(flows, disk, env=environment) as running:
        refused = push(running, "hooked/webhook", {"n": 1})
        assert (refused.status, refused.json["code"]) == (503, "disk")
        by_hand = running.command("run", "hooked", check=False)
        assert (by_hand.returncode, "storage.min_free" in by_hand.stderr) == (5, True)
        ready = running.request("/readyz")
        assert (ready.status, "disk: " in ready.text) == (503, True)
        assert running.executions("hooked") == []


def test_disk_that_is_too_small_for_a_state_is_refused_at_the_start(
    flows: Path, disk: Path
) -> None:
    """With 64 KiB `serve` ends with 1, as room may come; then it begins where nothing had begun."""
    write_flow(flows, "hooked", hook(), NOTHING)
    subprocess.run(["mount", "-o", "remount,size=64k", str(disk)], check=True)
    options = ("--flows", str(flows), "--state", str(disk), "--listen", "127.0.0.1:0")
    done = command("serve", *options, cwd=disk.parent, env=ENVIRONMENT)
    assert done.returncode == 1
    assert "storage.full" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    with daemon(flows, disk, env=ENVIRONMENT) as running:
        assert running.ended(running.start("hooked"))["state"] == "succeeded"


def test_read_only_disk_is_refused_at_the_start(flows: Path, disk: Path) -> None:
    """A state that cannot be written ends `serve` with 78: a restart would not help."""
    write_flow(flows, "hooked", hook(), NOTHING)
    with daemon(flows, disk, env=ENVIRONMENT):
        pass
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    options = ("--flows", str(flows), "--state", str(disk), "--listen", "127.0.0.1:0")
    done = command("serve", *options, cwd=disk.parent, env=ENVIRONMENT)
    assert done.returncode == 78
    assert "Read-only file system" in done.stderr or "no permission to write" in done.stderr
