"""The processes that compile many new files for a daemon: how they are started, what they do.

`python -m flowrunner.daemon.compile_ahead` is one of them. Their greeting is the generation of the
cache, so that after an update on disk new code compiles nothing for a daemon of the old one.
"""

from __future__ import annotations

import gc
import sys

from flowrunner.daemon.validate_cache import generation_of
from flowrunner.definitions.ahead import CrewAhead
from flowrunner.definitions.ahead_wire import AheadCompiler
from flowrunner.system.clock import SystemClock
from flowrunner.system.crew import NO_CREW, members_here
from flowrunner.system.crew_member import serve

ARGV = (sys.executable or "python3", "-P", "-m", __spec__.name)
"""Starts one; without the current folder on the path of modules."""


def make_ahead(generation: str) -> CrewAhead:
    """Returns what compiles ahead on this host, for readers of this generation."""
    members = members_here()
    if not members:
        return CrewAhead(NO_CREW)
    from flowrunner.system.local_crew import LocalCrew  # late: a member needs none of it

    return CrewAhead(LocalCrew(ARGV, generation.encode(), members))


def main() -> None:
    """Compiles until nobody asks any more."""
    from flowrunner.daemon.offline import make_compiler  # late: the daemon has its own

    gc.disable()  # among definitions it finds nothing, slowly
    compiler = make_compiler()
    generation = generation_of(compiler.schema.document, SystemClock().now().date())
    serve(generation.encode(), AheadCompiler(compiler).answer)


if __name__ == "__main__":
    main()
