"""The promises of secret sources: order, account, names, nothing left behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from flowrunner.secrets.lookup import (
    AccountSecrets,
    FileSecrets,
    VariableSecrets,
    default_sources,
    take_environment,
)

ENVIRONMENT = {"FLOWRUNNER_SECRET_TOKEN": "from-environment"}


def default_secrets(folder: Path | None, environment: Mapping[str, str]) -> AccountSecrets:
    """Returns the secrets of a daemon without settings."""
    return AccountSecrets({"default": default_sources(folder, environment)})


def find(secrets: AccountSecrets, name: str, account: str = "default") -> str | None:
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
    assert find(default_secrets(tmp_path, ENVIRONMENT), "TOKEN") == expected


def test_environment_suffices_without_credentials() -> None:
    """A daemon without a unit finds its secrets in the environment."""
    assert find(default_secrets(None, ENVIRONMENT), "TOKEN") == "from-environment"


def test_missing_secret_is_none(tmp_path: Path) -> None:
    """A name that no source knows has no value."""
    assert find(default_secrets(tmp_path, ENVIRONMENT), "OTHER") is None


def test_default_sources_belong_to_the_default_account() -> None:
    """Another account sees none of them."""
    assert find(default_secrets(None, ENVIRONMENT), "TOKEN", account="team-a") is None


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
    assert find(default_secrets(tmp_path, {}), "TOKEN") == expected


def test_bytes_that_are_not_text_survive(tmp_path: Path) -> None:
    """A binary secret reaches a child process byte by byte."""
    (tmp_path / "TOKEN").write_bytes(b"\xff\x01k")
    value = find(default_secrets(tmp_path, {}), "TOKEN")
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
    secrets = default_secrets(folder, {f"FLOWRUNNER_SECRET_{name}": "x"})
    assert find(secrets, name) is None


def test_unusable_file_hides_the_environment_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A credential that cannot be read is missing, rather than silently another value."""
    (tmp_path / "TOKEN").mkdir()
    secrets = default_secrets(tmp_path, ENVIRONMENT)
    with caplog.at_level(logging.ERROR):
        assert [find(secrets, "TOKEN") for _ in range(3)] == [None] * 3
    assert [record.message for record in caplog.records] == ["secret_unreadable"]


def test_oversized_file_is_missing(tmp_path: Path) -> None:
    """A file larger than any credential is not read into memory."""
    (tmp_path / "TOKEN").write_bytes(b"x" * (1024 * 1024 + 1))
    assert find(default_secrets(tmp_path, ENVIRONMENT), "TOKEN") is None


def test_secret_variables_are_taken_out_of_the_environment() -> None:
    """Children inherit no secret, and everything else stays."""
    environ = {"PATH": "/bin", "FLOWRUNNER_SECRET_A": "1", "FLOWRUNNER_SOURCE__PATH": "x"}
    taken = take_environment(environ)
    assert taken == {"FLOWRUNNER_SECRET_A": "1"}
    assert environ == {"PATH": "/bin", "FLOWRUNNER_SOURCE__PATH": "x"}
    assert find(default_secrets(None, taken), "A") == "1"


def test_account_sees_its_own_sources_alone(tmp_path: Path) -> None:
    """The same name is another secret in each account, and none where no source is bound."""
    for team in ("pay", "web"):
        (tmp_path / team).mkdir()
        (tmp_path / team / "TOKEN").write_text(f"of {team}")
    inborn = default_sources(None, ENVIRONMENT)
    secrets = AccountSecrets(
        {
            "default": inborn,
            "pay": (FileSecrets(tmp_path / "pay"),),
            "web": (FileSecrets(tmp_path / "web"),),
        }
    )
    found = {name: find(secrets, "TOKEN", name) for name in ("default", "pay", "web", "ops")}
    assert found == {
        "default": "from-environment",
        "pay": "of pay",
        "web": "of web",
        "ops": None,
    }


def test_first_source_of_an_account_wins(tmp_path: Path) -> None:
    """The sources of an account are asked in their order, by the name after the prefix."""
    (tmp_path / "A").write_text("file")
    variables = VariableSecrets("PAY_", {"PAY_A": "variable", "PAY_B": "b", "A": "bare"})
    secrets = AccountSecrets({"pay": (variables, FileSecrets(tmp_path))})
    assert find(secrets, "A", "pay") == "variable"
    assert find(secrets, "B", "pay") == "b"
    turned = AccountSecrets({"pay": (FileSecrets(tmp_path), variables)})
    assert find(turned, "A", "pay") == "file"


def test_variables_of_accounts_are_taken_out_too() -> None:
    """Children of one account cannot read the variables of another one."""
    environ = {"PAY_A": "1", "PAYROLL": "x", "FLOWRUNNER_SECRET_B": "2"}
    assert take_environment(environ, ("PAY_",)) == {"PAY_A": "1", "FLOWRUNNER_SECRET_B": "2"}
    assert environ == {"PAYROLL": "x"}


def test_pipe_among_the_files_blocks_nobody(tmp_path: Path) -> None:
    """A pipe is an empty secret, not a lookup that waits for ever."""
    os.mkfifo(tmp_path / "TOKEN")
    assert find(AccountSecrets({"pay": (FileSecrets(tmp_path),)}), "TOKEN", "pay") is None


def test_secrets_are_at_hand_unless_one_folder_may_lie_on_a_disk(tmp_path: Path) -> None:
    """Variables are, and what systemd hands over; a folder of the settings counts for all."""
    inborn = default_sources(tmp_path, {})
    assert AccountSecrets({"default": inborn}).is_at_hand
    secrets = AccountSecrets({"default": inborn, "pay": (FileSecrets(tmp_path),)})
    assert not secrets.is_at_hand
    secrets.replace({"default": inborn})
    assert secrets.is_at_hand
