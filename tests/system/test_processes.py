"""Processes of nodes: what ends with them, what they may not do, and that nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import COMMAND, OPEN, RunningDaemon, attempts_of, daemon, eventually
from tests.system.flow_files import NOTHING, runs, write_flow

pytestmark = pytest.mark.system

FAMILY = """
    sleep 300 &
    sh -c 'sleep 300 & wait' &
    echo begun
    wait
"""
"""A script with children and grandchildren in the background, all in its own group."""


def begin(running: RunningDaemon, flow: str) -> str:
    """Starts a flow and waits until its script has begun."""
    execution_id = running.start(flow)
    eventually(lambda: "begun" in running.logs(execution_id), lambda: running.events)
    return execution_id


def test_a_timeout_ends_the_whole_process_group(flows: Path, state: Path) -> None:
    """The node is timed out, and its background children are gone with it."""
    write_flow(flows, "family", runs(FAMILY, timeout="1s", kill_after="1s"))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(begin(running, "family"))
        assert execution["nodes"][0]["state"] == "timed_out"
        assert execution["nodes"][0]["attempts"][0]["reason"] == "timeout"
        assert attempts_of(state) == []


def test_a_process_deaf_to_sigterm_is_killed_after_its_grace(flows: Path, state: Path) -> None:
    """`kill_after` bounds how long a process may ignore that its time is over."""
    deaf = "trap '' TERM\necho begun\nwhile :; do sleep 0.05; done"
    write_flow(flows, "deaf", runs(deaf, timeout="500ms", kill_after="500ms"))

    with daemon(flows, state, env=OPEN) as running:
        assert running.ended(begin(running, "deaf"))["nodes"][0]["state"] == "timed_out"
        assert attempts_of(state) == []


def test_what_a_finished_node_left_in_the_background_is_ended(flows: Path, state: Path) -> None:
    """A node that succeeds takes its children with it; the flow format has no daemons."""
    write_flow(flows, "litters", runs("sleep 300 >/dev/null 2>&1 &\necho begun"))

    with daemon(flows, state, env=OPEN) as running:
        assert running.ended(begin(running, "litters"))["state"] == "succeeded"
        assert attempts_of(state) == []


def test_cancel_ends_a_running_execution_and_its_processes(flows: Path, state: Path) -> None:
    """`flowrunner cancel` ends nodes and processes, and a later node never starts."""
    write_flow(flows, "family", runs(FAMILY), "  - {id: later, type: noop}\n")

    with daemon(flows, state, env=OPEN) as running:
        execution_id = begin(running, "family")
        running.command("cancel", execution_id)
        execution = running.ended(execution_id)
        assert (execution["state"], execution["reason"]) == ("cancelled", "cancelled")
        assert [node["state"] for node in execution["nodes"]] == ["cancelled", "cancelled"]
        assert attempts_of(state) == []


def test_cancel_ends_a_queued_execution_before_it_began(flows: Path, state: Path) -> None:
    """What waits is cancelled at once; what runs goes on."""
    write_flow(flows, "family", "concurrency: {limit: 1}\n", runs(FAMILY))

    with daemon(flows, state, env=OPEN) as running:
        first = begin(running, "family")
        second = running.start("family")
        running.command("cancel", second)
        cancelled = running.ended(second)
        assert cancelled["state"] == "cancelled"
        assert cancelled["started_at"] is None
        assert running.execution(first)["state"] == "running"


def test_a_stop_of_the_daemon_leaves_no_process(flows: Path, state: Path) -> None:
    """After the last drain nothing that the daemon started is alive, and no socket is left."""
    write_flow(flows, "family", runs(FAMILY, kill_after="1s"))
    environment = {**OPEN, "FLOWRUNNER_ENGINE__DRAIN_TIMEOUT": "0s"}

    with daemon(flows, state, env=environment) as running:
        begin(running, "family")
        assert running.stop() == 0
        assert attempts_of(state) == []
        assert not (state / "control.sock").exists()
        assert list((state / "work").iterdir()) == []


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param("", id="plainly"),
        pytest.param("env -i ", id="without-its-mark"),
        pytest.param("setsid ", id="in-another-session"),
    ],
)
def test_a_node_cannot_command_the_daemon(flows: Path, state: Path, prefix: str) -> None:
    """A committed flow starts no other flow through the control socket, whatever it tries."""
    write_flow(flows, "victim", NOTHING)
    call = f'{prefix}"{COMMAND}" run victim --state "{state}"'
    write_flow(flows, "attacker", runs(f'if {call}; then echo in; else echo "out $?"; fi'))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("attacker"))
        assert "out 5\n" in running.logs(execution["id"])
        assert running.executions("victim") == []


def test_an_orphan_without_its_mark_cannot_command_the_daemon(flows: Path, state: Path) -> None:
    """A process that has shed its parents and its environment is still known as an attempt's."""
    write_flow(flows, "victim", NOTHING)
    call = f'"{COMMAND}" run victim --state "{state}"; echo "out $?" > out.part; mv out.part out'
    script = f"""
        env -i setsid sh -c '({call}) & exit'
        while [ ! -e out ]; do sleep 0.05; done
        cat out
    """
    write_flow(flows, "attacker", runs(script))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("attacker"))
        assert "out 5\n" in running.logs(execution["id"])
        assert running.executions("victim") == []


