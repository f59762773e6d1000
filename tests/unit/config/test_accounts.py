"""The section `accounts`: a map of maps, checked and shown like every other setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flowrunner.config.accounts import (
    KEYS,
    AccountKey,
    AccountSettings,
    SecretDirectory,
    SecretVariables,
)
from flowrunner.config.describe import Row, describe_settings, settings_schema
from flowrunner.errors import SettingsError
from tests.unit.config.documents import load

KEY_CASES = [pytest.param(it, id=it.name) for it in KEYS.values()]


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.touch()
    return path


def problems(accounts: Any, file: Path, **environment: str) -> list[tuple[str, str, str]]:
    """Returns code, message and hint of everything that is wrong with the section."""
    with pytest.raises(SettingsError) as caught:
        load({"accounts": accounts}, file=file, environment=environment)
    return [(it["code"], it["message"], it["hint"]) for it in caught.value.findings]


def test_accounts_are_read_by_name(file: Path) -> None:
    """Each account has what is written of it, and the defaults for the rest."""
    written = {
        "payments": {
            "folder": "pay",
            "secrets": [{"directory": "s"}, {"environment": "PAY_"}],
            "users": ["pay"],
            "node_types": ["log", "shell"],
            "roots": ["/srv/pay", "pay/../in"],
            "max_running_executions": 3,
            "max_running_nodes": 2,
        },
        "web": None,
        "ops": {},
    }
    assert load({"accounts": written}, file=file).settings.accounts == {
        "payments": AccountSettings(
            folder="pay",
            secrets=(SecretDirectory(file.parent / "s"), SecretVariables("PAY_")),
            users=("pay",),
            node_types=("log", "shell"),
            roots=(Path("/srv/pay"), file.parent / "in"),
            max_running_executions=3,
            max_running_nodes=2,
        ),
        "web": AccountSettings(folder="web"),
        "ops": AccountSettings(folder="ops"),
    }


@pytest.mark.parametrize("section", [None, {}])
def test_empty_section_maps_nothing(file: Path, section: Any) -> None:
    """Without an account in it the section changes nothing."""
    assert load({"accounts": section}, file=file).settings.accounts == {}


def test_rows_show_every_key_of_an_account_with_its_origin(file: Path) -> None:
    """`config show` prints the keys of each account as they are written."""
    loaded = load({"accounts": {"web": {"node_types": ["log"], "folder": None}}}, file=file)
    assert [row for row in describe_settings(loaded) if row.key.startswith("accounts.")] == [
        Row("accounts.web.folder", "web", f"file:{file}:3:20"),
        Row("accounts.web.secrets", [], "default"),
        Row("accounts.web.users", [], "default"),
        Row("accounts.web.node_types", ["log"], f"file:{file}:3:20"),
        Row("accounts.web.roots", [], "default"),
        Row("accounts.web.max_running_executions", 0, "default"),
        Row("accounts.web.max_running_nodes", 0, "default"),
        Row("accounts.web.tokens", {}, "default"),
        Row("accounts.web.channels", {}, "default"),
        Row("accounts.web.notify", None, "default"),
    ]


@pytest.mark.parametrize("key", KEY_CASES)
def test_every_key_is_described(key: AccountKey, file: Path) -> None:
    """Each key has a paragraph that names its default; default and example satisfy all."""
    schema = settings_schema()["properties"]["accounts"]["additionalProperties"]["properties"]
    shown = schema[key.name]
    assert f"Default{' (null)' if shown['default'] is None else ''}" in shown["description"]
    for value in (shown["default"], *shown["examples"]):
        data: dict[str, Any] = {"accounts": {"web": {key.name: value}}}
        if key.name == "notify":  # it names a channel
            data["notify"] = {"channels": {"team": {"type": "exec", "argv": ["page"]}}}
        jsonschema.validate(data, settings_schema())
        load(data, file=file)


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        pytest.param(
            {"folder": "a/b"},
            (
                "settings.value",
                "accounts.a.folder: 'a/b' is not the name of a folder",
                "name one folder directly below the flows, without a slash",
            ),
            id="deep-folder",
        ),
        pytest.param(
            {"folder": "_a"},
            (
                "settings.value",
                "accounts.a.folder: '_a' is not the name of a folder",
                "what begins with . or _ is not read",
            ),
            id="unread-folder",
        ),
        pytest.param(
            {"secrets": {"directory": "x"}},
            (
                "settings.type",
                "accounts.a.secrets: {'directory': 'x'} is not a list of sources",
                "write a list, for example [{directory: /etc/flowrunner/secrets/payments}]",
            ),
            id="no-list",
        ),
        pytest.param(
            {"secrets": [{"directory": "x", "environment": "X_"}]},
            (
                "settings.type",
                "accounts.a.secrets: {'directory': 'x', 'environment': 'X_'} is not one source",
                "write a list, for example [{directory: /etc/flowrunner/secrets/payments}]",
            ),
            id="two-in-one",
        ),
        pytest.param(
            {"secrets": [{"vault": "x"}]},
            (
                "settings.value",
                "accounts.a.secrets: there is no source 'vault'",
                "sources: directory, environment",
            ),
            id="unknown-source",
        ),
        pytest.param(
            {"secrets": [{"environment": "PAY"}]},
            (
                "settings.value",
                "accounts.a.secrets: 'PAY' is no prefix of variables",
                "capital letters, digits and underscores, the last one an underscore",
            ),
            id="prefix-without-an-end",
        ),
        pytest.param(
            {"secrets": [{"environment": "FLOWRUNNER_SECRET_"}]},
            (
                "settings.value",
                "accounts.a.secrets: 'FLOWRUNNER_SECRET_' is taken",
                "variables with FLOWRUNNER_ are settings, and secrets of account default",
            ),
            id="prefix-of-others",
        ),
        pytest.param(
            {"node_types": ["Shell"]},
            (
                "settings.value",
                "accounts.a.node_types: 'Shell' is none of node types",
                "write a list, for example [log, set, shell]",
            ),
            id="node-type",
        ),
        pytest.param(
            {"max_running_node": 1},
            (
                "settings.unknown_key",
                "unknown key 'accounts.a.max_running_node'",
                "did you mean max_running_nodes?",
            ),
            id="misspelt",
        ),
        pytest.param(
            {"qqq": 1},
            (
                "settings.unknown_key",
                "unknown key 'accounts.a.qqq'",
                f"an account has: {', '.join(KEYS)}",
            ),
            id="nothing-like-it",
        ),
        pytest.param(
            3,
            (
                "settings.type",
                "account 'a' is not a map",
                "write one `name: value` for each line",
            ),
            id="no-map",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    account: Any, expected: tuple[str, str, str], file: Path
) -> None:
    """A mistake in an account is one finding that names the key and says what would fit."""
    assert problems({"a": account}, file) == [expected]


def test_name_of_an_account_is_checked_once(file: Path) -> None:
    """A name that no account may have is one finding, however much stands below it."""
    found = problems({"Pay_1": {"folder": "a", "max_running_nodes": 2}}, file)
    assert [message for _, message, _ in found] == ["'Pay_1' cannot be the name of an account"]


@pytest.mark.parametrize("section", [3, ["a"], "a"])
def test_section_that_is_no_map_is_refused(file: Path, section: Any) -> None:
    """Accounts have names, so that a list of them means nothing."""
    assert [message for _, message, _ in problems(section, file)] == ["accounts is not a map"]


def test_accounts_come_from_the_file_alone() -> None:
    """A variable cannot add an account, and says where one is written."""
    with pytest.raises(SettingsError) as caught:
        load(environment={"FLOWRUNNER_ACCOUNTS__WEB__FOLDER": "web"})
    assert [dict(it) for it in caught.value.findings] == [
        {
            "code": "settings.file_only",
            "message": "accounts are read from the settings file alone",
            "origin": "env:FLOWRUNNER_ACCOUNTS__WEB__FOLDER",
            "hint": "write them there, and name it with --config",
        }
    ]


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        pytest.param(
            {"a": {"folder": "x"}, "x": None},
            "accounts.x.folder: 'x' is the folder of account a",
            id="folder",
        ),
        pytest.param(
            {
                "a": {"secrets": [{"directory": "/x/s"}]},
                "b": {"secrets": [{"directory": "/x/./s"}]},
            },
            "accounts.b.secrets: the secrets of '/x/s' are those of account a",
            id="directory",
        ),
        pytest.param(
            {"a": {"secrets": [{"environment": "A_"}]}, "b": {"secrets": [{"environment": "A_"}]}},
            "accounts.b.secrets: the secrets of 'A_' are those of account a",
            id="prefix",
        ),
        pytest.param(
            {
                "b": {"secrets": [{"environment": "A_B_"}]},
                "a": {"secrets": [{"environment": "A_"}]},
            },
            "accounts.b.secrets: the secrets of 'A_B_' are those of account a",
            id="longer-prefix",
        ),
        pytest.param(
            {"default": None, "b": {"secrets": [{"directory": "/run/credentials"}]}},
            "accounts.b.secrets: the secrets of '/run/credentials' are those of account default",
            id="credentials",
        ),
    ],
)
def test_accounts_share_neither_folder_nor_secrets(file: Path, accounts: Any, message: str) -> None:
    """What would let one account see the secrets of another one is refused at the start."""
    found = problems(accounts, file, CREDENTIALS_DIRECTORY="/run/credentials")
    assert [it[1] for it in found] == [message]


def test_account_may_have_overlapping_sources_of_its_own(file: Path) -> None:
    """Within one account nothing is taken from anybody."""
    sources = [{"environment": "A_"}, {"environment": "A_B_"}, {"directory": "/run/credentials"}]
    data = {"accounts": {"a": {"secrets": sources}}}
    loaded = load(data, file=file, environment={"CREDENTIALS_DIRECTORY": "/run/credentials"})
    assert len(loaded.settings.accounts["a"].secrets) == len(sources)
