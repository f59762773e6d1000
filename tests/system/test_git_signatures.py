"""A daemon that reads signed revisions of a repository alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.system.daemon import daemon
from tests.system.repositories import git
from tests.system.upstreams import (
    Upstream,
    at_revision,
    condition,
    git_settings,
    source_of,
    sync,
    words_of,
)

pytestmark = pytest.mark.system


WHO = "person@example.com"
PAST = "20240301T120000!"
"""A moment, at which the clock of gpg stands."""


class Signer:
    """An ssh key that signs, and the file that trusts it."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("ssh-keygen") is None:
            pytest.skip("this host has no ssh-keygen")
        self.key = folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True
        )

    def line(self, options: str = "") -> str:
        kind, text, *_ = self.key.with_suffix(".pub").read_text().split()
        return f"person@example.com {options + ' ' if options else ''}{kind} {text}\n"

    def use(self, work: Path) -> None:
        git(work, "config", "gpg.format", "ssh")
        git(work, "config", "user.signingkey", str(self.key))


def verify_with(upstream: Upstream, mode: str, keys: Path, **more: str) -> Mapping[str, str]:
    return {
        **git_settings(upstream, **more),
        "FLOWRUNNER_SOURCE__GIT__VERIFY__MODE": mode,
        "FLOWRUNNER_SOURCE__GIT__VERIFY__KEYS": str(keys),
    }


def signed_live(upstream: Upstream, folder: Path, message: str) -> tuple[str, Path]:
    """Signs the head as the tag `live`; returns its revision, and who may sign."""
    signer, keys = Signer(folder, "key"), folder / "signers"
    keys.write_text(signer.line())
    signer.use(upstream.work)
    revision = upstream.push()
    git(upstream.work, "tag", "--sign", "live", "--message", message)
    return revision, keys


def test_unsigned_commit_is_not_read(upstream: Upstream, tmp_path: Path) -> None:
    """Only signed commits are read: not an unsigned one, nor one of a stranger's key."""
    signer, stranger = Signer(tmp_path, "key"), Signer(tmp_path, "stranger")
    keys = tmp_path / "signers"
    keys.write_text(signer.line())
    signer.use(upstream.work)
    git(upstream.work, "config", "commit.gpgsign", "true")
    first = upstream.push("signed")
    with daemon(None, tmp_path / "state", env=verify_with(upstream, "head", keys)) as running:
        at_revision(running, first)
        assert condition(running, "SourceVerified") == ("True", "Verified")
        assert source_of(running)["git"]["commit"]["verified"] is True
        git(upstream.work, "config", "commit.gpgsign", "false")
        upstream.write("flows/word.txt", "unsigned\n")
        unsigned = upstream.push("unsigned")
        assert sync(running)["reason"] == "NotSigned"
        assert condition(running, "SourceVerified") == ("False", "NotSigned")
        assert source_of(running)["revision"] == first
        done = running.command("source", "rollback", unsigned, check=False)
        assert done.returncode == 5
        assert "not signed" in done.stderr
        stranger.use(upstream.work)
        git(upstream.work, "config", "commit.gpgsign", "true")
        git(upstream.work, "commit", "--quiet", "--allow-empty", "--message", "of a stranger")
        upstream.push_head()
        assert sync(running)["reason"] == "BadSignature"
        assert source_of(running)["revision"] == first
        signer.use(upstream.work)
        git(upstream.work, "commit", "--quiet", "--allow-empty", "--message", "signed again")
        upstream.push_head()
        assert sync(running)["outcome"] == "published"
        assert condition(running, "SourceVerified") == ("True", "Verified")
        assert words_of(running, running.start("hello")) == "unsigned"


def test_key_that_expired_signs_nothing_new(upstream: Upstream, tmp_path: Path) -> None:
    """What a key has signed after its end is refused."""
    signer = Signer(tmp_path, "key")
    keys = tmp_path / "signers"
    keys.write_text(signer.line('valid-before="20200101"'))
    signer.use(upstream.work)
    git(upstream.work, "config", "commit.gpgsign", "true")
    upstream.push("too late")
    with daemon(None, tmp_path / "state", env=verify_with(upstream, "head", keys)) as running:
        assert sync(running)["reason"] == "BadSignature"
        assert running.request("/readyz").status == 503
        keys.write_text(signer.line('valid-before="20990101"'))
        assert sync(running)["outcome"] == "published"


def test_signed_tag_is_what_counts(upstream: Upstream, tmp_path: Path) -> None:
    """With `tag` the signature of the annotated tag counts, and a tag without one is refused."""
    first, keys = signed_live(upstream, tmp_path, "live")
    git(upstream.work, "push", "--quiet", "origin", "live")
    environment = verify_with(upstream, "tag", keys, ref="live")
    with daemon(None, tmp_path / "state", env=environment) as running:
        at_revision(running, first)
        upstream.write("flows/word.txt", "two\n")
        upstream.push()
        for options in (("--force",), ("--force", "--annotate", "--message", "live")):
            git(upstream.work, "tag", *options, "live")
            git(upstream.work, "push", "--quiet", "--force", "origin", "live")
            assert sync(running)["reason"] == "NotSigned"
        assert source_of(running)["revision"] == first
        git(upstream.work, "tag", "--force", "--sign", "live", "--message", "live")
        git(upstream.work, "push", "--quiet", "--force", "origin", "live")
        assert sync(running)["outcome"] == "published"


