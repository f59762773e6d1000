"""The client finds the daemon, and tells apart whether none answers or one refuses."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.client import RemoteDisconnected
from pathlib import Path

import pytest

from flowrunner.cli.client import ControlClient, _no_answer, address, find_socket
from flowrunner.cli.errors import NoDaemonError, UsageError
from flowrunner.errors import (
    AuthError,
    FlowError,
    NotFoundError,
    RefusedError,
    ValidationError,
)
from tests.unit.cli.control_server import ControlServer

LIST = "/api/v1/executions"


@pytest.fixture
def client(server: ControlServer) -> ControlClient:
    """A client of the fake daemon."""
    return ControlClient(str(server.path))


def test_get_returns_the_document(server: ControlServer, client: ControlClient) -> None:
    """An answer is its JSON, whatever characters it holds."""
    server.put(f"GET {LIST}", {"items": ["ä漢"]})
    assert client.get(LIST) == {"items": ["ä漢"]}


def test_get_sends_the_parameters_that_are_given(
    server: ControlServer, client: ControlClient
) -> None:
    """Parameters are escaped, and one that is None is not sent."""
    server.put(f"GET {LIST}", {})
    client.get(LIST, {"flow": "a&b", "limit": 5, "cursor": None})
    assert server.asked == [f"GET {LIST}?flow=a%26b&limit=5"]


def test_post_sends_its_body_as_json(server: ControlServer, client: ControlClient) -> None:
    """A command carries its body; the answer to an accepted one is returned."""
    server.put("POST /control/v1/x", {"execution_id": "1"}, status=202)
    assert client.post("/control/v1/x", {"inputs": {"a": "ä"}}) == {"execution_id": "1"}
    assert server.bodies == [{"inputs": {"a": "ä"}}]


def test_post_without_a_body_sends_none(server: ControlServer, client: ControlClient) -> None:
    """A command without a body is sent as such."""
    server.put("POST /control/v1/reconcile", {})
    client.post("/control/v1/reconcile")
    assert server.bodies == [None]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda client: client.get(address("api", "\udcff")), id="segment"),
        pytest.param(lambda client: client.get(LIST, {"flow": "\udcff"}), id="parameter"),
    ],
)
def test_word_that_is_no_text_is_a_usage_error(
    server: ControlServer, client: ControlClient, ask: Callable[[ControlClient], object]
) -> None:
    """Bytes that are not UTF-8, as the command line passes them, are told and not sent."""
    with pytest.raises(UsageError, match=r"'\\udcff' is not UTF-8 text"):
        ask(client)
    assert server.asked == []


def test_address_escapes_its_segments() -> None:
    """A name from the command line stays one segment of the path."""
    assert address("api", "a/b", "..", "ä?") == "/api/a%2Fb/../%C3%A4%3F"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(401, AuthError, id="unauthorized"),
        pytest.param(403, AuthError, id="forbidden"),
        pytest.param(404, NotFoundError, id="not-found"),
        pytest.param(409, RefusedError, id="conflict"),
        pytest.param(413, RefusedError, id="too-large"),
        pytest.param(422, ValidationError, id="unprocessable"),
        pytest.param(500, FlowError, id="internal"),
        pytest.param(503, RefusedError, id="unavailable"),
    ],
)
def test_problem_becomes_its_error(
    server: ControlServer, client: ControlClient, status: int, kind: type[FlowError]
) -> None:
    """A problem document is raised with its code and its words."""
    server.put_problem(f"GET {LIST}", status, "some.code")
    with pytest.raises(FlowError) as caught:
        client.get(LIST)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.message) == ("some.code", "it is so")


def test_problem_keeps_its_findings(server: ControlServer, client: ControlClient) -> None:
    """All that is wrong with a request reaches the person who made it."""
    findings = [{"input": "day", "message": "is required"}]
    server.put_problem("POST /x", 422, "input.invalid", findings=findings)
    with pytest.raises(ValidationError) as caught:
        client.post("/x", {})
    assert list(caught.value.findings) == findings


@pytest.mark.parametrize("status", [200, 404])
def test_answer_that_is_not_json_is_no_daemon(
    server: ControlServer, client: ControlClient, status: int
) -> None:
    """Something else that speaks HTTP on the socket is not mistaken for the daemon."""
    server.put_raw(f"GET {LIST}", b"<html>", status=status)
    with pytest.raises(NoDaemonError, match=r"does not answer as a FlowRunner daemon"):
        client.get(LIST)


def test_answer_that_is_too_large_is_told_as_such(
    server: ControlServer, client: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that answers too much is there: the error says what is wrong."""
    monkeypatch.setattr("flowrunner.cli.client.LARGEST_ANSWER", 1024**2)
    server.put(f"GET {LIST}", {"x": "y" * 1024**2})
    with pytest.raises(FlowError, match="is larger than 1 MiB") as caught:
        client.get(LIST)
    assert not isinstance(caught.value, NoDaemonError)
    assert caught.value.code == "answer_too_large"


