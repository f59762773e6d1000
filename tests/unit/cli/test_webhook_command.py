"""`flowrunner webhook send`: what is sent where, what is shown of it, how it exits."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli.commands import webhook
from flowrunner.cli.main import main
from flowrunner.web.delivery_wire import delivery_json
from tests.fakes.records import make_delivery
from tests.unit.cli.control_server import ControlServer, control_server
from tests.unit.cli.hosts import Process, words

Captured = pytest.CaptureFixture[str]
SECRET = "a-secret-that-nobody-may-see"
BODY = b'{"ref": "main"}'
DELIVERIES = "GET /api/v1/deliveries"


@dataclass
class Hooks:
    """Stands for the listener of hooks."""

    address: str = ""
    status: int = 202
    answer: bytes = b'{"execution_id": "x"}'
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """Serves on a free port of loopback until the test has ended."""
    known = Hooks()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            known.seen.append((self.command, self.path, headers, body))
            self.send_response(known.status)
            self.send_header("Content-Length", str(len(known.answer)))
            self.end_headers()
            self.wfile.write(known.answer)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        known.address = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield known
        finally:
            listener.shutdown()
            thread.join()


@pytest.fixture
def send(server: ControlServer, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> ControlServer:
    """A daemon with the flow `site` and its hook `push`, and the secret at hand."""
    monkeypatch.setenv("FLOWRUNNER_SECRET_HOOK", SECRET)
    define(server, {"type": "github", "secret": "HOOK"})
    server.put("GET /control/v1/hooks", {"address": hooks.address})
    server.put(DELIVERIES, {"items": [], "next_cursor": None})
    Path("body.json").write_bytes(BODY)
    return server


def define(server: ControlServer, auth: dict[str, Any], **trigger: Any) -> None:
    """Puts down the definition of the flow."""
    triggers = [{"id": "push", "type": "webhook", "auth": auth, **trigger}]
    definition = {"version": 1, "name": "site", "triggers": triggers, "nodes": []}
    server.put("GET /api/v1/flows/default/site/definition", definition)


SEND = ["webhook", "send", "site", "push"]


def test_delivery_is_signed_and_posted(send: ControlServer, hooks: Hooks) -> None:
    """The hook gets the file byte by byte, with the proof of its type, the event and an id."""
    assert main([*SEND, "--file", "body.json", "--event", "push", "--header", "X-More: yes"]) == 0
    ((method, path, headers, body),) = hooks.seen
    assert (method, path, body) == ("POST", "/hooks/default/site/push", BODY)
    digest = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={digest}"
    assert headers["content-type"] == "application/json"
    assert (headers["x-github-event"], headers["x-more"]) == ("push", "yes")
    assert headers["x-github-delivery"]


def sent(options: str = "", stdin: bytes = b"") -> Process:
    """Sends a delivery under the request id `r9`."""
    process = Process(environment={"FLOWRUNNER_SECRET_HOOK": SECRET}, stdin=stdin)
    assert webhook.execute(words(f"{' '.join(SEND)} {options}"), process.host, lambda: "r9") == 0
    return process


def test_answer_and_record_are_shown(send: ControlServer, hooks: Hooks) -> None:
    """Status, body, and what the daemon has kept of this very delivery; never the secret."""
    mine = replace(make_delivery(2), request_id="r9")
    items = [delivery_json(each, redacted=False) for each in (make_delivery(1), mine)]
    send.put(DELIVERIES, {"items": items, "next_cursor": None})
    shown = sent("--file body.json").out
    assert "answer    202" in shown
    assert 'body      {"execution_id": "x"}' in shown
    assert "delivery  accepted (accepted): it started" in shown
    document = json.loads(sent("--json").out)
    assert document == {"status": 202, "body": {"execution_id": "x"}, "delivery": items[1]}
    assert hooks.seen[0][2]["x-request-id"] == "r9"
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("status", "code"), [(200, 0), (401, 5), (413, 5), (422, 3), (429, 5), (500, 1), (503, 5)]
)
def test_exit_code_says_how_it_was_answered(
    send: ControlServer, hooks: Hooks, capsys: Captured, status: int, code: int
) -> None:
    """As for other commands: 3 for what does not fit, 5 for a refusal, 1 for a failed execution."""
    hooks.status, hooks.answer = status, b"no JSON\x1b[31m"
    assert main(SEND) == code
    shown = capsys.readouterr().out
    assert "went elsewhere" in shown
    assert "\x1b" not in shown


def test_body_may_come_by_standard_input_or_not_at_all(send: ControlServer, hooks: Hooks) -> None:
    """`-` reads it; without `--file` the body is empty."""
    sent("--file -", stdin=BODY)
    sent()
    assert [body for *_, body in hooks.seen] == [BODY, b""]


def test_method_and_type_are_those_of_the_hook(send: ControlServer, hooks: Hooks) -> None:
    """A hook that takes forms by PUT alone gets one."""
    auth = {"type": "bearer", "secret": "HOOK"}
    define(send, auth, methods=["PUT"], content="form", path="a b/ä")
    assert main(SEND) == 0
    ((method, path, headers, _),) = hooks.seen
    assert (method, path) == ("PUT", "/hooks/default/a%20b/%C3%A4")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["authorization"] == f"Bearer {SECRET}"


def test_given_header_stands(send: ControlServer, hooks: Hooks) -> None:
    """Also in the place of the proof, to see a refusal."""
    assert main([*SEND, "--header", "X-Hub-Signature-256: sha256=00"]) == 0
    assert hooks.seen[0][2]["x-hub-signature-256"] == "sha256=00"


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/hooks/default/site/push",
        "https://ci.example.org/",
        "http://[2001:db8::1]/",
    ],
)
def test_nothing_leaves_the_host_unasked(
    send: ControlServer, hooks: Hooks, capsys: Captured, url: str
) -> None:
    """Neither by `--url` nor because the daemon listens elsewhere; it says how to ask for it."""
    assert main([*SEND, "--url", url]) == 2
    send.put("GET /control/v1/hooks", {"address": url})
    assert main(SEND) == 2
    assert capsys.readouterr().err.count("--off-host") == 2
    assert hooks.seen == []


def test_secret_is_not_sent_in_clear_to_another_host(send: ControlServer, capsys: Captured) -> None:
    """A token goes by https alone, also where it may leave."""
    define(send, {"type": "bearer", "secret": "HOOK"})
    assert main([*SEND, "--url", "http://192.0.2.1/", "--off-host"]) == 2
    assert "https" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--url", "ftp://127.0.0.1/"],
        ["--url", "http://user@127.0.0.1/"],
        ["--url", "http://127.0.0.1:x/"],
        ["--url", "/hooks/default"],
        ["--url", "http://127.0.0.1/ä"],
        ["--url", "http://127.0.0.1/a b"],
        ["--url", "http://127.0.0.1/a\r\nb"],
        ["--header", "Content-Length: 99"],
        ["--header", "Transfer-Encoding: chunked"],
        ["--header", "Connection: keep-alive"],
        ["--header", "X-Request-Id: mine"],
        ["--header", "no colon"],
        ["--header", "A: b\nC: d"],
        ["--event", "two\nlines"],
        ["--file", "absent.json"],
        ["--file", "."],
    ],
    ids=lambda options: options[1],
)
def test_wrong_option_is_a_usage_error(
    send: ControlServer, hooks: Hooks, options: list[str]
) -> None:
    """Nothing is sent, and the exit code is 2."""
    assert main([*SEND, *options]) == 2
    assert hooks.seen == []


def test_event_where_the_body_says_it_is_a_usage_error(
    send: ControlServer, capsys: Captured
) -> None:
    """Stripe has no header for it."""
    define(send, {"type": "stripe", "secret": "HOOK"})
    assert main([*SEND, "--event", "invoice.paid"]) == 2
    assert "'type' in the body" in capsys.readouterr().err


def test_unknown_trigger_is_refused(send: ControlServer, capsys: Captured) -> None:
    """It says which there are."""
    assert main(["webhook", "send", "site", "pull"]) == 5
    assert "webhooks: push" in capsys.readouterr().err


def test_secret_that_cannot_be_read_is_a_matter_of_settings(
    send: ControlServer, hooks: Hooks, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not read the secret cannot sign, whatever the daemon could do."""
    monkeypatch.delenv("FLOWRUNNER_SECRET_HOOK")
    assert main(SEND) == 4
    assert "HOOK" in capsys.readouterr().err
    assert hooks.seen == []


