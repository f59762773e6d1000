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
        echo "look" ; echo $$ > "$FLOW_DIR/pid"
        while [ -e "$FLOW_DIR/hang" ]; do sleep 0.05; done
        test -e "$FLOW_DIR/there"
        echo "by=$(cat "$FLOW_DIR/there")" >> "$FLOW_OUTPUT"
    outputs: {by: {}}
outputs: {by: "${{ nodes.arrival.outputs.by }}"}
"""


def is_alive(folder: Path) -> bool:
    """Whether the probe that told its number last still runs."""
    return Path("/proc", (folder / "pid").read_text().strip()).exists()


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
    left = int((flows / "pid").read_text())
    (flows / "there").write_text("crash")

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: running.logs(execution_id).count("look") == 2)
        assert not Path("/proc", str(left)).exists()
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
        assert is_alive(flows)
        running.command("cancel", execution_id)
        assert running.ended(execution_id)["state"] == "cancelled"
        assert not is_alive(flows)
