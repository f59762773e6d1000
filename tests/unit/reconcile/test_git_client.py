"""The command line of git lets a repository run nothing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from flowrunner.reconcile.upstream.git_client import GitClient, Remote
from flowrunner.system.tools import NO_VARIABLES


class Recorder:
    """Notes the command lines."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.env: Mapping[str, str] = {}

    def __call__(
        self,
        argv: tuple[str, ...],
        *,
        timeout_s: float,
        feed: bytes = b"",
        most: int = 0,
        env: Mapping[str, str] = NO_VARIABLES,
    ) -> bytes:
        self.commands.append(argv)
        self.env = env
        return b""

    @property
    def settings(self) -> list[str]:
        """What the last command set by `-c`; of two the last one counts."""
        argv = self.commands[-1]
        return [value for word, value in pairwise(argv) if word == "-c"]


def client(
    recorder: Recorder, url: str, key: Path | None = None, known_hosts: Path | None = None
) -> GitClient:
    remote = Remote(url=url, key=key, known_hosts=known_hosts)
    return GitClient(recorder, remote, Path("/s/repo.git"), Path("/s"))


@pytest.mark.parametrize(
    ("url", "transport"), [("https://h/x", "https"), ("git@h:x", "ssh"), ("/srv/x", "file")]
)
def test_only_the_transport_of_the_address_is_allowed(url: str, transport: str) -> None:
    """Redirects and submodules can choose no other transport."""
    recorder = Recorder()
    client(recorder, url).over_network("fetch", "{url}", "+HEAD:refs/x")
    allowed = [each for each in recorder.settings if each.startswith("protocol.")]
    assert allowed == ["protocol.allow=never", f"protocol.{transport}.allow=always"]
    assert recorder.commands[-1][-3:] == ("fetch", url, "+HEAD:refs/x")


def test_nothing_of_the_repository_runs() -> None:
    """Hooks, monitors, submodules and helpers are off on every command, links are not made."""
    recorder = Recorder()
    client(recorder, "/srv/x").git("log")
    assert {
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.symlinks=false",
        "submodule.recurse=false",
        "fetch.fsckObjects=true",
        "credential.helper=",
    } <= set(recorder.settings)
    assert "protocol.file.allow=always" not in recorder.settings
    assert recorder.env["HOME"] == "/s"


def test_ssh_asks_nobody_and_trusts_what_is_named() -> None:
    """The key and the known hosts are those of the settings, quoted for the shell."""
    recorder = Recorder()
    git = client(recorder, "git@h:x", key=Path("/a b/$(k)"), known_hosts=Path("/h;x"))
    git.of_remote("ls-remote", "{url}")
    ssh = next(each for each in recorder.settings if each.startswith("core.sshCommand="))
    assert "-o BatchMode=yes -o StrictHostKeyChecking=yes" in ssh
    assert "-i '/a b/$(k)'" in ssh
    assert "-o UserKnownHostsFile='/h;x'" in ssh
    assert "-F none" in ssh


def test_hosts_of_the_system_are_known_without_a_file() -> None:
    """Without a file of known hosts those of the system count, never those of a user."""
    recorder = Recorder()
    client(recorder, "git@h:x").of_remote("ls-remote", "{url}")
    ssh = next(each for each in recorder.settings if each.startswith("core.sshCommand="))
    assert "UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/etc/ssh/ssh_known_hosts" in ssh


def test_without_a_key_ssh_has_none() -> None:
    """Without a key in the settings ssh offers none, also not one that a user has at home."""
    recorder = Recorder()
    client(recorder, "git@h:x").of_remote("ls-remote", "{url}")
    ssh = next(each for each in recorder.settings if each.startswith("core.sshCommand="))
    assert "-o IdentityFile=none" in ssh
