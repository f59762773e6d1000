"""Where settings come from: systemd's folders, one YAML file, the environment, flags.

Each source gives plain values with their origin and does not judge them; which one wins and what
is valid is the business of `flowrunner.config.loader`. The environment comes in as a mapping, and
nothing else in the package looks into it for settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from flowrunner.config.accounts import KEYS, SECTION
from flowrunner.config.kinds import BadValueError
from flowrunner.config.settings import SECTIONS, SETTINGS
from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Json

LARGEST_FILE = 1024 * 1024
"""Bytes of the settings file that are read; the YAML reader refuses a longer one."""

SOCKET_NAME = "control.sock"
"""The control socket in its folder."""

_PREFIX = "FLOWRUNNER_"
_SECRETS = "FLOWRUNNER_SECRET_"
_SEPARATOR = "__"
_UNIT_FOLDERS = {
    "STATE_DIRECTORY": (("storage", "path"), "."),
    "RUNTIME_DIRECTORY": (("server", "control_socket"), SOCKET_NAME),
}


class LocatedPosition(Protocol):
    """A place in a file, both numbers from 1."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def column(self) -> int:
        """The column in code points."""


class LocatedDocument(Protocol):
    """A YAML file as plain data that knows where each part of it stands."""

    @property
    def data(self) -> Json:
        """Mappings, lists and scalars; None for an empty file."""

    def position(self, path: tuple[str | int, ...], *, key: bool = False) -> LocatedPosition:
        """Returns where the value at a path stands, or its key."""
        ...


class ReadYaml(Protocol):
    """The strict YAML reader, given by the composition root since it belongs to a higher layer."""

    def __call__(self, data: bytes, *, file: str) -> LocatedDocument:
        """Reads one document; raises a `ValidationError` with its finding."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One value that somebody wrote.

    Attributes:
        path: Section and name as written; shorter or longer when it names no setting.
        value: The value as read.
        is_text: Whether it comes from a text (flag, variable) and numbers still are digits.
        origin: ``file:/path:line:column``, ``env:NAME`` or ``flag:--name``.
        folder: What a relative path is relative to.
    """

    path: tuple[str, ...]
    value: Json
    is_text: bool = True
    origin: str
    folder: Path


def from_unit(environment: Mapping[str, str], folder: Path) -> Iterator[Given]:
    """Yields the defaults that a systemd unit gives by its folders.

    Source: systemd.exec(5), RuntimeDirectory= and StateDirectory=; of several, the first counts.
    """
    for name, (path, inside) in _UNIT_FOLDERS.items():
        first = environment.get(name, "").partition(":")[0]
        if first:
            value = str(Path(first, inside))
            yield Given(path=path, value=value, origin=f"env:{name}", folder=folder)


def from_file(file: Path, read_yaml: ReadYaml) -> Iterator[Given]:
    """Yields the values of a settings file; an empty file or section gives none.

    Raises:
        BadValueError: ``settings.path`` when the file cannot be read.
        ValidationError: Whatever `read_yaml` raises when it is not valid YAML.
    """
    document = read_yaml(_read(file), file=str(file))
    for path, value in _flat(document.data):
        # A known setting is shown where its value stands, a misspelt one where its name does.
        at = document.position(path, key=not _is_known(path))
        origin = f"file:{file}:{at.line}:{at.column}"
        yield Given(path=path, value=value, is_text=False, origin=origin, folder=file.parent)


def from_environment(environment: Mapping[str, str], folder: Path) -> Iterator[Given]:
    """Yields the variables `FLOWRUNNER_<SECTION>__<KEY>`, small letters counting as capitals.

    Others with the prefix are no settings. A secret is none even with two underscores in its name.
    """
    for name, value in sorted(environment.items()):
        key = name.removeprefix(_PREFIX)
        if key == name or _SEPARATOR not in key or name.startswith(_SECRETS):
            continue
        path = tuple(key.lower().split(_SEPARATOR))
        yield Given(path=path, value=value, origin=f"env:{name}", folder=folder)


def from_flags(flags: Mapping[str, str | None], folder: Path) -> Iterator[Given]:
    """Yields the options of the command line; None means that an option was not given."""
    paths = {setting.flag: path for path, setting in SETTINGS.items() if setting.flag}
    for flag, value in flags.items():
        if value is not None:
            yield Given(path=paths[flag], value=value, origin=f"flag:{flag}", folder=folder)


def _flat(data: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Yields path and value of each setting; what is no section, or no mapping, as one value."""
    if not isinstance(data, dict):
        if data is not None:
            yield (), data
        return
    yield from _flat_section((), data)


def _flat_section(
    above: tuple[str, ...], content: Mapping[str, Json]
) -> Iterator[tuple[tuple[str, ...], Json]]:
    for name, value in content.items():
        path = (*above, name)
        is_accounts = path == (SECTION,)
        if is_accounts and isinstance(value, dict):
            yield from _flat_accounts(value)
        elif not is_accounts and ".".join(path) not in SECTIONS:
            yield path, value
        elif isinstance(value, dict):
            yield from _flat_section(path, value)
        elif value is not None:
            yield path, value


def _flat_accounts(content: dict[str, Json]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Yields the path of each account, with None if it is a map or empty, then what it says."""
    for name, keys in content.items():
        yield (SECTION, name), None if isinstance(keys, dict) else keys
        for key, value in keys.items() if isinstance(keys, dict) else ():
            yield (SECTION, name, key), value


def _is_known(path: tuple[str, ...]) -> bool:
    """Whether a path leads to a value that has a meaning, and not only to a name."""
    is_of_account = path[:1] == (SECTION,) and path[-1] in KEYS and len(path) > 2  # noqa: PLR2004
    return path in SETTINGS or is_of_account


def _read(file: Path) -> bytes:
    try:
        # Asked first: opening a FIFO would wait for its other end.
        if file.exists() and not file.is_file():
            raise _unreadable("it is not a regular file")
        with file.open("rb") as stream:
            return stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _unreadable(error.strerror or "unknown reason") from error


def _unreadable(reason: str) -> BadValueError:
    return BadValueError(
        f"the settings file cannot be read: {reason}",
        code="settings.path",
        hint="name a readable file, or none to use the defaults",
    )
