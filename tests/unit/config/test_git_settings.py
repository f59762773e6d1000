"""What may be written about the repository that the daemon pulls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrunner.config.git_kinds import transport_of
from flowrunner.errors import SettingsError
from tests.unit.config.documents import load


def load_git(tmp_path: Path, **git: Any) -> Any:
    file = tmp_path / "settings.yaml"
    file.touch()
    return load({"source": {"git": git}}, file=file).settings.source.git


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("https://git.example.org/ops/flows.git", "https"),
        ("https://[2001:db8::1]:8443/flows", "https"),
        ("ssh://git@git.example.org:2222/ops/flows.git", "ssh"),
        ("ssh://git.example.org/ops/flows.git", "ssh"),
        ("git@git.example.org:ops/flows.git", "ssh"),
        ("/srv/flows.git", "file"),
        ("file:///srv/flows.git", "file"),
    ],
)
def test_addresses_of_repositories(tmp_path: Path, url: str, transport: str) -> None:
    """Each usual form of an address is taken as it is, and its transport is known."""
    assert load_git(tmp_path, url=url).url == url
    assert transport_of(url) == transport


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=x",
        "ext::sh -c x",
        "ext::sh%20-c%20x",
        "fd::17",
        "ssh://-oProxyCommand=x/y",
        "git@-oProxyCommand=x:y",
        "git@host:-x",
        "https://user:word@host/x",
        "https://token@host/x",
        "ssh://git:word@host/x",
        "http://host/x",
        "git://host/x",
        "relative/folder",
        "../up",
        "//host/share",
        "https://host/a b",
        "https://host/a\nb",
        "https:///x",
        "file://host/x",
        "a" * 3_000,
    ],
)
def test_dangerous_addresses_are_refused(tmp_path: Path, url: str) -> None:
    """Options, helper programs, passwords, plain text and relative paths are refused."""
    with pytest.raises(SettingsError) as caught:
        load_git(tmp_path, url=url)
    assert caught.value.code == "settings.value"


@pytest.mark.parametrize(
    "url",
    ["https://user:word@host/x", "https://word@host/x", "ssh://git:word@host/x", "u:wo/word@@host"],
)
def test_password_in_an_address_is_not_shown(tmp_path: Path, url: str) -> None:
    """The error goes to terminals and the log; it names the host, and not who goes there."""
    with pytest.raises(SettingsError) as caught:
        load_git(tmp_path, url=url)
    assert "***@host" in str(caught.value)
    assert "word@" not in str(caught.value)


@pytest.mark.parametrize("ref", ["main", "v1.2", "refs/heads/a/b", "feature/x", "a" * 40, "@x"])
def test_names_of_refs(tmp_path: Path, ref: str) -> None:
    """Branches, tags, whole refs and commits are taken."""
    assert load_git(tmp_path, ref=ref).ref == ref


OPTIONS = ["-x", "--upload-pack=x", "+a", "@{1}", "a..b", "a~1", "a^", "a:b", "a*", "a?", "a[b"]
MALFORMED = ["", "a b", "a\n", "a" * 256, "a.lock", "/a", "a/", "a.", "a/.b", "@", "a//b", "a\\b"]


@pytest.mark.parametrize("ref", [*OPTIONS, *MALFORMED])
def test_dangerous_refs_are_refused(tmp_path: Path, ref: str) -> None:
    """Options, refspecs, patterns and expressions of git are no names."""
    with pytest.raises(SettingsError):
        load_git(tmp_path, ref=ref)


@pytest.mark.parametrize("path", ["", "/a", "..", "a/../b", "a//b", "./a", "a/.", "a\0b"])
def test_folder_stays_within_the_repository(tmp_path: Path, path: str) -> None:
    """The folder of the flows cannot lead out of the commit."""
    with pytest.raises(SettingsError):
        load_git(tmp_path, path=path)


def test_two_sources_are_refused(tmp_path: Path) -> None:
    """A folder beside a repository would be ignored, so it is refused."""
    file = tmp_path / "settings.yaml"
    file.touch()
    data = {"source": {"path": "/srv/flows", "read": "head", "git": {"url": "/srv/flows.git"}}}
    with pytest.raises(SettingsError) as caught:
        load(data, file=file)
    assert caught.value.code == "settings.two_sources"
    origins = [finding["origin"] for finding in caught.value.findings]
    assert origins == [f"file:{file}:2:20"] * 2


def test_verification_needs_keys(tmp_path: Path) -> None:
    """Who asks for signatures must say whose."""
    url = "/srv/flows.git"
    with pytest.raises(SettingsError, match="needs the keys"):
        load_git(tmp_path, url=url, verify={"mode": "head"})
    git = load_git(tmp_path, url=url, verify={"mode": "tag", "keys": "signers"})
    assert (git.verify.mode, git.verify.keys) == ("tag", tmp_path / "signers")


def test_unknown_key_within_a_section_of_a_section(tmp_path: Path) -> None:
    """A misspelt key is met with the one that was probably meant, sections within sections too."""
    with pytest.raises(SettingsError) as caught:
        load_git(tmp_path, verify={"modes": "head"})
    assert caught.value.findings[0]["hint"] == (
        "did you mean mode in the section source.git.verify?"
    )
