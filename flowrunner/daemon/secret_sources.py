"""Where the secrets of this host come from: for the daemon and for `validate --settings` alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from flowrunner.config.accounts import AccountSettings, SecretDirectory, SecretVariables
from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.secrets.lookup import (
    AccountSecrets,
    FileSecrets,
    SecretSource,
    VariableSecrets,
    default_sources,
)

NO_ACCOUNTS: Mapping[str, AccountSettings] = MappingProxyType({})


def make_secrets(
    environment: Mapping[str, str],
    secret_environment: Mapping[str, str],
    accounts: Mapping[str, AccountSettings] = NO_ACCOUNTS,
) -> AccountSecrets:
    """Returns the lookup of secrets: the default sources, and those of accounts.

    Args:
        environment: Names the unit's credentials directory. Source: systemd.exec(5).
        secret_environment: Holds the secret variables under their full names.
        accounts: The setting `accounts`.
    """
    return AccountSecrets(sources_of(environment, secret_environment, accounts))


def sources_of(
    environment: Mapping[str, str],
    secret_environment: Mapping[str, str],
    accounts: Mapping[str, AccountSettings],
) -> dict[str, tuple[SecretSource, ...]]:
    """Returns the sources of each account; the arguments are those of `make_secrets`."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    sources = {
        name: tuple(_sources(account, secret_environment)) for name, account in accounts.items()
    }
    inborn = default_sources(Path(folder) if folder else None, secret_environment)
    sources[DEFAULT_ACCOUNT] = (*inborn, *sources.get(DEFAULT_ACCOUNT, ()))
    return sources


def secret_prefixes(accounts: Mapping[str, AccountSettings]) -> tuple[str, ...]:
    """Returns what the secret variables of accounts begin with."""
    sources = (source for account in accounts.values() for source in account.secrets)
    return tuple(source.prefix for source in sources if isinstance(source, SecretVariables))


def _sources(
    account: AccountSettings, secret_environment: Mapping[str, str]
) -> Iterator[SecretSource]:
    for source in account.secrets:
        match source:
            case SecretDirectory(path=path):
                yield FileSecrets(path)
            case SecretVariables(prefix=prefix):
                yield VariableSecrets(prefix, secret_environment)
