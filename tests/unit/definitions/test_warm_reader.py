"""A daemon knows after a restart what its files compiled to, and trusts nothing that is damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowrunner.definitions.cache_lines import checked_lines, sealed
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.late_flow import MOST_NODES
from flowrunner.definitions.warm_reader import Version, WarmReader
from flowrunner.model.ids import FlowKey
from flowrunner.model.late import Late
from flowrunner.model.packed import PackedDefinition, plain
from tests.definitions.examples import BAD, GOOD
from tests.fakes.nodes import builtin_compiler, builtin_nodes

FLOW = b"version: 1\nname: one\nnodes: [{id: a, type: noop}, {id: b, run: x}]\n"


class MemoryStore:
    """Meets `Store`; counts how often something was kept."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.saved = 0

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data
        self.saved += 1


class Life:
    """One life of a daemon's reader over a store, beside the records of the life before."""

    def __init__(self, store: MemoryStore, before: dict[FlowKey, Version] | None = None) -> None:
        self.compiled: list[str] = []
        self.in_force: dict[FlowKey, Version] = {}
        self.compiler = builtin_compiler()
        self.reader = WarmReader(self.compiler, builtin_nodes(), store, self.in_force.get)
        compile_file = self.compiler.read

        def counted(data: bytes, *, file: str, **how: Any) -> Candidate:
            self.compiled.append(file)
            return compile_file(data, file=file, **how)

        self.compiler.read = counted  # type: ignore[method-assign]
        self.reader.load()
        for key, version in (before or {}).items():
            kept = json.loads(json.dumps(plain(version.definition)))
            self.in_force[key] = self.reader.restore(key, version.spec.digest, kept)

    def read(self, *files: tuple[str, bytes]) -> list[Candidate]:
        found = [self.reader.read(data, file=file, account="default") for file, data in files]
        for candidate in found:
            if candidate.spec is not None and candidate.definition is not None:
                version = Version(candidate.spec, candidate.definition)
                self.in_force[candidate.spec.key] = version
        self.reader.save([file for file, _ in files])
        return found


@pytest.mark.heavy
def test_restart_compiles_nothing() -> None:
    """Every good and bad file is known again: the same findings, claims, specs, and no write."""
    store = MemoryStore()
    files = [(path.name, path.read_bytes()) for path in (*GOOD, *BAD)]
    for file in files:
        store = MemoryStore()
        first = Life(store)
        told = first.read(file)
        again = Life(store, first.in_force)
        assert again.read(file) == told
        assert (again.compiled, store.saved) == ([], 1)


@pytest.mark.heavy
def test_restored_flow_is_the_compiled_one() -> None:
    """What is made late out of a record equals what the compiler makes, nodes and all."""
    for path in GOOD:
        whole = builtin_compiler().read(path.read_bytes(), file="f.yaml", account="default")
        store = MemoryStore()
        first = Life(store)
        (kept,) = first.read(("f.yaml", path.read_bytes()))
        assert (kept.spec, kept.definition) == (whole.spec, whole.definition)
        (restored,) = Life(store, first.in_force).in_force.values()
        assert restored == (whole.spec, whole.definition)


def test_few_nodes_are_not_built() -> None:
    """A flow that waits has no nodes in memory, and its definition is a text."""
    (candidate,) = Life(MemoryStore()).read(("f.yaml", FLOW))
    assert candidate.spec is not None
    assert isinstance(candidate.spec.nodes, Late)
    assert isinstance(candidate.definition, PackedDefinition)
    assert [node.id for node in candidate.spec.nodes] == ["a", "b"]


