"""What a host is called, besides its name: labels, which flows ask for, and facts.

Labels are compared as they are written, with case.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

HOST_LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
FACT_NAME = r"^[a-z][a-z0-9_]{0,62}$"


def lacking_labels(wanted: Iterable[str], labels: AbstractSet[str]) -> tuple[str, ...]:
    """Returns which of the wanted labels a host does not have, in their order."""
    return tuple(label for label in wanted if label not in labels)
