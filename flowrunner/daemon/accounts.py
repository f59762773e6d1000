"""What the setting `accounts` means to the parts of the daemon, to each its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from flowrunner.config.accounts import AccountSettings
from flowrunner.config.channel_kinds import ChannelSettings
from flowrunner.model.accounts import AccountMap
from flowrunner.model.channels import ChannelMap
from flowrunner.model.ids import DEFAULT_ACCOUNT

Limit = Literal["max_running_executions", "max_running_nodes"]


def account_map(accounts: Mapping[str, AccountSettings], roots: Sequence[Path] = ()) -> AccountMap:
    """Returns whose the folders are, and what the flows of each account may use.

    Args:
        accounts: The setting.
        roots: Those of the account `default`, where it has none of its own.
    """
    return AccountMap(
        folders={each.folder or name: name for name, each in accounts.items()},
        node_types={
            name: frozenset(each.node_types)
            for name, each in accounts.items()
            if each.node_types is not None
        },
        roots={
            DEFAULT_ACCOUNT: _texts(roots),
            **{name: _texts(each.roots) for name, each in accounts.items() if each.roots},
        },
    )


def channel_map(
    accounts: Mapping[str, AccountSettings], channels: Iterable[ChannelSettings]
) -> ChannelMap:
    """Returns the channels of the accounts and, as `channels`, those of the host."""
    return ChannelMap(
        host=_types_of(channels),
        of_accounts={
            name: _types_of(each.channels) for name, each in accounts.items() if each.channels
        },
    )


def _types_of(channels: Iterable[ChannelSettings]) -> dict[str, str]:
    return {each.name: each.type for each in channels}


def _texts(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(map(str, paths))


def limits_of(accounts: Mapping[str, AccountSettings], limit: Limit) -> dict[str, int]:
    """Returns a limit of every account that has one of its own."""
    found = {name: int(getattr(each, limit)) for name, each in accounts.items()}
    return {name: most for name, most in found.items() if most}


def users_of(accounts: Mapping[str, AccountSettings]) -> dict[str, frozenset[str]]:
    """Returns the users that the nodes of an account may run as, and those of others may not."""
    return {name: frozenset(each.users) for name, each in accounts.items() if each.users}