def test_a_start_looks_into_no_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arms a flow is kept beside its record; the rest is built at the first look at it."""
    store = MemoryStore()
    first = Life(store)
    data = (
        FLOW
        + b"inputs: {day: {default: x}}\nenv: {A: b}\noutputs: {x: y}\ntriggers: [{type: start}]\n"
    )
    (told,) = first.read(("f.yaml", data))
    looks: list[object] = []
    unpack = PackedDefinition.unpacked

    def unpacked(packed: PackedDefinition) -> dict[str, Any]:
        looks.append(packed)
        return unpack(packed)

    again = Life(store)
    assert told.spec is not None
    assert told.definition is not None
    record = PackedDefinition(told.definition)
    monkeypatch.setattr(PackedDefinition, "unpacked", unpacked)
    spec, _ = again.reader.restore(told.spec.key, told.spec.digest, record)
    assert (spec.starts, spec.node_types, looks) == (told.spec.starts, ("noop", "shell"), [])
    assert (list(spec.inputs), list(spec.env), list(spec.outputs)) == (["day"], ["A"], ["x"])
    assert looks


def test_what_is_recalled_is_kept_as_it_was() -> None:
    """A life that knows one file and compiles another writes the same line of the first again."""
    store = MemoryStore()
    first = Life(store)
    other = FLOW.replace(b"one", b"two")
    first.read(("f.yaml", FLOW))
    assert store.data
    (line,) = checked_lines(store.data)
    again = Life(store, first.in_force)
    again.read(("f.yaml", FLOW), ("g.yaml", other))
    assert again.compiled == ["g.yaml"]
    assert line in checked_lines(store.data)


def test_a_gist_that_makes_no_sense_is_not_used() -> None:
    """The record alone restores the flow then."""
    store = MemoryStore()
    first = Life(store)
    (told,) = first.read(("f.yaml", FLOW))
    assert store.data
    assert told.spec is not None
    lines = [line.rpartition(b"\t")[0] + b'\t{"late":1}' for line in checked_lines(store.data)]
    store.data = sealed(lines)
    (restored,) = Life(store, first.in_force).in_force.values()
    assert restored.spec == told.spec


def test_many_nodes_stay_built() -> None:
    """A first start never builds so many nodes that others would have to wait."""
    nodes = ", ".join(f"{{id: n{i}, type: noop}}" for i in range(MOST_NODES + 1))
    data = b"version: 1\nname: one\nnodes: [%b]\n" % nodes.encode()
    store = MemoryStore()
    first = Life(store)
    (candidate,) = first.read(("f.yaml", data))
    (restored,) = Life(store, first.in_force).in_force.values()
    for spec in (candidate.spec, restored.spec):
        assert spec is not None
        assert isinstance(spec.nodes, tuple)


@pytest.mark.parametrize(
    ("file", "data"),
    [("f.yaml", FLOW + b"# another text\n"), ("g.yaml", FLOW)],
    ids=["content", "name of the file"],
)
def test_what_differs_is_compiled(file: str, data: bytes) -> None:
    """Other bytes, and the same bytes in a file of another name."""
    store = MemoryStore()
    first = Life(store)
    first.read(("f.yaml", FLOW))
    again = Life(store, first.in_force)
    again.read((file, data))
    assert again.compiled == [file]
    assert store.saved == 2


def test_known_file_of_another_version_is_compiled() -> None:
    """Where the record was lost, or is that of another version, findings alone are not enough."""
    store = MemoryStore()
    first = Life(store)
    (told,) = first.read(("f.yaml", FLOW))
    other = Life(MemoryStore())
    other.read(("f.yaml", FLOW.replace(b"noop", b"log, params: {message: m}")))
    for before in ({}, other.in_force):
        again = Life(store, before)
        assert again.read(("f.yaml", FLOW)) == [told]
        assert again.compiled == ["f.yaml"]


def test_damaged_store_counts_as_empty() -> None:
    """Any changed byte is noticed; so is a line that is whole and makes no sense."""
    store = MemoryStore()
    first = Life(store)
    (told,) = first.read(("f.yaml", FLOW))
    data = store.data
    assert data
    for place in range(0, len(data), 7):
        store.data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        again = Life(store, first.in_force)
        assert again.read(("f.yaml", FLOW)) == [told]
        assert again.compiled == ["f.yaml"]


def test_vanished_files_are_forgotten() -> None:
    """What is kept is what there was at the last save, so the store does not grow for ever."""
    store = MemoryStore()
    first = Life(store)
    first.read(("f.yaml", FLOW), ("g.yaml", FLOW.replace(b"one", b"two")))
    first.reader.save(["g.yaml"])
    again = Life(store, first.in_force)
    again.read(("g.yaml", FLOW.replace(b"one", b"two")), ("f.yaml", FLOW))
    assert again.compiled == ["f.yaml"]


def test_missing_source_costs_nothing() -> None:
    """Where no file was read, all that is kept stays, in the store and for a later pass."""
    store = MemoryStore()
    first = Life(store)
    (told,) = first.read(("f.yaml", FLOW))
    again = Life(store, first.in_force)
    again.reader.save([])
    assert again.read(("f.yaml", FLOW)) == [told]
    assert (again.compiled, store.saved) == ([], 1)
