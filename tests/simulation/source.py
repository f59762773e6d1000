"""The folder of flow files as people write it, and what must be in force because of it."""

from __future__ import annotations

from pathlib import Path

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.ids import Digest, Json
from flowrunner.registry.entry import PassResult
from flowrunner.registry.registry import FlowRegistry
from tests.fakes.simulated_disk import SimulatedFiles
from tests.simulation.flow_files import NAMES, compiled, key_of, text_of
from tests.simulation.oracle import Oracle

FLOWS = Path("/flows")
_BROKEN = Digest("broken")


class Source:
    """The flow files.

    Args:
        files: Where they are written, beside the state.
        compiler: Tells the digest of a text.
        oracle: Told what is written, and what does not hold.
    """

    def __init__(self, files: SimulatedFiles, compiler: Compiler, oracle: Oracle) -> None:
        self._files = files
        self._compiler = compiler
        self._oracle = oracle
        self._is: dict[str, Digest] = {}
        self._may_be_kept: dict[str, set[Digest | None]] = {name: {None} for name in NAMES}

    def write(self, name: str, flow: dict[str, Json]) -> Digest:
        """Writes a valid version of a flow."""
        text = text_of(flow)
        digest = compiled(self._compiler, name, text).digest
        self._oracle.nodes.knows(digest, flow)
        self._files.write(_path(name), text)
        self._is[name] = digest
        self._may_be_kept[name].add(digest)
        return digest

    def damage(self, name: str, text: bytes) -> None:
        """Writes a version with an error: what was in force stays so."""
        self._files.write(_path(name), text)
        self._is[name] = _BROKEN

    def remove(self, name: str) -> None:
        """Removes a flow's file."""
        self._files.take(_path(name))
        self._is.pop(name, None)
        self._may_be_kept[name].add(None)

    def passed(self, result: PassResult, registry: FlowRegistry) -> None:
        """Learns the end of a pass: from now on a crash must find what it put in force."""
        if result.result not in ("applied", "unchanged"):
            return
        for name, kept in self._may_be_kept.items():
            kept.clear()
            kept.add(_in_force(registry, name))
            if self._is.get(name) != _BROKEN:
                kept.add(self._is.get(name))

    def loaded(self, registry: FlowRegistry) -> None:
        """Judges what a start finds before it reads the source."""
        for name, kept in self._may_be_kept.items():
            found = _in_force(registry, name)
            if found not in kept:
                self._oracle.fail(f"a start finds {found} of {name}, in force was {kept}")

    def judge(self, registry: FlowRegistry) -> None:
        """Judges whether the files are in force, after a pass that saw them as they are."""
        if not self._is:  # an empty folder is held, and nothing changes
            return
        for name in NAMES:
            wanted, found = self._is.get(name), _in_force(registry, name)
            if wanted not in (_BROKEN, found):
                self._oracle.fail(f"in force of {name} is {found}, its file says {wanted}")


def _in_force(registry: FlowRegistry, name: str) -> Digest | None:
    entry = registry.get(key_of(name))
    return entry.digest if entry and entry.spec else None


def _path(name: str) -> Path:
    return FLOWS / f"{name}.yaml"
