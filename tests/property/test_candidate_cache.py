"""The cache of `validate` on definitions that were good until somebody edited them."""

from __future__ import annotations

import json

from hypothesis import given, settings

from flowrunner.definitions.candidate_cache import CachingReader
from flowrunner.definitions.compiler import NO_LAYERS, Candidate
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.model.ids import Json
from tests.definitions.mutations import mutants
from tests.fakes.nodes import builtin_compiler, builtin_nodes
from tests.profile import examples

COMPILER = builtin_compiler()
NODES = builtin_nodes()


class OneStore:
    """Meets `Store` in memory."""

    def __init__(self) -> None:
        self.data: bytes | None = None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


class Never:
    """Meets `Reader`: whoever asks it has not found what was kept."""

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        raise AssertionError

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        raise AssertionError

    def is_current(self, candidate: Candidate) -> bool:
        raise AssertionError


@settings(max_examples=examples(120))
@given(mutants())
def test_what_is_kept_says_what_was_compiled(data: Json) -> None:
    """Whatever was edited: findings, name, and all that files are judged by are the same."""
    text, store = json.dumps(data).encode(), OneStore()
    first = CachingReader(COMPILER, NODES, store, today=20_000)
    compiled = first.read(text, file="a.yaml", account="default")
    first.save()
    kept = CachingReader(Never(), NODES, store, today=20_001)
    known = kept.read(text, file="a.yaml", account="default")

    assert (known.file, known.name, known.findings) == ("a.yaml", compiled.name, compiled.findings)
    assert known.is_foreign == compiled.is_foreign
    assert known.claims == compiled.claims
    assert (known.spec is None) == (compiled.spec is None)
    if known.spec is not None and compiled.spec is not None:
        assert known.spec.digest == compiled.spec.digest
        assert known.spec.references == compiled.spec.references
        assert known.spec.webhooks == compiled.spec.webhooks
        assert known.spec.secrets_in_use == compiled.spec.secrets_in_use
