"""The built-in node types without a host: good for compiling, not for executing."""

from __future__ import annotations

from flowrunner.definitions.compiler import Compiler
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.environment import HostFacts
from flowrunner.nodes.programs import ProgramRunner
from flowrunner.nodes.registry import NodeRegistry
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.spawner import FakeSpawner, Performance


def builtin_nodes() -> NodeRegistry:
    """Returns a registry of all built-in types over files and processes of memory."""
    nodes = NodeRegistry()
    host = HostFacts(name="host", user="flowrunner", home="/var/lib/flowrunner")
    spawner = FakeSpawner(lambda _: Performance())
    register_builtins(nodes, ProgramRunner(spawner=spawner, files=FakeFiles(), host=host))
    return nodes


def builtin_compiler() -> Compiler:
    """Returns a compiler with the built-in types."""
    return Compiler(builtin_nodes(), FakeClock())
