"""`flowrunner config`: which settings are in force and where each comes from, or what is wrong."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_output
from flowrunner.cli.commands.schema import print_settings_schema
from flowrunner.cli.host import Host
from flowrunner.cli.render import show, table
from flowrunner.cli.settings import add_settings, load
from flowrunner.config.sources import ReadYaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `show`, `check` and `schema`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shown = actions.add_parser("show", help="print every setting with its value and origin")
    add_settings(shown)
    add_output(shown)
    add_settings(actions.add_parser("check", help="say what is wrong with the settings"))
    actions.add_parser("schema", help="print the JSON schema of the settings file")


def execute(args: argparse.Namespace, host: Host, read_yaml: ReadYaml | None = None) -> int:
    """Does one of them.

    Raises:
        SettingsError: With everything that is wrong with the settings.
    """
    if args.action == "schema":
        return print_settings_schema(host)
    loaded = load(args, host, read_yaml)
    if args.action == "check":
        host.say("the settings are valid")
        return 0

    from flowrunner.config.describe import describe_settings

    rows = describe_settings(loaded)
    document = {"items": [row._asdict() for row in rows]}
    show(host, args.output, document, lambda _wide: table(("KEY", "VALUE", "ORIGIN"), rows))
    return 0