def nothing(path: Path) -> None:
    """There is no socket."""


def left_over(path: Path) -> None:
    """A daemon was killed and left its socket."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def a_file(path: Path) -> None:
    """Something that is no socket."""
    path.touch()


@pytest.mark.parametrize("prepare", [nothing, left_over, a_file])
def test_missing_daemon_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], None]
) -> None:
    """When nobody listens the error names the socket and how to start or find a daemon."""
    monkeypatch.chdir(tmp_path)
    prepare(Path("c.sock"))
    with pytest.raises(NoDaemonError, match=r"nothing listens on c\.sock") as caught:
        ControlClient("c.sock").get(LIST)
    assert "flowrunner serve" in caught.value.hint


def test_daemon_that_hangs_up_is_told_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that accepts and never answers ends in an error, not in waiting for ever."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("c.sock")
        listening.listen()
        with pytest.raises(NoDaemonError, match="does not answer"):
            ControlClient("c.sock", timeout_s=0.01).get(LIST)


def test_path_too_long_for_a_socket_is_a_usage_error() -> None:
    """The limit of the kernel is told with its number before it is met."""
    with pytest.raises(UsageError, match="over 107 bytes"):
        ControlClient("x" * 108)
    ControlClient("x" * 107)


@pytest.mark.parametrize(
    ("named", "environment", "found"),
    [
        pytest.param(("a.sock", "s"), {"FLOWRUNNER_SOCKET": "e"}, "a.sock", id="socket"),
        pytest.param((None, "s"), {"FLOWRUNNER_SOCKET": "e"}, "s/control.sock", id="state"),
        pytest.param((None, None), {"FLOWRUNNER_SOCKET": "e"}, "e", id="environment"),
        pytest.param((None, None), {}, ".flowrunner/control.sock", id="current-folder"),
    ],
)
def test_socket_is_found_by_the_strongest_name(
    server: ControlServer,
    named: tuple[str | None, str | None],
    environment: dict[str, str],
    found: str,
) -> None:
    """An option wins over the environment, and that over the usual places."""
    socket_path, state = named
    assert found == find_socket(socket_path=socket_path, state=state, environment=environment)
    assert server.path.exists()


@pytest.mark.parametrize("prepare", [left_over, a_file])
def test_left_over_socket_does_not_hide_the_next(
    server: ControlServer, prepare: Callable[[Path], None]
) -> None:
    """After a kill the socket of the current folder is passed over for one that answers."""
    prepare(Path("dead.sock"))
    found = find_socket(
        socket_path=None, state=None, environment={}, places=(Path("dead.sock"), server.path)
    )
    assert found == str(server.path)


def test_first_socket_that_answers_is_taken(server: ControlServer) -> None:
    """A living daemon in the current folder comes before the one of the system."""
    left_over(Path("dead.sock"))
    found = find_socket(
        socket_path=None, state=None, environment={}, places=(server.path, Path("dead.sock"))
    )
    assert found == str(server.path)


def test_only_socket_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A left-over socket without another one is named in the error that follows."""
    monkeypatch.chdir(tmp_path)
    left_over(Path("dead.sock"))
    places = (Path("dead.sock"), Path("none.sock"))
    assert find_socket(socket_path=None, state=None, environment={}, places=places) == "dead.sock"


def test_socket_that_is_nowhere_is_told_with_the_places(tmp_path: Path) -> None:
    """Without any name and any socket the error says where was looked."""
    places = (tmp_path / "a.sock", tmp_path / "b.sock")
    with pytest.raises(NoDaemonError, match=r"no socket at .*a\.sock or .*b\.sock"):
        find_socket(socket_path=None, state=None, environment={}, places=places)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(PermissionError(13, "Permission denied"), "no permission", id="permission"),
        pytest.param(ConnectionResetError(104, "reset"), "was lost: reset", id="reset"),
        pytest.param(RemoteDisconnected("no answer"), "was lost: no answer", id="hung-up"),
    ],
)
def test_each_failure_of_the_connection_has_its_words(error: Exception, told: str) -> None:
    """A person learns whether to change user, to look at the log, or to start a daemon."""
    found = _no_answer("c.sock", error)
    assert told in found.message
    assert found.hint
