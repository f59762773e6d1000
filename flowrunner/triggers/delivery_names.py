"""What a provider calls a delivery: the kind of what happened, and its id.

They are for people who compare our records with those of the provider; nothing is decided by
them. Whoever sends a delivery without a proof can put anything there, also a secret by mistake:
texts are cut, and secrets of the hook are taken out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowrunner.model.delivery_record import LONGEST_NAME, DeliveryRecord, storable
from flowrunner.model.hook_auth import Provider
from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue

_HIDDEN = "***"


def names_in_headers(
    row: Provider, headers: Mapping[str, str], secrets: Sequence[SecretValue]
) -> tuple[str, str]:
    """Returns the kind and the id that the headers of a delivery say; empty for none.

    Empty too where no secret is known that could be among them: of a wrong method none was read.
    """
    if not secrets:
        return "", ""
    event = headers.get(row.event_header, "")
    delivery_id = ""
    for name in row.id_headers:
        delivery_id = delivery_id or headers.get(name, "")
    return _without(event, secrets), _without(delivery_id, secrets)


def names_in_body(row: Provider, body: Json, record: DeliveryRecord) -> DeliveryRecord:
    """Returns a record with the kind and the id that the body says, where the provider does so."""
    if not row.event_key or not isinstance(body, Mapping):
        return record
    return replace(
        record, event=_text(body.get(row.event_key)), delivery_id=_text(body.get(row.id_key))
    )


def _text(value: Json) -> str:
    return storable(value, LONGEST_NAME) if isinstance(value, str) else ""


def _without(text: str, secrets: Sequence[SecretValue]) -> str:
    if not text:
        return ""
    for secret in secrets:
        value = str(secret.reveal())
        if value and value in text:
            text = text.replace(value, _HIDDEN)
    return storable(text, LONGEST_NAME)
