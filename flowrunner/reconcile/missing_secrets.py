"""Which secrets this host does not have, of those that flows cannot work without."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.secrets.lookup import Secrets


def missing_secrets(
    specs: Mapping[FlowKey, FlowSpec], secrets: Secrets
) -> dict[FlowKey, tuple[str, ...]]:
    """Returns the sorted names by flow, without flows that lack nothing.

    Asks for each secret once, and blocks: secrets may be files.
    """
    needs = SecretNeeds()
    needs.learn(specs, None)
    return needs.missing(secrets)


class SecretNeeds:
    """Which flow needs which secrets, so that a pass asks for secrets and not for flows."""

    def __init__(self) -> None:
        self._specs: dict[FlowKey, FlowSpec] = {}
        self._users: dict[tuple[str, str], set[FlowKey]] = {}
        self._absent: set[tuple[str, str]] = set()
        self._lacking: dict[FlowKey, tuple[str, ...]] = {}
        """What flows lack while these secrets are absent, as far as that was worked out."""

    def learn(self, specs: Mapping[FlowKey, FlowSpec], touched: Collection[FlowKey] | None) -> None:
        """Takes in the versions in force of the flows `touched`; None: these are all there are."""
        if touched is None:
            self._specs, self._users, self._lacking = {}, {}, {}
            touched = specs
        for key in touched:
            self._lacking.pop(key, None)
            old, new = self._specs.pop(key, None), specs.get(key)
            for name in old.secrets_in_use if old else ():
                self._users[key.account, name].discard(key)
            if new is not None:
                self._specs[key] = new
                for name in new.secrets_in_use:
                    self._users.setdefault((key.account, name), set()).add(key)

    def missing(self, secrets: Secrets) -> dict[FlowKey, tuple[str, ...]]:
        """Returns as `missing_secrets` does."""
        absent = {
            pair for pair, users in self._users.items() if users and secrets.lookup(*pair) is None
        }
        if absent != self._absent:
            self._absent, self._lacking = absent, {}
        keys = {key for pair in absent for key in self._users[pair]}
        for key in keys - self._lacking.keys():
            self._lacking[key] = _lacking(key, self._specs[key], absent)
        return {key: names for key in keys if (names := self._lacking[key])}


def _lacking(key: FlowKey, spec: FlowSpec, absent: set[tuple[str, str]]) -> tuple[str, ...]:
    """Returns what one flow lacks; of the secrets of a hook one will do."""
    of_hooks = [hook.auth.secrets for hook in spec.webhooks if hook.is_enabled]
    needed = [(name,) for name in spec.secrets] + of_hooks
    lacking = {
        name
        for names in needed
        if absent.issuperset((key.account, each) for each in names)
        for name in names
    }
    return tuple(sorted(lacking))
