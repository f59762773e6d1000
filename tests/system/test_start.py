"""Starting a daemon and asking it: what it prints, answers and takes its settings from."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, PATIENCE_S, command, daemon
from tests.system.flow_files import NOTHING, flow_text, runs, says, write_flow

pytestmark = pytest.mark.system


def has_ipv6() -> bool:
    """Whether something can listen on ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


FAILS = runs("echo before the end; exit 7")


def test_a_started_daemon_says_ready_and_answers_its_checks(flows: Path, state: Path) -> None:
    """READY names the addresses, and behind them liveness, readiness and metrics answer."""
    write_flow(flows, "hello", says("hi"))

    with daemon(flows, state) as running:
        ready = re.search(r"^READY (.+)$", running.output, re.MULTILINE)
        assert ready
        assert ready.group(1) == f"http://127.0.0.1:{running.port} unix:{state}/control.sock"
        assert running.request("/livez").status == 200
        assert running.request("/readyz").status == 200
        health = running.request("/healthz")
        assert health.status == 200
        assert health.json["status"] == "ok"
        checks = {check["name"]: check["message"] for check in health.json["checks"]}
        assert checks.keys() >= {"source", "store"}
        assert "no cgroup is delegated" in checks["processes"]
        assert running.metric("flowrunner_build_info") == 1
        assert running.metric("flowrunner_flow_ready", account="default", flow="hello") == 1


def test_the_state_directory_is_for_its_owner_alone(flows: Path, state: Path) -> None:
    """A state directory that the daemon makes, and the database in it, are closed to others."""
    with daemon(flows, state):
        assert state.stat().st_mode & 0o777 == 0o700
        assert (state / "control.sock").stat().st_mode & 0o777 == 0o660


@pytest.mark.skipif(not has_ipv6(), reason="this host has no ::1")
def test_the_loopback_of_ipv6_is_as_good(flows: Path, state: Path) -> None:
    """READY names the address in brackets, and it answers there."""
    with daemon(flows, state, arguments=("--listen", "[::1]:0")) as running:
        address = re.search(r"^READY (http://\[::1\]:\d+) ", running.output, re.MULTILINE)
        assert address
        with urllib.request.urlopen(f"{address.group(1)}/readyz", timeout=PATIENCE_S) as answer:
            assert answer.status == 200


def test_flags_win_over_the_environment_and_both_over_the_settings_file(
    flows: Path, state: Path, tmp_path: Path
) -> None:
    """Each source gives what no stronger one says, in the daemon and in `config show`."""
    write_flow(flows, "hello", says("hi"))
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "server: {listen: '127.0.0.1:1'}\n"
        "auth: {local: open}\n"
        "logging: {format: json, level: debug}\n",
        encoding="utf-8",
    )
    environment = {"FLOWRUNNER_LOGGING__FORMAT": "text", "FLOWRUNNER_SERVER__LISTEN": "127.0.0.1:2"}

    with daemon(flows, state, env=environment, arguments=("--config", str(settings))) as running:
        assert running.port > 2
        execution = running.ended(running.start("hello"))
        assert execution["redacted"] is False
        assert not re.search(r"^\{", running.output, re.MULTILINE)

    shown = command(
        "config", "show", "--config", str(settings), "--json", cwd=tmp_path, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    for value in ("env:FLOWRUNNER_LOGGING__FORMAT", f"file:{settings}:2:", "default"):
        assert value in shown.stdout


def test_the_commands_tell_what_the_daemon_knows(flows: Path, state: Path) -> None:
    """Status, flows, executions, one execution and its log are one command away."""
    write_flow(flows, "hello", runs("echo the line that was printed"))

    with daemon(flows, state) as running:
        execution_id = running.start("hello")
        assert re.fullmatch(r"[0-9a-f-]{36}", execution_id)
        running.ended(execution_id)

        assert "ok" in running.command("status").stdout
        assert re.search(r"hello .*True", running.command("flows").stdout)
        assert execution_id in running.command("executions").stdout
        shown = running.command("show", execution_id).stdout
        assert "succeeded" in shown
        assert "work" in shown
        assert "the line that was printed" in running.command("logs", execution_id).stdout


def test_the_commands_give_the_shapes_of_the_api_as_json(flows: Path, state: Path) -> None:
    """With `-o json` a command prints what the API answers to a caller with full rights."""
    write_flow(flows, "hello", says("hi"))

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("hello")
        running.ended(execution_id)

        listed = json.loads(running.command("flows", "-o", "json").stdout)
        assert listed == running.request("/api/v1/flows").json
        listed = json.loads(running.command("executions", "-o", "json").stdout)
        assert listed == running.request("/api/v1/executions").json
        shown = json.loads(running.command("show", execution_id, "--json").stdout)
        assert shown == running.execution(execution_id)


def test_run_with_follow_streams_the_log_and_ends_as_the_execution_does(
    flows: Path, state: Path
) -> None:
    """`run --follow` prints the log and exits 0 for a success and 1 for a failure."""
    write_flow(flows, "hello", "inputs: {who: {}}\n", runs('echo "hello $WHO"', env=WHO))
    write_flow(flows, "failing", FAILS)

    with daemon(flows, state) as running:
        done = running.command("run", "hello", "--input", "who=world", "--follow")
        assert "hello world" in done.stdout
        failed = running.command("run", "failing", "--follow", check=False)
        assert failed.returncode == 1, failed.stderr
        assert "before the end" in failed.stdout


WHO = '{WHO: "${{ inputs.who }}"}'


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        pytest.param(0, ("validate", "good.yaml"), id="no-findings"),
        pytest.param(0, ("run", "good.yaml"), id="file-succeeds"),
        pytest.param(0, ("version",), id="version"),
        pytest.param(1, ("run", "failing.yaml"), id="file-fails"),
        pytest.param(2, ("no-such-command",), id="unknown-command"),
        pytest.param(2, ("validate", "missing.yaml"), id="missing-path"),
        pytest.param(3, ("validate", "bad.yaml"), id="findings"),
        pytest.param(3, ("run", "bad.yaml"), id="run-of-an-invalid-file"),
        pytest.param(4, ("config", "show", "--config", "settings.yaml"), id="settings"),
        pytest.param(5, ("flows",), id="no-daemon"),
        pytest.param(78, ("serve", "--config", "settings.yaml"), id="serve-with-bad-settings"),
    ],
)
def test_the_exit_code_tells_what_happened(
    tmp_path: Path, code: int, arguments: tuple[str, ...]
) -> None:
    """Scripts and systemd can rely on the exit codes."""
    write_flow(tmp_path, "good", NOTHING)
    write_flow(tmp_path, "failing", FAILS)
    (tmp_path / "bad.yaml").write_text(flow_text("bad", "nodse: []\n"), encoding="utf-8")
    (tmp_path / "settings.yaml").write_text("servr: {}\n", encoding="utf-8")

    done = command(*arguments, cwd=tmp_path)

    assert done.returncode == code, done.stdout + done.stderr


