"""Promises of `flowrunner.reconcile.last_good`: what is in force before the source is read."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping

import pytest

from flowrunner.definitions.compiler import Compiler
from flowrunner.errors import StorageError
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.last_good import load_last_good
from flowrunner.reconcile.plan import make_plan
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.flow_store import FlowRecord
from flowrunner.storage.memory_flows import MemoryFlows
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import (
    COMPILER,
    FakeSecrets,
    broken_text,
    entry,
    flow_text,
    key_of,
    snapshot,
)
from tests.fakes.inline_threads import run_inline
from tests.fakes.records import make_record

A, B = key_of("a"), key_of("b")


def apply(store: MemoryFlows, registry: FlowRegistry, files: Mapping[str, bytes]) -> bool:
    """Plans and applies files, as a pass does."""
    applier = Applier(registry, store, FakeSecrets(), FakeClock(), ())
    return run_inline(applier.apply(make_plan(snapshot(files), registry.entries)))


def restored(store: MemoryFlows, compiler: Compiler = COMPILER) -> FlowRegistry:
    """The registry of a new start."""
    registry = FlowRegistry()
    load_last_good(run_inline(store.list()), compiler, registry, FakeClock())
    return registry


def test_last_good_versions_are_in_force_at_start() -> None:
    """What was in force before a restart is in force again, with path, revision, generation."""
    store, registry = MemoryFlows(), FlowRegistry()
    apply(store, registry, {"a.yaml": flow_text("a"), "sub/b.yaml": flow_text("b")})
    again = restored(store)
    for key, before in registry.entries.items():
        after = again.entries[key]
        assert (after.digest, after.definition) == (before.digest, before.definition)
        assert (after.path, after.revision) == (before.path, before.revision)
        assert (after.generation, after.observed_generation) == (1, 1)
        assert after.is_ready


def test_broken_file_keeps_its_last_good_version_across_a_restart() -> None:
    """The good version goes on firing while the file is broken, also after a restart."""
    store, registry = MemoryFlows(), FlowRegistry()
    apply(store, registry, {"a.yaml": flow_text("a", description="good")})
    apply(store, registry, {"a.yaml": broken_text("a")})
    again = restored(store)
    apply(store, again, {"a.yaml": broken_text("a")})
    known = again.entries[A]
    assert known.definition["description"] == "good"
    assert not known.is_ready
    assert (known.generation, known.observed_generation) == (2, 1)


def test_first_pass_after_a_restart_changes_no_version() -> None:
    """The same files as before write no record anew."""
    store, registry = MemoryFlows(), FlowRegistry()
    files = {"a.yaml": flow_text("a")}
    apply(store, registry, files)
    before = run_inline(store.get(A))
    again = restored(store)
    apply(store, again, files)
    assert run_inline(store.get(A)) is before
    assert again.entries[A].digest == registry.entries[A].digest


def test_flow_deleted_while_down_leaves_with_the_first_pass() -> None:
    """A record whose file is gone is in force until the source was read, and not longer."""
    store, registry = MemoryFlows(), FlowRegistry()
    apply(store, registry, {"a.yaml": flow_text("a"), "b.yaml": flow_text("b")})
    again = restored(store)
    apply(store, again, {"b.yaml": flow_text("b")})
    assert list(again.entries) == [B]
    assert run_inline(store.get(A)) is None


def record_of(name: str) -> FlowRecord:
    known = entry(name)
    return dataclasses.replace(
        make_record(known.key), definition=dict(known.definition), digest=known.digest
    )


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param({"nodes": [{"id": "x", "type": "gone"}]}, id="unknown-node-type"),
        pytest.param({}, id="nothing-in-it"),
        pytest.param({"nodes": 5}, id="no-list"),
        pytest.param({"nodes": ["x"]}, id="no-nodes"),
        pytest.param({"nodes": [{"id": "x", "type": "noop", "if": "${{"}]}, id="bad-expression"),
        pytest.param(
            {"nodes": [{"id": "x", "type": "noop", "timeout": "soon"}]}, id="bad-duration"
        ),
        pytest.param({"nodes": [], "triggers": [{"type": "gone"}]}, id="unknown-trigger"),
        pytest.param({"nodes": [], "triggers": {"type": "webhook"}}, id="no-list-of-triggers"),
        pytest.param({"nodes": [], "triggers": [{"type": "schedule", "cron": "x"}]}, id="bad-cron"),
        pytest.param({"nodes": [], "concurrency": 1}, id="no-map"),
    ],
)
def test_record_that_does_not_compile_is_left_out(
    definition: dict[str, Json], caplog: pytest.LogCaptureFixture
) -> None:
    """A definition of another version of the program is logged and stops nothing else."""
    store = MemoryFlows()
    run_inline(store.create(record_of("a")))
    run_inline(store.create(dataclasses.replace(record_of("b"), definition=definition)))
    with caplog.at_level(logging.WARNING):
        registry = restored(store)
    assert list(registry.entries) == [A]
    assert "registry.not_restored flow=default/b" in caplog.text


def test_record_that_was_left_out_comes_back_with_its_file() -> None:
    """A flow whose record did not compile is in force again as soon as its file is valid."""
    store = MemoryFlows()
    run_inline(store.create(dataclasses.replace(record_of("a"), definition={})))
    registry = restored(store)
    assert apply(store, registry, {"a.yaml": flow_text("a")})
    assert registry.entries[A].is_ready


def test_number_of_flows_is_told() -> None:
    """The count is that of the flows in force."""
    store = MemoryFlows()
    run_inline(store.create(record_of("a")))
    run_inline(store.create(dataclasses.replace(record_of("b"), definition={})))
    count = load_last_good(run_inline(store.list()), COMPILER, FlowRegistry(), FakeClock())
    assert count == 1


def test_store_that_cannot_be_read_fails_the_start() -> None:
    """Without its state the daemon does not begin with nothing."""

    class Unreadable(MemoryFlows):
        async def list(self, account: str | None = None) -> list[FlowRecord]:
            raise StorageError("no", code="storage.unavailable")

    with pytest.raises(StorageError):
        restored(Unreadable())


def test_fault_of_the_program_is_not_hidden() -> None:
    """Only what a definition can cause is coped with."""

    class Faulty(Compiler):
        def restore(
            self, key: FlowKey, digest: Digest, definition: Mapping[str, Json]
        ) -> tuple[FlowSpec, Mapping[str, Json]]:
            raise MemoryError

    store = MemoryFlows()
    run_inline(store.create(record_of("a")))
    with pytest.raises(MemoryError):
        restored(store, Faulty(COMPILER._catalog, FakeClock()))
