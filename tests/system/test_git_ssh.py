"""A daemon that pulls its flows over ssh, from a real server on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import COMMAND, RunningDaemon, daemon
from tests.system.ssh_server import SshServer, make_key, ssh_server
from tests.system.upstreams import Upstream, at_revision, condition, git_settings, source_of, sync

pytestmark = pytest.mark.system


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    """A server that lets nobody in yet."""
    with ssh_server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def credentials(tmp_path: Path, server: SshServer) -> Path:
    """What a unit hands over: a key that the server lets in, and the host key of the server."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    server.let_in(make_key(folder / "deploy-key"))
    (folder / "known_hosts").write_text(server.known_as())
    return folder


@contextmanager
def pulling_over_ssh(
    upstream: Upstream, server: SshServer, credentials: Path, tmp_path: Path, **more: str
) -> Iterator[RunningDaemon]:
    env = {
        **git_settings(upstream, url=server.url(upstream.remote), **more),
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    with daemon(None, tmp_path / "state", env=env) as running:
        yield running


def refused(running: RunningDaemon) -> str:
    """Asks for a sync, which fails, and returns what is said of it."""
    result = sync(running)
    assert (result["outcome"], result["reason"]) == ("failed", "SyncFailed")
    assert condition(running, "SourceSynced") == ("False", "SyncFailed")
    return str(result["message"])


def test_key_and_known_hosts_of_the_unit_are_enough(
    upstream: Upstream, server: SshServer, credentials: Path, tmp_path: Path
) -> None:
    """A clone and a later push come over ssh with what the unit hands over."""
    first = upstream.push()
    with pulling_over_ssh(upstream, server, credentials, tmp_path) as running:
        at_revision(running, first)
        upstream.write("flows/word.txt", "two\n")
        second = upstream.push()
        assert sync(running)["outcome"] == "published"
        assert source_of(running)["revision"] == second


def test_host_with_another_key_is_refused(
    upstream: Upstream, server: SshServer, credentials: Path, tmp_path: Path
) -> None:
    """Who answers with another host key, or with one that is not known, is not asked, and said."""
    first = upstream.push()
    known = credentials / "known_hosts"
    with pulling_over_ssh(upstream, server, credentials, tmp_path) as running:
        at_revision(running, first)
        right = known.read_text()
        known.write_text(server.known_as(make_key(tmp_path / "another")))
        message = refused(running)
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in message
        assert f"Offending ED25519 key in {known}:1" in message  # all is said, frames are not
        assert "@@" not in message
        known.write_text("")
        assert "No ED25519 host key is known" in refused(running)
        assert source_of(running)["revision"] == first
        known.write_text(right)
        assert sync(running)["outcome"] == "unchanged"
        assert condition(running, "SourceSynced") == ("True", "Synced")


def test_key_that_opens_nothing_is_said(
    upstream: Upstream, server: SshServer, credentials: Path, tmp_path: Path
) -> None:
    """A key that was taken away, that others may read or that is none fails the sync by name."""
    first = upstream.push()
    key = credentials / "deploy-key"
    with pulling_over_ssh(upstream, server, credentials, tmp_path) as running:
        at_revision(running, first)
        server.let_in(None)
        assert "Permission denied (publickey)" in refused(running)
        server.let_in(key)
        assert sync(running)["outcome"] == "unchanged"
        key.chmod(0o644)
        assert f"Permissions 0644 for '{key}' are too open" in refused(running)
        key.chmod(0o600)
        key.write_text("no key\n")
        assert f'Load key "{key}"' in refused(running)
        assert source_of(running)["revision"] == first


def test_keys_at_home_are_not_used(
    upstream: Upstream, server: SshServer, credentials: Path, tmp_path: Path
) -> None:
    """Without a key of the settings nobody is let in, whatever the user has in ~/.ssh."""
    upstream.push()
    at_home = living_in(tmp_path, credentials)
    (credentials / "deploy-key").unlink()
    asked = subprocess.run(
        [*at_home, "git", "ls-remote", server.url(upstream.remote)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr  # whoever asks by hand is let in

    env = {
        **git_settings(upstream, url=server.url(upstream.remote)),
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    with daemon(None, tmp_path / "state", env=env, program=(*at_home, COMMAND)) as running:
        assert "Permission denied (publickey)" in refused(running)


def living_in(tmp_path: Path, credentials: Path) -> tuple[str, ...]:
    """Returns what runs a command as a user with these credentials at home.

    Ssh asks the system for the home, not the environment, so the system has another answer, in a
    view of the files that the command alone has.
    """
    home, users = tmp_path / "home", tmp_path / "passwd"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    shutil.copy(credentials / "deploy-key", home / ".ssh/id_ed25519")
    shutil.copy(credentials / "known_hosts", home / ".ssh/known_hosts")
    me = pwd.getpwuid(os.geteuid())
    users.write_text(f"{me.pw_name}:x:{me.pw_uid}:{me.pw_gid}::{home}:/bin/sh\n")
    script = 'mount --bind "$0" /etc/passwd && exec "$@"'
    words = ("unshare", "--mount", "sh", "-c", script, str(users))
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount another list of users for one command")
    return words
