"""The settings of one account: the section `accounts` holds any number of them, by name.

A map of maps fits no variable and no flag, so that this section stands in the settings file alone.
Like those of the other sections, its fields and the paragraphs under them are the single source
for the loader, `flowrunner config show` and the JSON schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from flowrunner.config.channel_kinds import ChannelSettings, channels_kind
from flowrunner.config.kinds import (
    BadValueError,
    Kind,
    count,
    file_path,
    folders,
    quote,
    user_names,
)
from flowrunner.config.notify_settings import account_rules_kind
from flowrunner.config.token_kinds import tokens_kind
from flowrunner.dataclass import dataclass
from flowrunner.model.access import Token
from flowrunner.model.ids import DEFAULT_ACCOUNT, Json
from flowrunner.model.notify import NotifyRules

SECTION = "accounts"

_FOLDER = "^[^._/\\x00][^/\\x00]{0,254}$"
_PREFIX = "^[A-Z][A-Z0-9_]{0,61}_$"
_NODE_TYPE = "^[a-z][a-z0-9_]{0,62}([.][a-z0-9_]{1,62}){0,4}$"
_DIRECTORY, _ENVIRONMENT = "directory", "environment"
_OWN_VARIABLES = "FLOWRUNNER_"
_SOURCES_HINT = "write a list, for example [{directory: /etc/flowrunner/secrets/payments}]"


class SecretDirectory(NamedTuple):
    """Secrets as files, each under its own name."""

    path: Path


class SecretVariables(NamedTuple):
    """Secrets as environment variables, each its name after a prefix."""

    prefix: str


SecretSource = SecretDirectory | SecretVariables


def _about(kind: Kind, *, example: Any) -> Mapping[str, Any]:
    return {"kind": kind, "example": example}


def _texts(what: str, pattern: str, hint: str) -> Kind:
    """A list of words, each once."""

    def parse(value: Json, _: Path) -> tuple[str, ...]:
        if not isinstance(value, list):
            message = f"{quote(value)} is not a list of {what}"
            raise BadValueError(message, code="settings.type", hint=hint)
        for word in value:
            if not isinstance(word, str) or not re.fullmatch(pattern, word):
                raise BadValueError(f"{quote(word)} is none of {what}", hint=hint)
        return tuple(dict.fromkeys(value))

    return Kind(
        parse=parse,
        render=lambda value: None if value is None else list(value),
        schema={"type": ["array", "null"], "items": {"type": "string", "pattern": pattern}},
        nullable=True,
    )


def _folder() -> Kind:
    def parse(value: Json, _: Path) -> str:
        hint = "name one folder directly below the flows, without a slash"
        if not isinstance(value, str):
            message = f"{quote(value)} is not the name of a folder"
            raise BadValueError(message, code="settings.type", hint=hint)
        if value.startswith((".", "_")):
            hint = "what begins with . or _ is not read"
        if not re.fullmatch(_FOLDER, value):
            raise BadValueError(f"{quote(value)} is not the name of a folder", hint=hint)
        return value

    return Kind(
        parse=parse,
        render=lambda value: value,
        schema={"type": ["string", "null"], "pattern": _FOLDER},
        nullable=True,
    )


def _sources() -> Kind:
    folders = file_path()

    def parse_one(value: Json, folder: Path) -> SecretSource:
        if not isinstance(value, dict) or len(value) != 1:
            message = f"{quote(value)} is not one source"
            raise BadValueError(message, code="settings.type", hint=_SOURCES_HINT)
        (kind, written), *_ = value.items()
        if kind == _DIRECTORY:
            return SecretDirectory(folders.parse(written, folder))
        if kind != _ENVIRONMENT:
            hint = f"sources: {_DIRECTORY}, {_ENVIRONMENT}"
            raise BadValueError(f"there is no source {quote(kind)}", hint=hint)
        if not isinstance(written, str) or not re.fullmatch(_PREFIX, written):
            hint = "capital letters, digits and underscores, the last one an underscore"
            raise BadValueError(f"{quote(written)} is no prefix of variables", hint=hint)
        if written.startswith(_OWN_VARIABLES):
            hint = f"variables with {_OWN_VARIABLES} are settings, and secrets of account default"
            raise BadValueError(f"{quote(written)} is taken", hint=hint)
        return SecretVariables(written)

    def parse(value: Json, folder: Path) -> tuple[SecretSource, ...]:
        if not isinstance(value, list):
            message = f"{quote(value)} is not a list of sources"
            raise BadValueError(message, code="settings.type", hint=_SOURCES_HINT)
        return tuple(parse_one(each, folder) for each in value)

    shapes = {_DIRECTORY: {"type": "string", "minLength": 1}}
    shapes[_ENVIRONMENT] = {"type": "string", "pattern": _PREFIX}
    items = {"type": "object", "additionalProperties": False, "properties": shapes}
    return Kind(
        parse=parse,
        render=lambda sources: [_written(each, folders) for each in sources],
        schema={"type": "array", "items": {**items, "minProperties": 1, "maxProperties": 1}},
    )


def _written(source: SecretSource, folders: Kind) -> Json:
    match source:
        case SecretDirectory(path=path):
            return {_DIRECTORY: folders.render(path)}
        case SecretVariables(prefix=prefix):
            return {_ENVIRONMENT: prefix}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account: a folder of flows with names, secrets, users and limits of its own."""

    folder: str | None = field(default=None, metadata=_about(_folder(), example="payments"))
    """The folder directly below the flows whose files belong to this account. Default (null): the
    folder of the account's own name."""

    secrets: tuple[SecretSource, ...] = field(
        default=(),
        metadata=_about(
            _sources(),
            example=[{"directory": "/etc/flowrunner/secrets/payments"}, {"environment": "PAY_"}],
        ),
    )
    """Where the secrets of this account come from, a list of `directory: PATH` (the file `X` in it
    is the secret `X`) and `environment: PREFIX` (the variable with `X` after the prefix is); the
    first source that has a secret wins. Default `[]`: none. The account `default` has the default
    sources before these. No two accounts share a source."""

    users: tuple[str, ...] = field(default=(), metadata=_about(user_names(), example=["payments"]))
    """Users that the nodes of this account may run as, besides those of `engine.users`, which are
    for all accounts. Default `[]`. A user that is here alone is refused to the other accounts."""

    node_types: tuple[str, ...] | None = field(
        default=None,
        metadata=_about(
            _texts("node types", _NODE_TYPE, "write a list, for example [log, set, shell]"),
            example=["log", "set", "shell"],
        ),
    )
    """Node types that the flows of this account may use, a list. Default (null): all. A flow with
    another one is not Ready. A `wait` with a `probe` takes `shell`, too."""

    roots: tuple[Path, ...] = field(
        default=(), metadata=_about(folders(), example=["/srv/payments"])
    )
    """Folders into which triggers of type `file` of this account may look, a list of paths. Default
    `[]`: none; for the account `default` those of `engine.roots`. Links that lead out of them are
    not followed."""

    max_running_executions: int = field(default=0, metadata=_about(count(0, 100_000), example=20))
    """Most executions of this account running at once, a number; the others stay queued, those
    started by hand first in line. Default 0: as many as the host allows."""

    max_running_nodes: int = field(default=0, metadata=_about(count(0, 10_000), example=4))
    """Most nodes of this account running at once, a number; the others wait their turn. Default 0:
    as many as the host allows. Small enough, it leaves places of the host to other accounts."""

    tokens: tuple[Token, ...] = field(
        default=(),
        metadata=_about(
            tokens_kind(of_account=True),
            example={"dashboard": {"sha256": "1" * 64, "scopes": ["read"]}},
        ),
    )
    """Bearer tokens by name, as in `auth.tokens`, that show this account alone: `sha256`, `scopes`
    (`read`, `data`) and perhaps `expires_at`. Default `{}`."""

    channels: tuple[ChannelSettings, ...] = field(
        default=(),
        metadata=_about(
            channels_kind(), example={"team": {"type": "slack", "url_secret": "TEAM_URL"}}
        ),
    )
    """Channels of this account alone, as in `notify.channels`; one with the name of a channel of
    the host takes its place here. Their secrets are those of this account. Default `{}`."""

    notify: NotifyRules | None = field(
        default=None,
        metadata=_about(account_rules_kind(), example=[{"on": ["failed"], "channels": ["team"]}]),
    )
    """Who is told what of the flows of this account for which neither their file nor a
    `_defaults.yaml` says `notify`, a list of rules. Default (null): `notify.default`."""


