"""Whatever sources speak about whatever settings, the strongest one that speaks wins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.config.describe import Row, describe_settings
from flowrunner.config.loader import LoadedSettings
from flowrunner.config.settings import SETTINGS, Setting
from flowrunner.model.access import token_digest
from flowrunner.model.accounts import ACCOUNT_NAME
from flowrunner.model.host import FACT_NAME, HOST_LABEL
from flowrunner.model.process import USER_NAME
from tests.unit.config.documents import load

Key = tuple[str, ...]

PATHS = st.from_regex(r"(/[a-z]{1,8}){1,3}", fullmatch=True)
ROOTS = st.lists(st.from_regex("/[a-z]{1,5}(/[a-z]{1,5})?", fullmatch=True), unique=True)
WRITTEN: Mapping[str, st.SearchStrategy[Any]] = {
    "server.listen": st.one_of(
        st.integers(0, 65_535).map("127.0.0.1:{}".format), PATHS.map("unix:/listen{}".format)
    ),
    "server.hooks_listen": st.one_of(
        st.integers(0, 65_535).map("0.0.0.0:{}".format), PATHS.map("unix:/hooks{}".format)
    ),
    "server.socket_access": st.sampled_from(["owner", "group", "everyone"]),
    "server.control_socket": PATHS.map("/control{}".format),  # two on one path are refused
    "server.max_body": st.integers(1, 1023).map("{}KiB".format),
    "server.max_connections": st.integers(1, 65_536),
    "server.rate_limit": st.one_of(
        st.just("off"), st.builds("{}/{}m".format, st.integers(1, 9_999), st.integers(1, 59))
    ),
    "server.trusted_proxies": st.lists(
        st.sampled_from(["127.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "unix"]), unique=True
    ),
    "server.cors": st.lists(
        st.sampled_from(["https://a.example", "http://127.0.0.1:3000", "https://[::1]:8443"]),
        unique=True,
    ),
    "server.unproven_hooks": st.booleans(),
    "server.labels": st.lists(
        st.from_regex(HOST_LABEL.strip("^$"), fullmatch=True), max_size=3, unique=True
    ),
    "server.facts": st.dictionaries(
        st.from_regex(FACT_NAME.strip("^$"), fullmatch=True),
        st.from_regex("[a-z0-9-]{1,9}", fullmatch=True),
        max_size=3,
    ),
    "server.public_url": PATHS.map("https://flows.example.com{}".format),
    "server.tls.certificate": PATHS,
    "server.tls.key": PATHS,
    "source.path": PATHS.map("/flows{}".format),  # a state among the flows is refused
    "source.read": st.sampled_from(["auto", "head", "worktree"]),
    "source.resync": st.integers(1, 59).map("{}m".format),
    "source.stale_after": st.integers(1, 59).map("{}m".format),
    "source.debounce": st.integers(1, 999).map("{}ms".format),
    "source.debounce_limit": st.integers(1, 59).map("{}s".format),
    "source.git.url": PATHS.map("ssh://git@example.org{}".format),
    "source.git.ref": st.sampled_from(["main", "refs/tags/v1", "a" * 40]),
    "source.git.path": PATHS.map(lambda path: path[1:]),
    "source.git.interval": st.integers(5, 59).map("{}s".format),
    "source.git.timeout": st.integers(1, 59).map("{}m".format),
    "source.git.require_fast_forward": st.booleans(),
    "source.git.kept": st.integers(1, 100),
    "source.git.key": PATHS,
    "source.git.known_hosts": PATHS,
    "source.git.verify.mode": st.sampled_from(["off", "head", "tag"]),
    "source.git.verify.keys": PATHS,
    "source.git.webhook.type": st.sampled_from(["off", "github", "gitlab"]),
    "source.git.webhook.secret": PATHS,
    "storage.backend": st.sampled_from(["local", "memory"]),
    "storage.path": PATHS.map("/state{}".format),
    "storage.min_free": st.integers(1, 1023).map("{}MiB".format),
    "storage.backup_every": st.integers(1, 23).map("{}h".format),
    "storage.backups_kept": st.integers(1, 100),
    "auth.tokens": st.dictionaries(
        st.sampled_from(["ci", "dash.board", "7-of-9"]),
        st.fixed_dictionaries(
            {"scopes": st.sampled_from([["read"], ["data", "read"], ["metrics"]])},
            optional={"expires_at": st.just("2027-03-01T12:00:00Z")},
        ),
    ).map(
        lambda tokens: {
            name: {"sha256": token_digest(name), **token} for name, token in tokens.items()
        }
    ),
    "auth.local": st.sampled_from(["restricted", "open"]),
    "engine.max_running_nodes": st.integers(0, 10_000),
    "engine.max_running_executions": st.integers(1, 100_000),
    "engine.timeout": st.integers(1, 23).map("{}h".format),
    "engine.users": st.lists(
        st.from_regex(USER_NAME.strip("^$"), fullmatch=True), max_size=3, unique=True
    ),
    "engine.roots": ROOTS,
    "engine.drain_timeout": st.integers(1, 23).map("{}h".format),
    "engine.retention_executions": st.integers(1, 1_000),
    "engine.retention_age": st.integers(1, 6).map("{}d".format),
    "engine.retention_log_bytes": st.integers(1, 1023).map("{}MiB".format),
    "engine.attempt_log_bytes": st.integers(1, 1023).map("{}KiB".format),
    "notify.channels": st.dictionaries(
        st.sampled_from(["oncall", "a_b-1", "7"]),
        st.sampled_from(
            [
                {"type": "slack", "url_secret": "CHAT", "rate": "5/1m"},
                {"type": "exec", "argv": ["page", "a,b=c"], "timeout": "5s"},
                {"type": "ping", "url": "https://hc.example.com/{flow}"},
            ]
        ),
    ),
    "notify.default": st.just([{"on": ["failed", "ready"], "channels": ["oncall"]}]),
    "logging.level": st.sampled_from(["debug", "info", "warning", "error"]),
    "logging.format": st.sampled_from(["text", "json"]),
}
"""Values as they are shown, so that what goes in must come out."""

NAMES = st.from_regex(ACCOUNT_NAME.strip("^$"), fullmatch=True)
TYPES = st.sampled_from(["log", "set", "shell", "my.type"])


def written_account(name: str, number: int) -> st.SearchStrategy[dict[str, Any]]:
    """Draws any keys of an account, whose folder and sources are nobody else's."""
    sources = [{"directory": f"/secrets/{name}"}, {"environment": f"A{number}_"}]
    return st.fixed_dictionaries(
        {},
        optional={
            "folder": st.just(f"f-{name}"),
            "secrets": st.lists(st.sampled_from(sources), max_size=2),
            "users": WRITTEN["engine.users"],
            "node_types": st.lists(TYPES, unique=True),
            "roots": ROOTS,
            "max_running_executions": st.integers(0, 100_000),
            "max_running_nodes": st.integers(0, 10_000),
            "channels": WRITTEN["notify.channels"],
            "tokens": st.just({"ci": {"sha256": f"{number:064x}", "scopes": ["data"]}}),
        },
    )


