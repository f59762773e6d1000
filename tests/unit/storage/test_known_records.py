"""What is remembered of the last good definitions: never anything else than their files say."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.model.ids import FlowKey
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.local.flows import KNOWN, LocalFlows
from flowrunner.storage.local.known_records import Known, KnownRecords, facts_of, known_text
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import FileKind, FileStat, LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.records import make_record

KEYS = [FlowKey(account, name) for account in ("default", "team-a") for name in ("a", "b")]
FACTS = FileStat(FileKind.FILE, 3, 1_500_000_001, 7, 8, 1_500_000_001)


class CountingFiles(LocalFiles):
    """Knows which files were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def read(self, path: Path, *, limit: int) -> bytes:
        self.opened.append(path.parent.name if path.suffix == ".json" else path.name)
        return super().read(path, limit=limit)


def later() -> FakeClock:
    """A clock that shows an hour after now: what was written is not written any more."""
    return FakeClock(SystemClock().now() + timedelta(hours=1))


def file_of(state: Path, key: FlowKey) -> Path:
    return state / "registry" / key.account / key.name / "definition.json"


def remembered(state: Path, *keys: FlowKey) -> None:
    """Writes records and remembers them."""
    flows = LocalFlows(state, LocalFiles(), later())
    asyncio.run(flows.put([make_record(key) for key in keys]))
    asyncio.run(flows.remember())


def listed(state: Path, files: LocalFiles | None = None) -> list[FlowRecord]:
    """Returns what another life finds."""
    return asyncio.run(LocalFlows(state, files or LocalFiles(), later()).list())


def test_a_start_opens_no_record_that_did_not_change(tmp_path: Path) -> None:
    """One file says it all; a record that another program wrote is read, and its neighbours not."""
    remembered(tmp_path, *KEYS)
    files = CountingFiles()
    assert listed(tmp_path, files) == [make_record(key) for key in KEYS]
    assert files.opened == [KNOWN]

    rewrite(file_of(tmp_path, KEYS[1]), lambda data: data)
    files = CountingFiles()
    assert listed(tmp_path, files) == [make_record(key) for key in KEYS]
    assert files.opened == [KNOWN, "b"]


def test_a_damaged_file_of_which_no_fact_changed_is_found_after_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A start believes the facts; whoever reads on finds the damage, once, and says so."""
    remembered(tmp_path, *KEYS)
    path = file_of(tmp_path, KEYS[0])
    data = path.read_bytes()
    path.write_bytes(data.replace(b"default", b"defaulT", 1))
    stat = LocalFiles().stat(path)
    known = KnownRecords((tmp_path / "registry" / KNOWN).read_bytes())
    kept = [Known(facts_of(stat), make_record(KEYS[0]))]
    for key in KEYS[1:]:
        facts = facts_of(LocalFiles().stat(file_of(tmp_path, key)))
        record = known.get(key, facts)
        assert record is not None
        kept.append(Known(facts, record))
    (tmp_path / "registry" / KNOWN).write_bytes(known_text(kept))

    flows = LocalFlows(tmp_path, LocalFiles(), later())
    assert asyncio.run(flows.list()) == [make_record(key) for key in KEYS]
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(flows.read_again()) == {KEYS[0]}
    assert [record.message for record in caplog.records] == ["flow_record_damaged"]
    assert asyncio.run(flows.read_again()) == frozenset()


def test_what_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    """Another write in the same moment could show the same times."""
    flows = LocalFlows(tmp_path, LocalFiles(), FakeClock(SystemClock().now()))
    asyncio.run(flows.put([make_record(KEYS[0])]))
    os.utime(file_of(tmp_path, KEYS[0]))
    asyncio.run(flows.remember())
    assert len(KnownRecords((tmp_path / "registry" / KNOWN).read_bytes())) == 0


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    """A life that changes no record leaves what is remembered alone."""
    remembered(tmp_path, *KEYS)
    before = LocalFiles().stat(tmp_path / "registry" / KNOWN)
    flows = LocalFlows(tmp_path, LocalFiles(), later())

    async def live() -> None:
        await flows.list()
        await flows.remember()

    asyncio.run(live())
    assert LocalFiles().stat(tmp_path / "registry" / KNOWN) == before


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(FACTS._replace(ctime_ns=0), id="no time of change"),
        pytest.param(FACTS._replace(ctime_ns=2_000_000_000), id="whole seconds"),
        pytest.param(FACTS._replace(kind=FileKind.LINK), id="a link"),
        pytest.param(None, id="missing"),
    ],
)
def test_facts_that_could_hide_a_change_are_none(facts: FileStat | None) -> None:
    """Where the time of change is coarse or missing, each start reads the file."""
    assert facts_of(FACTS)
    assert not facts_of(facts)


@pytest.mark.parametrize("keep", [0, 30, 200, -1])
def test_a_cut_memory_is_empty(keep: int) -> None:
    """One hash stands over all of it."""
    text = known_text([Known(facts_of(FACTS), make_record(key)) for key in KEYS])
    assert len(KnownRecords(text)) == len(KEYS)
    assert len(KnownRecords(text[:keep])) == 0


def test_a_path_that_fits_into_no_line_is_left_out() -> None:
    """Names of files may hold anything; such a record is read at each start."""
    odd = replace(make_record(KEYS[0]), path="a\tb\n.yaml")
    kept = KnownRecords(known_text([Known("1", odd), Known("2", make_record(KEYS[1]))]))
    assert len(kept) == 1
    assert kept.get(KEYS[1], "2") == make_record(KEYS[1])


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Puts a file in the place of another one, as an editor does."""
    beside = path.with_name("beside")
    beside.write_bytes(change(path.read_bytes()))
    beside.replace(path)


def _edit(state: Path, key: FlowKey) -> None:
    path = file_of(state, key)
    if path.exists():
        rewrite(path, lambda data: data.replace(b'"generation": ', b'"generation": 1'))


def _lay_out(state: Path, key: FlowKey) -> None:
    path = file_of(state, key)
    if path.exists():
        rewrite(path, lambda data: data.replace(b"\n  ", b"\n      "))


def _cut(state: Path, key: FlowKey) -> None:
    path = file_of(state, key)
    if path.exists():
        rewrite(path, lambda data: data[:50])


def _remove(state: Path, key: FlowKey) -> None:
    file_of(state, key).unlink(missing_ok=True)


def _forget(state: Path, key: FlowKey) -> None:
    (state / "registry" / KNOWN).unlink(missing_ok=True)


_DEEDS = (_edit, _lay_out, _cut, _remove, _forget)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "remember", "another life", *_DEEDS]),
        st.sampled_from(KEYS),
        st.integers(1, 3),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_a_start_finds_what_it_would_without_a_memory(
    steps: list[tuple[str | Callable[[Path, FlowKey], None], FlowKey, int]],
) -> None:
    """Whatever the daemon wrote and others did to its files, in whichever lives."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        flows = LocalFlows(state, LocalFiles(), later())
        for deed, key, number in steps:
            match deed:
                case "put":
                    asyncio.run(flows.put([make_record(key, generation=number)]))
                case "delete":
                    asyncio.run(flows.delete(key))
                case "remember":
                    asyncio.run(flows.remember())
                case "another life":
                    flows = LocalFlows(state, LocalFiles(), later())
                    asyncio.run(flows.list())
                case _:
                    assert callable(deed)
                    deed(state, key)
        found = listed(state)
        (state / "registry" / KNOWN).unlink(missing_ok=True)
        assert found == listed(state)
