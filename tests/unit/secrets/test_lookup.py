"""The promises of the default secret sources: order, account, names, nothing left behind."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flowrunner.secrets.lookup import DefaultSecrets, take_environment

ENVIRONMENT = {"FLOWRUNNER_SECRET_TOKEN": "from-environment"}


def find(secrets: DefaultSecrets, name: str, account: str = "default") -> str | None:
    value = secrets.lookup(account, name)
    return None if value is None else value.reveal()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(("TOKEN", "secrets_TOKEN"), "from TOKEN", id="credential-first"),
        pytest.param(("secrets_TOKEN",), "from secrets_TOKEN", id="folder-second"),
        pytest.param((), "from-environment", id="environment-last"),
    ],
)
def test_sources_are_asked_in_order(tmp_path: Path, files: tuple[str, ...], expected: str) -> None:
    """A credential wins over a file of a credential folder, and that over the environment."""
    for name in files:
        (tmp_path / name).write_text(f"from {name}")
    assert find(DefaultSecrets(tmp_path, ENVIRONMENT), "TOKEN") == expected


def test_environment_suffices_without_credentials() -> None:
    """A daemon without a unit finds its secrets in the environment."""
    assert find(DefaultSecrets(None, ENVIRONMENT), "TOKEN") == "from-environment"


def test_missing_secret_is_none(tmp_path: Path) -> None:
    """A name that no source knows has no value."""
    assert find(DefaultSecrets(tmp_path, ENVIRONMENT), "OTHER") is None


def test_default_sources_belong_to_the_default_account() -> None:
    """Another account sees none of them."""
    assert find(DefaultSecrets(None, ENVIRONMENT), "TOKEN", account="team-a") is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"s3cret\n", "s3cret", id="one-line-end"),
        pytest.param(b"s3cret\n\n", "s3cret\n", id="only-one-is-taken"),
        pytest.param(b"a\nb", "a\nb", id="several-lines"),
        pytest.param(b" s3cret ", " s3cret ", id="space-is-kept"),
        pytest.param(b"\n", None, id="empty-is-missing"),
    ],
)
def test_one_line_end_of_a_file_is_no_part_of_the_secret(
    tmp_path: Path, data: bytes, expected: str | None
) -> None:
    """Files written by an editor give the secret without their last line end."""
    (tmp_path / "TOKEN").write_bytes(data)
    assert find(DefaultSecrets(tmp_path, {}), "TOKEN") == expected


def test_bytes_that_are_not_text_survive(tmp_path: Path) -> None:
    """A binary secret reaches a child process byte by byte."""
    (tmp_path / "TOKEN").write_bytes(b"\xff\x01k")
    value = find(DefaultSecrets(tmp_path, {}), "TOKEN")
    assert value is not None
    assert value.encode("utf-8", errors="surrogateescape") == b"\xff\x01k"


@pytest.mark.parametrize(
    "name",
    ["", "../TOKEN", "a/b", "A-B", "1A", "TOKEN\n", "Ä", "x" * 129],
    ids=["empty", "parent", "path", "dash", "digit", "line-end", "umlaut", "long"],
)
def test_strange_names_are_no_secrets(tmp_path: Path, name: str) -> None:
    """A name that could lead out of the folder is never looked up."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (tmp_path / "TOKEN").write_text("outside")
    secrets = DefaultSecrets(folder, {f"FLOWRUNNER_SECRET_{name}": "x"})
    assert find(secrets, name) is None


def test_unusable_file_hides_the_environment_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A credential that cannot be read is missing, rather than silently another value."""
    (tmp_path / "TOKEN").mkdir()
    secrets = DefaultSecrets(tmp_path, ENVIRONMENT)
    with caplog.at_level(logging.ERROR):
        assert [find(secrets, "TOKEN") for _ in range(3)] == [None] * 3
    assert [record.message for record in caplog.records] == ["secret_unreadable"]


def test_oversized_file_is_missing(tmp_path: Path) -> None:
    """A file larger than any credential is not read into memory."""
    (tmp_path / "TOKEN").write_bytes(b"x" * (1024 * 1024 + 1))
    assert find(DefaultSecrets(tmp_path, ENVIRONMENT), "TOKEN") is None


def test_secret_variables_are_taken_out_of_the_environment() -> None:
    """Children inherit no secret, and everything else stays."""
    environ = {"PATH": "/bin", "FLOWRUNNER_SECRET_A": "1", "FLOWRUNNER_SOURCE__PATH": "x"}
    taken = take_environment(environ)
    assert taken == {"FLOWRUNNER_SECRET_A": "1"}
    assert environ == {"PATH": "/bin", "FLOWRUNNER_SOURCE__PATH": "x"}
    assert find(DefaultSecrets(None, taken), "A") == "1"
