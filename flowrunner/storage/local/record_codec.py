"""The last good definitions as readable files, and back: what `codec` is for rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime

from flowrunner.model.digest import digest_of
from flowrunner.model.ids import Digest, FlowKey, Json, Revision
from flowrunner.model.packed import PackedDefinition, laid_out
from flowrunner.storage.flow_store import FlowRecord

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_DEFINITION = b',\n  "definition": '
_END = b"\n}\n"
"""What stands around the definition in the file of a flow record."""


def record_text(record: FlowRecord) -> bytes:
    """Returns the file of a flow record: JSON that a person can read, the definition last.

    The hash of the definition as it is written there spares a reader to work its digest out.
    """
    definition = laid_out(record.definition)
    updated_at = record.updated_at.astimezone(UTC).isoformat(timespec="microseconds")
    # By hand: the encoder of the library indents in Python, and takes as long as all the rest.
    lines = (
        f'"account": {_ENCODE(record.key.account)}',
        f'"name": {_ENCODE(record.key.name)}',
        f'"path": {_ENCODE(record.path)}',
        f'"revision": {_ENCODE(record.revision)}',
        f'"digest": {_ENCODE(record.digest)}',
        f'"generation": {record.generation}',
        f'"updated_at": "{updated_at}"',
        f'"written": "{_hash_of(record.digest, definition)}"',
    )
    head = "{\n  " + ",\n  ".join(lines)
    return head.encode(errors="surrogatepass") + _DEFINITION + definition + _END


def record_of(data: bytes) -> FlowRecord:
    """Returns the record of a file; raises `ValueError` when its digest does not fit."""
    return _record_as_written(data) or _record_of(json.loads(data))


def _record_as_written(data: bytes) -> FlowRecord | None:
    """Returns the record of a file that is as it was written; None if that cannot be said."""
    head, between, rest = data.partition(_DEFINITION)
    if not between or not rest.endswith(_END):
        return None
    definition = rest.removesuffix(_END)
    try:
        fields = json.loads(head.decode(errors="surrogatepass") + "}")
    except ValueError:  # laid out by somebody else
        return None
    if fields.get("written") != _hash_of(fields["digest"], definition):
        return None
    return _record(fields, PackedDefinition(definition, keep_lines=True))


def _record_of(fields: dict[str, Json]) -> FlowRecord:
    definition = fields["definition"]
    digest = digest_of(definition)
    if digest != fields["digest"]:
        raise ValueError(f"the definition's digest is {digest}, not {fields['digest']}")
    return _record(fields, PackedDefinition(definition))


def _record(fields: dict[str, Json], definition: PackedDefinition) -> FlowRecord:
    return FlowRecord(
        key=FlowKey(fields["account"], fields["name"]),
        path=fields["path"],
        revision=Revision(fields["revision"]),
        digest=Digest(fields["digest"]),
        definition=definition,
        generation=fields["generation"],
        updated_at=datetime.fromisoformat(fields["updated_at"]),
    )


def _hash_of(digest: str, definition: bytes) -> str:
    """Returns what binds a digest to the text of its definition."""
    return hashlib.sha256(digest.encode() + definition).hexdigest()


def left_text(keys: Collection[FlowKey]) -> bytes:
    """Returns the file of the flows that have left: JSON that a person can read."""
    flows = [{"account": key.account, "name": key.name} for key in sorted(keys)]
    fields = {"digest": digest_of({"flows": flows}), "flows": flows}
    return f"{json.dumps(fields, indent=2)}\n".encode()


def left_of(data: bytes) -> frozenset[FlowKey]:
    """Returns the flows of such a file; raises `ValueError` when its digest does not fit."""
    fields = json.loads(data)
    flows = fields["flows"]
    digest = digest_of({"flows": flows})
    if digest != fields["digest"]:
        raise ValueError(f"the digest of the flows is {digest}, not {fields['digest']}")
    return frozenset(FlowKey(each["account"], each["name"]) for each in flows)
