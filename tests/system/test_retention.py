"""What a flow says about how much is kept of it, with a real daemon."""

from __future__ import annotations

from pathlib import Path

from tests.system.daemon import OPEN, daemon

CHATTY = """\
version: 1
name: chatty
retention: {log_bytes: 1KiB}
nodes:
  - id: talk
    run: |
      for number in $(seq 100); do echo "line $number"; done
"""


def test_log_of_an_attempt_ends_where_its_flow_says(flows: Path, state: Path) -> None:
    """The log has at most so many bytes and the marker, and the execution succeeds."""
    (flows / "chatty.yaml").write_text(CHATTY)
    with daemon(flows, state, env=OPEN) as running:
        ended = running.ended(running.start("chatty"))
        lines = running.logs(ended["id"]).splitlines()
        (log,) = (state / "logs").glob(f"*/{ended['id']}/talk.1.log")
        assert ended["state"] == "succeeded"
        assert lines[0] == "line 1"
        assert lines[-1] == "[log limit of 1024 bytes reached, output dropped]"
        assert log.stat().st_size < 1024 + 200


def test_logs_that_were_removed_say_so(flows: Path, state: Path) -> None:
    """By the mark of what went to make room, over a restart, and not for later ones."""
    (flows / "chatty.yaml").write_text(CHATTY)
    with daemon(flows, state, env=OPEN) as running:
        first = running.ended(running.start("chatty"))["id"]
    (log,) = (state / "logs").glob(f"*/{first}/talk.1.log")
    log.unlink()
    log.parent.rmdir()
    (state / "logs" / "removed-up-to").write_text(first)
    with daemon(flows, state, env=OPEN) as running:
        later = running.ended(running.start("chatty"))["id"]
        assert "were removed" in running.command("logs", first).stderr
        assert running.request(f"/api/v1/executions/{first}/logs").json["removed"] is True
        assert "were removed" not in running.command("logs", later).stderr
