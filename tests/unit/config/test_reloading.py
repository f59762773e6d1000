"""Settings that are read again: what takes effect, and what is named instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrunner.config.accounts import KEYS
from flowrunner.config.reloading import LIVE, LIVE_OF_ACCOUNTS, Change, change_of
from flowrunner.config.settings import SETTINGS
from flowrunner.model.access import token_digest
from tests.unit.config.documents import load

TOKEN = {"ci": {"sha256": token_digest("x"), "scopes": ["read"]}}


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.touch()
    return path


def change(file: Path, old: Any, new: Any) -> Change:
    return change_of(load(old, file=file).settings, load(new, file=file).settings)


def test_live_settings_are_settings() -> None:
    """Every name of a live setting is that of one."""
    assert {setting.key for setting in SETTINGS.values()} >= LIVE
    assert set(KEYS) >= LIVE_OF_ACCOUNTS


def test_nothing_new_changes_nothing(file: Path) -> None:
    """The same settings again are no change, and the old ones stay in force."""
    settings = {"auth": {"tokens": TOKEN}, "accounts": {"web": None}}

    found = change(file, settings, settings)

    assert (found.applied, found.waiting) == ((), ())
    assert found.settings == load(settings, file=file).settings


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda it: it.key)
def test_each_setting_is_applied_or_named(file: Path, setting: Any) -> None:
    """A new value of a setting is in force afterwards or told to need a restart, never both."""
    value: Any = setting.example
    for name in reversed(setting.path):
        value = {name: value}
    if setting.key == "source.debounce_limit":
        value["source"]["debounce"] = "10s"
    if setting.key == "source.git.verify.mode":
        value["source"]["git"]["verify"]["keys"] = "/keys"

    if setting.key == "notify.default":
        value["notify"]["channels"] = {"oncall": {"type": "exec", "argv": ["page"]}}

    if setting.section == "server.tls":
        value["server"]["tls"] |= {"certificate": "/c", "key": "/k"}

    found = change(file, None, value)

    is_live = setting.key in LIVE
    assert (setting.key in found.applied) is is_live
    assert (setting.key in found.waiting) is not is_live
    if not is_live:
        assert found.settings == load(None, file=file).settings


def test_keys_of_an_account_are_applied_or_named(file: Path) -> None:
    """Limits, secrets and tokens of an account change; its folder waits for a restart."""
    old = {"accounts": {"web": None, "ops": None}}
    new = {
        "accounts": {
            "web": {"tokens": TOKEN, "max_running_nodes": 2, "folder": "www"},
            "ops": None,
        }
    }

    found = change(file, old, new)

    assert found.applied == ("accounts.web.max_running_nodes", "accounts.web.tokens")
    assert found.waiting == ("accounts.web.folder",)
    web = found.settings.accounts["web"]
    assert (web.folder, web.max_running_nodes, len(web.tokens)) == ("web", 2, 1)


def test_accounts_come_and_go_with_a_restart(file: Path) -> None:
    """A new account and one that is gone are named, and nothing of them is applied."""
    old = {"accounts": {"web": None}}
    new = {"accounts": {"ops": {"tokens": TOKEN}}}

    found = change(file, old, new)

    assert (found.applied, found.waiting) == ((), ("accounts.ops", "accounts.web"))
    assert found.settings == load(old, file=file).settings
