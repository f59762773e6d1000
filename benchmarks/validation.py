"""How long it takes to check many flows, with and without the cache of `flowrunner validate`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.commands import COMMAND
from benchmarks.flow_files import write_flows
from flowrunner.definitions.yaml_reader import read_yaml


@dataclass
class FlowFolder:
    """A folder of so many flows, written when it is first needed, removed with this object."""

    count: int
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="flowrunner-bench-")
    )

    @cached_property
    def path(self) -> Path:
        """The folder of the flows."""
        path = Path(self._folder.name, "flows")
        write_flows(path, self.count)
        return path

    def cold_s(self) -> float:
        """Returns the seconds of `validate` that compiles every file and keeps nothing."""
        return self._command_s("--no-cache")

    def cached_s(self) -> float:
        """Returns the seconds of `validate` when every file is known from the run before."""
        return self._command_s()

    def parse_s(self) -> float:
        """Returns the seconds it takes to read all files as YAML with positions: the floor."""
        path = self.path
        return _took(lambda: [read_yaml(f.read_bytes(), file="f") for f in path.rglob("*.yaml")])

    def hash_s(self) -> float:
        """Returns the seconds it takes to find and read all files: the floor of a cache."""
        path = self.path
        return _took(lambda: [f.read_bytes() for f in path.rglob("*.yaml")])

    def _command_s(self, *options: str) -> float:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["XDG_CACHE_HOME"] = self._folder.name
        argv = [COMMAND, "validate", *options, str(self.path)]
        return _took(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=env))


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
