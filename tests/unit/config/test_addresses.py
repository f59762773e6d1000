"""Where the server may listen: unix sockets beside ports, and what is refused about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrunner.config.addresses import ListenAddress, UnixAddress
from flowrunner.errors import SettingsError
from tests.unit.config.documents import load

SOCKET = "unix:/run/flowrunner-http/http.sock"


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.touch()
    return path


def problem(file: Path, **server: Any) -> tuple[str, str]:
    """Returns code and message of the only thing that is wrong with these settings."""
    with pytest.raises(SettingsError) as caught:
        load({"server": server}, file=file)
    (finding,) = caught.value.findings
    return finding["code"], finding["message"]


def test_unix_socket_is_listened_on_without_a_token() -> None:
    """Only this machine reaches it, so it needs no token, and is shown as it was written."""
    address = load(flags={"--listen": SOCKET}).settings.server.listen

    assert address == UnixAddress(Path("/run/flowrunner-http/http.sock"))
    assert address.is_loopback
    assert str(address) == SOCKET


def test_each_listener_may_be_of_either_kind(file: Path) -> None:
    """Hooks by a socket for the proxy, everything else on a port, or the other way round."""
    written = {"server": {"hooks_listen": SOCKET, "socket_access": "everyone"}}
    server = load(written, file=file).settings.server

    assert server.listen == ListenAddress("127.0.0.1", 8080)
    assert server.hooks_listen == UnixAddress(Path("/run/flowrunner-http/http.sock"))
    assert server.socket_access == "everyone"


@pytest.mark.parametrize("key", ["listen", "hooks_listen"])
@pytest.mark.parametrize(
    "value",
    ["unix:", "unix:http.sock", "unix:@flowrunner", "unix:~/http.sock", "unix:/run/a\0b"],
    ids=["nothing", "relative", "abstract", "home", "nul"],
)
def test_what_names_no_file_is_refused(file: Path, key: str, value: str) -> None:
    """The file says who may connect, so it must be one, and the same for every folder."""
    code, message = problem(file, **{key: value})

    assert code == "settings.path"
    assert "names no file" in message


@pytest.mark.parametrize("key", ["listen", "hooks_listen"])
def test_path_that_is_too_long_is_refused(file: Path, key: str) -> None:
    """A path of 107 bytes fits, one more is refused before anything starts."""
    fits = "/" + "é" * 53
    load({"server": {key: f"unix:{fits}"}}, file=file)

    code, message = problem(file, **{key: f"unix:{fits}x"})

    assert code == "settings.path"
    assert "108 bytes" in message


@pytest.mark.parametrize(
    ("server", "named", "other"),
    [
        pytest.param(
            {"listen": SOCKET, "hooks_listen": SOCKET}, "hooks_listen", "listen", id="listeners"
        ),
        pytest.param(
            {"listen": "unix:/run/c", "control_socket": "/run/./c"},
            *("listen", "control_socket"),
            id="control-socket",
        ),
        pytest.param(
            {"hooks_listen": "unix:/a/../run/c", "control_socket": "/run/c"},
            *("hooks_listen", "control_socket"),
            id="hooks",
        ),
    ],
)
def test_one_path_is_one_listener(
    file: Path, server: dict[str, str], named: str, other: str
) -> None:
    """Who may command the daemon and who may read it come by different sockets."""
    code, message = problem(file, **server)

    assert code == "settings.value"
    assert message.startswith(f"server.{named}: ")
    assert f"is the socket of server.{other}, too" in message


def test_certificate_without_a_port_is_refused(file: Path) -> None:
    """Unix sockets speak HTTP alone, so that a certificate would be accepted and ignored."""
    tls = {"certificate": "/c", "key": "/k"}
    code, message = problem(file, listen=SOCKET, hooks_listen="unix:/run/hooks", tls=tls)
    assert (code, "unix sockets" in message) == ("settings.value", True)

    load({"server": {"listen": SOCKET, "hooks_listen": "127.0.0.1:0", "tls": tls}}, file=file)


def test_who_may_connect_is_one_of_three_words(file: Path) -> None:
    """A file mode is no word of this setting."""
    assert problem(file, socket_access="0660")[0] == "settings.value"


def test_callers_by_unix_socket_may_be_trusted_proxies(file: Path) -> None:
    """The word `unix` stands beside networks, and is shown again."""
    settings = load({"server": {"trusted_proxies": ["unix", "10.0.0.0/8"]}}, file=file).settings

    assert [str(each) for each in settings.server.trusted_proxies] == ["unix", "10.0.0.0/8"]