def test_what_the_daemon_refuses_exits_5(flows: Path, state: Path) -> None:
    """An unknown flow, an unknown execution and one that has ended are refusals."""
    write_flow(flows, "hello", NOTHING)

    with daemon(flows, state) as running:
        unknown = running.command("run", "helo", check=False)
        assert unknown.returncode == 5
        assert "hello" in unknown.stderr
        ended = running.start("hello")
        running.ended(ended)
        assert running.command("cancel", ended, check=False).returncode == 5
        other = ended[:-1] + ("0" if ended[-1] != "0" else "1")
        assert running.command("show", other, check=False).returncode == 5


def test_inputs_that_do_not_fit_exit_2_and_name_the_input(flows: Path, state: Path) -> None:
    """An input that is unknown, missing or of another type starts nothing."""
    write_flow(flows, "count", "inputs: {n: {type: integer}}\n", NOTHING)

    with daemon(flows, state) as running:
        for given in (("--input", "n=many"), ("--input", "m=1"), ()):
            done = running.command("run", "count", *given, check=False)
            assert done.returncode == 2, done.stderr
            assert "n" in done.stderr
        assert running.executions("count") == []


def test_a_stranger_on_this_machine_sees_no_data(flows: Path, state: Path) -> None:
    """Without rights inputs, outputs and error details are withheld, logs refused."""
    write_flow(flows, "hello", "inputs: {who: {default: me}}\n", says("hi"))
    write_flow(flows, "failing", FAILS)

    with daemon(flows, state) as running:
        execution = running.ended(running.start("hello"))
        assert execution["redacted"] is True
        assert execution["inputs"] is None
        assert execution["outputs"] is None
        assert [node["outputs"] for node in execution["nodes"]] == [None]
        failed = running.ended(running.start("failing"))
        assert failed["error"]["details"] == {}
        for below in (f"executions/{execution['id']}/logs", "flows/default/hello/definition"):
            refused = running.request(f"/api/v1/{below}")
            assert refused.status == 401
            assert "www-authenticate" in refused.headers
        assert running.command("show", execution["id"], "--json").stdout.count('"hi"') == 1


def test_a_workstation_sees_everything_on_loopback(flows: Path, state: Path) -> None:
    """With `auth.local: open` the same addresses give inputs, outputs, logs and definitions."""
    write_flow(flows, "hello", "inputs: {who: {default: me}}\n", says("hi"))
    write_flow(flows, "prints", runs("echo printed"))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("hello"))
        assert execution["redacted"] is False
        assert execution["inputs"] == {"who": "me"}
        assert [node["outputs"] for node in execution["nodes"]] == [{"word": "hi"}]
        printed = running.ended(running.start("prints"))
        assert running.logs(printed["id"]) == "printed\n"
        definition = running.request("/api/v1/flows/default/hello/definition")
        assert definition.json["name"] == "hello"


def test_a_page_in_a_browser_cannot_read_the_api(flows: Path, state: Path) -> None:
    """A request under a name that an attacker may have chosen is refused, also with `open`."""
    with daemon(flows, state, env=OPEN) as running:
        for name, status in (("attacker.example", 421), (f"localhost:{running.port}", 200)):
            assert running.request("/api/v1/flows", headers={"Host": name}).status == status


def test_a_request_through_a_proxy_counts_as_from_outside(flows: Path, state: Path) -> None:
    """What a proxy forwards gets health and hooks alone: it came from off this machine."""
    forwarded = {"X-Forwarded-For": "192.0.2.7"}

    with daemon(flows, state, env=OPEN) as running:
        for path, status in (("/livez", 200), ("/metrics", 401), ("/api/v1/flows", 401)):
            assert running.request(path, headers=forwarded).status == status


def test_the_network_can_change_nothing(flows: Path, state: Path) -> None:
    """The API takes no other method, and the commands are not served on the port at all."""
    write_flow(flows, "hello", NOTHING)

    with daemon(flows, state, env=OPEN) as running:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert running.request("/api/v1/flows", method=method).status == 405
        for path in ("reconcile", "flows/default/hello/executions"):
            assert running.request(f"/control/v1/{path}", method="POST").status == 404
        assert running.executions("hello") == []
