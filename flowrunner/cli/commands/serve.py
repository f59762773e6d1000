"""`flowrunner serve`: loads the settings and hands over to the daemon."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from functools import partial
from typing import Protocol

from flowrunner.cli.host import Host
from flowrunner.cli.settings import add_settings, load
from flowrunner.config.loader import LoadedSettings
from flowrunner.config.sources import ReadYaml


class Serve(Protocol):
    """Runs a daemon; see `flowrunner.daemon.serve`."""

    def __call__(
        self,
        loaded: LoadedSettings,
        read: Callable[[], LoadedSettings],
        *,
        accept_state_loss: bool,
        observe: bool,
    ) -> int:
        """Returns the exit code; raises `FlowError` when it could not start."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the settings file and the flags that stand for a setting."""
    add_settings(parser)
    parser.add_argument(
        "--accept-state-loss",
        action="store_true",
        help="go on without a history when the database is damaged and no backup is good",
    )
    parser.add_argument(
        "--observe",
        action="store_true",
        help="start nothing: record the slots that would have started as skipped (observe)",
    )


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
    gc.disable()  # of what is imported nothing is garbage; on again when the daemon is ready
    try:
        read = partial(load, args, host, read_yaml)
        run = serve or _daemon_serve()
        accept = args.accept_state_loss
        return run(loaded, read, accept_state_loss=accept, observe=args.observe)
    finally:
        gc.enable()


def _daemon_serve() -> Serve:
    from flowrunner.daemon.serve import serve

    return serve
