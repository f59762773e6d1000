"""Which account the files of a folder belong to, and which node types an account may use. Pure.

Source: FLOW_FORMAT, section 1: the account is the first folder when the settings map it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType

from flowrunner.dataclass import dataclass
from flowrunner.model.globs import is_inside
from flowrunner.model.ids import DEFAULT_ACCOUNT

ACCOUNT_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"
"""What an account may be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMap:
    """What the settings say of accounts that concerns flows.

    Attributes:
        folders: First folder below the root of the flows → account; empty: all flows belong to the
            account `default`, wherever they lie.
        node_types: Account → the node types that its flows may use; one that is not among them may
            use all.
        roots: Account → the folders into which its flows may look.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    node_types: Mapping[str, frozenset[str]] = field(default_factory=dict)
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def account_of(self, path: str) -> str | None:
        """Returns the account of a path relative to the root of the flows; None: it has none."""
        if not self.folders:
            return DEFAULT_ACCOUNT
        folder, slash, _ = path.partition("/")
        return self.folders.get(folder) if slash else None

    def is_known(self, account: str) -> bool:
        """Whether there is such an account."""
        if not self.folders:
            return account == DEFAULT_ACCOUNT
        return account in self.folders.values()

    def refused_types(self, account: str, types: Iterable[str]) -> tuple[str, ...]:
        """Returns those of some node types that an account may not use, sorted."""
        allowed = self.node_types.get(account)
        return () if allowed is None else tuple(sorted(set(types) - allowed))

    def is_allowed(self, account: str, folder: str) -> bool:
        """Whether an account may look into a folder, by the names in its path."""
        return any(is_inside(folder, root) for root in self.roots.get(account, ()))


NO_ACCOUNTS = AccountMap(
    folders=MappingProxyType({}),
    node_types=MappingProxyType({}),
    roots=MappingProxyType({}),
)
"""No accounts in the settings."""
