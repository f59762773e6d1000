"""A real server of ssh on loopback, which lets the user of the tests in with a key."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, eventually, free_port

_SBIN = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
_SETTINGS = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/let-in
AuthenticationMethods publickey
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
"""
"""Source: sshd_config(5). A folder of tests may be open to others, hence no strict modes."""


def make_key(path: Path) -> Path:
    """Makes a key without a passphrase, and its public half beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    """Returns the public half of a key: its kind and its text."""
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


@dataclass(frozen=True)
class SshServer:
    """A server that runs.

    Attributes:
        folder: Its own folder.
        log: What it tells.
    """

    folder: Path
    port: int
    log: Path

    def url(self, repository: Path) -> str:
        """Returns the address of a repository on this host, over ssh."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repository}"

    def let_in(self, key: Path | None) -> None:
        """Lets in whoever has this key, and nobody else."""
        text = public(key) + "\n" if key is not None else ""
        (self.folder / "let-in").write_text(text)

    def known_as(self, host_key: Path | None = None) -> str:
        """Returns a line of known hosts for this server, with its own key or another one."""
        return f"[127.0.0.1]:{self.port} {public(host_key or self.folder / 'host')}\n"


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Starts a server in a new folder and ends it; it lets nobody in yet."""
    program = shutil.which("sshd", path=_SBIN)
    if program is None:
        pytest.skip("this host has no sshd, of the package openssh-server")
    folder.mkdir()
    make_key(folder / "host")
    server = SshServer(folder, free_port(), folder / "log")
    server.let_in(None)
    settings = folder / "settings"
    settings.write_text(_SETTINGS.format(port=server.port, folder=folder))
    if os.geteuid() == 0:  # where sshd locks its weaker half in; a unit of systemd would make it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    argv = [program, "-D", "-f", str(settings), "-E", str(server.log)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: running.poll() is not None or _answers(server.port))
            assert running.poll() is None, server.log.read_text()
            yield server
        finally:
            running.terminate()
            running.wait(PATIENCE_S)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
        return True
    return False
