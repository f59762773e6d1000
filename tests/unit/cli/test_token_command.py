"""`flowrunner token new`: what it prints opens what was asked for, and nothing else keeps it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli.commands import token as token_command
from flowrunner.cli.errors import UsageError
from flowrunner.cli.main import parse
from flowrunner.config.loader import load_settings
from flowrunner.daemon.offline import read_settings_yaml
from flowrunner.model.access import TOKEN_BYTES, Token, find_token
from tests.unit.cli.hosts import Process

NOW = datetime(2027, 1, 1, tzinfo=UTC)
RANDOM = bytes(range(TOKEN_BYTES))


def made(*words: str) -> str:
    """Returns what the command prints."""
    process = Process()
    args = parse(["token", "new", *words])
    code = token_command.execute(args, process.host, lambda size: RANDOM[:size], lambda: NOW)
    assert code == 0
    return process.out


def settings_of(printed: str, folder: Path) -> tuple[str, tuple[Token, ...]]:
    """Returns the token and what the settings hold when the rest is pasted into them."""
    shown, _, rest = printed.partition("\n")
    file = folder / "settings.yaml"
    file.write_text(rest[rest.index("auth:") :] + "\naccounts: {default: , web: , '7': }\n")
    loaded = load_settings(
        file=file, environment={}, flags={}, folder=folder, read_yaml=read_settings_yaml
    )
    return shown, loaded.settings.auth.tokens


@pytest.mark.parametrize("name", ["ci", "true", "7", "dash-board.v2"])
def test_printed_settings_know_the_printed_token(tmp_path: Path, name: str) -> None:
    """Pasted into a settings file, the lines are valid, and mean the token that was shown."""
    words = ("--scope", "data", "--scope", "read", "--account", "7", "--expires", "90d")

    shown, tokens = settings_of(made(name, *words), tmp_path)

    found = find_token(tokens, shown)
    assert found is not None
    assert (found.name, sorted(found.scopes)) == (name, ["data", "read"])
    assert found.accounts == frozenset({"7"})
    assert found.expires_at == datetime(2027, 4, 1, tzinfo=UTC)


def test_token_reads_for_ever_unless_told_otherwise(tmp_path: Path) -> None:
    """Without options a token has the scope `read`, for all accounts, without an end."""
    _, (token,) = settings_of(made("ci"), tmp_path)

    assert (sorted(token.scopes), token.accounts, token.expires_at) == (["read"], None, None)


def test_token_as_json() -> None:
    """As JSON the command gives the token and its settings."""
    document: Any = json.loads(made("ci", "--json"))

    assert document["token"].startswith("frt_")
    assert set(document["settings"]["auth"]["tokens"]["ci"]) == {"sha256", "scopes"}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["CI"], id="name"),
        pytest.param(["ci", "--scope", "all"], id="scope"),
        pytest.param(["ci", "--account", "No_Account"], id="account"),
        pytest.param(["ci", "--account", "web", "--scope", "metrics"], id="metrics-of-an-account"),
        pytest.param(["ci", "--expires", "soon"], id="no-time"),
        pytest.param(["ci", "--expires", "2026-01-01T00:00:00Z"], id="past"),
        pytest.param(["ci", "--expires", "0s"], id="at-once"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    """Nothing is made of a name, scope, account or time that could not work."""
    with pytest.raises(UsageError):
        made(*words)
