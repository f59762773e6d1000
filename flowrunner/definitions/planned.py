"""Words of the flow format that are not built yet: refused like any other, with a hint.

So that a flow written from the documentation gets "planned" instead of a guess. A word leaves this
page in the change that makes it work. All keys of the format work; a key that comes again before
its work would need a list like this one, and a code of its own: FR202 was that, and is not used
again.
"""

from __future__ import annotations

PLANNED_NODE_TYPES = frozenset({"file", "http", "python", "store"})
PLANNED_WORDS: dict[str, frozenset[str]] = {"node-type": PLANNED_NODE_TYPES}
"""Kind of word that a value may be → planned words."""
