"""The registry as files: readable, checked, durable together."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.ids import FlowKey
from flowrunner.storage.local.flows import LocalFlows
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.records import BACKUP, make_record

STATE = Path("/var/lib/flowrunner")
FILE = STATE / "registry/default/backup/definition.json"
LEFT_FILE = STATE / "registry/left.json"


@pytest.fixture
def files() -> FakeFiles:
    return FakeFiles()


@pytest.fixture
def flows(files: FakeFiles) -> LocalFlows:
    return LocalFlows(STATE, files, FakeClock())


def test_record_is_a_file_that_a_person_can_read(files: FakeFiles, flows: LocalFlows) -> None:
    """One pretty JSON file for each flow, in a folder for each account, for the owner alone."""
    asyncio.run(flows.create(make_record(description="Größe")))
    text = files.read(FILE, limit=10_000).decode()
    assert '\n  "name": "backup",\n' in text
    assert "Größe" in text
    assert json.loads(text)["updated_at"] == "2027-03-01T12:00:00.000000+00:00"
    assert files.mode(FILE) == 0o600
    assert files.mode(FILE.parent) == 0o700


def test_changes_last_after_sync(files: FakeFiles, flows: LocalFlows) -> None:
    """A pass writes many records and makes them durable at once, deletions too."""

    async def change() -> None:
        await flows.create(make_record(FlowKey("default", "old")))
        await flows.sync()
        await flows.create(make_record())
        await flows.delete(FlowKey("default", "old"))
        await flows.sync()

    asyncio.run(change())
    files.crash()
    assert asyncio.run(flows.list()) == [make_record()]


def damaged_contents() -> list[object]:
    whole = make_record()
    good = {
        "account": "default",
        "name": "backup",
        "path": whole.path,
        "revision": whole.revision,
        "digest": whole.digest,
        "generation": 1,
        "updated_at": "2027-03-01T12:00:00+00:00",
        "definition": whole.definition,
    }
    changed = {**whole.definition, "version": 2}
    cases = {
        "empty": b"",
        "cut": json.dumps(good).encode()[:100],
        "not-json": b"\xff\xfe",
        "a-list": b"[]",
        "no-digest": {key: good[key] for key in good if key != "digest"},
        "changed": {**good, "definition": changed},
        "another-flow": {**good, "name": "other"},
        "no-time": {**good, "updated_at": "yesterday"},
    }
    return [
        pytest.param(case if isinstance(case, bytes) else json.dumps(case).encode(), id=name)
        for name, case in cases.items()
    ]


@pytest.mark.parametrize("content", damaged_contents())
def test_damaged_record_is_left_out_and_logged(
    files: FakeFiles, flows: LocalFlows, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """A damaged file counts as missing, its neighbours are loaded, and the log names it."""
    neighbour = make_record(FlowKey("default", "alert"))
    asyncio.run(flows.create(neighbour))
    files.write(FILE, content)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(flows.list()) == [neighbour]
    assert asyncio.run(flows.get(BACKUP)) is None
    assert caplog.records[0].message == "flow_record_damaged"
    assert caplog.records[0].__dict__["flow"] == "default/backup"


def test_record_as_written_and_edited_is_damaged(files: FakeFiles, flows: LocalFlows) -> None:
    """Nobody arms what a person wrote into the registry, however little it is."""
    asyncio.run(flows.create(make_record(description="daily")))
    text = files.read(FILE, limit=10_000)
    files.write(FILE, text.replace(b"daily", b"dairy"))
    assert asyncio.run(flows.list()) == []


def _without_hash(text: str) -> str:
    fields = json.loads(text)
    del fields["written"]
    return json.dumps(fields, indent=2)


@pytest.mark.parametrize(
    "laid_out",
    [
        pytest.param(lambda text: json.dumps(json.loads(text)), id="in-one-line"),
        pytest.param(lambda text: text.replace('"id":', '"id" :'), id="a-space-more"),
        pytest.param(_without_hash, id="of-an-older-release"),
    ],
)
def test_record_that_says_the_same_is_good(
    files: FakeFiles, flows: LocalFlows, laid_out: Callable[[str], str]
) -> None:
    """What counts is the definition: a record that an editor laid out anew is armed."""
    asyncio.run(flows.create(make_record()))
    files.write(FILE, laid_out(files.read(FILE, limit=10_000).decode()).encode())
    assert asyncio.run(flows.list()) == [make_record()]


def test_unreadable_record_is_left_out(files: FakeFiles, flows: LocalFlows) -> None:
    """A file that the kernel refuses to read harms no other."""
    asyncio.run(flows.create(make_record()))
    asyncio.run(flows.create(make_record(FlowKey("default", "alert"))))
    files.fail("read", "backup/definition.json", PermissionError(errno.EACCES, "denied"))
    assert [each.key.name for each in asyncio.run(flows.list())] == ["alert"]


def test_damaged_record_can_be_replaced(files: FakeFiles, flows: LocalFlows) -> None:
    """Its place is taken: it is updated or deleted, as a whole one is."""
    files.write(FILE, b"")
    asyncio.run(flows.update(make_record()))
    assert asyncio.run(flows.get(BACKUP)) == make_record()


@pytest.mark.parametrize("others", [0, 60])
@pytest.mark.parametrize("place", [".", "default", "default/backup"])
def test_what_is_in_the_place_of_a_record_gives_way(
    tmp_path: Path, place: str, others: int
) -> None:
    """A folder instead of the file, or a file instead of a folder, is no reason to keep nothing."""
    flows = LocalFlows(tmp_path, LocalFiles(), FakeClock())
    path = tmp_path / "registry/default/backup/definition.json"
    if place == ".":
        (path / "within").mkdir(parents=True)
    elif place == "default":
        (tmp_path / "registry").mkdir()
        (tmp_path / "registry/default").write_text("a file")
    else:
        path.parent.parent.mkdir(parents=True)
        path.parent.symlink_to(tmp_path / "elsewhere")
    assert asyncio.run(flows.list()) == []
    records = [make_record(FlowKey("default", f"a{number:02}")) for number in range(others)]
    records.append(make_record())
    asyncio.run(flows.put(records))
    assert asyncio.run(flows.list()) == records
    assert not (tmp_path / "elsewhere").exists()


def test_as_many_records_as_a_first_start_has_are_all_kept(tmp_path: Path) -> None:
    """Each has its file, in a folder for the owner alone, also where some were there before."""
    flows = LocalFlows(tmp_path, LocalFiles(), FakeClock())
    records = [make_record(FlowKey("default", f"a{number:03}")) for number in range(600)]
    asyncio.run(flows.put(records[300:310]))
    asyncio.run(flows.put(records))
    assert asyncio.run(flows.list()) == records
    folders = (tmp_path / "registry/default").iterdir()
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_full_disk_is_told_and_the_old_record_stays(files: FakeFiles, flows: LocalFlows) -> None:
    """A write that fails says why and leaves the last good version."""
    asyncio.run(flows.create(make_record()))
    files.fail("replace", "definition.json", OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(StorageError) as caught:
        asyncio.run(flows.update(make_record(generation=2)))
    assert caught.value.code == "storage.full"
    assert asyncio.run(flows.get(BACKUP)) == make_record()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"], ids=repr)
def test_name_never_leaves_the_registry(files: FakeFiles, flows: LocalFlows, name: str) -> None:
    """A name that is no file name is refused before any file is touched."""
    for key in (FlowKey("default", name), FlowKey(name, "backup")):
        with pytest.raises(StorageError):
            asyncio.run(flows.delete(key))
    assert files.calls == []


def syncs(files: FakeFiles) -> list[str]:
    """How the last sync made things last; forgets the calls so far."""
    found = [call for call, _ in files.calls if call in ("sync", "replace_durably")]
    files.calls.clear()
    return found


def test_a_few_updates_do_not_wait_for_the_whole_file_system(
    files: FakeFiles, flows: LocalFlows
) -> None:
    """Each is made to last by itself, and outlives a crash."""
    asyncio.run(flows.create(make_record()))
    asyncio.run(flows.sync())
    assert syncs(files) == ["sync"]
    asyncio.run(flows.update(make_record(description="new")))
    asyncio.run(flows.sync())
    assert syncs(files) == ["replace_durably"]
    asyncio.run(flows.put([make_record(description="newer")]))
    asyncio.run(flows.sync())
    assert syncs(files) == ["replace_durably"]
    files.crash()
    assert "newer" in files.read(FILE, limit=10_000).decode()


@pytest.mark.parametrize("change", ["create", "put", "delete", "many", "put-many"])
def test_more_than_a_few_updates_are_synced_together(
    files: FakeFiles, flows: LocalFlows, change: str
) -> None:
    """New folders, removed ones and many files: one sync brings all of it to the disk."""
    asyncio.run(flows.create(make_record()))
    asyncio.run(flows.sync())
    keys = [FlowKey("default", f"other-{number}") for number in range(5)]
    if change == "create":
        asyncio.run(flows.create(replace(make_record(), key=keys[0])))
    elif change == "put":
        asyncio.run(flows.put([replace(make_record(), key=keys[0])]))
    elif change == "delete":
        asyncio.run(flows.delete(make_record().key))
    elif change == "put-many":
        records = [replace(make_record(), key=key) for key in keys]
        asyncio.run(flows.put(records))
        asyncio.run(flows.sync())
        asyncio.run(flows.put(records))
    else:
        for key in keys:
            asyncio.run(flows.create(replace(make_record(), key=key)))
        asyncio.run(flows.sync())
        for key in keys:
            asyncio.run(flows.update(replace(make_record(), key=key)))
    files.calls.clear()
    asyncio.run(flows.sync())
    assert syncs(files) == ["sync"]


def test_a_sync_that_fails_leaves_everything_to_the_next_one(
    files: FakeFiles, flows: LocalFlows
) -> None:
    """Nobody knows what of it is on disk, so the next sync is one of everything."""
    asyncio.run(flows.create(make_record()))
    asyncio.run(flows.sync())
    asyncio.run(flows.update(make_record(description="new")))
    files.fail("replace_durably", "", OSError(errno.EIO, "bad disk"))
    with pytest.raises(StorageError):
        asyncio.run(flows.sync())
    files.mend()
    files.calls.clear()
    asyncio.run(flows.sync())
    assert syncs(files) == ["sync"]


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"digest": "x", "flows": []}', b'{"flows": 1}'])
def test_a_damaged_list_of_what_left_counts_as_none(
    files: FakeFiles, flows: LocalFlows, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A hand-edited or truncated file is logged, never obeyed, and written anew by the next put."""
    asyncio.run(flows.put_left(frozenset({make_record().key})))
    files.write(LEFT_FILE, damage)
    assert asyncio.run(flows.left()) == frozenset()
    assert "left_flows_damaged" in caplog.text
    asyncio.run(flows.put_left(frozenset({make_record().key})))
    assert asyncio.run(flows.left()) == {make_record().key}


def test_the_list_of_what_left_is_no_account(flows: LocalFlows) -> None:
    """It lies beside the folders of accounts, and no flow is found in it."""
    asyncio.run(flows.put_left(frozenset({make_record().key})))
    assert asyncio.run(flows.list()) == []
