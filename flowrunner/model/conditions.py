"""Conditions: what is true of a flow or of the source, with a reason and since when.

The shape and the rule of the transition time are Kubernetes'. Source: Kubernetes API
conventions, "Typical status properties".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass


class ConditionType(StrEnum):
    """The types in use: five of flows, those of the source, the last three of the daemon."""

    __hash__ = str.__hash__  # that of `Enum` is ten times slower, and start-up time is a budget

    READY = "Ready"
    VALID = "Valid"
    SCHEDULED = "Scheduled"
    SUSPENDED = "Suspended"
    PAUSED = "Paused"
    SOURCE_READY = "SourceReady"
    SOURCE_WATCHED = "SourceWatched"
    PRUNE_HELD = "PruneHeld"
    SOURCE_SYNCED = "SourceSynced"
    SOURCE_VERIFIED = "SourceVerified"
    SOURCE_PINNED = "SourcePinned"
    STATE_RESTORED = "StateRestored"
    FILES_WATCHED = "FilesWatched"
    CHANNELS_WORKING = "ChannelsWorking"


class Status(StrEnum):
    """Kubernetes' three words."""

    __hash__ = str.__hash__

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionReason(StrEnum):
    """Reason constants; each is explained in `docs/conditions.md`."""

    __hash__ = str.__hash__

    READY = "Ready"
    VALID = "Valid"
    INVALID = "Invalid"
    INVALID_NEW_VERSION = "InvalidNewVersion"
    DEFAULTS_INVALID = "DefaultsInvalid"
    DUPLICATE_NAME = "DuplicateName"
    WEBHOOK_PATH_CLAIMED = "WebhookPathClaimed"
    FLOW_CYCLE = "FlowCycle"
    GROUP_DEADLOCK = "GroupDeadlock"
    CALL_INPUTS = "CallInputs"
    FLOW_MISSING = "FlowMissing"
    UNIDENTIFIED_FILE = "UnidentifiedFile"
    PROTECTED_FLOW = "ProtectedFlow"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
    USER_NOT_PERMITTED = "UserNotPermitted"
    NODE_TYPE_NOT_PERMITTED = "NodeTypeNotPermitted"
    PATH_NOT_PERMITTED = "PathNotPermitted"
    CHANNEL_MISSING = "ChannelMissing"
    NO_ACCOUNT = "NoAccount"
    SCHEDULED = "Scheduled"
    NO_SCHEDULE = "NoSchedule"
    DISABLED = "Disabled"
    OTHER_HOST = "OtherHost"
    NOT_READY = "NotReady"
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    PAUSED = "Paused"
    CONSECUTIVE_FAILURES = "ConsecutiveFailures"
    NOT_PAUSED = "NotPaused"
    SOURCE_READ = "SourceRead"
    SOURCE_MISSING = "SourceMissing"
    SOURCE_EMPTY = "SourceEmpty"
    SOURCE_UNREADABLE = "SourceUnreadable"
    SOURCE_UNSTABLE = "Unstable"
    SOURCE_TOO_LARGE = "SourceTooLarge"
    GIT_LOCKED = "GitLocked"
    WATCHING = "Watching"
    WATCH_FAILED = "WatchFailed"
    NETWORK_FILE_SYSTEM = "NetworkFileSystem"
    MASS_DELETION = "MassDeletion"
    NOTHING_HELD = "NothingHeld"
    SYNCED = "Synced"
    SYNC_FAILED = "SyncFailed"
    REF_MISSING = "RefMissing"
    REF_AMBIGUOUS = "RefAmbiguous"
    FOLDER_MISSING = "FolderMissing"
    NOT_FAST_FORWARD = "NotFastForward"
    VERIFIED = "Verified"
    NOT_SIGNED = "NotSigned"
    BAD_SIGNATURE = "BadSignature"
    KEYS_UNREADABLE = "KeysUnreadable"
    PINNED = "Pinned"
    NOT_PINNED = "NotPinned"
    RESTORED_FROM_BACKUP = "RestoredFromBackup"
    STATE_LOST = "StateLost"
    WORKING = "Working"
    CHANNEL_FAILING = "ChannelFailing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition; `last_transition_at` changes with the status alone."""

    type: ConditionType
    status: Status
    reason: ConditionReason
    message: str = ""
    last_transition_at: datetime


def merge_conditions(
    before: Iterable[Condition], after: Iterable[Condition]
) -> tuple[Condition, ...]:
    """Returns `after`, each keeping its old transition time where the status did not change.

    Where nothing changed, that is `before`, and `after` where there was nothing: thousands of flows
    share what they say.
    """
    if isinstance(before, tuple) and isinstance(after, tuple):
        if not before:
            return after
        if _says_the_same(before, after):
            return before
    known = {condition.type: condition for condition in before}
    return tuple([_merged(known.get(new.type), new) for new in after])


def _says_the_same(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> bool:
    """Whether only the times may differ."""
    if len(before) != len(after):
        return False
    for old, new in zip(before, after, strict=True):
        if old is not new and not (
            old.type is new.type
            and old.status is new.status
            and old.reason is new.reason
            and old.message == new.message
        ):
            return False
    return True


def _merged(old: Condition | None, new: Condition) -> Condition:
    if old is None or old.status is not new.status:
        return new
    if old.reason is new.reason and old.message == new.message:
        return old
    return Condition(
        type=new.type,
        status=new.status,
        reason=new.reason,
        message=new.message,
        last_transition_at=old.last_transition_at,
    )
