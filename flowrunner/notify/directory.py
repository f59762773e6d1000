"""Which channels there are, and which rules hold for a flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowrunner.model.ids import FlowKey
from flowrunner.model.notify import NotifyRules
from flowrunner.registry.registry import FlowRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelNames:
    """The names of channels, and what holds where flows say nothing.

    Attributes:
        host: Names of the channels of the host.
        of_accounts: Account → names of its own, which come before those of the host.
        default: The rules of the host.
        defaults: Account → its own rules.
        pings: Labels of channels that are told of starts, too.
    """

    host: frozenset[str] = frozenset()
    of_accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    default: NotifyRules = ()
    defaults: Mapping[str, NotifyRules] = field(default_factory=dict)
    pings: frozenset[str] = frozenset()

    def labels(self, account: str, names: Iterable[str]) -> tuple[str, ...]:
        """Returns the labels of channels by the names that an account knows; others are left out.

        A label is the name of a channel of the host, and `ACCOUNT/NAME` of one of an account.
        """
        own = self.of_accounts.get(account, frozenset())
        found = (
            f"{account}/{name}" if name in own else name
            for name in names
            if name in own or name in self.host
        )
        return tuple(dict.fromkeys(found))

    def rules_of(self, key: FlowKey, registry: FlowRegistry) -> NotifyRules:
        """Returns the rules for a flow; none for one that has left, or belongs on other hosts."""
        entry = registry.get(key)
        if entry is None or (entry.spec is not None and registry.lacking_labels(entry.spec)):
            return ()
        if entry.spec is not None and entry.spec.notify is not None:
            return entry.spec.notify
        return self.defaults.get(key.account, self.default)
