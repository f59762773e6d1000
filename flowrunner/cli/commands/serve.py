"""`flowrunner serve`: loads the settings and hands over to the daemon."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from flowrunner.cli.host import Host
from flowrunner.cli.settings import add_settings, load
from flowrunner.config.loader import LoadedSettings
from flowrunner.config.sources import ReadYaml

Serve = Callable[[LoadedSettings], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the settings file and the flags that stand for a setting."""
    add_settings(parser)


def execute(
    args: argparse.Namespace,
    host: Host,
    serve: Serve | None = None,
    read_yaml: ReadYaml | None = None,
) -> int:
    """Runs the daemon until it is told to stop.

    Raises:
        FlowError: It could not start; `exit_of(…, serving=True)` tells whether trying again helps.
    """
    loaded = load(args, host, read_yaml)
    return (serve or _daemon_serve())(loaded)


def _daemon_serve() -> Serve:
    from flowrunner.daemon.serve import serve

    return serve
