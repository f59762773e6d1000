"""`flowrunner config`: which settings are in force and where each comes from, or what is wrong."""

from __future__ import annotations

import argparse

from flowrunner.cli.arguments import add_output
from flowrunner.cli.commands.schema import print_settings_schema
from flowrunner.cli.host import Host
from flowrunner.cli.render import show, table
from flowrunner.cli.settings import add_settings, load
from flowrunner.config.sources import ReadYaml

_ACTIONS = {
    "show": "print every setting with its value and origin",
    "check": "say what is wrong with the settings",
    "schema": "print the JSON schema of the settings file",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `show`, `check` and `schema`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    parsers = {
        name: actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        for name, about in _ACTIONS.items()
    }
    add_settings(parsers["show"])
    add_output(parsers["show"])
    add_settings(parsers["check"])


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
