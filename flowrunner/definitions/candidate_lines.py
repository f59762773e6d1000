"""The form in which a candidate is kept or sent: JSON on one line, without its flow.

The flow comes from elsewhere: from its record, or from the definition that is sent beside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from flowrunner.definitions.cache_lines import claims_from, finding_from, told, told_claims
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.errors import FlowError
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, Json

Flow = tuple[FlowSpec, Mapping[str, Json]]
"""What a candidate without errors has besides: its spec and its definition."""


def candidate_text(candidate: Candidate, digest: str) -> bytes:
    """Returns the text of a candidate; `digest` is that of its flow, empty if there is none."""
    as_of = candidate.as_of
    entry = {
        "name": candidate.name,
        "is_foreign": candidate.is_foreign,
        "digest": digest,
        "as_of": None if as_of is None else as_of.isoformat(),
        "findings": [told(finding, candidate.file) for finding in candidate.findings],
        "claims": told_claims(candidate.claims),
    }
    return json.dumps(entry).encode()


def candidate_of(
    text: bytes, file: str, flow_of: Callable[[str, Digest], Flow | None]
) -> Candidate | None:
    """Returns the candidate of a text; None if it makes no sense or its flow is not there.

    Args:
        text: As `candidate_text` gives it.
        file: The name that the file has now.
        flow_of: Returns the flow of a name and a digest.
    """
    try:
        raw: dict[str, Any] = json.loads(text)
        as_of, digest, flow = raw["as_of"], raw["digest"], None
        if digest:
            flow = flow_of(raw["name"], digest)
            if flow is None:
                return None
        return Candidate(
            file=file,
            name=raw["name"],
            is_foreign=raw["is_foreign"],
            spec=flow and flow[0],
            definition=flow and flow[1],
            findings=tuple(finding_from(file, each) for each in raw["findings"]),
            as_of=None if as_of is None else date.fromisoformat(as_of),
            claims=claims_from(raw["claims"]),
        )
    except (FlowError, TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return None


def around_of(file: str, account: str, layers: Layers) -> tuple[bytes, bytes, bytes]:
    """Returns what decides besides the text of a file what it compiles to."""
    name = file.encode(errors="surrogateescape")
    return layers.fingerprint.encode(), name, account.encode()
