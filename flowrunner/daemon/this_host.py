"""What `validate --settings` reads files with: the reader and the accounts of this host.

Apart from `flowrunner.daemon.offline`, so that a check without settings does not pay for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flowrunner.config.settings import Settings
from flowrunner.daemon.account_places import AccountPlaces
from flowrunner.daemon.accounts import account_map, channel_map, users_of
from flowrunner.daemon.host_check import HostCheckingReader
from flowrunner.daemon.secret_sources import make_secrets
from flowrunner.definitions.compiler import Reader
from flowrunner.system.users import local_users


def on_this_host(
    reader: Reader, settings: Settings, environment: Mapping[str, str]
) -> tuple[Reader, AccountPlaces]:
    """Returns a reader that adds what this host lacks, and whose the files are."""
    accounts = account_map(settings.accounts, settings.engine.roots)
    secrets = make_secrets(environment, environment, settings.accounts)
    users = local_users(settings.engine.users, users_of(settings.accounts))
    places = AccountPlaces(accounts, _root(settings))
    labels = frozenset(settings.server.labels)
    channels = channel_map(settings.accounts, settings.notify.channels)
    checking = HostCheckingReader(
        reader, secrets, users, accounts, channels=channels, labels=labels
    )
    return checking, places


def _root(settings: Settings) -> Path | None:
    """Returns where the flows are that a person checks; None where that cannot be told.

    Of a repository that the daemon pulls a person has another checkout, and stands in it.
    """
    git = settings.source.git
    if git.url is None:
        return settings.source.path
    here = Path(os.path.realpath(Path.cwd()))
    checkout = next((each for each in (here, *here.parents) if (each / ".git").exists()), None)
    return checkout / (git.path or "") if checkout else None
