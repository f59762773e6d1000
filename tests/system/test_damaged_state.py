"""A damaged database under the real daemon: refused, restored, said, acknowledged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, command, daemon
from tests.system.flow_files import NOTHING, write_flow

pytestmark = pytest.mark.system


def damage(state: Path) -> None:
    """Overwrites the database from its third page on."""
    database = state / "flowrunner.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(8_192)
        file.write(b"\xff" * (size - 8_192))


def serve(flows: Path, state: Path, *more: str) -> tuple[int, str]:
    options = ("--flows", str(flows), "--state", str(state), "--listen", "127.0.0.1:0")
    done = command("serve", *options, *more, cwd=state.parent)
    return done.returncode, done.stderr


def test_damaged_state_without_backup_is_refused_until_the_loss_is_accepted(
    flows: Path, state: Path
) -> None:
    """78 with the commands to type, each time; then it goes on empty, keeping the damaged file."""
    write_flow(flows, "job", NOTHING)
    with daemon(flows, state, env=OPEN) as running:
        running.ended(running.start("job"))
        assert running.stop() == 0
    damage(state)
    for _ in range(2):
        code, said = serve(flows, state)
        assert code == 78
        assert "--accept-state-loss" in said
        assert "flowrunner restore" in said

    with daemon(flows, state, env=OPEN, arguments=("--accept-state-loss",)) as running:
        assert running.executions("job") == []
        assert "StateLost" in running.command("status").stdout
        assert running.request("/readyz").status == 200
    assert len(list(state.glob("flowrunner.db.quarantined-*Z"))) == 1


def test_daemon_goes_on_from_its_backup_and_says_so(flows: Path, state: Path) -> None:
    """The history of the backup is there, the condition stays over restarts until acknowledged."""
    write_flow(flows, "job", NOTHING)
    with daemon(flows, state, env=OPEN) as running:
        kept = running.start("job")
        running.ended(kept)
        made = Path(running.command("backup").stdout.strip())
        assert made.parent == state / "backup"
        running.ended(running.start("job"))
        assert running.stop() == 0
    assert command("check-state", "--state", str(state), cwd=state.parent).returncode == 0
    damage(state)
    assert command("check-state", "--state", str(state), cwd=state.parent).returncode == 1

    with daemon(flows, state, env=OPEN) as running:
        assert [each["id"] for each in running.executions("job")] == [kept]
        assert "RestoredFromBackup" in running.command("status").stdout
        assert running.stop() == 0
    with daemon(flows, state, env=OPEN) as running:
        assert "RestoredFromBackup" in running.command("status").stdout
        running.command("restore", "--acknowledge")
        assert "RestoredFromBackup" not in running.command("status").stdout
        assert running.ended(running.start("job"))["state"] == "succeeded"


def test_backup_is_restored_by_hand(flows: Path, state: Path, tmp_path: Path) -> None:
    """A copy made by the daemon comes back with `restore`, which a running daemon forbids."""
    write_flow(flows, "job", NOTHING)
    copy = tmp_path / "copy.db"
    with daemon(flows, state, env=OPEN) as running:
        kept = running.start("job")
        running.ended(kept)
        running.command("backup", str(copy))
        assert running.command("restore", str(copy), check=False).returncode == 1
        assert running.stop() == 0
    (state / "flowrunner.db").unlink()
    restored = command("restore", str(copy), "--state", str(state), cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    with daemon(flows, state, env=OPEN) as running:
        assert [each["id"] for each in running.executions("job")] == [kept]
