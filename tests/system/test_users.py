"""Nodes with a `user`: what a daemon without rights says, and what one that is root does."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, daemon, eventually
from tests.system.flow_files import EVERY_SECOND, runs, write_flow

OTHER, STRANGER = "nobody", "daemon"
ALLOWS = {**OPEN, "FLOWRUNNER_ENGINE__USERS": OTHER}

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)"),
]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may pass, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="flowrunner-users-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        (path / "flows").mkdir(mode=0o755)
        yield path


def test_a_node_runs_as_its_user(place: Path) -> None:
    """With its groups and its home, its files, and its outputs, by a script and by a program."""
    nodes = f"""secrets: [KEY]
nodes:
  - id: work
    user: {OTHER}
    umask: "027"
    nice: 3
    limits: {{files: 77}}
    env: {{KEY: "${{{{ secrets.KEY }}}}", IFS: "x", PATH: "/opt:/usr/bin:/bin", EMPTY: ""}}
    stdin: "told"
    run: |
      id -un; id -G; echo "$HOME $USER $LOGNAME $PATH[$EMPTY]"; umask
      ulimit -n; nice; cat /dev/stdin; echo
      echo "$KEY" > /dev/stdout; env | grep -c ^_ || true
      pwd > "$WORK_DIR/made"; touch "$TMPDIR/own"
      echo "by=$(id -un)" >> "$FLOW_OUTPUT"
    outputs: {{by: {{}}}}
  - {{id: same, user: {OTHER}, type: exec, params: {{argv: [cat, made]}}}}
  - {{id: ours, run: 'stat -c %U "$WORK_DIR" made; id -un'}}
