"""What is shown of the settings is complete, written as one would write it, and has one source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flowrunner.config.describe import Row, describe_settings, settings_schema
from flowrunner.config.settings import SETTINGS, Setting
from tests.unit.config.documents import load

SETTING_CASES = [pytest.param(it, id=it.key) for it in SETTINGS.values()]


def properties_of(setting: Setting) -> Mapping[str, Any]:
    """Returns the schema of one setting."""
    place: Mapping[str, Any] = settings_schema()
    for name in setting.path:
        place = place["properties"][name]
    return dict(place)


def written_as(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Returns a settings file that says one thing."""
    *above, name = path
    data = {name: value}
    for section in reversed(above):
        data = {section: data}
    return data


def test_rows_show_every_setting_as_written() -> None:
    """Each setting has one row, with units as in the settings file."""
    rows = describe_settings(load(flags={"--state": "/s", "--listen": "[::1]:0"}))
    assert rows == (
        Row("server.listen", "[::1]:0", "flag:--listen"),
        Row("server.hooks_listen", None, "default"),
        Row("server.socket_access", "group", "default"),
        Row("server.control_socket", "/s/control.sock", "default"),
        Row("server.max_body", "4MiB", "default"),
        Row("server.max_connections", 256, "default"),
        Row("server.rate_limit", "100/1s", "default"),
        Row("server.trusted_proxies", [], "default"),
        Row("server.unproven_hooks", False, "default"),
        Row("server.cors", [], "default"),
        Row("server.labels", [], "default"),
        Row("server.facts", {}, "default"),
        Row("server.public_url", None, "default"),
        Row("server.tls.certificate", None, "default"),
        Row("server.tls.key", None, "default"),
        Row("source.path", "/work folder/flows", "default"),
        Row("source.read", "auto", "default"),
        Row("source.resync", "1m", "default"),
        Row("source.stale_after", "0s", "default"),
        Row("source.debounce", "300ms", "default"),
        Row("source.debounce_limit", "5s", "default"),
        Row("source.git.url", None, "default"),
        Row("source.git.ref", None, "default"),
        Row("source.git.path", None, "default"),
        Row("source.git.interval", "1m", "default"),
        Row("source.git.timeout", "5m", "default"),
        Row("source.git.require_fast_forward", False, "default"),
        Row("source.git.kept", 3, "default"),
        Row("source.git.key", None, "default"),
        Row("source.git.known_hosts", None, "default"),
        Row("source.git.verify.mode", "off", "default"),
        Row("source.git.verify.keys", None, "default"),
        Row("source.git.webhook.type", "off", "default"),
        Row("source.git.webhook.secret", None, "default"),
        Row("storage.backend", "local", "default"),
        Row("storage.path", "/s", "flag:--state"),
        Row("storage.min_free", "100MiB", "default"),
        Row("storage.backup_every", "1d", "default"),
        Row("storage.backups_kept", 3, "default"),
        Row("auth.local", "restricted", "default"),
        Row("auth.tokens", {}, "default"),
        Row("engine.max_running_nodes", 0, "default"),
        Row("engine.max_running_executions", 1000, "default"),
        Row("engine.timeout", "1d", "default"),
        Row("engine.users", [], "default"),
        Row("engine.roots", [], "default"),
        Row("engine.drain_timeout", "5m", "default"),
        Row("engine.retention_executions", 100, "default"),
        Row("engine.retention_age", "4w2d", "default"),
        Row("engine.retention_log_bytes", "10GiB", "default"),
        Row("engine.attempt_log_bytes", "20MiB", "default"),
        Row("notify.channels", {}, "default"),
        Row("notify.default", [], "default"),
        Row("logging.level", "info", "default"),
        Row("logging.format", "text", "default"),
    )


def test_rows_written_into_a_file_give_the_same_settings(tmp_path: Path) -> None:
    """What is shown can be put into a settings file and means the same."""
    shown = load(environment={"FLOWRUNNER_SOURCE__RESYNC": "90s"})
    data: dict[str, Any] = {}
    for row in describe_settings(shown):
        *above, name = row.key.split(".")
        place = data
        for section in above:
            place = place.setdefault(section, {})
        place[name] = row.value
    file = tmp_path / "settings.yaml"
    file.touch()
    assert load(data, file=file).settings == shown.settings


def test_schema_is_valid_and_refuses_unknown_keys() -> None:
    """The schema follows its own standard and knows no other keys."""
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert schema["$id"] == "https://flowrunner.dev/schemas/settings.v1.schema.json"
    assert validator.is_valid({"server": {"listen": "127.0.0.1:0"}, "logging": None})
    assert not validator.is_valid({"metrics": {}})
    assert not validator.is_valid({"server": {"cors": {}}})


@pytest.mark.parametrize("setting", SETTING_CASES)
def test_every_setting_is_described(setting: Setting) -> None:
    """Each setting has a title, a paragraph that names its default, a default and an example."""
    shown = properties_of(setting)
    assert shown["title"] == setting.key
    assert "Default" in shown["description"]
    assert shown["description"].endswith(".")
    assert shown["default"] != shown["examples"][0]


@pytest.mark.parametrize("setting", SETTING_CASES)
def test_default_and_example_are_valid(setting: Setting, tmp_path: Path) -> None:
    """Default and example of each setting satisfy the schema and the loader."""
    shown = properties_of(setting)
    file = tmp_path / "settings.yaml"
    file.touch()
    for value in (shown["default"], *shown["examples"]):
        data = written_as(setting.path, value)
        if setting.section == "server.tls" and value is not None:  # it takes both
            data["server"]["tls"] = {"certificate": "/c.pem", "key": "/k.pem", setting.name: value}
        if setting.key == "notify.default":  # it names a channel
            data["notify"]["channels"] = {"oncall": {"type": "exec", "argv": ["page"]}}
        jsonschema.validate(data, settings_schema())
        load(data, file=file)


@pytest.mark.parametrize("setting", SETTING_CASES)
def test_paragraph_names_the_written_default(setting: Setting) -> None:
    """The default in the paragraph is the default in the code."""
    shown = properties_of(setting)
    written = {
        "server.control_socket": "null",
        "source.resync": "60s",
        "engine.retention_age": "30d",
    }
    default = written.get(setting.key, _plain(shown["default"]))
    assert default in shown["description"].partition("Default")[2]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