def test_a_node_that_a_signal_ends_says_which(flows: Path, state: Path) -> None:
    """Killed from outside, an attempt has no exit code and names the signal."""
    write_flow(flows, "suicidal", runs("kill -KILL $$"))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("suicidal"))
        (attempt,) = execution["nodes"][0]["attempts"]
        assert attempt["exit_code"] is None
        assert attempt["reason"] == "signal:SIGKILL"


def test_a_failed_node_is_tried_again_as_often_as_the_flow_says(flows: Path, state: Path) -> None:
    """Each attempt is journaled and logged on its own; the last one decides."""
    script = 'echo "try $ATTEMPT"\n[ "$ATTEMPT" -eq 3 ]'
    retry = "{max_attempts: 3, delay: 10ms}"
    write_flow(flows, "flaky", runs(script, retry=retry))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("flaky"))
        assert execution["state"] == "succeeded"
        attempts = execution["nodes"][0]["attempts"]
        assert [attempt["exit_code"] for attempt in attempts] == [1, 1, 0]
        assert running.logs(execution["id"]) == "try 1\ntry 2\ntry 3\n"


def test_output_that_is_no_text_is_kept_and_shown(flows: Path, state: Path) -> None:
    """Bytes of any kind, in lines of any length, neither end the node nor break its log."""
    script = """
        head -c 300000 /dev/urandom
        printf 'a\\0b\\033[31mred\\xff\\n'
        head -c 3000000 /dev/zero | tr '\\0' x
        echo the end
    """
    write_flow(flows, "noisy", runs(script))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("noisy"))
        assert execution["state"] == "succeeded"
        as_text = {"Accept": "text/plain"}
        printed = running.request(f"/api/v1/executions/{execution['id']}/logs", headers=as_text)
        assert printed.status == 200
        assert "the end" in printed.text
        assert printed.text.count("x") >= 3_000_000
        assert "the end" in running.command("logs", execution["id"]).stdout


def test_outputs_of_a_node_reach_the_next_one_typed(flows: Path, state: Path) -> None:
    """What a script writes to $FLOW_OUTPUT is a value in the expressions below it."""
    write_flow(
        flows,
        "counts",
        runs('echo "rows=42" >> "$FLOW_OUTPUT"', outputs="{rows: {type: integer}}"),
        "  - {id: many, if: nodes.work.outputs.rows > 41, type: noop}\n",
        "  - {id: few, needs: [work], if: nodes.work.outputs.rows <= 41, type: noop}\n",
    )
    write_flow(
        flows,
        "miscounts",
        runs('echo "rows=some" >> "$FLOW_OUTPUT"', outputs="{rows: {type: integer}}"),
    )

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("counts"))
        states = {node["id"]: node["state"] for node in execution["nodes"]}
        assert states == {"work": "succeeded", "many": "succeeded", "few": "skipped"}
        assert execution["nodes"][0]["outputs"] == {"rows": 42}
        assert running.ended(running.start("miscounts"))["error"]["code"] == "output"
