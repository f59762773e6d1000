"""Which files an execution has: those of its commit, wherever its flow was in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Revision
from flowrunner.model.states import ExecutionState
from flowrunner.reconcile.upstream.checkouts import Checkouts
from flowrunner.reconcile.upstream.places import FlowPlaces
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.system.files import LocalFiles
from tests.fakes.definitions import entry, key_of
from tests.fakes.inline_threads import run_inline
from tests.fakes.records import make_execution

ONE, TWO, THREE = (Revision(digit * 40) for digit in "123")
BROKEN = Finding(file="a.yaml", code="FR101", message="wrong")


class World:
    """Flow places over real folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = FlowRegistry()
        self.places = self.restarted()

    def restarted(self) -> FlowPlaces:
        files = LocalFiles()
        checkouts = Checkouts(files, self.folder, "flows")
        self.places = FlowPlaces(files, self.folder, checkouts, "flows", self.registry)
        run_inline(self.places.load())
        return self.places

    def put(self, revision: Revision, *entries: FlowEntry) -> None:
        (self.folder / f"rev-{revision}").mkdir(exist_ok=True)
        found = {each.key: each for each in entries}
        run_inline(self.places.revision_coming(revision, found))
        self.registry.replace(found)

    def folder_of(self, revision: Revision) -> str:
        execution = replace(make_execution(flow=key_of("a")), revision=revision)
        return str(self.places.folder_of(execution).relative_to(self.folder))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def flow_at(path: str, *findings: Finding) -> FlowEntry:
    return replace(entry("a"), path=path, findings=findings, revision=ONE)


def test_moved_flow_is_found_where_it_was(world: World) -> None:
    """An execution finds the folder that its flow had in its commit, after a restart too."""
    world.put(ONE, flow_at("a.yaml"))
    world.put(TWO, flow_at("deep/er/a.yaml"))
    for _ in range(2):
        assert world.folder_of(ONE) == f"rev-{ONE}/flows"
        assert world.folder_of(TWO) == f"rev-{TWO}/flows/deep/er"
        world.restarted()


def test_execution_is_of_the_newest_commit(world: World) -> None:
    """A flow that did not change is run with the files of the newest commit."""
    world.put(ONE, flow_at("a.yaml"))
    world.put(TWO, flow_at("a.yaml"))
    assert world.places.revision_of(flow_at("a.yaml")) == TWO
    assert world.restarted().revision_of(flow_at("a.yaml")) == TWO
    assert world.places.held() == set()


def test_invalid_flow_holds_the_last_commit_that_it_was_valid_in(world: World) -> None:
    """A flow whose new version is invalid keeps flow and files together, over any pushes."""
    world.put(ONE, flow_at("a.yaml"))
    world.put(TWO, flow_at("a.yaml"))
    bad = flow_at("a.yaml", BROKEN)
    world.put(THREE, bad)
    world.put(Revision("4" * 40), bad)
    assert world.places.revision_of(bad) == TWO
    assert world.places.held() == {TWO}
    assert world.restarted().revision_of(bad) == TWO
    assert world.places.held() == {TWO}


def test_commit_that_is_gone_gives_the_live_folder(world: World) -> None:
    """Without a checkout of its commit an execution has the files in place, and says so."""
    world.put(ONE, flow_at("x/a.yaml"))
    execution: Execution = replace(make_execution(flow=key_of("a")), revision=TWO)
    assert world.folder_of(TWO) == "current/flows/x"
    assert not world.places.covers(execution)


def test_an_ended_retry_is_not_said_to_have_had_what_may_have_been_gone(world: World) -> None:
    """Of a commit that is gone an ended execution had the files, and a retry of one perhaps not."""
    world.put(ONE, flow_at("x/a.yaml"))
    ended = make_execution(flow=key_of("a"), state=ExecutionState.SUCCEEDED)
    first = replace(ended, revision=TWO)
    retry = replace(first, retry_of=first.id)
    assert world.places.covers(first)
    assert not world.places.covers(retry)
    assert world.places.covers(replace(retry, revision=ONE))


def test_what_is_written_down_goes_with_the_checkout(world: World) -> None:
    """Nothing is kept of commits that are gone, and unreadable leaves are none."""
    world.put(ONE, flow_at("a.yaml"))
    world.put(TWO, flow_at("a.yaml"))
    (world.folder / f"rev-{ONE}").rmdir()
    world.places.tidy()
    assert sorted(path.name for path in (world.folder / "paths").iterdir()) == [
        f"{TWO}.json",
        "latest",
    ]
    (world.folder / "paths" / f"{TWO}.json").write_text("[]")
    assert world.restarted().revision_of(flow_at("a.yaml")) == ONE


def test_revision_is_not_taken_when_it_cannot_be_written_down(world: World) -> None:
    """A pass fails rather than to put in force what a restart would not find."""
    world.put(ONE, flow_at("a.yaml"))
    (world.folder / "paths").rename(world.folder / "moved")
    (world.folder / "paths").write_text("in the way")
    with pytest.raises(StorageError):
        world.put(TWO, flow_at("a.yaml"))
    assert world.places.revision_of(flow_at("a.yaml")) == ONE
