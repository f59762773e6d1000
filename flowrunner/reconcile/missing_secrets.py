"""Which secrets this host does not have, of those that flows cannot work without."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.secrets.lookup import Secrets


def missing_secrets(
    specs: Mapping[FlowKey, FlowSpec], secrets: Secrets
) -> dict[FlowKey, tuple[str, ...]]:
    """Returns the sorted names by flow, without flows that lack nothing.

    Asks for each secret once, and blocks: secrets may be files.
    """
    wanted = {(key.account, name) for key, spec in specs.items() for name in spec.secrets_in_use}
    absent = {pair for pair in wanted if secrets.lookup(*pair) is None}
    lacking = {key: _lacking(key, spec, absent) for key, spec in specs.items()} if absent else {}
    return {key: names for key, names in lacking.items() if names}


def _lacking(key: FlowKey, spec: FlowSpec, absent: set[tuple[str, str]]) -> tuple[str, ...]:
    """Returns what one flow lacks; of the secrets of a hook one will do."""
    needed = [(name,) for name in spec.secrets] + [hook.auth.secrets for hook in spec.webhooks]
    lacking = {
        name
        for names in needed
        if absent.issuperset((key.account, each) for each in names)
        for name in names
    }
    return tuple(sorted(lacking))