class AccountKey(NamedTuple):
    """What is known of one key of an account besides its paragraph; as `Setting` has it."""

    name: str
    kind: Kind
    default: Any
    example: Any


KEYS: Mapping[str, AccountKey] = MappingProxyType(
    {
        part.name: AccountKey(part.name, default=part.default, **part.metadata)
        for part in fields(AccountSettings)
    }
)
"""Name → the key, in the order of this page."""


class Shared(NamedTuple):
    """What two accounts have in common and may not: the account and key to blame, and why."""

    account: str
    key: str
    message: str
    hint: str


def shared_between(
    accounts: Mapping[str, AccountSettings], credentials: str | None
) -> Iterator[Shared]:
    """Yields what accounts share and may not: folders and sources of secrets.

    Args:
        accounts: All of them.
        credentials: The unit's credentials directory, a source of the account `default`.
    """
    folders: dict[str | None, str] = {}
    for name, account in accounts.items():
        first = folders.setdefault(account.folder, name)
        if first != name:
            text = f"{quote(account.folder)} is the folder of account {first}"
            yield Shared(name, "folder", text, "give each account a folder of its own")
    yield from _shared_directories(accounts, credentials)
    yield from _shared_prefixes(accounts)


def _shared_directories(
    accounts: Mapping[str, AccountSettings], credentials: str | None
) -> Iterator[Shared]:
    owners: dict[Path, str] = {}
    if credentials and DEFAULT_ACCOUNT in accounts:
        owners[Path(credentials).resolve()] = DEFAULT_ACCOUNT
    for name, account in accounts.items():
        for source in account.secrets:
            if isinstance(source, SecretDirectory):
                owner = owners.setdefault(source.path.resolve(), name)
                if owner != name:
                    yield _shared_source(name, owner, str(source.path))


def _shared_prefixes(accounts: Mapping[str, AccountSettings]) -> Iterator[Shared]:
    """Yields prefixes that another account's begins with: sorted, such a one comes just before."""
    prefixes = sorted(
        (source.prefix, name)
        for name, account in accounts.items()
        for source in account.secrets
        if isinstance(source, SecretVariables)
    )
    shorter, owner = "", ""
    for prefix, name in prefixes:
        if not shorter or not prefix.startswith(shorter):
            shorter, owner = prefix, name
        elif name != owner:
            yield _shared_source(name, owner, prefix)


def _shared_source(account: str, owner: str, source: str) -> Shared:
    text = f"the secrets of {quote(source)} are those of account {owner}"
    return Shared(account, "secrets", text, "give each account sources of its own")