def test_secret_comes_from_the_credentials_as_well(
    send: ControlServer, hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several names the first that is there signs."""
    monkeypatch.delenv("FLOWRUNNER_SECRET_HOOK")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "OLD").write_text("old")
    define(send, {"type": "gitlab", "secrets": ["NEW", "OLD"]})
    assert main(SEND) == 0
    assert hooks.seen[0][2]["x-gitlab-token"] == "old"


def test_malformed_secret_is_not_shown(
    send: ControlServer, hooks: Hooks, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that no header can hold is an error of the settings without the secret."""
    monkeypatch.setenv("FLOWRUNNER_SECRET_HOOK", "first\nsecond")
    define(send, {"type": "bearer", "secret": "HOOK"})
    assert main(SEND) == 4
    captured = capsys.readouterr()
    assert "second" not in captured.out + captured.err
    assert hooks.seen == []


def test_nobody_who_listens_is_no_daemon(
    send: ControlServer, hooks: Hooks, capsys: Captured
) -> None:
    """Exit code 5, with where it was looked for."""
    assert main([*SEND, "--url", "http://127.0.0.1:1/hooks/"]) == 5
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_hooks_on_a_unix_socket_are_reached(send: ControlServer) -> None:
    """Where hooks have a socket of their own the daemon says so, and the delivery goes there."""
    with control_server(Path("hooks.sock")) as hooks:
        hooks.put("POST /hooks/default/site/push", {"execution_id": "x"}, status=202)
        send.put("GET /control/v1/hooks", {"address": "unix:hooks.sock"})
        assert main([*SEND, "--file", "body.json"]) == 0
        assert hooks.asked == ["POST /hooks/default/site/push"]