ACCOUNTS = st.lists(NAMES, max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: written_account(name, number) for number, name in enumerate(names)}
    )
)


def spoken_about(which: list[Setting]) -> st.SearchStrategy[dict[Key, Any]]:
    """Draws what one source says: any values for any of these settings."""
    return st.fixed_dictionaries({}, optional={it.path: WRITTEN[it.key] for it in which})


ALL = list(SETTINGS.values())
URL = ("source", "git", "url")
VERIFY = ("source", "git", "verify", "mode")
TLS = [("server", "tls", name) for name in ("certificate", "key")]
FLAGGED = [it for it in ALL if it.flag]


def text_of(value: Any) -> str:
    """Returns a value as a variable holds it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict) and any(isinstance(it, dict) for it in value.values()):
        return json.dumps(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={fact}" for name, fact in value.items())
    return ",".join(value) if isinstance(value, list) else str(value)


def rows_of(loaded: LoadedSettings) -> dict[Key, Row]:
    """Returns what `flowrunner config show` prints, by section and name."""
    return {tuple(row.key.split(".")): row for row in describe_settings(loaded)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A settings file that exists; its content is drawn."""
    path = tmp_path_factory.mktemp("settings") / "flowrunner.yaml"
    path.touch()
    return path


@given(in_file=spoken_about(ALL), in_environment=spoken_about(ALL), in_flags=spoken_about(FLAGGED))
def test_strongest_source_wins_for_each_setting(
    file: Path,
    in_file: dict[Key, Any],
    in_environment: dict[Key, Any],
    in_flags: dict[Key, Any],
) -> None:
    """Each setting has the value and the origin of the strongest source that names it."""
    for said in (in_file, in_environment, in_flags):
        if any(URL in each for each in (in_file, in_environment)):
            said.pop(("source", "path"), None)  # two sources are refused
            said.pop(("source", "read"), None)
        for half in TLS:
            said.pop(half, None)  # one without the other is refused
        said.pop(VERIFY, None)  # refused without keys: see the tests of the loader
        said.pop(("notify", "default"), None)  # refused without channels: see theirs
    data: dict[str, Any] = {}
    for (*above, name), value in in_file.items():
        place = data
        for section in above:
            place = place.setdefault(section, {})
        place[name] = value
    loaded = load(
        data,
        file=file,
        environment={SETTINGS[key].variable: text_of(it) for key, it in in_environment.items()},
        flags={str(SETTINGS[key].flag): value for key, value in in_flags.items()},
    )
    rows, defaults = rows_of(loaded), rows_of(load())
    # The one default that follows another setting.
    socket = f"{rows['storage', 'path'].value}/control.sock"
    defaults["server", "control_socket"] = Row("server.control_socket", socket, "default")
    for key, setting in SETTINGS.items():
        if key in in_flags:
            expected = Row(setting.key, in_flags[key], f"flag:{setting.flag}")
        elif key in in_environment:
            expected = Row(setting.key, in_environment[key], f"env:{setting.variable}")
        elif key in in_file:
            expected = Row(setting.key, in_file[key], f"file:{file}:{len(key)}:20")
        else:
            expected = defaults[key]
        assert rows[key] == expected


@given(accounts=ACCOUNTS)
def test_accounts_are_shown_as_they_are_written(file: Path, accounts: dict[str, Any]) -> None:
    """Every key of every account comes out as it went in, and what is shown means the same."""
    loaded = load({"accounts": accounts}, file=file)
    shown: dict[str, dict[str, Any]] = {name: {} for name in accounts}
    for row in describe_settings(loaded):
        section, *path = row.key.split(".")
        if section == "accounts":
            name, key = path
            shown[name][key] = row.value
            assert (row.origin == "default") == (key not in accounts[name])
    for name, keys in accounts.items():
        assert shown[name] == {**shown[name], **keys}
    assert load({"accounts": shown}, file=file).settings == loaded.settings
