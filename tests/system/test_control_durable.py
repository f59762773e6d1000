"""What a command was told holds: over `kill -9` right after the answer, and from the middle."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

from tests.system.daemon import OPEN, daemon, eventually
from tests.system.flow_files import write_flow

pytestmark = pytest.mark.system

STEPS = """outputs: {got: "${{ nodes.use.outputs.got }}"}
nodes:
  - {id: make, run: 'echo "word=made-$EXECUTION_ID" > "$FLOW_OUTPUT"', outputs: {word: {}}}
  - {id: check, run: 'test -e "$FLOW_DIR/cure"'}
  - {id: use, env: {WORD: "${{ nodes.make.outputs.word }}"}, outputs: {got: {}},
     run: 'echo "got=$WORD" > "$FLOW_OUTPUT"'}
finally:
  - {id: tidy, run: echo tidy}
"""
ITEMS = """nodes:
  - id: each
    foreach: [a, b, c]
    fail_fast: false
    on_interrupt: rerun
    env: {ITEM: "${{ item }}"}
    outputs: {by: {}}
    run: |
      echo "$ITEM" >> "$FLOW_DIR/ran"
      while [ "$ITEM" = c ] && [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done
      test "$ITEM" = b || test -e "$FLOW_DIR/cure" && echo "by=$EXECUTION_ID" > "$FLOW_OUTPUT"
"""
DEAF = 'trap "" TERM\necho tidying\nwhile [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done'


def test_retry_from_a_node_repeats_no_more_than_it_must(flows: Path, state: Path) -> None:
    """With the cause gone it ends well, on what the first execution had made."""
    write_flow(flows, "steps", STEPS)

    with daemon(flows, state, env=OPEN) as running:
        first = running.start("steps")
        assert running.ended(first)["state"] == "failed"
        for node, code in (("use", 5), ("tidy", 2), ("other", 2)):
            refused = running.command("retry", first, "--from", node, check=False)
            assert (refused.returncode, node in refused.stderr) == (code, True)
        (flows / "cure").touch()
        second = running.command("retry", first, "--from", "check").stdout.strip()
        execution = running.ended(second)
        assert (execution["state"], execution["retry_of"]) == ("succeeded", first)
        assert execution["outputs"] == {"got": f"made-{first}"}
        assert [node["reason"] for node in execution["nodes"]] == ["kept", "", "", ""]
        assert "kept" in running.command("show", second).stdout
        assert running.logs(second) == "tidy\n"
        assert len(running.executions("steps")) == 2


def test_retry_of_items_repeats_those_that_failed_also_over_a_crash(
    flows: Path, state: Path
) -> None:
    """An item that succeeded runs once, whatever the executions that its node needs to succeed."""
    write_flow(flows, "items", ITEMS)
    ran = flows / "ran"

    with daemon(flows, state, env=OPEN) as running:
        first = running.start("items")
        assert running.ended(first)["state"] == "failed"
        assert ran.read_text() == "a\nb\nc\n"
        (flows / "cure").touch()
        (flows / "hold").touch()
        ran.unlink()
        second = running.command("retry", first, "--from", "each").stdout.strip()
        eventually(lambda: ran.exists() and ran.read_text() == "a\nc\n")
        running.kill()

    (flows / "hold").unlink()
    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(second)
        assert execution["state"] == "succeeded"
        assert [each["by"] for each in execution["nodes"][0]["outputs"]] == [second, first, second]
        assert ran.read_text() == "a\nc\nc\n"


def test_forced_end_of_a_finally_is_not_forgotten(flows: Path, state: Path) -> None:
    """The `finally` that a person has ended does not run again in the next life."""
    script = indent(DEAF, "      ")
    top = "nodes: [{id: work, type: noop}]\nfinally:\n  - id: tidy\n    on_interrupt: rerun\n"
    write_flow(flows, "tidied", f"{top}    kill_after: 10m\n    run: |\n{script}\n")
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("tidied")
        eventually(lambda: "tidying" in running.logs(execution_id))
        running.command("cancel", "--force", execution_id)
        running.kill()

    (flows / "hold").unlink()
    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(execution_id)
        assert (execution["state"], execution["reason"]) == ("cancelled", "cancelled")
        assert [node["state"] for node in execution["nodes"]] == ["succeeded", "cancelled"]
        assert running.logs(execution_id) == "tidying\n"
