"""Which channels are in force, and which rules hold for a flow: a reload exchanges all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from flowrunner.dataclass import dataclass
from flowrunner.model.channels import NO_CHANNELS, ChannelMap
from flowrunner.model.ids import FlowKey
from flowrunner.model.notify import NotifyRules
from flowrunner.registry.registry import FlowRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRules:
    """What the settings say of channels.

    Attributes:
        default: The rules of the host.
        defaults: Account → its own rules.
        pings: Labels of channels that are told of starts, too.
    """

    channels: ChannelMap = NO_CHANNELS
    default: NotifyRules = ()
    defaults: Mapping[str, NotifyRules] = field(default_factory=dict)
    pings: frozenset[str] = frozenset()

    def labels(self, account: str, names: Iterable[str]) -> tuple[str, ...]:
        """Returns the labels of channels by the names that an account knows; others are left out.

        A label is the name of a channel of the host, and `ACCOUNT/NAME` of one of an account.
        """
        found = (self.channels.label(account, name) for name in names)
        return tuple(dict.fromkeys(label for label in found if label is not None))

    def rules_of(self, key: FlowKey, registry: FlowRegistry) -> NotifyRules:
        """Returns the rules for a flow; none for one that has left, or belongs on other hosts."""
        entry = registry.get(key)
        if entry is None or (entry.spec is not None and registry.lacking_labels(entry.spec)):
            return ()
        if entry.spec is not None and entry.spec.notify is not None:
            return entry.spec.notify
        return self.defaults.get(key.account, self.default)


class ChannelDirectory:
    """Holds what is in force.

    Attributes:
        now: Read anew for each question, since it may be another the next time.
    """

    def __init__(self, rules: ChannelRules | None = None) -> None:
        self.now = rules or ChannelRules()

    @property
    def channels(self) -> ChannelMap:
        """The channels in force."""
        return self.now.channels
