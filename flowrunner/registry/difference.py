"""What differs between two sets of flows, told by who keeps an object and who does not."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from flowrunner.model.ids import FlowKey
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.flow_set import FlowSet


def changed_keys(
    before: Mapping[FlowKey, FlowEntry], after: Mapping[FlowKey, FlowEntry]
) -> AbstractSet[FlowKey]:
    """Returns the keys that came, went or have another entry: an entry is never changed in place.

    A set that took the place of the other knows them: they were worked out once, for all who ask.
    Else it takes a tenth of a microsecond a flow.
    """
    known = after.changed_since(before) if isinstance(after, FlowSet) else None
    if known is not None:
        return known
    if not before:
        return after.keys()
    new = {key for key, entry in after.items() if before.get(key) is not entry}
    came = sum(1 for key in new if key not in before)
    is_gone = len(before) + came > len(after)
    return new | (before.keys() - after.keys()) if is_gone else new
