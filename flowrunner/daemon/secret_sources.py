"""Where the secrets of this host come from: for the daemon and for `validate --settings` alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flowrunner.secrets.lookup import DefaultSecrets, Secrets


def make_secrets(environment: Mapping[str, str], secret_environment: Mapping[str, str]) -> Secrets:
    """Returns the lookup of secrets: the default sources, the only ones that settings know so far.

    Args:
        environment: Names the unit's credentials directory. Source: systemd.exec(5).
        secret_environment: Holds the secret variables under their full names.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    return DefaultSecrets(Path(folder) if folder else None, secret_environment)
