"""What flows lack on this host: secrets, and users that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowrunner.model.ids import FlowKey


class Lacking(NamedTuple):
    """What a flow lacks on this host."""

    secrets: tuple[str, ...] = ()
    user: str = ""


_LACKS_NOTHING = Lacking()


class Lacks(NamedTuple):
    """What flows lack on this host."""

    secrets: Mapping[FlowKey, tuple[str, ...]]
    users: Mapping[FlowKey, str]

    def news(self, before: Lacks) -> set[FlowKey]:
        """Returns the flows of which it says something else than another look did before."""
        pairs = ((self.secrets, before.secrets), (self.users, before.users))
        return {
            key
            for these, those in pairs
            if these is not those and these != those
            for key in these.keys() | those.keys()
            if these.get(key) != those.get(key)
        }

    def of(self, key: FlowKey) -> Lacking:
        """Returns what one flow lacks; the same object for all that lack nothing."""
        if key not in self.secrets and key not in self.users:
            return _LACKS_NOTHING
        return Lacking(self.secrets.get(key, ()), self.users.get(key, ""))
