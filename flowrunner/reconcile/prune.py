"""Whether flows may leave: a deletion of many is held until a person approves it.

What counts is the set that was last approved, and not the pass before: whoever deletes a few at a
time has deleted many in the end. That set is what is in force, and the flows that have left since;
those are kept by the store. A flow that comes takes the place of one that left, so that an account
whose flows come and go is not held up for what has become of flows of long ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.plan import Plan, faulty_of
from flowrunner.registry.entry import FlowEntry, PruneHold
from flowrunner.storage.flow_store import FlowStore

_FEWEST = 5
"""Flows that must be gone before a person is asked. Source: DESIGN, section 2."""
_MOST_NAMES = 3

_Flows = Mapping[FlowKey, FlowEntry]
_Keys = AbstractSet[FlowKey]


class Judged(NamedTuple):
    """A plan without what is held of it.

    Attributes:
        hold: What waits for an approval; None when nothing does.
    """

    plan: Plan
    hold: PruneHold | None = None


class PruneGuard:
    """Judges plans, one after the other, and keeps in the store what left without approval."""

    def __init__(self, store: FlowStore) -> None:
        self._store = store
        self._left: frozenset[FlowKey] | None = None

    async def judge(
        self, plan: Plan, observed: _Flows, revision: Revision, released: _Keys = frozenset()
    ) -> Judged:
        """Returns what may be carried out of a plan; what leaves with it is noted durably.

        Args:
            plan: What the source says.
            observed: The flows in force.
            revision: What the plan was made of.
            released: Flows whose removal is approved.

        Raises:
            StorageError: What has left before cannot be read, or what leaves not be kept.
        """
        if self._left is None:
            self._left = await self._store.left()
        kept = plan.missed | plan.bare
        if not plan.removed and not kept and not (self._left and plan.changed):
            return Judged(plan)
        held = _held(plan, observed, self._left, released)
        allowed = _without(plan, observed, held.keys())
        left = self._left
        await self._note(_left_after(allowed, observed, left, released))
        return Judged(allowed, _hold(revision, _texts(observed, left, held), held, kept))

    async def _note(self, left: frozenset[FlowKey]) -> None:
        """Before the flows leave: what dies in between has counted too much, not too little."""
        if left != self._left:
            await self._store.put_left(left)
            self._left = left


def empty_hold(revision: Revision, observed: _Flows, message: str) -> PruneHold:
    """Returns the hold of a source without any file."""
    text = f"{message}; {_how(revision)} approves that"
    reason = ConditionReason.SOURCE_EMPTY
    return PruneHold(revision=revision, reason=reason, flows=tuple(observed), message=text)


def _held(plan: Plan, observed: _Flows, left: _Keys, released: _Keys) -> dict[str, _Keys]:
    """Returns the accounts that lose too much at once, with all that they have lost."""
    found: dict[str, _Keys] = {}
    leaving = {key for key in plan.removed if observed[key].spec is not None} | plan.missed
    for account in sorted({key.account for key in leaving - released}):
        approved = {key for key in _armed(observed) | left if key.account == account}
        gone = approved - (plan.entries.keys() - plan.missed)
        if len(gone) >= _FEWEST and 2 * len(gone) > len(approved):
            found[account] = gone
    return found


def _without(plan: Plan, observed: _Flows, accounts: AbstractSet[str]) -> Plan:
    """Returns the plan with everything of some accounts as it is."""
    if not accounts:
        return plan
    entries = {key: entry for key, entry in plan.entries.items() if key.account not in accounts}
    entries.update((key, entry) for key, entry in observed.items() if key.account in accounts)
    return replace(
        plan,
        entries=entries,
        changed=frozenset(key for key in plan.changed if key.account not in accounts),
        removed=frozenset(key for key in plan.removed if key.account not in accounts),
        touched=None,
        is_plain=False,
        faulty=faulty_of(entries),
    )


def _left_after(plan: Plan, observed: _Flows, left: _Keys, released: _Keys) -> frozenset[FlowKey]:
    """Returns what has left without approval once the plan is carried out."""
    gone = left | {key for key in plan.removed if _is_armed(observed, key)}
    known = {key for key in gone if key not in plan.entries and key not in released}
    new = (key for key in plan.changed if key not in left and not _is_armed(observed, key))
    come = [key.account for key in new]
    replaced: set[FlowKey] = set()
    for account in set(come):
        those = sorted(key for key in known if key.account == account)
        replaced.update(islice(those, come.count(account)))
    return frozenset(known - replaced)


def _is_armed(observed: _Flows, key: FlowKey) -> bool:
    """Whether a version of a flow is in force."""
    entry = observed.get(key)
    return entry is not None and entry.spec is not None


def _armed(observed: _Flows) -> set[FlowKey]:
    return {key for key, entry in observed.items() if entry.spec is not None}


def _hold(
    revision: Revision, texts: list[str], held: Mapping[str, _Keys], kept: _Keys
) -> PruneHold | None:
    """Returns the hold of mass deletions and of protected flows; None where there is neither."""
    if not held and not kept:
        return None
    if kept:
        texts = [*texts, f"protected flows would leave or lose their protection: {_names(kept)}"]
    return PruneHold(
        revision=revision,
        reason=ConditionReason.MASS_DELETION if held else ConditionReason.PROTECTED_FLOW,
        flows=tuple(sorted({*kept, *(key for gone in held.values() for key in gone)})),
        message=f"{'; '.join(texts)}; {_how(revision)} approves that",
    )


def _texts(observed: _Flows, left: _Keys, held: Mapping[str, _Keys]) -> list[str]:
    texts = []
    for account, gone in held.items():
        whole = sum(1 for key in _armed(observed) | left if key.account == account)
        names = _names(gone)
        texts.append(f"{len(gone)} of the {whole} flows of account {account} are gone ({names})")
    return texts


def _names(keys: Iterable[FlowKey]) -> str:
    names = sorted(key.name for key in keys)
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _how(revision: Revision) -> str:
    return f"`flowrunner reconcile --allow-prune {revision}`"
