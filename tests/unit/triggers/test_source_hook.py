"""The hook of the source: who may wake a sync, and that a call does nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from pathlib import Path

import pytest

from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import OF_SOURCE, DeliveryReason, DeliveryRecord
from flowrunner.storage.memory_deliveries import MemoryDeliveries
from flowrunner.triggers.delivery_log import DeliveryLog
from flowrunner.triggers.source_hook import PATH, SourceHook
from tests.fakes.clock import FakeClock
from tests.fakes.ids import SequentialIds

SECRET = "a secret of the forge"
BODY = b'{"ref": "refs/heads/main"}'
OTHERS = DeliveryAnswer(status=202, result="accepted", hook="default/x")


def digest(secret: str = SECRET, body: bytes = BODY) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


PROOFS = {
    "github": ("x-hub-signature-256", f"sha256={digest()}"),
    "gitea": ("x-gitea-signature", digest()),
    "forgejo": ("x-forgejo-signature", digest()),
    "bitbucket": ("x-hub-signature", f"sha256={digest()}"),
    "gitlab": ("x-gitlab-token", SECRET),
}


class Others:
    """Answers what is not for the source."""

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        assert delivery.path != PATH
        return OTHERS

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        assert delivery.path != PATH


class Site:
    """A hook with a secret file, and how often it woke a sync."""

    def __init__(self, folder: Path, kind: str = "github", secret: str | None = SECRET) -> None:
        self.file, self.wakes = folder / "secret", 0
        if secret is not None:
            self.file.write_text(f"{secret}\n")
        self.kind, self.deliveries = kind, MemoryDeliveries()
        self.answers: list[DeliveryReason] = []

    def delivery_answered(self, reason: DeliveryReason) -> None:
        self.answers.append(reason)

    async def answer(self, delivery: Delivery) -> DeliveryAnswer:
        log = DeliveryLog(self.deliveries, self, SequentialIds())
        hook = SourceHook(Others(), self.kind, self.file, self.wake, log=log, clock=FakeClock())
        answer = await hook.deliver(delivery)
        await log.flush()
        return answer

    def wake(self) -> None:
        self.wakes += 1

    def call(
        self, *headers: tuple[str, str], path: str = PATH, body: bytes = BODY, method: str = "POST"
    ) -> DeliveryAnswer:
        delivery = Delivery(path=path, method=method, headers=dict(headers), query={}, body=body)
        return asyncio.run(self.answer(delivery))

    def recorded(self) -> list[DeliveryRecord]:
        """Returns what is kept of calls."""
        return asyncio.run(self.deliveries.list(DeliveryQuery()))


@pytest.mark.parametrize("kind", PROOFS)
def test_proven_call_wakes_a_sync(tmp_path: Path, kind: str) -> None:
    """A call with the proof of its kind is answered 202, and a sync is asked for."""
    site = Site(tmp_path, kind)

    answer = site.call(PROOFS[kind])

    assert (answer.status, dict(answer.body)) == (202, {"status": "sync_requested"})
    assert site.wakes == 1


@pytest.mark.parametrize("kind", PROOFS)
@pytest.mark.parametrize("shown", [*PROOFS, "wrong", "none", "empty"])
def test_other_proofs_wake_nothing(tmp_path: Path, kind: str, shown: str) -> None:
    """No proof, an empty or wrong one, and those of other kinds are all the same 401."""
    if shown == kind:
        return
    header, value = PROOFS[kind]
    wrong = value[:-1] + ("0" if value[-1] != "0" else "1")
    headers = {
        **{each: [proof] for each, proof in PROOFS.items()},
        "wrong": [(header, wrong)],
        "none": [],
        "empty": [(header, "")],
    }[shown]
    site = Site(tmp_path, kind)

    answer = site.call(*headers)

    assert (answer.status, answer.code, site.wakes) == (401, "auth.invalid", 0)


@pytest.mark.parametrize("secret", [None, "", "\n\n"], ids=["no-file", "empty", "blank-lines"])
@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_without_a_secret_nobody_is_let_in(tmp_path: Path, kind: str, secret: str | None) -> None:
    """A file that is missing or empty opens the hook to nobody, signed with nothing or not."""
    site = Site(tmp_path, kind, secret)
    header = PROOFS[kind][0]

    for value in ("", f"sha256={digest('')}"):
        answer = site.call((header, value))
        assert (answer.status, str(answer.cause)) == (401, "secret_missing")
    assert site.wakes == 0


def test_secret_can_be_changed_without_a_gap(tmp_path: Path) -> None:
    """Each line of the file is a secret, and the file is read at each call."""
    site = Site(tmp_path)
    new = ("x-hub-signature-256", f"sha256={digest('new')}")

    site.file.write_text(f"new\r\n{SECRET}\n")
    assert [site.call(new).status, site.call(PROOFS["github"]).status] == [202, 202]
    site.file.write_text("new\n")
    assert [site.call(new).status, site.call(PROOFS["github"]).status] == [202, 401]


def test_signature_covers_the_body_and_only_post_counts(tmp_path: Path) -> None:
    """Another body or another method is not what was signed."""
    site = Site(tmp_path)

    assert site.call(PROOFS["github"], body=b"{}").status == 401
    assert site.call(PROOFS["github"], method="GET").status == 401
    assert site.wakes == 0


def test_other_deliveries_are_handed_on(tmp_path: Path) -> None:
    """The hooks of flows are answered as without this one."""
    site = Site(tmp_path)

    assert site.call(PROOFS["github"], path="default/x") is OTHERS
    assert site.call(PROOFS["github"], path=f"{PATH}/x") is OTHERS
    assert site.wakes == 0


@pytest.mark.parametrize(
    ("headers", "reason", "status"),
    [((PROOFS["github"],), DeliveryReason.SYNC, 202), ((), DeliveryReason.SIGNATURE, 401)],
    ids=["proven", "forged"],
)
def test_a_call_is_recorded(
    tmp_path: Path, headers: tuple[tuple[str, str], ...], reason: DeliveryReason, status: int
) -> None:
    """It is no flow's, and has no secret; whether it was proven is told."""
    site = Site(tmp_path)

    site.call(*headers)

    (record,) = site.recorded()
    assert (record.flow, record.path) == (OF_SOURCE, PATH)
    assert (record.reason, record.status, record.is_proven) == (reason, status, bool(headers))
    assert site.answers == [reason]
