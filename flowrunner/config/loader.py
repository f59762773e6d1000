"""Merges the sources by precedence, checks every value, and remembers where each came from.

Precedence: defaults < YAML file < environment < flags. All problems are reported at once; a value
that a stronger source overrides must still be well formed, since it is a mistake all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from flowrunner.config.account_reader import AccountReader
from flowrunner.config.accounts import SECTION as ACCOUNTS
from flowrunner.config.addresses import Key, UnixAddress, check_socket_path, shared_sockets
from flowrunner.config.kinds import BadValueError, Kind, printable, quote
from flowrunner.config.notify_settings import NotifySettings, notify_problems
from flowrunner.config.settings import SECTIONS, SETTINGS, Setting, Settings
from flowrunner.config.sources import (
    SOCKET_NAME,
    Given,
    ReadYaml,
    from_environment,
    from_file,
    from_flags,
    from_unit,
)
from flowrunner.config.token_checks import token_problems
from flowrunner.config.unknown import explain_unknown
from flowrunner.dataclass import dataclass
from flowrunner.errors import SettingsError
from flowrunner.model.quantities import render_duration

Values = dict[Key, Any]
"""The value of every setting."""

MOST_FINDINGS = 100
"""After so many the rest is not looked at: it is the wrong file."""

_DEFAULT = "default"
_LISTEN = ("server", "listen")
_HOOKS_LISTEN = ("server", "hooks_listen")
_TOKENS = ("auth", "tokens")
_SOCKET = ("server", "control_socket")
_SOURCE = ("source", "path")
_STATE = ("storage", "path")
_DEBOUNCE = ("source", "debounce")
_DEBOUNCE_LIMIT = ("source", "debounce_limit")
_READ = ("source", "read")
_GIT = ("source", "git", "url")
_CERTIFICATE = ("server", "tls", "certificate")
_KEY = ("server", "tls", "key")
_VERIFY = ("source", "git", "verify", "mode")
_VERIFY_KEYS = ("source", "git", "verify", "keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Valid settings.

    Attributes:
        settings: All paths in it are absolute.
        origins: `section.name` → ``default``, ``file:/path:line:column``, ``env:NAME`` or
            ``flag:--name``, for every setting; `accounts.NAME.KEY` for every key of an account.
    """

    settings: Settings
    origins: Mapping[str, str]


def load_settings(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, str | None],
    folder: Path,
    read_yaml: ReadYaml,
) -> LoadedSettings:
    """Returns the settings in force.

    Args:
        file: The YAML settings file; None for none. Relative paths in it are relative to its
            folder.
        environment: All environment variables.
        flags: Options by name (`--listen`); None for one that was not given.
        folder: The current folder, absolute, for relative paths from elsewhere.
        read_yaml: The strict reader; what it raises passes through.

    Raises:
        SettingsError: With all findings, each ``{code, message, origin, hint}``; its code is
            theirs when they agree, else ``settings``.
    """
    merge = _Merge(folder)
    merge.add(from_unit(environment, folder))
    if file is not None:
        merge.add_file(folder / file, read_yaml)
    merge.add(from_environment(environment, folder))
    merge.add(from_flags(flags, folder))
    return merge.result(environment)


