"""docs/accounts.md against the code: its settings load, and every key of an account is told."""

from __future__ import annotations

from pathlib import Path

from flowrunner.config.accounts import KEYS
from flowrunner.config.loader import load_settings
from flowrunner.daemon.accounts import account_map
from flowrunner.definitions.yaml_reader import read_yaml
from tests.unit.docs.pages import read, yaml_examples

PAGE = read("docs/accounts.md")


def test_settings_of_the_page_mean_what_it_says(tmp_path: Path) -> None:
    """The example is valid, and the paths named below it have the accounts that it tells."""
    (example,) = yaml_examples(PAGE)
    file = tmp_path / "settings.yaml"
    file.write_text(example)
    loaded = load_settings(
        file=file, environment={}, flags={}, folder=tmp_path, read_yaml=read_yaml
    )
    accounts = account_map(loaded.settings.accounts)
    paths = ("pay/nightly/report.yaml", "web/deploy.yaml", "payments/a.yaml", "a.yaml")
    assert all(f"`flows/{path}`" in PAGE for path in paths[:2])
    assert [accounts.account_of(path) for path in paths] == ["payments", "web", None, None]


def test_page_names_every_key() -> None:
    """No key of an account is left to the table alone."""
    assert [key for key in KEYS if f"{key}:" not in PAGE and f"`{key}`" not in PAGE] == []
