"""What is remembered of a repository outlives a restart, and damage is not believed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flowrunner.model.ids import Revision
from flowrunner.reconcile.upstream.ledger import MOST_REMEMBERED, Ledger, Memory
from flowrunner.reconcile.upstream.values import Commit, Pin, Published
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import DEFAULT_START


def published(number: int) -> Published:
    commit = Commit(
        revision=Revision(f"{number:040x}"),
        author="Ä\u202e",
        subject='"quoted"',
        committed_at="2027-01-01",
        is_verified=True,
    )
    return Published(commit=commit, at=DEFAULT_START + timedelta(minutes=number))


def test_memory_comes_back(tmp_path: Path) -> None:
    """History, pin and times are the same after a restart; the history is bounded."""
    memory = Memory(
        url="/r",
        pin=Pin(revision=Revision("a" * 40), at=DEFAULT_START, uid=7, reason="why"),
        fetched_at=DEFAULT_START,
    )
    for number in range(MOST_REMEMBERED + 5):
        memory = memory.with_published(published(number))
    ledger = Ledger(LocalFiles(), tmp_path / "memory.json")
    ledger.write(memory)
    assert ledger.read("/r") == memory
    assert len(memory.history) == MOST_REMEMBERED
    assert memory.known(Revision(f"{MOST_REMEMBERED:040x}")) == published(MOST_REMEMBERED).commit


def test_another_address_begins_anew(tmp_path: Path) -> None:
    """A pin of one repository says nothing about another one."""
    ledger = Ledger(LocalFiles(), tmp_path / "memory.json")
    ledger.write(Memory(url="/r").with_published(published(1)))
    assert ledger.read("/other") == Memory(url="/other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"url": "/r", "fetched_at": null, "pin": null, "history": [1]}',
        '{"url": "/r", "fetched_at": "yesterday", "pin": null, "history": []}',
        '{"url": "/r", "fetched_at": "2027-01-01", "pin": null, "history": []}',
        '{"url": "/r", "fetched_at": null, "history": [], "pin": {"revision": "../../etc"}}',
    ],
)
def test_damage_is_not_believed(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read is taken for nothing, and said."""
    (tmp_path / "memory.json").write_text(text)
    assert Ledger(LocalFiles(), tmp_path / "memory.json").read("/r") == Memory(url="/r")
    assert "source.memory_lost" in caplog.text
