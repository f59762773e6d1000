"""Which settings take effect while the daemon runs, and what two readings of them differ in.

A setting is live when all that it means can be exchanged in one turn of the loop. All others are
read at the start alone: a change of them is named and changes nothing until then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowrunner.config.accounts import KEYS, SECTION, AccountSettings
from flowrunner.config.settings import SETTINGS, Settings, section_of
from flowrunner.dataclass import dataclass

LIVE = frozenset(
    {
        "auth.local",
        "auth.tokens",
        "engine.drain_timeout",
        "engine.max_running_executions",
        "engine.max_running_nodes",
        "engine.retention_age",
        "engine.retention_executions",
        "engine.retention_log_bytes",
        "logging.level",
        "notify.channels",
        "notify.default",
        "server.cors",
        "server.rate_limit",
        "server.trusted_proxies",
    }
)
"""Settings that a reload changes."""

LIVE_OF_ACCOUNTS = frozenset(
    {"channels", "max_running_executions", "max_running_nodes", "notify", "secrets", "tokens"}
)
"""Keys of an account that a reload changes, as long as the account was there at the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What another reading of the settings means to a daemon that runs.

    Attributes:
        settings: What is in force with it: the old ones, with the new values of what is live.
        applied: Names of settings with a new value in force, sorted.
        waiting: Names of those that need a restart, sorted.
    """

    settings: Settings
    applied: tuple[str, ...]
    waiting: tuple[str, ...]


def change_of(old: Settings, new: Settings) -> Change:
    """Returns what changes when the settings are read again.

    Args:
        old: Those in force.
        new: Those that were read, valid.
    """
    applied, waiting, settings = [], [], old
    for setting in SETTINGS.values():
        value = getattr(section_of(new, setting.section), setting.name)
        if value == getattr(section_of(old, setting.section), setting.name):
            continue
        if setting.key not in LIVE:
            waiting.append(setting.key)
            continue
        applied.append(setting.key)
        settings = _with(settings, setting.path, value)
    accounts = dict(old.accounts)
    for name in {**old.accounts, **new.accounts}:
        if name not in old.accounts or name not in new.accounts:
            waiting.append(f"{SECTION}.{name}")
            continue
        changed = list(_changed(old.accounts[name], new.accounts[name]))
        live = {key: value for key, value in changed if key in LIVE_OF_ACCOUNTS}
        accounts[name] = replace(old.accounts[name], **live)
        applied += [f"{SECTION}.{name}.{key}" for key in live]
        waiting += [f"{SECTION}.{name}.{key}" for key, _ in changed if key not in live]
    settings = replace(settings, accounts=accounts)
    return Change(settings=settings, applied=tuple(sorted(applied)), waiting=tuple(sorted(waiting)))


def _changed(old: AccountSettings, new: AccountSettings) -> Iterator[tuple[str, Any]]:
    for key in KEYS:
        value = getattr(new, key)
        if value != getattr(old, key):
            yield key, value


def _with(whole: Any, path: tuple[str, ...], value: Any) -> Any:
    """Returns settings with another value at a path."""
    name, *rest = path
    inner = _with(getattr(whole, name), tuple(rest), value) if rest else value
    changed: Mapping[str, Any] = {name: inner}
    return replace(whole, **changed)
