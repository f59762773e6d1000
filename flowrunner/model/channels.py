"""Which channels there are, of the host and of accounts, and which ones a flow's nodes name. Pure.

A channel of an account takes the place of one of the host with the same name. What a channel does
is the business of `flowrunner.notify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.model.notify import NotifyRules

EMAIL = "email"
"""The type of channel that a node of type `email` needs."""


class ChannelUse(NamedTuple):
    """A channel that a node names.

    Attributes:
        type: What it has to be; empty: any.
    """

    name: str
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMap:
    """The channels of the settings.

    Attributes:
        host: Name → type, of the channels of the host.
        of_accounts: Account → the same of its own.
        is_open: Whether every name is taken for a channel: where nobody is told anything.
    """

    host: Mapping[str, str] = field(default_factory=dict)
    of_accounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    is_open: bool = False

    def label(self, account: str, name: str) -> str | None:
        """Returns the label of a channel by the name that an account knows; None: there is none.

        A label is the name of a channel of the host, and `ACCOUNT/NAME` of one of an account.
        """
        if name in self.of_accounts.get(account, {}):
            return f"{account}/{name}"
        return name if name in self.host else None

    def problems(
        self, account: str, rules: NotifyRules | None, uses: Iterable[ChannelUse]
    ) -> dict[ChannelUse, str]:
        """Returns what is wrong with channels that rules and nodes of a flow name.

        Returns:
            Each use that cannot be, sorted, and why.
        """
        if self.is_open or not (rules or uses):
            return {}
        named = {ChannelUse(name) for rule in rules or () for name in rule.channels}.union(uses)
        found = ((use, self._problem(account, use)) for use in sorted(named))
        return {use: text for use, text in found if text}

    def _problem(self, account: str, use: ChannelUse) -> str:
        label = self.label(account, use.name)
        if label is None:
            return f"no channel {use.name!r}"
        kind = self.of_accounts[account][use.name] if "/" in label else self.host[use.name]
        if use.type and kind != use.type:
            return f"no channel {use.name!r} of type {use.type}: it is of type {kind}"
        return ""


NO_CHANNELS = ChannelMap(host=MappingProxyType({}), of_accounts=MappingProxyType({}))
"""No channels in the settings."""

ANY_CHANNELS = ChannelMap(host=MappingProxyType({}), of_accounts=MappingProxyType({}), is_open=True)
"""Whatever is named is taken for a channel."""
