"""A daemon that other machines reach: what they see without a token, and with which."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, RunningDaemon, command, daemon, eventually
from tests.system.flow_files import NOTHING, write_flow

pytestmark = pytest.mark.system

THROUGH_A_PROXY = {"X-Forwarded-For": "198.51.100.7", "Host": "flows.example.com"}


@dataclass(frozen=True)
class Exposed:
    """A daemon on all addresses, and the tokens that it knows."""

    daemon: RunningDaemon
    tokens: dict[str, str]

    def status(self, path: str, token: str | None = None) -> int:
        """Returns how a request through a proxy is answered."""
        return self.daemon.request(path, headers={**THROUGH_A_PROXY, **bearer(self, token)}).status


def bearer(exposed: Exposed, token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    return {"Authorization": f"Bearer {exposed.tokens.get(token, token)}"}


def new_token(folder: Path, name: str, *options: str) -> tuple[str, dict[str, object]]:
    """Makes a token with the command; returns it and its entry in the settings."""
    done = command("token", "new", name, *options, "--json", cwd=folder)
    made = json.loads(done.stdout)
    return made["token"], made["settings"]["auth"]["tokens"][name]


def own_address() -> str | None:
    """Returns an address of this machine off loopback, or None; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exposed]:
    """A daemon with two accounts that listens everywhere; the web team has a token of its own."""
    place = tmp_path_factory.mktemp("exposed")
    for account in ("web", "ops"):
        (place / "flows" / account).mkdir(parents=True)
        write_flow(place / "flows" / account, "nightly", NOTHING)
    made = {
        "reader": new_token(place, "reader"),
        "auditor": new_token(place, "auditor", "--scope", "data"),
        "scraper": new_token(place, "scraper", "--scope", "metrics"),
        "web": new_token(place, "web", "--scope", "data", "--account", "web"),
    }
    entries = {name: entry for name, (_, entry) in made.items()}
    settings = {"accounts": {"web": None, "ops": None}, "auth": {"tokens": entries}}
    (place / "settings.yaml").write_text(json.dumps(settings))
    options = ("--config", str(place / "settings.yaml"), "--listen", "0.0.0.0:0")
    with daemon(place / "flows", place / "state", arguments=options) as running:
        yield Exposed(running, {name: token for name, (token, _) in made.items()})


def test_strangers_see_health_and_nothing_else(exposed: Exposed) -> None:
    """Without a token another machine gets 200 for health, a hook's 401, and 401 for the rest."""
    health = {path: exposed.status(path) for path in ("/livez", "/readyz", "/healthz")}
    rest = {
        path: exposed.status(path)
        for path in ("/metrics", "/api/v1/flows", "/api/v1/executions", "/api/v1/nothing", "/")
    }

    assert set(health.values()) == {200}
    assert set(rest.values()) == {401}
    assert exposed.status("/api/v1/flows", "wrong") == 401


def test_tokens_open_what_they_say(exposed: Exposed) -> None:
    """Flows, data and metrics are opened by the scopes of a token, and by no other."""
    execution = exposed.daemon.start("nightly", "--account", "web")
    logs = f"/api/v1/executions/{execution}/logs"

    opened = {
        name: tuple(exposed.status(path, name) for path in ("/api/v1/flows", logs, "/metrics"))
        for name in ("reader", "auditor", "scraper")
    }

    assert opened == {
        "reader": (200, 401, 401),
        "auditor": (200, 200, 401),
        "scraper": (401, 401, 200),
    }


def test_token_of_an_account_sees_that_account_alone(exposed: Exposed) -> None:
    """The web team's token lists its own flows and executions; those of ops do not exist."""
    theirs = exposed.daemon.start("nightly", "--account", "ops")
    headers = {**THROUGH_A_PROXY, **bearer(exposed, "web")}

    flows = exposed.daemon.request("/api/v1/flows", headers=headers).json["items"]
    executions = exposed.daemon.request("/api/v1/executions", headers=headers).json["items"]

    assert [flow["account"] for flow in flows] == ["web"]
    assert theirs not in [execution["id"] for execution in executions]
    assert exposed.status("/api/v1/flows/ops/nightly", "web") == 404
    assert exposed.status(f"/api/v1/executions/{theirs}", "web") == 404
    assert exposed.status(f"/api/v1/executions/{theirs}", "auditor") == 200


def test_caller_from_another_address_needs_a_token(exposed: Exposed) -> None:
    """Whoever does not come from loopback is a stranger, with no proxy in between as well."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address off loopback")

    def status(headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection(address, exposed.daemon.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/api/v1/flows", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    assert status({}) == 401
    assert status(bearer(exposed, "reader")) == 200
    assert exposed.daemon.request("/api/v1/flows").status == 200


def test_stranger_that_only_connects_keeps_nobody_out(flows: Path, state: Path) -> None:
    """One address off this machine has half of the connections; what is beyond that is cut."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address off loopback")
    server = {"HOOKS_LISTEN": "0.0.0.0:0", "MAX_CONNECTIONS": "4"}
    env = {f"FLOWRUNNER_SERVER__{name}": value for name, value in server.items()}

    with daemon(flows, state, env=env) as running, ExitStack() as held:
        port = int(re.findall(r"READY .* http://0\.0\.0\.0:(\d+)", running.output)[0])
        connections = [
            held.enter_context(socket.create_connection((address, port), PATIENCE_S))
            for _ in range(3)
        ]
        with suppress(ConnectionResetError):
            assert connections[-1].recv(1) == b""
        local = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        held.callback(local.close)
        local.request("GET", "/livez")
        assert local.getresponse().status == 200
        told = f"http.too_many_connections source={address} most=2"
        eventually(lambda: told in running.output, lambda: running.output)


