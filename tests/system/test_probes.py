"""A `wait` with a probe in the installed daemon: it looks, survives a crash, and is cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, daemon, eventually
from tests.system.flow_files import write_flow

pytestmark = pytest.mark.system

WAITS = """nodes:
  - id: arrival
    type: wait
    kill_after: 1s
    params:
      every: 1s
      probe: |
        echo $$ > "$FLOW_DIR/pid.new" ; mv "$FLOW_DIR/pid.new" "$FLOW_DIR/pid" ; echo "look"
        while [ -e "$FLOW_DIR/hang" ]; do sleep 0.05; done
        test -e "$FLOW_DIR/there"
        echo "by=$(cat "$FLOW_DIR/there")" >> "$FLOW_OUTPUT"
    outputs: {by: {}}
outputs: {by: "${{ nodes.arrival.outputs.by }}"}
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to ask does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def probe_in(folder: Path) -> int:
    """The number of the probe that hangs."""
    eventually((folder / "pid").exists)
    return int((folder / "pid").read_text())


def test_a_probe_ends_its_wait_with_its_outputs(flows: Path, state: Path) -> None:
    """What a script looks for may come later; the log tells the looks apart."""
    write_flow(flows, "inbox", WAITS)

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("inbox")
        eventually(lambda: "probe 2; the one before ended with" in running.logs(execution_id))
        (flows / "there").write_text("mail")
        execution = running.ended(execution_id)
        assert (execution["state"], execution["outputs"]) == ("succeeded", {"by": "mail"})
        assert running.logs(execution_id).startswith("probe 1\nlook\nprobe 2; the one before")


def test_kill_9_within_a_probe_disturbs_nothing(flows: Path, state: Path) -> None:
    """The probe that was left is killed, and the same attempt goes on with the next one."""
    write_flow(flows, "inbox", WAITS)
    (flows / "hang").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("inbox")
        eventually(lambda: "look" in running.logs(execution_id))
        running.kill()
    left = probe_in(flows)
    (flows / "there").write_text("crash")

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: running.logs(execution_id).count("look") == 2)
        assert not is_alive(left)
        (flows / "hang").unlink()
        execution = running.ended(execution_id)
        assert (execution["state"], execution["outputs"]) == ("succeeded", {"by": "crash"})
        (attempt,) = execution["nodes"][0]["attempts"]
        assert attempt["state"] == "succeeded"
        eventually(lambda: not list((state / "work").iterdir()))


def test_cancel_ends_a_running_probe(flows: Path, state: Path) -> None:
    """Nothing of a cancelled wait is left."""
    write_flow(flows, "inbox", WAITS)
    (flows / "hang").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("inbox")
        eventually(lambda: "look" in running.logs(execution_id))
        probe = probe_in(flows)
        assert is_alive(probe)
        running.command("cancel", execution_id)
        assert running.ended(execution_id)["state"] == "cancelled"
        assert not is_alive(probe)
