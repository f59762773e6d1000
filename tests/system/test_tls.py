"""A daemon that speaks HTTPS by itself, and takes a renewed certificate in."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, PATIENCE_S, RunningDaemon, command, daemon
from tests.system.flow_files import NOTHING, write_flow

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
]


def make_certificate(folder: Path, name: str) -> None:
    """Makes `NAME.pem`, which vouches for itself, and `NAME.key`."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
        ],
        check=True,
        capture_output=True,
    )


class Site:
    """A daemon with HTTPS, and the files of its certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = ("--config", str(folder / "settings.yaml"))
        tls = {"certificate": "used.pem", "key": "used.key"}
        (folder / "settings.yaml").write_text(json.dumps({"server": {"tls": tls}}))

    def put(self, name: str) -> None:
        """Puts a certificate in the place of the one that is used."""
        for suffix in ("pem", "key"):
            shutil.copy(self.folder / f"{name}.{suffix}", self.folder / f"used.{suffix}")

    def connect(self, running: RunningDaemon, *trusted: str) -> http.client.HTTPSConnection:
        """Returns a connection to a daemon that must show one of these certificates."""
        assert "READY https://127.0.0.1:" in running.output
        context = ssl.create_default_context()
        for name in trusted:
            context.load_verify_locations(self.folder / f"{name}.pem")
        return http.client.HTTPSConnection(
            "127.0.0.1", running.port, timeout=PATIENCE_S, context=context
        )


def status(connection: http.client.HTTPSConnection, body: bytes | None = None) -> int:
    connection.request("GET" if body is None else "POST", "/api/v1/flows", body)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def shown(connection: http.client.HTTPSConnection) -> str:
    """Returns the name in the certificate that the daemon showed."""
    channel = connection.sock
    assert isinstance(channel, ssl.SSLSocket)
    certificate = channel.getpeercert()
    assert certificate
    (name,) = re.findall(r"'commonName', '(\w+)'", str(certificate["subject"]))
    return str(name)


def test_renewed_certificate_is_taken_in_without_cutting_anybody_off(
    flows: Path, tmp_path: Path
) -> None:
    """After a reload new connections get the new certificate; one that was open goes on."""
    site = Site(tmp_path)
    write_flow(flows, "nightly", NOTHING)
    for name in ("first", "second"):
        make_certificate(tmp_path, name)
    site.put("first")

    with daemon(flows, tmp_path / "state", env=OPEN, arguments=site.options) as running:
        before = site.connect(running, "first")
        assert (status(before), shown(before)) == (200, "first")

        site.put("second")
        running.command("reload", "--wait")
        after = site.connect(running, "second")
        assert (status(after), shown(after)) == (200, "second")
        assert (status(before), shown(before)) == (200, "first")

        (tmp_path / "used.pem").write_text("no certificate\n")
        refused = running.command("reload", "--wait", check=False)
        assert refused.returncode == 4
        assert "server.tls: the certificate" in refused.stderr
        again = site.connect(running, "second")
        assert (status(again), shown(again)) == (200, "second")
        for connection in (before, after, again):
            connection.close()


def test_clients_that_disturb_a_handshake_disturb_nobody_else(flows: Path, tmp_path: Path) -> None:
    """Plain HTTP on the port gets nothing; a body that is too large gets its 413."""
    site = Site(tmp_path)
    make_certificate(tmp_path, "first")
    site.put("first")

    with daemon(flows, tmp_path / "state", env=OPEN, arguments=site.options) as running:
        with socket.create_connection(("127.0.0.1", running.port), PATIENCE_S) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in plain.recv(1000)
        with closing(site.connect(running, "first")) as connection:
            assert status(connection, body=b"x" * 5_000_000) == 413
        with closing(site.connect(running, "first")) as connection:
            assert status(connection) == 200


@pytest.mark.parametrize("broken", ["pem", "key"])
def test_certificate_that_cannot_be_used_keeps_the_daemon_from_starting(
    flows: Path, tmp_path: Path, broken: str
) -> None:
    """`serve` ends with 78 and says which files it is about."""
    site = Site(tmp_path)
    make_certificate(tmp_path, "first")
    make_certificate(tmp_path, "second")
    site.put("first")
    shutil.copy(tmp_path / f"second.{broken}", tmp_path / f"used.{broken}")

    options = ("--flows", str(flows), "--listen", "127.0.0.1:0", *site.options)
    done = command("serve", "--state", str(tmp_path / "state"), *options, cwd=tmp_path)

    assert done.returncode == 78
    assert f"server.tls: the certificate {tmp_path / 'used.pem'}" in done.stderr