def test_signed_tag_counts_under_its_own_name(upstream: Upstream, tmp_path: Path) -> None:
    """Who may push and cannot sign gets nothing read by giving a signed tag another name."""
    first, keys = signed_live(upstream, tmp_path, "for production")
    upstream.write("flows/word.txt", "an experiment\n")
    upstream.push()
    git(upstream.work, "tag", "--sign", "trial", "--message", "for the test hosts alone")
    git(upstream.work, "push", "--quiet", "origin", "live", "trial")
    environment = verify_with(upstream, "tag", keys, ref="live")
    with daemon(None, tmp_path / "state", env=environment) as running:
        at_revision(running, first)
        git(upstream.work, "push", "--quiet", "--force", "origin", "trial:refs/tags/live")
        result = sync(running)
        assert (result["outcome"], result["reason"]) == ("refused", "BadSignature")
        assert "'trial'" in result["message"]
        assert source_of(running)["revision"] == first


class GnuPg:
    """Keys of GnuPG in a folder of their own, and what they have signed; ended by `close`."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("gpg") is None:
            pytest.skip("this host has no gpg")
        self.home = folder / "g"  # short: it holds a socket
        self.home.mkdir(mode=0o700)
        self._environment = {**os.environ, "GNUPGHOME": str(self.home)}

    def run(self, *words: str) -> bytes:
        """Runs gpg and returns what it prints."""
        argv = ["gpg", "--batch", "--passphrase", "", *words]
        done = subprocess.run(argv, env=self._environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    def make_key(self, expires: str, *options: str) -> None:
        """Makes the key of `WHO`."""
        try:
            self.run(*options, "--quick-gen-key", WHO, "ed25519", "sign", expires)
        except AssertionError as error:
            pytest.skip(f"gpg makes no keys here: {error}")

    def export(self) -> bytes:
        """Returns the public half of the key, as it is now."""
        return self.run("--armor", "--export", WHO)

    def fingerprint(self) -> str:
        """Returns the name of the key."""
        listed = self.run("--with-colons", "--list-keys", WHO).decode()
        return next(line for line in listed.splitlines() if line.startswith("fpr")).strip("fpr:")

    def revoke(self) -> None:
        """Takes the key back, with the paper that gpg wrote for that when it made the key."""
        paper = self.home / f"openpgp-revocs.d/{self.fingerprint()}.rev"
        paper.write_text(paper.read_text().replace(":-----BEGIN", "-----BEGIN"))
        self.run("--import", str(paper))

    def push_signed(self, upstream: Upstream, *options: str) -> str:
        """Commits everything, signed, and pushes it."""
        program = self.home / "signing"
        words = " ".join((*options, "--homedir", str(self.home)))
        program.write_text(f'#!/bin/sh\nexec gpg {words} "$@"\n')
        program.chmod(0o700)
        git(upstream.work, "config", "user.signingkey", WHO)
        git(upstream.work, "config", "gpg.program", str(program))
        git(upstream.work, "add", "--all")
        git(upstream.work, "commit", "--quiet", "--gpg-sign", "--message", "signed")
        return upstream.push_head()

    def close(self) -> None:
        """Ends the agent that gpg has started."""
        argv = ["gpgconf", "--kill", "all"]
        subprocess.run(argv, env=self._environment, check=False)


@pytest.fixture
def gnupg(tmp_path: Path) -> Iterator[GnuPg]:
    """No key yet."""
    made = GnuPg(tmp_path)
    yield made
    made.close()


def test_keys_of_gnupg(upstream: Upstream, gnupg: GnuPg, tmp_path: Path) -> None:
    """Exported public keys of GnuPG verify what was signed with them, and nothing else."""
    gnupg.make_key("1y")
    keys = tmp_path / "keys.asc"
    keys.write_bytes(gnupg.export())
    first = gnupg.push_signed(upstream)
    with daemon(None, tmp_path / "state", env=verify_with(upstream, "head", keys)) as running:
        at_revision(running, first)
        assert condition(running, "SourceVerified") == ("True", "Verified")
        upstream.write("flows/word.txt", "unsigned\n")
        upstream.push()
        assert sync(running)["reason"] == "NotSigned"


def test_key_of_gnupg_that_expired(upstream: Upstream, gnupg: GnuPg, tmp_path: Path) -> None:
    """A key that has ended vouches for nothing, nor for what it signed before, until renewed."""
    then = ("--faked-system-time", PAST)
    gnupg.make_key("2d", *then)
    keys = tmp_path / "keys.asc"
    keys.write_bytes(gnupg.export())
    signed = gnupg.push_signed(upstream, *then)
    with daemon(None, tmp_path / "state", env=verify_with(upstream, "head", keys)) as running:
        result = sync(running)
        assert (result["outcome"], result["reason"]) == ("refused", "BadSignature")
        assert "expired" in result["message"]
        assert condition(running, "SourceVerified") == ("False", "BadSignature")
        assert running.request("/readyz").status == 503
        gnupg.run("--quick-set-expire", gnupg.fingerprint(), "10y")
        keys.write_bytes(gnupg.export())
        assert sync(running)["outcome"] == "published"
        assert source_of(running)["revision"] == signed


def test_key_of_gnupg_that_was_revoked(upstream: Upstream, gnupg: GnuPg, tmp_path: Path) -> None:
    """A key that is exported with its revocation vouches for nothing any more."""
    gnupg.make_key("1y")
    keys = tmp_path / "keys.asc"
    keys.write_bytes(gnupg.export())
    first = gnupg.push_signed(upstream)
    with daemon(None, tmp_path / "state", env=verify_with(upstream, "head", keys)) as running:
        at_revision(running, first)
        upstream.write("flows/word.txt", "stolen\n")
        gnupg.push_signed(upstream)
        gnupg.revoke()
        keys.write_bytes(gnupg.export())
        result = sync(running)
        assert (result["outcome"], result["reason"]) == ("refused", "BadSignature")
        assert "revoked" in result["message"]
        assert source_of(running)["revision"] == first
