"""The settings as a command sees them: its flags, the environment, the file it names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from flowrunner.cli.errors import UsageError
from flowrunner.cli.host import Host
from flowrunner.config.loader import LoadedSettings, load_settings
from flowrunner.config.sources import LocatedDocument, ReadYaml
from flowrunner.errors import SettingsError, ValidationError

_FLAGS = {"--flows": "DIR", "--state": "DIR", "--listen": "HOST:PORT"}
_HELP = {
    "--flows": "folder of the flow files (source.path)",
    "--state": "folder of the state (storage.path)",
    "--listen": "address for HTTP (server.listen), port 0 takes a free one",
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds `--config` and the flags that stand for a setting."""
    parser.add_argument("--config", metavar="FILE", help="settings file (YAML)")
    for flag, metavar in _FLAGS.items():
        parser.add_argument(flag, metavar=metavar, help=_HELP[flag])


def load(args: argparse.Namespace, host: Host, read_yaml: ReadYaml | None = None) -> LoadedSettings:
    """Returns the settings in force for the options of a command.

    Raises:
        SettingsError: With everything that is wrong with them.
    """
    flags = {flag: getattr(args, flag.removeprefix("--")) for flag in _FLAGS}
    return load_file(args.config, host, read_yaml, flags)


def load_file(
    file: str | None,
    host: Host,
    read_yaml: ReadYaml | None = None,
    flags: Mapping[str, str | None] = MappingProxyType({}),
) -> LoadedSettings:
    """Returns the settings in force for a settings file.

    Raises:
        SettingsError: With everything that is wrong with them.
    """
    try:
        return load_settings(
            file=None if file is None else Path(file),
            environment=host.environment,
            flags=flags,
            folder=_current_folder(),
            read_yaml=read_yaml or _read_strictly,
        )
    except SettingsError:
        raise
    except ValidationError as error:  # the file is not YAML
        raise SettingsError(error.message, code=error.code, findings=error.findings) from error


def state_folder(args: argparse.Namespace, host: Host) -> Path:
    """Returns the state directory that `--state` and `--config` of a command mean.

    Raises:
        SettingsError: The settings are wrong.
    """
    given = argparse.Namespace(config=args.config, state=args.state, flows=None, listen=None)
    path: Path = load(given, host).settings.storage.path
    return path


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current folder was removed", hint="change to another one") from error


def _read_strictly(data: bytes, *, file: str) -> LocatedDocument:
    from flowrunner.daemon.offline import read_settings_yaml  # late: not every host has a file

    return read_settings_yaml(data, file=file)
