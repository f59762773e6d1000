"""Which secrets this host does not have, of those that flows cannot work without."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.secrets.lookup import Secrets

_Secret: TypeAlias = tuple[str, str]
"""Account and name."""


def missing_secrets(
    specs: Mapping[FlowKey, FlowSpec], secrets: Secrets
) -> Mapping[FlowKey, tuple[str, ...]]:
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
        self._users: dict[_Secret, set[FlowKey]] = {}
        self._absent: set[_Secret] = set()
        self._lacking: Mapping[FlowKey, tuple[str, ...]] = {}
        """What flows lack while these secrets are absent; never changed, for it is handed out."""
        self._unsure: set[FlowKey] = set()
        """The flows of which that is still to be worked out."""

    def learn(self, specs: Mapping[FlowKey, FlowSpec], touched: Collection[FlowKey] | None) -> None:
        """Takes in the versions in force of the flows `touched`; None: these are all there are."""
        if touched is None:  # most are as they were
            touched = [key for key, spec in specs.items() if self._specs.get(key) is not spec]
            touched += self._specs.keys() - specs.keys()
        for key in touched:
            old, new = self._specs.pop(key, None), specs.get(key)
            before = old.secrets_in_use if old else ()
            needed = new.secrets_in_use if new else ()
            if new is not None:
                self._specs[key] = new
            if before or needed:  # most flows need none
                self._unsure.add(key)
            for name in before:
                self._users[key.account, name].discard(key)
            for name in needed:
                self._users.setdefault((key.account, name), set()).add(key)

    def missing(
        self, secrets: Secrets, touched: Collection[FlowKey] | None = None
    ) -> Mapping[FlowKey, tuple[str, ...]]:
        """Returns as `missing_secrets` does.

        Args:
            secrets: Are asked, once for each secret.
            touched: The flows whose secrets are asked for; of others what was known is still said.
                None: all.
        """
        if touched is None:
            wanted = {pair for pair, users in self._users.items() if users}
            gone = self._absent - wanted
        else:
            specs = ((key, self._specs[key]) for key in touched if key in self._specs)
            wanted = {(key.account, name) for key, spec in specs for name in spec.secrets_in_use}
            gone = set()
        absent = {pair for pair in wanted if secrets.lookup(*pair) is None}
        came = {pair for pair in wanted if pair in self._absent and pair not in absent} | gone
        left = {pair for pair in absent if pair not in self._absent}
        if came or left:
            self._absent = (self._absent - came) | left
        self._unsure.update(key for pair in came | left for key in self._users[pair])
        if self._unsure:
            self._work_out()
        return self._lacking

    def _work_out(self) -> None:
        """Says anew what the flows lack of which something is new."""
        keys = self._unsure
        found = {
            key: _lacking(key, self._specs[key], self._absent) for key in keys if key in self._specs
        }
        lacking = {**self._lacking, **found}
        for key in [key for key in keys if not found.get(key)]:
            lacking.pop(key, None)
        self._lacking, self._unsure = lacking, set()


def _lacking(key: FlowKey, spec: FlowSpec, absent: set[_Secret]) -> tuple[str, ...]:
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