outputs: {{by: "${{{{ nodes.work.outputs.by }}}}"}}
"""
    flows, state = place / "flows", place / "state"
    write_flow(flows, "who", nodes)
    account = pwd.getpwnam(OTHER)
    groups = " ".join(map(str, os.getgrouplist(OTHER, account.pw_gid)))

    with daemon(flows, state, env={**ALLOWS, "FLOWRUNNER_SECRET_KEY": "hunter2-hunter2"}) as run:
        execution_id = run.start("who")
        execution = run.ended(execution_id)
        log = run.logs(execution_id)
        assert (execution["state"], execution["outputs"]) == ("succeeded", {"by": OTHER}), log
        work = state / "work" / execution_id / "files"
        assert log.splitlines() == [
            OTHER,
            groups,
            f"{account.pw_dir} {OTHER} {OTHER} /opt:/usr/bin:/bin[]",
            "0027",
            "77",
            str(os.nice(0) + 3),
            "told",
            "***",
            "0",
            str(work),
            OTHER,
            OTHER,
            "root",
        ]
        eventually(lambda: not list((state / "work").iterdir()))


def test_nothing_else_of_the_state_can_be_read(place: Path) -> None:
    """The user passes to its own folder; lists, reads and replaces nothing besides."""
    script = """
        cd "$WORK_DIR/../../.."
        for each in . work logs registry flowrunner.db work/*; do
          if ls "$each/" 2>/dev/null || cat "$each" 2>/dev/null; then echo "read $each"; fi
        done
        ls "$WORK_DIR/.." 2>/dev/null || echo "not listed"
        cat "$WORK_DIR/../first.1.output" 2>/dev/null || echo "not read"
        rm -f "$FLOW_OUTPUT" 2>/dev/null || echo "not removed"
        ln -sf /etc/shadow "$FLOW_OUTPUT" 2>/dev/null || echo "not replaced"
    """
    first = '  - {id: first, run: echo "private=1" >> "$FLOW_OUTPUT"}\n'
    text = runs(script, user=OTHER).replace("nodes:\n", "nodes:\n" + first)
    flows, state = place / "flows", place / "state"
    write_flow(flows, "spy", text)

    with daemon(flows, state, env=ALLOWS) as running:
        execution_id = running.start("spy")
        assert running.ended(execution_id)["state"] == "succeeded"
        told = ["not listed", "not read", "not removed", "not replaced"]
        assert running.logs(execution_id).splitlines() == told
        assert stat.S_IMODE(state.stat().st_mode) == 0o711


def test_environment_of_a_flow_reaches_no_program_of_root(place: Path) -> None:
    """A library that the flow preloads is loaded by the program of the user, and not before."""
    flows, state = place / "flows", place / "state"
    env = "{LD_PRELOAD: /nonexistent.so, BASH_ENV: /etc/hostname, ENV: /etc/hostname}"
    write_flow(flows, "loads", runs("echo done", user=OTHER, env=env))

    with daemon(flows, state, env=ALLOWS) as running:
        execution_id = running.start("loads")
        assert running.ended(execution_id)["state"] == "succeeded"
        complaints = running.logs(execution_id).count("cannot be preloaded")
        assert complaints == 1  # that of the last exec; root's programs would add theirs


def test_everything_of_the_user_is_killed(place: Path) -> None:
    """A cancel reaches what the user has started, in other sessions too, and so does a crash."""
    flows, state = place / "flows", place / "state"
    script = 'setsid sleep 1000 & echo $! > "$TMPDIR/../../../../flows/pid"; echo up; sleep 1000'
    write_flow(flows, "long", runs(script, user=OTHER, kill_after="0s"))
    (flows / "pid").touch()
    (flows / "pid").chmod(0o666)

    def lives() -> bool:
        words = Path("/proc", (flows / "pid").read_text().strip(), "cmdline")
        return words.exists() and words.read_bytes() != b""  # of one that has ended it is empty

    with daemon(flows, state, env=ALLOWS) as first:
        execution_id = first.start("long")
        eventually(lambda: "up" in first.logs(execution_id))
        assert lives()
        first.command("cancel", execution_id)
        assert first.ended(execution_id)["state"] == "cancelled"
        assert not lives()
        execution_id = first.start("long")
        eventually(lambda: "up" in first.logs(execution_id))
        first.kill()
        assert lives()
        with daemon(flows, state, env=ALLOWS) as running:
            assert running.ended(execution_id)["reason"] == "interrupted"
            assert not lives()


def test_a_state_that_is_open_to_others_is_not_made_passable(place: Path) -> None:
    """The daemon says what to close, and starts nothing as another user before."""
    flows, state = place / "flows", place / "state"
    write_flow(flows, "who", runs("id -un", user=OTHER))

    with daemon(flows, state, env=ALLOWS) as running:
        (state / "notes").write_text("private")
        (state / "notes").chmod(0o644)
        error = running.ended(running.start("who"))["nodes"][0]["error"]
        assert error["code"] == "unsafe_permissions"
        assert error["message"].endswith(f"chmod o-rwx {state}/notes")
        (state / "notes").chmod(0o600)
        assert running.ended(running.start("who"))["state"] == "succeeded"


def test_a_user_that_nobody_lists_keeps_its_flow_from_starting(place: Path) -> None:
    """The condition names the setting, the schedule stays armed, and its slots are skipped."""
    flows, state = place / "flows", place / "state"
    write_flow(flows, "who", EVERY_SECOND, runs("id -un", user=STRANGER))
    write_flow(flows, "nobody-at-all", runs("id -un", user="no-such-user"))
    write_flow(flows, "own", runs("id -un", user="root"))

    with daemon(flows, state, env=ALLOWS) as running:
        ready = running.condition("who")
        assert (ready["status"], ready["reason"]) == ("False", "UserNotPermitted")
        assert ready["message"] == f"the setting engine.users does not list {STRANGER}"
        message = "this host has no user no-such-user"
        assert running.condition("nobody-at-all")["message"] == message
        assert running.condition("who", "Scheduled")["status"] == "True"
        refused = running.command("run", "who", check=False)
        assert refused.returncode != 0
        assert "engine.users does not list" in refused.stderr
        assert running.ended(running.start("own"))["state"] == "succeeded"
        skipped = {"flow": "who", "outcome": "skipped", "reason": "not_ready"}
        eventually(lambda: running.metric("flowrunner_slots_total", **skipped))
        assert running.executions("who") == []