def test_tokens_are_in_no_log_and_in_no_file_of_the_state(exposed: Exposed) -> None:
    """Refusals are counted and logged by name; the tokens themselves are nowhere."""
    assert exposed.status("/api/v1/flows", "frt_guess") == 401
    for name in exposed.tokens:
        exposed.status("/api/v1/flows", name)
    headers = {**THROUGH_A_PROXY, **bearer(exposed, "scraper")}
    metrics = exposed.daemon.request("/metrics", headers=headers).text

    assert 'flowrunner_access_refused_total{reason="unknown"}' in metrics
    eventually(lambda: "token=scraper" in exposed.daemon.output)  # what it may not see is logged
    written = exposed.daemon.output.encode() + b"".join(
        path.read_bytes() for path in exposed.daemon.state.rglob("*") if path.is_file()
    )
    for token in ("frt_guess", *exposed.tokens.values()):
        assert token.encode() not in written


def test_a_reload_exchanges_tokens_and_nothing_half(flows: Path, state: Path) -> None:
    """New tokens count and old ones no more, at once; settings that are wrong change nothing."""
    write_flow(flows, "nightly", NOTHING)
    file, place = state.parent / "settings.yaml", state.parent
    (old, old_entry), (new, new_entry) = new_token(place, "old"), new_token(place, "new")

    def write(tokens: object, **more: object) -> None:
        file.write_text(json.dumps({"auth": {"tokens": tokens}, **more}))

    write({"old": old_entry})
    options = ("--config", str(file))
    with daemon(flows, state, arguments=options) as running:
        exposed = Exposed(running, {})

        def opened() -> list[bool]:
            return [exposed.status("/api/v1/flows", token) == 200 for token in (old, new)]

        assert opened() == [True, False]
        write({"old": old_entry, "new": new_entry})
        running.command("reload", "--wait")
        assert opened() == [True, True]

        write({"new": {**new_entry, "scopes": ["everything"]}})
        refused = running.command("reload", "--wait", check=False)
        assert refused.returncode == 4
        assert "'everything' is no scope here" in refused.stderr
        file.write_text("auth: [\n")
        assert f"{file}:2:1" in running.command("reload", check=False).stderr
        assert opened() == [True, True]
        assert running.metric("flowrunner_config_last_reload_successful") == 0

        write({"new": new_entry}, server={"max_body": "8MiB"}, logging={"level": "debug"})
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: opened() == [False, True])
        eventually(lambda: running.metric("flowrunner_config_last_reload_successful") == 1)
        line = "http.request method=GET path=/api/v1/flows status=200"
        eventually(lambda: "settings.need_restart keys=server.max_body" in running.output)
        eventually(lambda: opened() == [False, True] and line in running.output)


def test_a_reload_gives_an_account_its_secrets(tmp_path: Path) -> None:
    """A flow that lacked a secret is Ready after the settings name where it lies."""
    flows, file, secrets = (tmp_path / name for name in ("flows", "settings.yaml", "secrets"))
    (flows / "web").mkdir(parents=True)
    secrets.mkdir()
    (secrets / "KEY").write_text("a-key-of-the-web\n")
    write_flow(flows / "web", "deploy", "secrets: [KEY]\n", NOTHING)
    file.write_text("accounts: {web: }\n")

    with daemon(flows, tmp_path / "state", arguments=("--config", str(file))) as running:

        def reason() -> str:
            conditions = running.request("/api/v1/flows/web/deploy").json["conditions"]
            return str(next(it["reason"] for it in conditions if it["type"] == "Ready"))

        assert reason() == "SecretMissing"
        file.write_text(f"accounts: {{web: {{secrets: [{{directory: {secrets}}}]}}}}\n")
        running.command("reload", "--wait")
        assert reason() == "Ready"


def test_hooks_can_have_a_listener_of_their_own(flows: Path, state: Path) -> None:
    """Hooks are open to all addresses without a token, and the API stays on this machine."""
    write_flow(flows, "nightly", NOTHING)
    options = ("--config", str(state.parent / "settings.yaml"))
    (state.parent / "settings.yaml").write_text('server: {hooks_listen: "0.0.0.0:0"}\n')

    with daemon(flows, state, arguments=options) as running:
        (port,) = re.findall(r"READY .* http://0\.0\.0\.0:(\d+)", running.output)

        def answer(path: str) -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE_S)
            try:
                connection.request("GET", path)
                got = connection.getresponse()
                return got.status, got.headers.get("WWW-Authenticate", "")
            finally:
                connection.close()

        assert answer("/hooks/default/x") == (401, "FlowRunner")
        assert answer("/livez") == (200, "")
        assert answer("/api/v1/flows") == (404, "")
        assert running.request("/api/v1/flows").status == 200
        assert running.request("/hooks/default/x").status == 404


def test_listening_everywhere_without_a_token_is_refused(tmp_path: Path) -> None:
    """Before there is a token `serve` ends with 78 and says how to make one."""
    done = command("serve", "--flows", str(tmp_path), "--listen", "0.0.0.0:0", cwd=tmp_path)

    assert done.returncode == 78
    assert "flowrunner token new" in done.stderr
