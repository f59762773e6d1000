"""Names of flows that no file of the account defines: a warning, since the rest works. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.claims import START
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.hints import did_you_mean
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import FlowKey
from flowrunner.model.references import NO_REFERENCES
from flowrunner.reconcile.scene import Refusals


def unknown_flows(keys: Iterable[FlowKey], candidates: Mapping[FlowKey, Candidate]) -> Refusals:
    """Returns warnings about names that lead nowhere.

    Args:
        keys: All flows that stay or come, those without a valid version too.
        candidates: Their new versions, as far as they have one.
    """
    known: dict[str, set[str]] = {}
    for key in keys:
        known.setdefault(key.account, set()).add(key.name)
    found: Refusals = {}
    for key, candidate in candidates.items():
        if candidate.spec is None or candidate.spec.references is NO_REFERENCES:
            continue
        missing = sorted(candidate.spec.references.names - known[key.account])
        if missing:
            found[key] = tuple(_warning(candidate, n, known[key.account]) for n in missing)
    return found


def _warning(candidate: Candidate, name: str, known: set[str]) -> Finding:
    return candidate.claims.flows.get(name, START).finding(
        codes.UNKNOWN_FLOW,
        f"there is no flow {name!r} in this account",
        file=candidate.file,
        hint=did_you_mean(name, known),
        severity=Severity.WARNING,
    )
