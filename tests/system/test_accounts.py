"""Accounts under the daemon: names, hooks, secrets and limits of one are not those of another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, command, daemon, eventually
from tests.system.deliveries import github_headers, hook
from tests.system.flow_files import runs, write_flow

pytestmark = pytest.mark.system

SECRETS = "secrets: [KEY]\n"
SHOWS = runs(
    'echo "length=${#KEY}" >> "$FLOW_OUTPUT"; echo "seen=$(env | grep -c ^WEB_)" >> "$FLOW_OUTPUT"',
    env="{KEY: '${{ secrets.KEY }}'}",
    outputs="{length: {type: integer}, seen: {type: integer}}",
)
RESULT = """\
outputs:
  length: ${{ nodes.work.outputs.length }}
  seen: ${{ nodes.work.outputs.seen }}
"""
SETTINGS = """\
accounts:
  payments:
    folder: pay
    secrets: [{directory: secrets}]
    max_running_executions: 1
  web:
    secrets: [{environment: WEB_}]
    node_types: [shell]
  ops:
"""
VARIABLES = {
    **OPEN,
    "WEB_HOOK": "of-web",
    "WEB_KEY": "of-web",
    "FLOWRUNNER_SECRET_HOOK": "of-default",
    "FLOWRUNNER_SECRET_KEY": "of-default",
}


@pytest.fixture(name="options")
def _options(tmp_path: Path) -> tuple[str, ...]:
    """The options that name the settings; the secrets of an account lie beside them."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "HOOK").write_text("of-payments\n")
    (tmp_path / "secrets" / "KEY").write_text("of-payments\n")
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    return ("--config", str(tmp_path / "settings.yaml"))


def reason(running: RunningDaemon, account: str, flow: str) -> str:
    """Returns why a flow is Ready or not; empty for one that is unknown."""
    shape = running.request(f"/api/v1/flows/{account}/{flow}").json
    ready = (it["reason"] for it in shape.get("conditions", ()) if it["type"] == "Ready")
    return str(next(ready, ""))


def deliver(running: RunningDaemon, account: str, secret: str) -> int:
    """Sends a signed delivery to the hook of an account; returns the status."""
    body = json.dumps({"a": account}).encode()
    headers = github_headers(body, f"{account}-{secret}", secret)
    path = f"/hooks/{account}/in"
    return running.request(path, method="POST", body=body, headers=headers).status


def test_accounts_have_names_hooks_and_secrets_of_their_own(
    flows: Path, state: Path, options: tuple[str, ...]
) -> None:
    """Two flows of one name and hook path, each with its account's secrets; no other's do."""
    for folder in ("pay", "web", "ops", "lost"):
        (flows / folder).mkdir()
        write_flow(
            flows / folder,
            "show",
            SECRETS,
            hook("path: in, auth: {type: github, secret: HOOK}"),
            SHOWS,
            RESULT,
        )
    write_flow(flows / "web", "other", "nodes: [{id: a, type: noop}]\n")

    with daemon(flows, state, env=VARIABLES, arguments=options) as running:
        listed = {
            (it["account"], it["name"]) for it in running.request("/api/v1/flows").json["items"]
        }
        assert listed == {(name, "show") for name in ("payments", "web", "ops")} | {
            ("web", "other")
        }
        (rejected,) = running.source()["rejected"]
        assert (rejected["path"], rejected["findings"][0]["code"]) == ("lost/show.yaml", "FR117")
        assert reason(running, "ops", "show") == "SecretMissing"
        assert reason(running, "web", "other") == "NodeTypeNotPermitted"
        for account, length in (("payments", len("of-payments")), ("web", len("of-web"))):
            ended = running.ended(running.start("show", "--account", account))
            assert ended["outputs"] == {"length": length, "seen": 0}, ended
        assert deliver(running, "payments", "of-payments") == 202
        assert deliver(running, "web", "of-web") == 202
        strangers = [("payments", "of-web"), ("web", "of-payments"), ("web", "of-default")]
        assert [deliver(running, *each) for each in strangers] == [401] * 3
        assert deliver(running, "ops", "of-default") == 401
        assert deliver(running, "lost", "of-default") == 401
        shown = running.command("flows").stdout
        assert "payments/show" in shown
        assert "hint: put it into a source of accounts.ops.secrets of the settings" in shown
        only = running.command("flows", "--account", "web").stdout
        assert "payments/show" not in only
        table = running.command("status").stdout
        assert table.index("ACCOUNT") < table.index("payments") < table.index("web")
        assert "of-payments" not in running.output + shown + table
        assert "of-web" not in running.output + shown + table

    checked = command(
        *("validate", str(flows), "--settings", options[1]), cwd=flows.parent, env=VARIABLES
    )
    assert checked.returncode == 3
    assert {line.split()[1] for line in checked.stdout.splitlines() if ".yaml:" in line} >= {
        "FR117",
        "FR601",
        "FR603",
    }


def test_limit_of_an_account_holds_over_kill_9(
    flows: Path, state: Path, options: tuple[str, ...]
) -> None:
    """One at a time runs, before and after a kill, and none is lost or stays in line for ever."""
    (flows / "pay").mkdir()
    once = "concurrency: {on_conflict: allow}\n"
    gate = flows.parent / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    write_flow(flows / "pay", "long", once, runs(script, on_interrupt="rerun"))

    with daemon(flows, state, env=VARIABLES, arguments=options) as running:
        ids = [running.start("long", "--account", "payments") for _ in range(3)]
        states = [running.execution(each)["state"] for each in ids]
        assert states == ["running", "queued", "queued"]
        traced = running.command("show", ids[1], "--trace").stdout
        assert "as many executions run as account payments may" in traced
        running.kill()

    with daemon(flows, state, env=VARIABLES, arguments=options) as running:
        states = [running.execution(each)["state"] for each in ids]
        assert states == ["running", "queued", "queued"]
        gate.touch()
        ended = [running.ended(each) for each in ids]
        assert [each["state"] for each in ended] == ["succeeded"] * 3
        begins = [each["started_at"] for each in ended[1:]]
        assert begins == sorted(begins)
        assert begins >= [each["ended_at"] for each in ended[:-1]]


def test_settings_that_gain_accounts_move_the_flows(
    flows: Path, state: Path, options: tuple[str, ...]
) -> None:
    """A restart with accounts takes the flows of `default` out of force, with what waits."""
    (flows / "pay").mkdir()
    write_flow(flows / "pay", "long", "suspend: true\n", runs("true"))
    write_flow(flows, "rooted", runs("true"))

    with daemon(flows, state, env=OPEN) as running:
        assert reason(running, "default", "long") == "Ready"
        waiting = running.start("rooted")
        running.ended(waiting)
        assert running.stop() == 0

    with daemon(flows, state, env=OPEN, arguments=options) as running:
        assert reason(running, "payments", "long") == "Ready"
        assert reason(running, "default", "long") == ""
        assert running.execution(waiting)["account"] == "default"
        running.kill()

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: reason(running, "default", "rooted") == "Ready")
        assert reason(running, "payments", "long") == ""
