"""The digest of a definition: one name for one content, whoever computes it and wherever.

Reconcile compares digests to see a change, an execution is pinned to one, the stores check what
they read against one. What goes into an effective definition is the compiler's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from flowrunner.model.ids import Digest, Json
from flowrunner.model.json_text import encoder

PREFIX = "sha256:"
"""What every digest begins with; 64 lower-case hex digits follow."""

_ENCODE = encoder(sort_keys=True, ensure_ascii=False, allow_nan=False)


def canonical_json(value: Json) -> bytes:
    """Returns the one text of a JSON value: sorted keys, no spaces, UTF-8.

    Keys sort by code point; `1` and `1.0` are different values. Not RFC 8785: numbers are
    written as Python writes them, which is enough for a digest that only we compute.

    Raises:
        ValueError: NaN, an infinity or a lone surrogate, which JSON cannot carry.
    """
    return _ENCODE(value).encode()


def digest_of(definition: Mapping[str, Json]) -> Digest:
    """Returns the digest of a normalised effective definition."""
    return digest_of_bytes(canonical_json(definition))


def digest_of_bytes(canonical: bytes) -> Digest:
    """Returns the digest of a definition whose canonical text is at hand."""
    return Digest(PREFIX + hashlib.sha256(canonical).hexdigest())
