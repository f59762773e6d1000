"""A daemon whose HTTP comes by unix socket: who gets in, and what becomes of the file."""

from __future__ import annotations

import http.client
import json
import re
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, command, daemon
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, github_headers, hook
from tests.system.flow_files import NOTHING, write_flow

pytestmark = pytest.mark.system

FORWARDED = {"X-Forwarded-For": "198.51.100.7"}


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(
    path: Path,
    target: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Returns status and body of the answer that a socket gives."""
    connection = UnixConnection(path)
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def flows(flows: Path) -> Path:
    """A flow with a signed hook, and one with an open hook."""
    write_flow(flows, "signed", hook(), NOTHING)
    write_flow(flows, "open", hook("auth: {type: none}"), NOTHING)
    return flows


def settings_file(folder: Path, **server: object) -> tuple[str, str]:
    """Writes settings and returns the option that names them."""
    file = folder / "settings.yaml"
    file.write_text(json.dumps({"server": server}))
    return ("--config", str(file))


def deliver(path: Path, hook_of: str, more: Mapping[str, str] | None = None) -> int:
    """Sends a signed delivery and returns its status."""
    body = json.dumps({"of": hook_of}).encode()
    headers = {**github_headers(body, hook_of), **(more or {})}
    target = f"/hooks/default/{hook_of}/webhook"
    return ask(path, target, method="POST", body=body, headers=headers)[0]


def test_everything_comes_by_a_unix_socket(flows: Path, state: Path, short: Path) -> None:
    """It shows what loopback shows and takes deliveries; its file goes at the end."""
    path = short / "http.sock"
    options = ("--listen", f"unix:{path}")
    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT, arguments=options) as running:
        assert f"READY unix:{path} unix:" in running.output
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert ask(path, "/livez")[0] == 200
        assert json.loads(ask(path, "/api/v1/flows")[1])["items"]
        assert ask(path, "/api/v1/flows/default/open/definition")[0] == 401
        assert ask(path, "/control/v1/status")[0] == 404
        assert ask(path, "/api/v1/flows", headers=FORWARDED)[0] == 401
        assert deliver(path, "signed") == 202
        assert deliver(path, "open") == 202
        assert deliver(path, "open", FORWARDED) == 401
        assert running.stop() == 0
        assert re.search(r"path=/hooks/default/signed/.*peer=uid:\d+/pid:\d+ ", running.output)
    assert not path.exists()


def test_hooks_alone_come_by_a_unix_socket(flows: Path, state: Path, short: Path) -> None:
    """The proxy reaches hooks and nothing else; it is trusted about its callers, who are logged."""
    path = short / "hooks.sock"
    settings = settings_file(
        short, hooks_listen=f"unix:{path}", socket_access="everyone", trusted_proxies=["unix"]
    )
    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT, arguments=settings) as running:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert ask(path, "/livez")[0] == 200
        assert ask(path, "/api/v1/flows")[0] == 401
        assert ask(path, "/metrics")[0] == 401
        assert deliver(path, "signed", FORWARDED) == 202
        assert deliver(path, "open") == 401
        assert running.request("/hooks/default/signed/webhook", method="POST").status == 404
        assert running.stop() == 0
        assert re.search(r"peer=198\.51\.100\.7 via=uid:\d+/pid:\d+", running.output)


def test_daemon_takes_the_file_of_one_that_was_killed(
    flows: Path, state: Path, short: Path
) -> None:
    """After `kill -9` the next start listens at the same path."""
    path = short / "http.sock"
    options = ("--listen", f"unix:{path}")
    with daemon(flows, state, arguments=options) as running:
        running.kill()
    assert path.is_socket()

    with daemon(flows, state, arguments=options):
        assert ask(path, "/livez")[0] == 200


def test_second_daemon_leaves_the_socket_to_the_first(
    flows: Path, state: Path, short: Path
) -> None:
    """It ends with 1 and says why, and the first goes on answering."""
    path = short / "http.sock"
    options = ("--listen", f"unix:{path}")
    with daemon(flows, state, arguments=options):
        second = command("serve", *("--state", str(short / "s")), *options, cwd=short)

        assert (second.returncode, "another daemon answers on" in second.stderr) == (1, True)
        assert not (short / "s" / "control.sock").exists()
        assert ask(path, "/livez")[0] == 200


def test_start_that_fails_leaves_no_socket_behind(flows: Path, state: Path, short: Path) -> None:
    """Where the second listener cannot be bound, the file of the first is gone again."""
    path = short / "http.sock"
    (short / "taken").write_text("precious")
    settings = settings_file(short, listen=f"unix:{path}", hooks_listen=f"unix:{short}/taken")

    done = command("serve", *("--flows", str(flows), "--state", str(state)), *settings, cwd=short)

    assert (done.returncode, "taken exists and is no socket" in done.stderr) == (1, True)
    assert not path.exists()
    assert (short / "taken").read_text() == "precious"