class _Merge:
    """Takes sources from weak to strong; holds the winning values and the findings."""

    def __init__(self, folder: Path) -> None:
        self._values = {path: _below(folder, it.default) for path, it in SETTINGS.items()}
        self._origins = dict.fromkeys(SETTINGS, _DEFAULT)
        self._findings: list[dict[str, str]] = []
        self._accounts = AccountReader()

    def add(self, source: Iterable[Given]) -> None:
        """Lets the values of a source win over all before."""
        for given in source:
            if len(self._findings) >= MOST_FINDINGS:
                return
            setting = SETTINGS.get(given.path)
            with self._reporting(given.origin, setting):
                if given.path[:1] == (ACCOUNTS,):
                    self._accounts.take(given)
                    continue
                if setting is None:
                    raise explain_unknown(given)
                self._take(given, setting.kind)

    def add_file(self, file: Path, read_yaml: ReadYaml) -> None:
        """Adds a settings file; that it cannot be read is one finding among the others."""
        with self._reporting(f"file:{file}"):
            self.add(from_file(file, read_yaml))

    def result(self, environment: Mapping[str, str]) -> LoadedSettings:
        """Returns what won, or raises all findings."""
        if self._origins[_SOCKET] == _DEFAULT:
            self._values[_SOCKET] = self._values[_STATE] / SOCKET_NAME
        self._check_one_source()
        for check, paths in _CHECKS:
            written = [self._origins[it] for it in paths if self._origins[it] != _DEFAULT]
            with self._reporting(written[0] if written else _DEFAULT, SETTINGS[paths[0]]):
                check(self._values)
        self._check_sockets()
        self._check_tokens()
        self._check_notify()
        for shared, origin in self._accounts.shared(environment):
            with self._reporting(origin):
                key = f"{ACCOUNTS}.{shared.account}.{shared.key}"
                raise BadValueError(f"{key}: {shared.message}", hint=shared.hint)
        if self._findings:
            raise _error(self._findings)
        settings = self._made("", Settings)
        origins = {SETTINGS[path].key: origin for path, origin in self._origins.items()}
        origins.update(self._accounts.origins())
        settings = replace(settings, accounts=self._accounts.accounts())
        return LoadedSettings(settings=settings, origins=origins)

    def _made(self, prefix: str, cls: type[Any]) -> Any:
        """Returns a section with the sections within it."""
        parts = {}
        for part in fields(cls):
            path = (*prefix.split("."), part.name) if prefix else (part.name,)
            inner = ".".join(path)
            if inner in SECTIONS:
                parts[part.name] = self._made(inner, SECTIONS[inner])
            elif path in self._values:
                parts[part.name] = self._values[path]
        return cls(**parts)

    def _check_sockets(self) -> None:
        """Refuses two listeners on one socket, in the words of who wrote the second."""
        keys: tuple[Key, ...] = (_SOCKET, _LISTEN, _HOOKS_LISTEN)
        sockets = {key: self._values[key] for key in keys}
        for key, error in shared_sockets(sockets):
            with self._reporting(self._origins[key], SETTINGS[key]):
                raise error

    def _check_tokens(self) -> None:
        """Judges what only all tokens together, and the accounts, can tell."""
        accounts = self._accounts.accounts()
        origins = dict(self._accounts.origins())
        origins["auth.tokens"] = self._origins[_TOKENS]
        origins["server.listen"] = self._origins[_LISTEN]
        of_accounts = {name: account.tokens for name, account in accounts.items()}
        for wrong in token_problems(self._values[_TOKENS], of_accounts, self._values[_LISTEN]):
            with self._reporting(origins[wrong.key]):
                text = f"{wrong.key}: {wrong.message}"
                raise BadValueError(text, code=wrong.code, hint=wrong.hint)

    def _check_notify(self) -> None:
        """Judges which channels the rules name."""
        host = self._made("notify", NotifySettings)
        accounts = self._accounts.accounts()
        origins = dict(self._accounts.origins())
        origins["notify.default"] = self._origins["notify", "default"]
        of_accounts = {name: (it.channels, it.notify or ()) for name, it in accounts.items()}
        for wrong in notify_problems(host, of_accounts):
            with self._reporting(origins[wrong.key]):
                raise BadValueError(f"{wrong.key}: {wrong.message}", hint=wrong.hint)

    def _check_one_source(self) -> None:
        """Refuses a folder beside a repository: one of them would be ignored."""
        for path in (_SOURCE, _READ):
            if self._values[_GIT] is None or self._origins[path] == _DEFAULT:
                continue
            with self._reporting(self._origins[path], SETTINGS[path]):
                raise BadValueError(
                    "means nothing beside source.git.url",
                    code="settings.two_sources",
                    hint="leave one of the two out; the folder within the repository is "
                    "source.git.path",
                )

    def _take(self, given: Given, kind: Kind) -> None:
        if given.value is None and kind.nullable:
            return  # null is a way to write the default
        value = kind.from_text(given.value) if given.is_text else given.value
        self._values[given.path] = kind.parse(value, given.folder)
        self._origins[given.path] = printable(given.origin)

    @contextmanager
    def _reporting(self, origin: str, setting: Setting | None = None) -> Iterator[None]:
        """Turns a bad value inside the block into a finding about the setting."""
        try:
            yield
        except BadValueError as error:
            subject = f"{setting.key}: " if setting else ""
            self._findings.append(
                {
                    "code": error.code,
                    "message": subject + error.message,
                    "origin": printable(origin),
                    "hint": error.hint,
                }
            )


