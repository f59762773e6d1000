"""`flowrunner schema`: prints a JSON schema, for editors and other checks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from flowrunner.cli.host import Host
from flowrunner.cli.render import to_json
from flowrunner.model.ids import Json

MakeSchema = Callable[[], Mapping[str, Json]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds which schema."""
    parser.add_argument("kind", nargs="?", choices=("flow", "defaults", "settings"), default="flow")


def execute(args: argparse.Namespace, host: Host, flow_schema: MakeSchema | None = None) -> int:
    """Prints the schema as JSON."""
    if args.kind == "settings":
        return print_settings_schema(host)
    if args.kind == "defaults":
        return _print_defaults_schema(host)
    host.say(to_json(dict((flow_schema or _flow_schema())())))
    return 0


def print_settings_schema(host: Host) -> int:
    """Prints the schema of the settings file."""
    from flowrunner.config.describe import settings_schema

    host.say(to_json(settings_schema()))
    return 0


def _print_defaults_schema(host: Host) -> int:
    from flowrunner.daemon.offline import defaults_schema_document

    host.say(to_json(dict(defaults_schema_document())))
    return 0


def _flow_schema() -> MakeSchema:
    from flowrunner.daemon.offline import flow_schema_document

    return flow_schema_document
