"""What was compiled once is known again, for as long as it is in use."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.definitions.cache_lines import key_of
from flowrunner.definitions.candidate_cache import (
    LARGEST_STORE,
    LONGEST_UNUSED,
    CachingReader,
)
from flowrunner.definitions.compiler import NO_LAYERS, Candidate
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from tests.definitions.examples import BAD, GOOD
from tests.fakes.nodes import builtin_compiler, builtin_nodes

FLOW = b"version: 1\nname: %b\nnodes: [{id: a, type: noop}]\n"


class MemoryStore:
    """Meets `Store`; counts how often something was kept."""

    def __init__(self, data: bytes | None = None) -> None:
        self.data = data
        self.saved = 0

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data
        self.saved += 1


class CountingCompiler:
    """Meets `Reader`: compiles, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        self.count += 1
        return builtin_compiler().read(data, file=file, account=account, layers=layers)

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        return builtin_compiler().read_defaults(data, file=file)

    def is_current(self, candidate: Candidate) -> bool:
        return builtin_compiler().is_current(candidate)


def run(
    store: MemoryStore, *files: bytes, today: int = 20_000, largest: int = LARGEST_STORE
) -> tuple[list[Candidate], int]:
    """Returns what a run over some contents gives, and how many of them it compiled."""
    compiler = CountingCompiler()
    reader = CachingReader(compiler, builtin_nodes(), store, today, largest)
    candidates = [reader.read(data, file="f.yaml", account="default") for data in files]
    reader.save()
    return candidates, compiler.count


@pytest.mark.heavy
def test_known_content_is_not_compiled() -> None:
    """A second run compiles nothing and writes nothing; its findings are those of the first."""
    store = MemoryStore()
    contents = [path.read_bytes() for path in (*GOOD, *BAD)]
    first, compiled = run(store, *contents)
    second, again = run(store, *contents)
    assert (compiled, again, store.saved) == (len(set(contents)), 0, 1)
    assert [c.findings for c in second] == [c.findings for c in first]
    assert [(c.name, c.is_foreign) for c in second] == [(c.name, c.is_foreign) for c in first]


def test_outline_is_the_flow_without_nodes_and_schedules() -> None:
    """Of a known flow all is there that files are judged by against each other, and no more."""
    for path in GOOD:
        store = MemoryStore()
        ((whole,), _), ((outline,), _) = (
            run(store, path.read_bytes()),
            run(store, path.read_bytes()),
        )
        assert whole.spec is not None
        assert outline.spec is not None
        assert (outline.spec.nodes, outline.spec.schedules) == ((), ())
        for part in (
            "key",
            "digest",
            "labels",
            "inputs",
            "secrets",
            "webhooks",
            "concurrency",
            "references",
        ):
            assert getattr(outline.spec, part) == getattr(whole.spec, part), part


def test_entry_goes_when_it_is_not_used() -> None:
    """After 30 days without use an entry is forgotten; one in use stays for good."""
    store = MemoryStore()
    used, unused = FLOW % b"used", FLOW % b"unused"
    run(store, used, unused, today=20_000)
    for day in range(20_000, 20_000 + LONGEST_UNUSED + 2, 7):
        run(store, used, today=day)
    assert run(store, used, FLOW % b"new", today=20_000 + LONGEST_UNUSED + 1)[1] == 1
    assert run(store, unused, today=20_000 + LONGEST_UNUSED + 1)[1] == 1


def test_store_is_bounded() -> None:
    """A store never has more bytes than it may; of what does not fit, the latest is kept."""
    store = MemoryStore()
    run(store, *(FLOW % b"old-%d" % number for number in range(9)), today=19_999)
    run(store, FLOW % b"new", largest=1_200)
    assert store.data is not None
    assert 500 < len(store.data) <= 1_200
    assert run(store, FLOW % b"new", *(FLOW % b"old-%d" % number for number in range(9)))[1] == 8


def test_defaults_above_a_file_belong_to_its_key() -> None:
    """The same file below other defaults, or under another name below some, is compiled anew."""
    compiler, store = CountingCompiler(), MemoryStore()
    reader = CachingReader(compiler, builtin_nodes(), store, today=20_000)
    above = [
        Layers((reader.read_defaults(text, file=file),))
        for file, text in (
            ("_defaults.yaml", b"labels: {a: b}\n"),
            ("_defaults.yaml", b"labels: {a: c}\n"),
            ("x/_defaults.yaml", b"labels: {a: c}\n"),
        )
    ]
    for layers in (NO_LAYERS, *above):
        for file in ("f.yaml", "g.yaml"):
            reader.read(FLOW % b"a", file=file, account="default", layers=layers)
    assert compiler.count == 1 + 2 * len(above)
    for layers in (NO_LAYERS, *above):
        reader.read(FLOW % b"a", file="f.yaml", account="default", layers=layers)
    assert compiler.count == 1 + 2 * len(above)


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_keys_of_different_inputs_differ(some: list[bytes], others: list[bytes]) -> None:
    """No two lists of inputs share a key, however their bytes are divided among them."""
    assert (key_of(some) == key_of(others)) == (some == others)


@pytest.mark.heavy
@given(st.binary())
def test_any_store_can_be_read(data: bytes) -> None:
    """Whatever lies where the store should be, the run finds what it would find without."""
    content = FLOW % b"a"
    assert run(MemoryStore(data), content)[0] == run(MemoryStore(), content)[0]


KEY = key_of((FLOW % b"a",)) + b" "


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 100,
        b"a",
        KEY + b"20000x {}",
        KEY + b"020000 []",
        KEY + b"020000 " + b"[" * 100_000,
        KEY + b'020000 {"name":"a","is_foreign":false,"digest":"","findings":[],'
        b'"outline":[],"claims":{"name":{},"group":{},"hooks":{},"flows":{}}}',
    ],
)
def test_store_of_other_lines_can_be_read(line: bytes) -> None:
    """A whole store with lines that nobody wrote costs no more than compiling again."""
    rest = line + b"\n"
    store = MemoryStore(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
    content = FLOW % b"a"

    assert run(store, content) == run(MemoryStore(), content)
    assert run(store, content)[1] == 0