def _below(folder: Path, default: Any) -> Any:
    return folder / default if isinstance(default, Path) else default


def _check_socket(values: Values) -> None:
    check_socket_path(values[_SOCKET], "server.control_socket")


def _check_listener(key: Key, values: Values) -> None:
    """Judges a unix socket of the network listeners."""
    address = values[key]
    if isinstance(address, UnixAddress):
        check_socket_path(address.path, ".".join(key))


def _check_state(values: Values) -> None:
    """Keeps the scan of the flows away from the state, which holds YAML, too.

    A name that begins with a dot does so by itself.
    """
    if values[_GIT] is not None:
        return  # the folder is not read, and the checked out revisions are below the state
    state, flows = (Path(os.path.realpath(values[key])) for key in (_STATE, _SOURCE))
    if not state.is_relative_to(flows):
        return
    if not any(part.startswith(".") for part in state.relative_to(flows).parts):
        raise BadValueError(
            f"the state {quote(str(state))} would be read as flows, it is in {quote(str(flows))}",
            code="settings.state_among_flows",
            hint="put it elsewhere, or below a name that begins with a dot, such as .flowrunner",
        )


def _check_debounce(values: Values) -> None:
    limit, debounce = values[_DEBOUNCE_LIMIT], values[_DEBOUNCE]
    if limit < debounce:
        raise BadValueError(
            f"{render_duration(limit)} is below source.debounce, {render_duration(debounce)}",
            hint="raise debounce_limit or lower debounce",
        )


def _check_tls(values: Values) -> None:
    if (values[_CERTIFICATE] is None) != (values[_KEY] is None):
        raise BadValueError(
            "is half of a pair", hint="write server.tls.certificate and server.tls.key, or neither"
        )
    listeners = [values[key] for key in (_LISTEN, _HOOKS_LISTEN) if values[key] is not None]
    are_unix = all(isinstance(address, UnixAddress) for address in listeners)
    if values[_CERTIFICATE] is not None and are_unix:
        raise BadValueError(
            "means nothing for unix sockets, and there is no other listener",
            hint="leave server.tls out; the proxy before the socket has the certificate",
        )


def _check_verify(values: Values) -> None:
    is_asked_for = values[_GIT] is not None and values[_VERIFY] != "off"
    if is_asked_for and values[_VERIFY_KEYS] is None:
        raise BadValueError(
            "needs the keys that may sign",
            hint="set source.git.verify.keys to an allowed_signers file or exported GnuPG keys",
        )


_CHECKS: tuple[tuple[Callable[[Values], None], tuple[Key, ...]], ...] = (
    (_check_socket, (_SOCKET, _STATE)),
    (_check_state, (_STATE, _SOURCE)),
    (_check_debounce, (_DEBOUNCE_LIMIT, _DEBOUNCE)),
    (_check_verify, (_VERIFY, _VERIFY_KEYS)),
    (_check_tls, (_CERTIFICATE, _KEY)),
    (partial(_check_listener, _LISTEN), (_LISTEN,)),
    (partial(_check_listener, _HOOKS_LISTEN), (_HOOKS_LISTEN,)),
)
"""What is judged about the winners, and the settings that can be to blame, the nearest first."""


def _error(findings: Sequence[Mapping[str, str]]) -> SettingsError:
    first, *others = findings
    codes = {finding["code"] for finding in findings}
    message = first["message"] + (f" (and {len(others)} more)" if others else "")
    code = first["code"] if len(codes) == 1 else None
    return SettingsError(message, code=code, findings=findings)
