"""One sync, step by step, in a thread: look, fetch, verify, check out, put in place.

Whatever fails leaves in place what is there. The order makes each step safe against a crash: a
revision is whole before it has its name, and a pin is durable before it is obeyed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.errors import NotFoundError, RefusedError
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.reconcile.upstream.checkouts import Checkouts
from flowrunner.reconcile.upstream.ledger import Ledger, Memory
from flowrunner.reconcile.upstream.repository import Repository, Target
from flowrunner.reconcile.upstream.signatures import Signatures
from flowrunner.reconcile.upstream.values import (
    Pin,
    Published,
    RefusedRevisionError,
    SyncOutcome,
    SyncResult,
)
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files
from flowrunner.system.tools import StoppedError, ToolFailedError

_LOG = logging.getLogger(__name__)
_DIGITS = re.compile(r"[0-9a-f]{4,64}")
_CLEANED_EVERY = 50
"""Revisions put in place between two cleanings of the repository."""
_MOST_SAID = 1_000
"""Characters of what git said: ssh takes some 700 to say that a host has another key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRules:
    """What the settings say.

    Attributes:
        kept: How many earlier revisions stay checked out.
    """

    url: str
    require_fast_forward: bool = False
    kept: int = 3


class Syncer:
    """Carries out syncs and rollbacks, one at a time. Its methods block."""

    def __init__(
        self,
        *,
        rules: SyncRules,
        repository: Repository,
        checkouts: Checkouts,
        ledger: Ledger,
        signatures: Signatures,
        files: Files,
        folder: Path,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._repository = repository
        self._checkouts = checkouts
        self._ledger = ledger
        self._signatures = signatures
        self._files = files
        self._folder = folder
        self._clock = clock
        self._memory = Memory(url=rules.url)
        self._count = 0

    @property
    def memory(self) -> Memory:
        """What is remembered; immutable, and replaced whole."""
        return self._memory

    @property
    def checkouts(self) -> Checkouts:
        """The revisions that are checked out."""
        return self._checkouts

    def load(self) -> None:
        """Reads what is remembered, and finishes a rollback that a crash has cut short.

        Raises:
            OSError: The state cannot be used.
        """
        self._files.make_folder(self._folder)
        self._memory = self._ledger.read(self._rules.url)
        self._checkouts.sweep()
        pin = self._memory.pin
        is_moved = pin is not None and self._checkouts.current() != pin.revision
        if pin is not None and is_moved and self._checkouts.has(pin.revision):
            self._checkouts.put(pin.revision)

    def sync(self) -> SyncResult:
        """Brings what the repository has now; raises `StoppedError` alone."""
        newest = Revision("")
        try:
            self._repository.prepare()
            target = self._repository.newest()
            self._repository.fetch(target)
            newest = self._repository.commit()
            result = self._take(target, newest)
        except StoppedError:
            raise
        except RefusedRevisionError as error:
            return self._result(SyncOutcome.REFUSED, newest, error.reason, str(error))
        except ToolFailedError as error:
            text = _plain(error.message, self._rules.url)
            return self._result(SyncOutcome.FAILED, newest, ConditionReason.SYNC_FAILED, text)
        except OSError as error:
            text = f"the state cannot be written: {error.strerror or error}"
            return self._result(SyncOutcome.FAILED, newest, ConditionReason.SYNC_FAILED, text)
        return result

    def _take(self, target: Target, newest: Revision) -> SyncResult:
        """Judges what was fetched; a broken repository is found out here at the latest."""
        try:
            return self._judge(target, newest)
        except StoppedError:
            raise
        except ToolFailedError:
            if not self._repository.renew_if_broken(target):
                raise
        return self._judge(target, self._repository.commit())

    def _judge(self, target: Target, newest: Revision) -> SyncResult:
        fetched = self._repository.fetched_object()
        git = self._repository.git
        is_verified = self._signatures.check(git, newest, fetched, target.name)
        pin, current = self._memory.pin, self._checkouts.current()
        if pin is not None:
            self._remember_reached()
            if current == pin.revision:
                return self._result(SyncOutcome.PINNED, newest)
            self._publish(pin.revision, is_verified=False)  # its checkout was lost
            return self._result(SyncOutcome.PINNED, newest)
        if current == newest:
            self._remember_reached()
            return self._result(SyncOutcome.UNCHANGED, newest)
        if current is not None and not self._repository.descends(newest, current):
            text = f"{newest[:12]} does not descend from {current[:12]}, which is in force"
            if self._rules.require_fast_forward:
                text += ": look at it, then `flowrunner source rollback` to it, and unpin"
                raise RefusedRevisionError(ConditionReason.NOT_FAST_FORWARD, text)
            _LOG.warning("source.not_fast_forward: %s", text)
        self._publish(newest, is_verified=is_verified)
        return self._result(SyncOutcome.PUBLISHED, newest)

    def _publish(self, revision: Revision, *, is_verified: bool) -> None:
        """Puts a revision in place, and remembers it."""
        self._checkouts.add(self._repository.git, revision)
        commit = self._repository.describe(revision, is_verified=is_verified)
        now = self._clock.now()
        memory = self._memory.with_published(Published(commit=commit, at=now))
        self._remember(replace(memory, fetched_at=now))
        self._checkouts.put(revision)
        self._repository.keep({each.commit.revision for each in memory.history})
        self._count += 1
        if self._count % _CLEANED_EVERY == 0:
            self._repository.clean()

    def rollback(self, revision: str, *, uid: int | None, reason: str) -> Revision:
        """Pins a revision and puts it in place.

        Args:
            revision: At least four digits of a commit.
            uid: Who asks.
            reason: Why, in the words of whoever asks.

        Raises:
            NotFoundError: ``source.revision``: no commit here begins so, or several do.
            RefusedError: ``not_verified``, or the code of what is wrong with it.
            ToolFailedError: Git failed.
            OSError: The state cannot be written.
        """
        self._repository.prepare()
        found = self._found(revision)
        try:
            is_verified = self._verified(found)
            self._checkouts.add(self._repository.git, found)
        except RefusedRevisionError as error:
            raise RefusedError(str(error), code="not_verified") from error
        pin = Pin(revision=found, at=self._clock.now(), uid=uid, reason=reason)
        self._remember(replace(self._memory, pin=pin))
        if self._checkouts.current() != found:
            self._publish(found, is_verified=is_verified)
        return found

    def _found(self, revision: str) -> Revision:
        where = "`flowrunner source history` lists some"
        if _DIGITS.fullmatch(revision) is None:
            text = f"{revision[:60]!r} is not at least 4 digits of a commit: {where}"
            raise NotFoundError(text, code="source.revision")
        found = self._repository.find(revision)
        if found is None:
            known = {each for each in self._checkouts.revisions() if each.startswith(revision)}
            found = known.pop() if len(known) == 1 else None
        if found is None:
            text = f"no commit here begins with {revision}, or several do"
            raise NotFoundError(f"{text}: {where}", code="source.revision")
        return found

    def _verified(self, commit: Revision) -> bool:
        """Whether a commit that somebody goes back to is verified, if that is asked for."""
        if self._signatures.mode != "tag":
            return self._signatures.check(self._repository.git, commit, commit)
        known = self._memory.known(commit)
        if known is None or not known.is_verified:
            text = f"no signed tag of {commit[:12]} was seen here"
            raise RefusedRevisionError(ConditionReason.NOT_SIGNED, text)
        return True

    def unpin(self) -> bool:
        """Ends the pin and returns whether there was one; raises `OSError`."""
        was_pinned = self._memory.pin is not None
        if was_pinned:
            self._remember(replace(self._memory, pin=None))
        return was_pinned

    def has_spare(self) -> bool:
        """Whether there are more checkouts than stay without a reason."""
        return len(self._checkouts.revisions()) > 1 + self._rules.kept

    def tidy(self, needed: Collection[Revision]) -> None:
        """Removes the checkouts that nobody needs, but for some of the newest."""
        in_order = dict.fromkeys(each.commit.revision for each in self._memory.history)
        current = self._checkouts.current()
        earlier = [revision for revision in in_order if revision != current]
        self._checkouts.remove_all_but([*needed, *earlier[: self._rules.kept]])

    def _remember_reached(self) -> None:
        self._memory = replace(self._memory, fetched_at=self._clock.now())

    def _remember(self, memory: Memory) -> None:
        self._ledger.write(memory)
        self._memory = memory

    def _result(
        self,
        outcome: SyncOutcome,
        newest: Revision,
        reason: ConditionReason = ConditionReason.SYNCED,
        message: str = "",
    ) -> SyncResult:
        at = self._clock.now()
        return SyncResult(outcome=outcome, at=at, newest=newest, reason=reason, message=message)


def _plain(message: str, url: str) -> str:
    """Returns what git said on one line, without the frames of `@` that ssh draws."""
    words = message.replace(url, "the repository").split()
    return " ".join(word for word in words if word.strip("@"))[:_MOST_SAID]
