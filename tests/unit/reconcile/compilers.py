"""A compiler that remembers what it was asked, for whoever counts what is read again."""

from __future__ import annotations

from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Compiler, Make
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.system.clock import Clock
from tests.fakes.definitions import COMPILER


class CountingCompiler(Compiler):
    """Remembers which files it compiled, flows and defaults."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(COMPILER._catalog, clock)
        self.compiled: list[str] = []

    def read(
        self,
        data: bytes,
        *,
        file: str,
        account: str,
        layers: Layers = NO_LAYERS,
        make: Make | None = None,
    ) -> Candidate:
        self.compiled.append(file)
        return super().read(data, file=file, account=account, layers=layers, make=make)

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        self.compiled.append(file)
        return super().read_defaults(data, file=file)
