"""Commands that want something of the daemon: what they send, and how they exit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli.commands import run
from flowrunner.cli.main import main
from flowrunner.errors import RefusedError
from flowrunner.model.pause import Pause
from tests.fakes.records import NOON
from tests.fakes.service import SCHEDULES_PAUSED
from tests.unit.cli import documents
from tests.unit.cli.control_server import ControlServer
from tests.unit.cli.documents import EXECUTION_ID
from tests.unit.cli.hosts import Process, words

Captured = pytest.CaptureFixture[str]
EXECUTION = f"GET /api/v1/executions/{EXECUTION_ID}"
LOGS = f"{EXECUTION}/logs"
START = "POST /control/v1/flows/default/backup/executions"


def test_cancel_asks_and_returns(server: ControlServer, capsys: Captured) -> None:
    """An execution is asked to end; that it has is not waited for."""
    request = f"POST /control/v1/executions/{EXECUTION_ID}/cancel"
    server.put(request, {"execution_id": EXECUTION_ID}, status=202)
    assert main(["cancel", EXECUTION_ID]) == 0
    assert server.asked == [request]
    assert EXECUTION_ID in capsys.readouterr().out


def test_cancel_by_force_says_so(server: ControlServer) -> None:
    """`--force` is sent along: the `finally` of the execution does not run."""
    request = f"POST /control/v1/executions/{EXECUTION_ID}/cancel"
    server.put(request, {"execution_id": EXECUTION_ID}, status=202)
    assert main(["cancel", EXECUTION_ID, "--force"]) == 0
    assert server.bodies == [{"force": True}]


def test_cancel_of_what_waits(server: ControlServer, capsys: Captured) -> None:
    """By the name of a flow all of it, told by their ids; by an id that one, if it still waits."""
    queued = "POST /control/v1/flows/ops/backup/cancel-queued"
    server.put(queued, {"execution_ids": ["one", "two"]}, {"execution_ids": []})
    assert main(["cancel", "--queued", "backup", "--account", "ops"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"
    assert main(["cancel", "--queued", "backup", "--account", "ops"]) == 0
    assert capsys.readouterr().err == "nothing of flow backup waits\n"
    one = f"POST /control/v1/executions/{EXECUTION_ID}/cancel"
    server.put(one, {"execution_id": EXECUTION_ID}, status=202)
    assert main(["cancel", "--queued", EXECUTION_ID]) == 0
    assert server.asked == [queued, queued, one]
    assert server.bodies[-1] == {"queued": True}


def test_cancel_by_force_of_what_waits_is_a_mistake(server: ControlServer) -> None:
    """What has not begun has no `finally` to leave out."""
    assert main(["cancel", "--queued", "--force", EXECUTION_ID]) == 2
    assert server.asked == []


def test_cancel_of_an_execution_has_no_account(server: ControlServer) -> None:
    """An id is the same in every account, so an account beside it is a mistake."""
    assert main(["cancel", EXECUTION_ID, "--account", "ops"]) == 2
    assert server.asked == []


@pytest.mark.parametrize("force", [False, True])
def test_retry_prints_the_new_id(server: ControlServer, capsys: Captured, *, force: bool) -> None:
    """The answer is the execution that was accepted, for whoever wants to follow it."""
    server.put(f"POST /control/v1/executions/{EXECUTION_ID}/retry", {"execution_id": "new"})
    assert main(["retry", EXECUTION_ID, *(["--force"] if force else [])]) == 0
    assert server.bodies == [{"force": force}]
    assert capsys.readouterr().out == "new\n"


def test_retry_names_the_node_to_begin_with(server: ControlServer) -> None:
    """Without one nothing is said about it; a name is left to the daemon to know."""
    server.put(f"POST /control/v1/executions/{EXECUTION_ID}/retry", {"execution_id": "new"})
    assert main(["retry", EXECUTION_ID, "--from", "build"]) == 0
    assert server.bodies == [{"force": False, "from": "build"}]


def test_cancel_of_an_ended_execution_is_refused(server: ControlServer, capsys: Captured) -> None:
    """What the daemon refuses exits with 5 and its words."""
    server.put_problem(f"POST /control/v1/executions/{EXECUTION_ID}/cancel", 409, "ended")
    assert main(["cancel", EXECUTION_ID]) == 5
    assert capsys.readouterr().err == "flowrunner: it is so [ended]\n"


def test_pause_says_why_and_until_when(server: ControlServer, capsys: Captured) -> None:
    """The daemon is told the reason and the time as they were typed."""
    server.put("POST /control/v1/flows/ops/backup/pause", documents.flow())
    until = "2027-03-01T13:00:00+01:00"
    words = ["pause", "backup", "--account", "ops", "--reason", "a b", "--until", until]
    assert main(words) == 0
    assert server.bodies == [{"reason": "a b", "until": until}]
    assert capsys.readouterr().out == f"flow backup is paused until {until}\n"


def test_pause_until_no_time_asks_nobody(server: ControlServer, capsys: Captured) -> None:
    """A time without a zone could be any of 38, so it is a mistake on the command line."""
    assert main(["pause", "backup", "--until", "2027-03-01T13:00:00"]) == 2
    assert server.asked == []
    assert "not a time with a zone" in capsys.readouterr().err


def test_resume_tells_what_still_holds_the_flow(server: ControlServer, capsys: Captured) -> None:
    """A flow that its file suspends is not started by a resume, and that is said."""
    suspended = {"type": "Suspended", "status": "True", "reason": "Suspended", "message": ""}
    server.put(
        "POST /control/v1/flows/default/backup/resume",
        {**documents.flow(), "conditions": [suspended]},
        documents.flow(),
    )
    assert main(["resume", "backup"]) == 0
    told = capsys.readouterr()
    assert (told.out, "suspended" in told.err) == ("flow backup is not paused\n", True)
    assert main(["resume", "backup"]) == 0
    assert capsys.readouterr().err == ""


def test_status_counts_each_account(server: ControlServer, capsys: Captured) -> None:
    """Where there is another account than the default one, each has a row."""
    server.put("GET /control/v1/status", documents.status_of_accounts())
    assert main(["status"]) == 0
    assert (
        capsys.readouterr().out.rpartition("\n\n")[2]
        == """\
