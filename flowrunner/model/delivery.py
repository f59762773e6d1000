"""Deliveries: one webhook request as received, and the answer to it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Literal

from flowrunner.dataclass import dataclass
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.hook_auth import CREDENTIAL_HEADERS
from flowrunner.model.ids import Json

HIDDEN_HEADERS = CREDENTIAL_HEADERS | {
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-forgejo-signature",
    "x-gogs-signature",
}
"""Proofs of any kind, which neither the journal nor an expression ever sees: some providers sign
several times with the same secret. The header of the hook's own `auth` is hidden too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook request as received, its body whole and untouched.

    Attributes:
        path: Below `/hooks/`, with the account as its first segment.
        headers: Lower-case names; a name sent twice has its values joined by a comma.
        source: Address of the sender, as far as it is known.
        network: Those who are taken for the same sender: the address, of IPv6 its /64.
        is_local: Whether a process of this machine sent it, by itself.
        request_id: By which the daemon's log has it.
    """

    path: str
    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    source: str = ""
    network: str = ""
    is_local: bool = False
    request_id: str = ""


class Unproven(StrEnum):
    """Why a delivery is not authenticated: for the daemon's log, never for the sender."""

    NO_HOOK = "no_hook"
    METHOD = "method"
    SECRET_MISSING = "secret_missing"  # noqa: S105 - the name of a cause
    """This host has none of the secrets that the hook names."""
    SIGNATURE = "signature"
    """There is no proof, or a wrong one."""
    TIME = "time"
    """The signature is right, and its time is further off than the hook's `tolerance`."""
    OFF_HOST = "off_host"
    """The hook asks for no proof (`auth: none`), and the delivery is not of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAnswer:
    """The answer to a delivery.

    Attributes:
        status: HTTP status.
        result: Word for logs and metrics: `accepted`, `duplicate`, `ignored`, `skipped`,
            `unauthorized`, `unavailable`, `too_large`, `unsupported`, `unprocessable`,
            `queue_full`, `rate_limited`, `succeeded`, `failed`.
        body: JSON of a success (`execution_id`, `status`), else empty.
        problem: Sentence for a problem document; empty for a success.
        code: Error code of the problem.
        cause: What is behind the one 401 for everybody; empty for other answers.
        reason: Why, in the words of the records: for those alone, as `detail` is.
        detail: What stood in the way, in words.
        is_recorded: Whether its record was written, with what it started.
        retry_after_s: For 429 and 503.
        hook: Label for metrics: `account/path`, or `_unknown`.
    """

    status: int
    result: str
    hook: str
    body: Mapping[str, Json] = field(default_factory=dict)
    problem: str = ""
    code: str = ""
    cause: Unproven | Literal[""] = ""
    retry_after_s: int | None = None
    reason: DeliveryReason = DeliveryReason.ACCEPTED
    detail: str = ""
    is_recorded: bool = False