ACCOUNT  FLOWS  READY  RUNNING  QUEUED
pay      2      1      1        0
web      2      1      0        0
"""
    )


def test_status_is_the_daemon_at_a_glance(server: ControlServer, capsys: Captured) -> None:
    """Numbers and checks; a failing check is shown and no failure of the command."""
    server.put("GET /control/v1/status", documents.status())
    assert main(["status"]) == 0
    assert (
        capsys.readouterr().out
        == """\
status          failed
version         0.1.0
since           2027-03-01T12:00:00Z
revision        4b825dc642cb6eb9a060e54bf8d69288fbee4904
last pass       applied 4b825dc642cb: 1 added, 0 updated, 0 removed, 0 errors, \
2027-03-01T12:00:00Z by command
flows           2, 1 ready
rejected files  0
executions      1 running, 0 queued

CHECK   STATUS  MESSAGE
source  ok      -
store   failed  storage.full: no space
"""
    )


@pytest.mark.parametrize(
    ("type_", "status", "is_shown"),
    [
        ("SourceVerified", "False", True),
        ("SourceVerified", "True", False),
        ("SourceSynced", "False", True),
        ("SourceWatched", "False", True),
        ("PruneHeld", "True", True),
        ("PruneHeld", "False", False),
    ],
)
def test_status_tells_what_is_wrong_with_the_source(
    type_: str,
    status: str,
    is_shown: bool,  # noqa: FBT001 - a parameter of the case
    server: ControlServer,
    capsys: Captured,
) -> None:
    """A revision that is refused, or a repository that is away, is seen at a glance."""
    known = documents.status()
    condition = {"type": type_, "status": status, "reason": "NotSigned", "message": "the why"}
    known["source"]["conditions"].append(condition)
    server.put("GET /control/v1/status", known)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert (type_ in shown, "NotSigned  the why" in shown) == (is_shown, is_shown)


@pytest.mark.parametrize(
    ("pause", "text"),
    [
        (Pause(at=NOON), "all paused since 2027-03-01T12:00:00Z"),
        (
            SCHEDULES_PAUSED,
            "all paused by user 1000 since 2027-03-01T12:00:00Z until 2027-03-01T13:00:00Z: moving",
        ),
    ],
)
def test_status_tells_what_keeps_flows_from_starting(
    pause: Pause, text: str, server: ControlServer, capsys: Captured
) -> None:
    """Who paused all schedules, until when and why; and that the daemon only observes."""
    server.put("GET /control/v1/status", documents.status(is_observing=True, pause=pause))
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "mode            observes: nothing starts, its slots are recorded as skipped",
        f"schedules       {text}",
    ]


@pytest.mark.parametrize(
    ("more", "code", "shown"),
    [
        pytest.param({}, 0, "applied 4b825dc642cb: 1 added, 0 updated, 0 removed", id="applied"),
        pytest.param({"result": "unchanged", "added": 0}, 0, "unchanged 4b82", id="unchanged"),
        pytest.param({"errors": 2}, 3, "2 errors", id="findings"),
        pytest.param({"result": "held", "message": "no folder"}, 1, "held: no folder", id="held"),
        pytest.param(
            {"result": "failed", "errors": 1, "message": "m"}, 1, "failed: m", id="failed"
        ),
    ],
)
def test_reconcile_exits_by_the_result_of_the_pass(
    server: ControlServer,
    capsys: Captured,
    more: dict[str, Any],
    code: int,
    shown: str,
) -> None:
    """With `--wait` a pass is shown; findings and a pass that did not apply are failures."""
    server.put("POST /control/v1/reconcile", documents.reconcile_result(**more))
    assert main(["reconcile", "--wait"]) == code
    assert shown in capsys.readouterr().out
    assert server.bodies == [{"wait": True}]


def test_reconcile_asks_and_returns(server: ControlServer, capsys: Captured) -> None:
    """Without `--wait` the command ends once the daemon has taken the request on."""
    server.put("POST /control/v1/reconcile", {"status": "requested"}, status=202)
    assert main(["reconcile"]) == 0
    assert capsys.readouterr().out.startswith("a pass was requested")
    assert server.bodies == [{"wait": False}]
    assert main(["reconcile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"status": "requested"}


def test_reconcile_hands_on_that_a_lock_is_dead(server: ControlServer) -> None:
    """The daemon learns that the lock of git in the folder is to be ignored."""
    server.put("POST /control/v1/reconcile", {"status": "requested"}, status=202)
    assert main(["reconcile", "--ignore-lock"]) == 0
    assert server.bodies == [{"wait": False, "ignore_lock": True}]


FINE = {"result": "unchanged", "applied": [], "need_restart": [], "findings": []}
REFUSED = {
    **FINE,
    "result": "refused",
    "findings": [
        {
            "code": "settings.value",
            "message": "auth.tokens: ci: scopes must name what the token opens",
            "origin": "file:/etc/f.yaml:3:9",
            "hint": "scopes: read, data, metrics",
        }
    ],
}


@pytest.mark.parametrize(
    ("more", "code"), [({}, 0), ({"errors": 1}, 3), ({"result": "held", "message": "m"}, 1)]
)
def test_reload_carries_the_result(server: ControlServer, more: dict[str, Any], code: int) -> None:
    """What systemd sees is how the pass ended; nothing is approved on the way."""
    answer = {**documents.reconcile_result(**more), "settings": FINE}
    server.put("POST /control/v1/reload", answer)
    assert main(["reload", "--wait"]) == code
    assert server.bodies == [{"wait": True}]


@pytest.mark.parametrize("more", [{}, {"errors": 1}])
def test_reload_fails_with_what_is_wrong_with_the_settings(
    server: ControlServer, capsys: Captured, more: dict[str, Any]
) -> None:
    """Settings that are refused end the command with 4 and their findings, after any pass."""
    answer = {**documents.reconcile_result(**more), "settings": REFUSED}
    server.put("POST /control/v1/reload", answer)
    assert main(["reload", "--wait"]) == 4
    told = capsys.readouterr().err
    assert "/etc/f.yaml:3:9: auth.tokens: ci: scopes must name" in told
    assert "hint: scopes: read, data, metrics" in told
    assert "hint: the settings from before are in force" in told


def test_reload_that_is_not_waited_for_tells_of_the_settings(
    server: ControlServer, capsys: Captured
) -> None:
    """The settings are read before the answer: what needs a restart is named at once."""
    settings = {**FINE, "need_restart": ["server.listen", "storage.path"]}
    server.put("POST /control/v1/reload", {"status": "requested", "settings": settings}, status=202)
    assert main(["reload"]) == 0
    assert "needs a restart: server.listen, storage.path" in capsys.readouterr().err


def test_reconcile_approves_the_revision_that_is_named(server: ControlServer) -> None:
    """What the person has seen is what the daemon is asked for; the pass decides the exit code."""
    server.put("POST /control/v1/reconcile", documents.reconcile_result())
    assert main(["reconcile", "--allow-prune", "abc123"]) == 0
    assert server.bodies == [{"wait": False, "allow_prune": "abc123"}]


def test_reconcile_shows_what_it_approves(server: ControlServer, capsys: Captured) -> None:
    """Without a revision the command tells what is held now, and approves that alone."""
    hold = {"revision": "r2", "reason": "MassDeletion", "message": "7 of 10", "flows": []}
    server.put("GET /api/v1/reconcile", {**documents.source(), "hold": hold})
    server.put("POST /control/v1/reconcile", documents.reconcile_result())
    assert main(["reconcile", "--allow-prune"]) == 0
    assert "MassDeletion: 7 of 10" in capsys.readouterr().err
    assert server.bodies == [{"wait": False, "allow_prune": "r2"}]


def test_reconcile_without_anything_held_approves_nothing(server: ControlServer) -> None:
    """There is no approval in advance; the command ends as refused."""
    server.put("GET /api/v1/reconcile", documents.source())
    assert main(["reconcile", "--allow-prune"]) == 5
    assert server.bodies == []


def test_run_prints_the_id_and_returns(server: ControlServer, capsys: Captured) -> None:
    """A start is handed over with its inputs as text, and the id is the whole output."""
    server.put(START, {"execution_id": EXECUTION_ID}, status=202)
    assert main(["run", "backup", "--input", "day=2027-03-01", "--input", "q=a=b"]) == 0
    assert capsys.readouterr() == (f"{EXECUTION_ID}\n", "")
    assert server.bodies == [
        {"inputs": {"day": "2027-03-01", "q": "a=b"}, "as_text": True, "force": False}
    ]


def test_run_of_another_account_names_it(server: ControlServer, capsys: Captured) -> None:
    """The account is part of the address of the flow."""
    server.put("POST /control/v1/flows/ops/backup/executions", {"execution_id": EXECUTION_ID})
    assert main(["run", "backup", "--account", "ops"]) == 0
    assert capsys.readouterr().out == f"{EXECUTION_ID}\n"


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        pytest.param({"state": "succeeded", "reason": "", "error": None}, 0, "", id="succeeded"),
        pytest.param({}, 1, "failed (exit_code): exit_code: exit 2", id="failed"),
        pytest.param(
            {"state": "cancelled", "reason": "", "error": None}, 1, "cancelled", id="cancelled"
        ),
    ],
)
def test_run_followed_exits_by_the_final_state(
    server: ControlServer, more: dict[str, Any], code: int, told: str
) -> None:
    """`--follow` prints the logs alone to the output, and how it ended to the errors."""
    server.put(START, {"execution_id": EXECUTION_ID}, status=202)
    server.put(LOGS, documents.log_page("one"), documents.log_page("two", is_complete=True))
    server.put(EXECUTION, {**documents.execution(), **more})
    process = Process()
    assert run.execute(words("run backup --follow"), process.host) == code
    assert process.out == "dump: one\ndump: two\n"
    assert process.pauses == []
    ended = f"execution {EXECUTION_ID}: {told}\n" if told else ""
    assert process.err == f"execution {EXECUTION_ID}\n{ended}"


def test_run_that_is_refused_exits_5(server: ControlServer) -> None:
    """A flow that is not ready is a refusal, not a failed execution."""
    server.put_problem(START, 503, "not_ready")
    with pytest.raises(RefusedError):
        run.execute(words("run backup"), Process().host)


def test_inputs_that_do_not_fit_are_told_each(server: ControlServer, capsys: Captured) -> None:
    """Wrong inputs exit with 2, since they stand on the command line."""
    findings = [{"input": "day", "message": "is required"}, {"input": "x", "message": "is wrong"}]
    server.put_problem(START, 422, "input.invalid", findings=findings)
    assert main(["run", "backup"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "flowrunner: input 'day' is required [input.invalid]",
        "flowrunner: input 'x' is wrong [input.invalid]",
    ]


@pytest.mark.parametrize(
    "given",
    ["flows", "executions", "show x", "logs x", "cancel x", "status", "reconcile", "run backup"],
)
def test_command_without_a_daemon_exits_5(tmp_path: Path, given: str, capsys: Captured) -> None:
    """Each command that needs the daemon says that there is none, and what to do."""
    assert main([*given.split(), "--socket", str(tmp_path / "none")]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("flowrunner: there is no daemon: nothing listens on ")
    assert "\nhint: start one with `flowrunner serve`" in captured.err
